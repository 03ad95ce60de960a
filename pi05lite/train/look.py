"""Words meet pictures, before anything else is trained: each patch says what it shows and where.

pi0.5 starts from PaliGemma, whose tower learned from the web which words go with a picture, by
SigLIP's sigmoid loss (arXiv 2303.15343), and whose whole learned to say where things are. Ours
starts from nothing, so it learns the same from the homes, patch by patch: a patch's token and the
mean embedding of a name agree where the thing is, its words are the likeliest of all there (as they
are asked for ever after, `pi05lite.train.call`), and the token gives the box of that thing, as
location ids in the embedding that all words share, and as numbers by a reading that is not kept.
So are the ways to furniture, where a recording knows them: a box does not say which way it faces.

A thing counts by the root of how many patches it fills: where each patch counts alike, small things
are not learned; where each thing does, large ones are not.
"""

from functools import partial

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import IterableDataset

from pi05lite.data.images import to_float
from pi05lite.tokens.boxes import box_bins
from pi05lite.train.augment import augment
from pi05lite.train.brief import Stage, brief
from pi05lite.train.call import HALF, covers, words_error
from pi05lite.train.draws import Draws
from pi05lite.train.module import sides_loss
from pi05lite.train.tell import FORMS, WAY, errors, near, size_and_middle, waves

NUMBERS = 4  # of a box: middle and size, both down and along
LITTLE = 0.02  # share of a patch, or of a box, above which it is left out, until it counts: HALF


class Looking(Stage):
    """Trains the tower and the embeddings of a Pi05 on batches of `Views`."""

    def __init__(self, model, recipe):
        super().__init__(recipe)
        self.vision, self.embedding = model.vision, model.embedding
        self.scale = nn.Parameter(torch.tensor(2.3))  # log of SigLIP's temperature
        self.bias = nn.Parameter(torch.tensor(-4.0))
        self.text = slice(*model.config.vocabulary.span("text"))
        self.locations = slice(*model.config.vocabulary.span("location"))
        self.numbers = nn.Linear(model.config.vlm.width, FORMS * NUMBERS)
        self.way = nn.Linear(model.config.vlm.width, FORMS * WAY)

    def logits(self, patches, ids, count):
        """patches (B, P, D), names' ids (K, n) and how many are real (K,) -> (B, P, K)."""
        real = torch.arange(ids.shape[1], device=ids.device) < count[:, None]  # (K, n)
        names = (self.embedding(ids) * real[..., None]).sum(1) / count[:, None]  # (K, D)
        names, patches = F.normalize(names, dim=-1), F.normalize(patches, dim=-1)
        return (patches @ names.T).float() * self.scale.exp() + self.bias

    def name_loss(self, logits, where, share):
        """Sigmoid loss of patches and names, per patch that has one; where and share (B, P, K)."""
        loss = F.binary_cross_entropy_with_logits(logits, where.clamp(min=0), reduction="none")
        shown, not_shown = where > 0, where == 0
        return mean(loss[shown], share[shown]) + \
            loss[not_shown].sum() / shown.sum().clamp(min=1)

    def call_loss(self, patches, ids, where, share):
        """Cross-entropy of the words of what a patch shows among all words, as later on."""
        b, p, k = (where == 1).nonzero(as_tuple=True)
        wrong = words_error(self.embedding.weight[self.text], patches[b, p], ids[k])
        return mean(wrong, share[b, p, k])

    def box_loss(self, patches, boxes, share):
        """The four sides' cross-entropy and the numbers' |error| of what a patch shows.

        boxes (B, P, 4) bins; share (B, P) how much a patch counts.
        """
        here = (boxes >= 0).all(-1)
        tokens, bins, locations = patches[here], boxes[here], self.embedding.weight[self.locations]
        size, middle = size_and_middle(bins, len(locations))
        told = self.numbers(tokens).float()  # (M, FORMS NUMBERS)
        wrong = errors(told, waves(torch.cat([middle, size - 1], dim=1))).sum(1)
        return mean(sides_loss(tokens, bins, locations).mean(1) + wrong, share[here])

    def way_loss(self, patches, ways, share):
        """The numbers' |error| where the way (B, P, 3) to what a patch shows is known."""
        here = ~ways.isnan().any(-1)
        told = self.way(patches[here]).float()
        return mean(errors(told, waves(near(ways[here]))).sum(1), share[here])

    def training_step(self, batch, batch_idx):
        """The losses of names, of their words, of boxes and of ways."""
        images, ids, count, where, boxes, ways = batch
        step, r = self.trainer.global_step, self.recipe
        draws = Draws(r.seed, range(step * r.batch_size, (step + 1) * r.batch_size))
        images = augment(images[:, None], ("base",), draws, moved=r.move)[:, 0]
        patches = self.vision(images).float()
        share = shares(where)
        name = self.name_loss(self.logits(patches, ids, count), where, share)
        call = self.call_loss(patches, ids, where, share)
        box = self.box_loss(patches, boxes, share.sum(-1))
        way = self.way_loss(patches, ways, share.sum(-1))
        self.log_dict({"names": name, "call": call, "boxes": box, "ways": way}, prog_bar=True)
        return name + call + box + way


def shares(where):
    """How much each patch counts for a name it shows, (B, P, K): 1 / root of how many show it."""
    shown = where > 0
    return shown * shown.sum(1, keepdim=True).clamp(min=1).rsqrt()


def mean(loss, share):
    """The mean of losses (n,) by their shares (n,); 0 of none."""
    return (loss * share).sum() / share.sum().clamp(min=1e-6)


class Views(IterableDataset):
    """Batches of what is where in pictures from a mixture of ThingsSources, from a step on."""

    def __init__(self, mixture, text, patches, bins, batch_size, steps, start=0):
        self.mixture, self.text, self.side, self.bins = mixture, text, round(patches**0.5), bins
        self.batch_size, self.steps, self.start = batch_size, steps, start

    def __iter__(self):
        for step in range(self.start, self.steps):
            first = step * self.batch_size
            yield self.collate([self.view(i) for i in range(first, first + self.batch_size)])

    def view(self, i):
        """(picture, [(label, box)], {label: way}) of example i of the mixture."""
        k, j = self.mixture.draw(i)
        source = self.mixture.sources[k]
        return *source.seen(j), source.docks(j) if hasattr(source, "docks") else {}

    def collate(self, views):
        """Views to images (B, 3, px, px), ids (K, n), counts (K,), places (B, P, K), boxes, ways.

        places: 1 where a patch shows the thing, 0 where it does not, -1 at its edge and behind what
        is before it; boxes (B, P, 4): bins of the sides of what a patch shows, -1 where nothing;
        ways (B, P, 3): to where the base stands before it, NaN where that is not known.
        """
        images = torch.stack([torch.from_numpy(to_float(v[0])).permute(2, 0, 1) for v in views])
        names = sorted({name for _, seen, _ in views for name, _ in seen})
        ids = [self.text.encode(f" {name}") for name in names]
        padded = torch.zeros(len(ids), max(map(len, ids)), dtype=torch.long)
        for k, row in enumerate(ids):
            padded[k, :len(row)] = torch.tensor(row)
        where = np.zeros((len(views), self.side**2, len(names)), np.float32)
        boxes = np.full((len(views), self.side**2, 4), -1)
        ways = np.full((len(views), self.side**2, WAY), np.nan, np.float32)
        column = {name: k for k, name in enumerate(names)}
        for b, (_, seen, docks) in enumerate(views):
            for (name, box), here in zip(seen, in_front([box for _, box in seen], self.side)):
                place = where[b, :, column[name]]  # of another thing of this name, too
                place[:] = np.where((here == 1) | (place == 1), 1, np.minimum(here, place))
                boxes[b, here == 1] = box_bins(box, self.bins)
                ways[b, here == 1] = docks.get(name, np.nan)
        return (images, padded, torch.tensor([len(row) for row in ids]), torch.from_numpy(where),
                torch.from_numpy(boxes), torch.from_numpy(ways))


def covered(boxes, side):
    """Which patches boxes (n, 4) cover, (n, side * side): 1 mostly, -1 a little, 0 not."""
    share = covers(torch.tensor(boxes, dtype=torch.float32).view(-1, 4), side).numpy()
    return np.where(share > HALF, 1.0, np.where(share > LITTLE, -1.0, 0.0))


def in_front(boxes, side):
    """`covered`, but of what covers a patch the smallest is before all else, which counts -1.

    The box of a table holds all that stands on it, and a patch can't say two names at once.
    """
    here, (y0, x0, y1, x1) = covered(boxes, side), np.reshape(boxes, (-1, 4)).T
    size = np.where(here == 1, ((y1 - y0) * (x1 - x0))[:, None], np.inf)  # (n, P)
    return np.where((here == 1) & (size > size.min(axis=0, initial=np.inf)), -1, here)


def look(model, text, mixture, recipe, out, progress=True, resume=False):
    """Train the model's tower and embeddings in place; logs go to folder `out`.

    resume: keep checkpoints there too, and go on from the newest.
    """
    c, patches = model.config, model.vision.tokens_per_image(model.config.vision.image_size)
    views = partial(Views, mixture, text, patches, c.vocabulary.locations, recipe.batch_size,
                    recipe.steps)
    model.train()
    brief(Looking(model, recipe), views, out, progress, c if resume else None)


@torch.no_grad()
def points_right(model, text, views):
    """(share of names whose best patch shows the thing, how many) over views."""
    side = round(model.vision.tokens_per_image(model.config.vision.image_size) ** 0.5)
    right = total = 0
    model.eval()
    for picture, seen in views:
        image = torch.from_numpy(to_float(picture)).permute(2, 0, 1)[None]
        patches = F.normalize(model.vision(image)[0], dim=-1)  # (P, D)
        for name, box in seen:
            words = model.embedding(torch.tensor(text.encode(f" {name}"))).mean(0)
            right += covered([box], side)[0, int((patches @ words).argmax())] != 0
            total += 1
    return right / max(1, total), total
