"""The whole model: pictures and text through the VLM, actions as tokens or through the expert.

The prefix (pictures, prompt, answer, action tokens) never looks at the flow tokens, so one function
computes it, with the keys and values of every layer; text is read off its hidden states, and the
expert looks at its keys and values. Training and sampling share that path.

B batch, T tokens of the prefix, L text places, C cameras, P patches, H horizon, A action size.
"""

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import nn

from pi05lite.errors import ConfigError, say
from pi05lite.model import flow
from pi05lite.model.expert import ActionExpert, Context
from pi05lite.model.layers import Attention, FeedForward, RMSNorm, attention_bias
from pi05lite.model.masks import Layout
from pi05lite.model.transformer import Transformer, start
from pi05lite.model.vision import VisionTower
from pi05lite.tokens.kind import Kind


@dataclass
class Prefix:
    """The VLM's view of a batch: what the text head and the action expert read."""

    hidden: torch.Tensor | None  # (B, T, D) after the final norm, if it was asked for
    cache: list  # per layer: keys and values, each (B, N', T, K)
    layout: Layout  # kinds and validity (B, T)
    state: torch.Tensor | None = None  # (B, A) normalised, for experts with a state token

    @property
    def kinds(self):
        """Kind of each token, (B, T)."""
        return self.layout.kinds

    @property
    def valid(self):
        """False at padding, (B, T)."""
        return self.layout.valid

    def map(self, function):
        """The same with `function` applied to every tensor."""
        on = lambda x: None if x is None else function(x)  # noqa: E731
        return Prefix(on(self.hidden), [(function(k), function(v)) for k, v in self.cache],
                      Layout(function(self.kinds), function(self.valid)),
                      on(self.state))

    def repeat(self, times):
        """Each row `times` times in a row: several flow draws on one prefix."""
        return self.map(lambda x: x.repeat_interleave(times, dim=0)) if times > 1 else self

    def select(self, rows):
        """The chosen rows (a bool or index tensor over B)."""
        return self.map(lambda x: x[rows])

    def detach(self):
        """Keys and values without gradient: knowledge insulation (arXiv 2505.23705)."""
        return replace(self, cache=[(k.detach(), v.detach()) for k, v in self.cache])


class Pi05(nn.Module):
    """pi0.5 (arXiv 2504.16054). Hand in another class to swap a part."""

    def __init__(self, config, *, vision=VisionTower, expert=ActionExpert, norm=RMSNorm,
                 attention=Attention, feed_forward=FeedForward, objective=flow.FlowMatching):
        super().__init__()
        self.config = config
        self.objective = objective(config)
        self.vision = vision(config.vision, config.vlm.width)
        self.embedding = nn.Embedding(config.vocabulary.size, config.vlm.width)
        self.vlm = Transformer(config.vlm, config.theta, None, norm, attention, feed_forward)
        self.expert = expert(config)
        self.compiled = None  # the VLM over a whole prefix, see compile_parts
        start(self.vlm)
        start(self.vision.projector)
        self.new_expert()
        nn.init.normal_(self.embedding.weight, std=config.vlm.width**-0.5)

    def new_expert(self):
        """Draw the expert anew, as at the start of post-training (pi0.5, section IV)."""
        start(self.expert)

    @torch.no_grad()
    def order(self, ids, generator=None):
        """Start the embeddings of ids (n,) for rising numbers as waves, alike where they are near.

        Words for state values and places of boxes mean amounts, which a model from random weights
        would have to find out; one that was trained on the web knows.
        """
        n, width = len(ids), self.config.vlm.width
        share = torch.rand(2, width, generator=generator)
        waves = 0.5 * (n / 2) ** share[0]  # 1/2 to n / 4 over the whole range, all octaves alike
        turns = torch.arange(n)[:, None] / n * waves + share[1]  # (n, D)
        self.embedding.weight[ids] = ((2 / width) ** 0.5 * torch.cos(2 * torch.pi * turns)).to(
            self.embedding.weight)

    def compile_parts(self, **options):
        """Let torch.compile fuse tower, prefix and expert, in place; writing text stays as it is.

        options: those of torch.compile. Each new length of the prefix compiles anew: pad it to few.
        """
        options = {"dynamic": False, **options}
        self.vision.compile(**options)
        self.expert.compile(**options)
        self.compiled = torch.compile(self.vlm.forward, **options)
        return self

    # ---- the prefix ------------------------------------------------------------------------

    def embed_images(self, images, image_mask):
        """images (B, C, 3, px, px), image_mask (B, C) -> tokens (B, C*P, D), valid (B, C*P).

        Only cameras that are there go through the tower; an absent one's tokens are 0 and masked.
        C counts the slots that any row has: one that the whole batch lacks takes no place.
        """
        there = image_mask.any(dim=0)
        if not there.any():  # a prompt alone
            return images.new_zeros(len(images), 0, self.config.vlm.width), image_mask[:, :0]
        images, image_mask = images[:, there], image_mask[:, there]
        seen = self.vision(images[image_mask])  # (cameras there, P, D)
        tokens = seen.new_zeros(*image_mask.shape, *seen.shape[1:])
        tokens[image_mask] = seen  # (B, C, P, D)
        valid = image_mask[..., None].expand(-1, -1, seen.shape[1])
        return tokens.flatten(1, 2), valid.flatten(1, 2)

    def embed_tokens(self, tokens):
        """ids (B, L) -> (B, L, D), scaled by sqrt(D) as in Gemma."""
        return self.embedding(tokens) * self.config.vlm.width**0.5

    def embed(self, batch):
        """The sequence of a batch: embeddings (B, T, D) and their Layout."""
        images, seen = self.embed_images(batch.images, batch.image_mask)
        kinds = torch.full(seen.shape, int(Kind.PROMPT), device=seen.device)
        layout = Layout(torch.cat([kinds, batch.kinds], dim=1),
                        torch.cat([seen, batch.valid], dim=1))
        return torch.cat([images, self.embed_tokens(batch.tokens)], dim=1), layout

    def prefix(self, batch, record=None, hidden=True):
        """Run the VLM over pictures, prompt, answer and action tokens.

        hidden: of how many of the last tokens hidden states are needed, True for all; False for the
        expert alone, which reads keys and values.
        """
        x, layout = self.embed(batch)
        vlm = self.vlm if record is not None else self.compiled or self.vlm
        hidden, cache = vlm(x, attention_bias(layout.mask(), x.dtype),
                            self.vlm.turn(layout.positions()), record=record, hidden=hidden)
        return Prefix(hidden, cache, layout, batch.state)

    # ---- text and action tokens ------------------------------------------------------------

    def logits(self, hidden):
        """Hidden states (..., D) -> scores over the vocabulary (..., V), by the tied embedding."""
        return hidden @ self.embedding.weight.T

    def token_losses(self, prefix, batch):
        """Cross-entropy of each token to be predicted: losses (M,) and its (row, place) (M, 2)."""
        places = batch.target.nonzero()  # (M, 2)
        row, place = places.unbind(1)
        images = prefix.hidden.shape[1] - batch.tokens.shape[1]
        before = prefix.hidden[row, images + place - 1]  # the token in front predicts this one
        loss = F.cross_entropy(self.logits(before).float(), batch.tokens[row, place],
                               reduction="none")
        return loss, places

    @torch.no_grad()
    def generate(self, batch, end, limit, allowed=None, temperature=0.0, generator=None,
                 samples=1, choose=None):
        """Write tokens behind the batch's prompt until the id `end`, with a KV cache.

        allowed: (V,) bool, the ids that may be written, or a function that gives them as (B, V)
        for the ids written so far (B, n); samples: times that each row is written, one behind the
        other; choose: a function in place of temperature and generator that gives the next ids (B,)
        from logits (B, V) and how many were written. Returns (B * samples, up to `limit`) ids,
        `end` and what follows it included as `end`.
        """
        prefix = self.prefix(batch).repeat(samples)
        B, device = len(batch) * samples, batch.tokens.device
        last = prefix.hidden[torch.arange(B, device=device), last_valid(prefix.valid)]  # (B, D)
        cache, layout = prefix.cache, prefix.layout
        done = torch.zeros(B, dtype=torch.bool, device=device)
        written = []
        for _ in range(limit):
            may = allowed(written_ids(written, batch)) if callable(allowed) else allowed
            logits = self.logits(last)
            if may is not None:
                logits = logits.masked_fill(~may, float("-inf"))
            token = choose(logits, len(written)) if choose else draw(logits, temperature, generator)
            token = torch.where(done, end, token)  # (B,)
            written.append(token)
            done = done | (token == end)
            if done.all():
                break
            layout = layout.append([Kind.TEXT])
            hidden, cache = self.vlm(self.embed_tokens(token[:, None]),
                                     attention_bias(layout.mask(1), last.dtype),
                                     self.vlm.turn(layout.positions(1)), cache)
            last = hidden[:, -1]
        return written_ids(written, batch)

    # ---- flow ------------------------------------------------------------------------------

    def context(self, prefix, horizon):
        """What the expert looks at in every flow step for a chunk of `horizon` steps."""
        kinds = self.expert.kinds(horizon)
        layout, new = prefix.layout.append(kinds), len(kinds)
        return Context(attention_bias(layout.mask(new), prefix.cache[0][0].dtype),
                       self.expert.transformer.turn(layout.positions(new)), prefix.cache,
                       prefix.state)

    def spread(self, like):
        """The deviation (A,) of the normalised actions, which the noise has too; 1 by default.

        Most of a chunk stands nearly still, far inside [-1, 1]: beside noise of deviation 1 it
        hardly counts. The expert is shown and asked for numbers divided by the spread.
        """
        spread = self.config.action_spread
        return 1.0 if spread is None else like.new_tensor(spread)

    def velocity(self, prefix, x, tau, record=None):
        """The expert's velocity (B, H, A) at the noisy chunk x (B, H, A) and tau (B,)."""
        return self._velocity(x, tau, self.context(prefix, x.shape[1]), record)

    def _velocity(self, x, tau, context, record):
        s = self.spread(x)
        return self.expert(x / s, tau, context, record) * s

    def flow_losses(self, prefix, actions, action_mask=None, draws=1, insulate=False,
                    generator=None, noise=None, tau=None):
        """Squared velocity errors (B * draws, H, A), 0 on padding; pi0.5 equation 1.

        `draws` noises and flow times per prefix; `insulate` stops the gradient at the prefix.
        Errors, like noise, are in units of the spread.
        """
        if insulate:
            prefix = prefix.detach()
        if draws > 1:
            prefix, actions = prefix.repeat(draws), actions.repeat_interleave(draws, 0)
        if noise is None:
            noise = torch.randn(actions.shape, generator=generator).to(actions)
        if tau is None:
            tau = self.objective.times(len(actions), generator).to(actions.device)
        if action_mask is None:
            action_mask = torch.ones_like(actions, dtype=torch.bool)
        elif draws > 1:
            action_mask = action_mask.repeat_interleave(draws, 0)
        # Sizes that a robot lacks hold 0 on the whole path, so they cannot say anything.
        x, target = self.objective.path(noise * action_mask.any(1, keepdim=True),
                                        actions / self.spread(actions), tau)
        answer = self.expert(x, tau, self.context(prefix, x.shape[1]))
        return self.objective.error(answer, target) * action_mask

    @torch.no_grad()
    def sample(self, batch_or_prefix, steps=10, noise=None, size_mask=None, generator=None,
               solver=None, record=None):
        """Denoise chunks: every x on the way, a list of (B, H, A), the last one the actions.

        noise (B, H, A) of deviation 1, or drawn; size_mask (B, A) bool: the sizes that the robot
        has; solver: another than the objective's own; record: a list that gets the layers' notes of
        every step.
        """
        prefix = (batch_or_prefix if isinstance(batch_or_prefix, Prefix)
                  else self.prefix(batch_or_prefix, hidden=False))
        c = self.config
        if noise is None:
            noise = torch.randn(len(prefix.valid), c.horizon, c.action_size, generator=generator)
        noise = noise.to(prefix.valid.device)  # kept in float32, whatever the weights are in
        keep = 1.0 if size_mask is None else size_mask[:, None].to(noise)
        context = self.context(prefix, noise.shape[1])

        def velocity(x, tau):
            notes = None if record is None else []
            v = self._velocity(x, tau, context, notes)
            if record is not None:
                record.append(notes)
            return v * keep

        return (solver or self.objective.solve)(
            velocity, noise * keep * self.spread(noise), steps)


def written_ids(written, batch):
    """The ids (B, n) of n steps, each (B,)."""
    return torch.stack(written, dim=1) if written else batch.tokens[:, :0]


def last_valid(valid):
    """Index (B,) of the last valid place of each row of (B, T)."""
    places = torch.arange(valid.shape[1], device=valid.device)
    return (places * valid).argmax(dim=1)


def draw(logits, temperature, generator):
    """One id a row from logits (B, V): the likeliest, or drawn at a temperature above 0."""
    if temperature == 0:
        return logits.argmax(dim=-1)
    share = (logits.float() / temperature).softmax(dim=-1)
    return torch.multinomial(share, 1, generator=generator)[:, 0]


def check_batch(batch, config):
    """Raise ConfigError where a batch does not fit the config's sizes."""
    def must(ok, thing, expected, received, way_out):
        if not ok:
            raise ConfigError(say(thing, expected, received, way_out))

    px, C = config.vision.image_size, len(config.cameras)
    must(batch.images.shape[1:] == (C, 3, px, px), "batch.images",
         f"(B, {C}, 3, {px}, {px})", tuple(batch.images.shape),
         "make the batch with the Processor of the same config")
    must(int(batch.tokens.max()) < config.vocabulary.size, "batch.tokens",
         f"ids below {config.vocabulary.size}", int(batch.tokens.max()),
         "use the tokenizer that the model was trained with")
    if batch.actions is not None:
        shape = (config.horizon, config.action_size)
        must(batch.actions.shape[1:] == shape, "batch.actions", f"(B, {shape[0]}, {shape[1]})",
             tuple(batch.actions.shape), "make the batch with the Processor of the same config")
