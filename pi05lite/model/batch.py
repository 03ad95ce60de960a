"""What goes into the model: one dataclass of tensors, the same for every mode."""

import dataclasses
from dataclasses import dataclass

import torch

from pi05lite.tokens.kind import Kind

# What a Batch has for each token of the text.
OF_TEXT = ("tokens", "kinds", "valid", "target", "places", "docks")
OF_PICTURES = ("images", "things", "boxes")  # ... and of each picture, beside whether it is there


@dataclass
class Batch:
    """A padded batch; None where a mode does not need the tensor."""

    images: torch.Tensor  # (B, C, 3, px, px) float in [-1, 1]
    image_mask: torch.Tensor  # (B, C) bool, False = camera absent
    tokens: torch.Tensor  # (B, L) ids: prompt, answer, action tokens, then padding
    kinds: torch.Tensor  # (B, L) Kind of each token
    valid: torch.Tensor  # (B, L) bool, False = padding
    target: torch.Tensor | None = None  # (B, L) bool, True = a token to be predicted
    actions: torch.Tensor | None = None  # (B, H, A) normalised, padded with 0 to A
    action_mask: torch.Tensor | None = None  # (B, H, A) bool, False = padding in steps or sizes
    source: torch.Tensor | None = None  # (B,) which source of the mixture each example is from
    state: torch.Tensor | None = None  # (B, A) normalised, padded with 0: for a state token
    places: torch.Tensor | None = None  # (B, L, C, 4) bins of boxes of what a token names, or -1
    way: torch.Tensor | None = None  # (B, 3) m, m, rad to where the base will stand, NaN = unknown
    docks: torch.Tensor | None = None  # (B, L, 3) the same, to before furniture that a token names
    things: torch.Tensor | None = None  # (B, C, M, n) ids of names of what a picture shows, or 0
    boxes: torch.Tensor | None = None  # (B, C, M, 4) their boxes as shares of the picture

    def __len__(self):
        return self.tokens.shape[0]

    def map(self, function):
        """The same batch with `function` applied to every tensor."""
        values = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        return Batch(**{k: v if v is None else function(v) for k, v in values.items()})

    def to(self, device):
        """The same batch on another device."""
        return self.map(lambda x: x.to(device, non_blocking=True))

    def pin_memory(self):
        """The same batch in page-locked memory, for quick copies to a GPU."""
        return self.map(lambda x: x.pin_memory())

    def parts(self):
        """[(rows, Batch)] by which cameras they have, each without needless padding.

        A picture with a question has one camera and few words, a robot three and many: together,
        much of what is computed would be padding.
        """
        out = []
        for cameras in self.image_mask.unique(dim=0):
            rows = (self.image_mask == cameras).all(dim=1)  # (B,)
            out.append((rows, self[rows].trim()))
        return out

    def trim(self):
        """Without the text places that are padding in every row."""
        longest = int(self.valid.sum(dim=1).max())
        cut = {name: None if x is None else x[:, :longest]
               for name in OF_TEXT for x in [getattr(self, name)]}
        return dataclasses.replace(self, **cut)

    def without_action_tokens(self):
        """What flow tokens can see (`pi05lite.model.masks`): pictures, prompt and text."""
        seen = self.valid & (self.kinds != Kind.ACTION)  # action tokens come last
        return dataclasses.replace(self, valid=seen).trim()

    def __getitem__(self, rows):
        """The rows picked by an index, a slice or a mask."""
        return self.map(lambda x: x[rows])
