# %% [markdown] assign=true
# # 12 · Looking inside: attention, denoising, interventions, failures
#
# **The question:** a policy does the wrong thing. How do I find out why, and what can a picture of its attention tell
# me, and what not?

# %% [markdown]
# ![Three columns. Left: a picture of a table with heat on its patches, what was read. Middle: the same picture with one square covered, and two chunks from one noise that part. Right: a row of switches, one for each thing a policy is given or has inside.](figures/12_looking_inside.png)
#
# When you are done you can
#
# 1. record one pass of a policy, and read its attention layer by layer and rolled up,
# 2. measure what a camera, a word, a patch, a head or a token is good for: change it alone, **with the same noise**,
# 3. find the layer and the token that carry the answer, by putting one run's keys and values into another run,
# 4. watch a chunk come out of noise, and tell doubt, two modes, and an average apart,
# 5. name what is broken in a policy that you cannot open.
#
# Reading 25 minutes, three exercises 28 minutes, computing some five minutes on two CPU cores. You need chapters 03
# (attention, the cache), 06 (flow matching) and 07 (the expert). The tools lie in `pi05lite/trace.py`,
# `pi05lite/interventions.py` and `pi05lite/widgets`.

# %% assign=true
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import plotly.graph_objects as go
import torch

import pi05lite
from pi05lite import checks, config, interventions
from pi05lite.policy import Observation, Policy
from pi05lite.widgets import pictures

torch.manual_seed(0)
STEPS = int(os.environ.get("PI05LITE_STEPS", 10_000))  # no more than so many training steps a cell
RUNS = Path(os.environ.get("PI05LITE_RUNS", "runs/12"))  # trained once, loaded afterwards

# %% [markdown]
# ## 1 · A policy that needs its eyes and its ears
# To learn how to look, take a case where you know what *should* be inside. The kit's toy table (generated, no real
# data here): two blocks and a plate, seen from above and from the hand. A sentence names one thing, and the chunk takes
# the hand there. Where things are is in the pictures, which one is meant is in one word, where the hand starts is in the
# state. And one sentence names nothing: after "reach a block" a coin decided.

# %%
from pi05lite.data.glances import PATCH, PIXELS, Glances, over_the_table, things

train, held_out = Glances(800 if STEPS > 100 else 40), Glances(60, seed=1)
moment = held_out.example(4, 0)
print([held_out.example(4, k).text for k in range(4)])
pictures.contact_sheet(moment.images, f"“{moment.text}”, state {moment.state.round(2)}")

# %%
from pi05lite.processor import Processor
from pi05lite.tokens.prompt import robot_prompt
from pi05lite.tokens.text import TextTokenizer
from pi05lite.tokens.vocabulary import Vocabulary

shared = dict(depth=3, heads=4, kv_heads=1, head_dim=16, width=64, mlp=256)
c = replace(config.tiny(), horizon=10, action_size=3, max_tokens=32,
            vision=config.VisionConfig(image_size=PIXELS, patch=PATCH, width=64, depth=1, heads=4, mlp=128,
                                       stem=(16, 32, 64)),
            vocabulary=Vocabulary(text=1024, actions=8, locations=64),
            vlm=config.TransformerConfig(**shared), expert=config.TransformerConfig(**shared))
lines = [robot_prompt(train[i].text, np.zeros(1), "low") for i in range(min(400, len(train)))]
text = TextTokenizer.train(lines, c.vocabulary.text)
processor = Processor(c, text, None, {"glances": train.robot()}, ["glances"])

# %% [markdown]
# A VLM of the web knows where a red block is. A model from random weights must be told, or minutes would not do. So, as in
# pi0.5, the VLM learns first, here to **point**: the last token of a name says the thing's box, and **one head is told where
# to look**: layer 2, head 1, from that token to the patches that show the thing (`pi05lite/train/aim.py`). Then the expert joins,
# and all learns from the flow too. Remember that head; we shall ask whether it matters.

# %%
from pi05lite.data.mixture import Mixture
from pi05lite.model.pi05 import Pi05
from pi05lite.train import recipe
from pi05lite.train.fit import fit

torch.manual_seed(0)
model, mixture = Pi05(c), Mixture([train])
model.order([text.encode(f" {n}")[0] for n in range(256)])  # numbers that are near look alike
model.order(torch.arange(*c.vocabulary.span("location")))
same = dict(named=1.0, aim=1.0, blur=0.01, augment=False)
point = replace(recipe.pretrain(min(800, STEPS), 32, 3e-3), ema=0.95, **same)
third = max(1, point.steps // 3)
fit(model, processor, mixture, point, RUNS / "point", until=third, tensorboard=False);

# %%
fit(model, processor, mixture, point, RUNS / "point", until=2 * third, tensorboard=False);

# %%
policy = fit(model, processor, mixture, point, RUNS / "point", tensorboard=False)

# %%
act = replace(recipe.posttrain(min(1500, STEPS), 16, 2e-3), alpha=1.0, expert_rate=2.0,
              flow_draws=8, **same)
part = max(1, act.steps // 4)
fit(policy.model, processor, mixture, act, RUNS / "act", until=part, tensorboard=False);

# %%
fit(policy.model, processor, mixture, act, RUNS / "act", until=2 * part, tensorboard=False);

# %%
fit(policy.model, processor, mixture, act, RUNS / "act", until=3 * part, tensorboard=False);

# %%
policy = fit(policy.model, processor, mixture, act, RUNS / "act", tensorboard=False)
policy.steps = 5
print(f"{sum(p.numel() for p in policy.model.parameters()):,} parameters")

# %% [markdown]
# (A second run of this notebook finds the checkpoint in `runs/12` and goes on from there.) Does it do what it is told?
# On tables that it has not seen: where does the chunk end, and which thing is nearest to that place?

# %%
TRIED = 20 if STEPS > 100 else 4  # tables
asked = [held_out.example(n, k) for n in range(TRIED) for k in range(3)]
goals = np.array([[place for _, place, _ in things(held_out.tables[n])] for n in range(TRIED)])
NOISE = torch.randn(len(asked), c.horizon, c.action_size, generator=torch.Generator().manual_seed(0))


def ends(policy, examples=asked):
    """Where the chunks of some examples end on the table, (n, 2)."""
    batch = processor.collate(examples)
    chunks = policy.model.sample(batch, policy.steps, NOISE[:len(examples)])[-1]
    states = np.stack([e.state for e in examples])
    return train.robot().from_model(chunks.numpy(), states)[:, -1, :2]


def right(policy):
    """The share of the chunks that end nearest to the thing that was named."""
    gaps = ends(policy)[:, None] - goals.repeat(3, axis=0)  # (60, 3, 2)
    return float((np.linalg.norm(gaps, axis=-1).argmin(1) == np.tile([0, 1, 2], TRIED)).mean())


print(f"nearest to what was named: {right(policy):.0%} (by chance a third)")

# %% [markdown]
# ## 2 · One trace of one pass
# Every picture below comes from one object: the named arrays of one chunk being made. The model has a slow path for it
# that writes its attention out; the numbers are the same.

# %%
from pi05lite.trace import trace

seeing = Observation("glances", moment.images, moment.state)
seen = trace(policy, seeing, moment.text, truth=moment.actions, names=["x", "y", "height"], pad=24,
             steps=3)
for name in ("tau", "path", "velocity", "prefix_attention", "flow_attention"):
    print(f"{name:17} {getattr(seen, name).shape}")
print("tokens of the prefix:", {part: seen.parts.count(part) for part in dict.fromkeys(seen.parts)})

# %% [markdown]
# **Point at things.** Hover any token, a patch or one of the ten steps of the chunk, to see what it reads; a click locks
# it. Choose a layer and a head in the grid below. **Predict** first: what does the word `block` read in layer 2, head 1?
# And what do the steps of the chunk read most: pictures, words, state, each other?

# %%
from pi05lite.widgets.attention import Attention, AttentionWidget

name_end = max(i for i, label in enumerate(seen.labels) if label == " block")
widget = AttentionWidget(seen, f"who reads what: {moment.text}", most=0)  # rows as they are asked for
widget.selected, widget.layer, widget.head = name_end, 1, 0
widget

# %% [markdown]
# Three things to check in any such picture, before you believe what it seems to say:
#
# - **Padding.** Nobody may read it. The prompt was filled up to 24 tokens on purpose, to show the grey ones.
# - **Which row.** A row says what one token *reads*. The chunk reads in every layer and at every flow time; a picture
#   of "the" attention is a mean over some of that.
# - **What a token is.** After layer 1, the token at the place of the word `block` no longer holds just that word.

# %%
def shares(seen, step=-1):
    """What the chunk reads: {part: share}, the mean of all layers, heads and its steps."""
    a = Attention(seen)
    each = [a.mass(a.T + h, step=step) for h in range(a.H)]
    return {part: np.mean([mass.get(part, 0) for mass in each]) for part in each[0]}


for step in (0, -1):
    print(f"flow time {seen.tau[:-1][step]:.1f}:",
          "  ".join(f"{part} {share:.0%}" for part, share in shares(seen, step).items()))

# %% [markdown]
# What if padding *were* attended? openpi had a thread about it
# ([#496](https://github.com/Physical-Intelligence/openpi/issues/496)). It is an easy slip: the mask of valid tokens is made,
# and not used. Nothing crashes. The sign: the chunk depends on how long the *other* prompts of the batch are.

# %%
from copy import copy


def with_padding(length, attended):
    """The chunk of one moment whose prompt is filled up to `length`."""
    batch = processor.collate([moment], length)
    if attended:
        batch = copy(batch)
        batch.valid = torch.ones_like(batch.valid)
    return policy.model.sample(batch, policy.steps, NOISE[:1])[-1].numpy()


for attended in (False, True):
    moved = interventions.distance(with_padding(18, attended), with_padding(30, attended))
    print(f"padding attended: {attended!s:5}  12 more tokens of padding move the chunk by {moved:.4f}")

# %% [markdown]
# ## 3 · Through all layers: rollout
# In layer 3 a step reads the token `block`. But that token has read a patch in layer 2. So what was read, after all? If
# attention were all that moved information, one could follow it: with $A_l$ the mean of layer $l$'s heads,
#
# $$R = \tfrac12(I + A_L)\;\cdots\;\tfrac12(I + A_2)\;\tfrac12(I + A_1)$$
#
# The $I$ is the residual stream: a layer *adds* what it read to what the token already was
# ([arXiv 2005.00928](https://arxiv.org/abs/2005.00928)). Half and half is a convention, not a measurement.

# %% [markdown] assign=true
# ### Exercise 1 · Attention rolled out (easy, 8 minutes)
# `attention` (layers, heads, T, T) is a NumPy array, the first layer first; row i of the last two axes says what token i
# reads. Return the rollout R (T, T). Leave `attention` as it is.

# %% exercise="rollout"
def rollout(attention):
    """Attention over all layers: (layers, heads, T, T) -> (T, T)."""
    ### BEGIN SOLUTION
    eye = np.eye(attention.shape[-1])
    out = eye
    for weights in attention.mean(axis=1):
        out = (eye + weights) / 2 @ out
    return out
    ### END SOLUTION


# %% check="rollout" points=4
from pi05lite.checks.looking import check_rollout

points = check_rollout(rollout)
### BEGIN HIDDEN TESTS
one = np.array([[1.0, 0.0], [1.0, 0.0]])
layers = np.stack([np.stack([one, np.eye(2)]), np.stack([np.eye(2), np.eye(2)])])
points = points if np.allclose(rollout(layers), [[1, 0], [0.25, 0.75]]) else 0
### END HIDDEN TESTS
points

# %% [markdown]
# <details><summary>Hint</summary>
#
# `attention.mean(axis=1)` averages the heads. Start with `np.eye(T)`; each layer's half-and-half matrix goes to the
# **left** of what you have so far (`@`).
# </details>
#
# <details><summary>Why not average the layers?</summary>
#
# What layer 2 reads from a token is what that token has become in layer 1. Reading from a reader is a product.
# </details>

# %%
from pi05lite.trace import rollout as packaged_rollout
from pi05lite.widgets import attention


def heated(image, row):
    """A picture from above under what a row of shares gives to its 6 x 6 patches."""
    heat = np.asarray(row)[:36].reshape(6, 6)
    return attention.heated(image, heat / max(heat.max(), 1e-9))


rollout = checks.going_on("rollout", rollout, packaged_rollout)
rolled, a = rollout(seen.prefix_attention), widget.attention
pictures.contact_sheet({
    "the word, layer 2 head 1": heated(moment.images["base"], a.row(name_end, layer=1, head=0)),
    "the word, rolled out": heated(moment.images["base"], rolled[name_end]),
    "the first word, rolled out": heated(moment.images["base"], rolled[name_end - 4]),
}, "three pictures of the same pass")

# %% [markdown]
# Does the told head look where it was told? Rolled out, one head is a small part of the mean: rollout counts all heads
# alike, and it knows nothing of *values*, of what is carried along. **None of these pictures says whether the chunk depends
# on it.**
#
# ## 4 · Change it, and see
# An **intervention** changes one thing, keeps all else, and looks at the chunk. What is changed may be outside (a camera,
# a word, the state) or inside (a head, some keys and values). This is a measurement of cause, and there are two ways to
# get it wrong. The first:

# %% [markdown] assign=true
# ### Exercise 2 · An effect (easy, 8 minutes)
# `sample(given, seed)` draws the noise of `seed` and returns a chunk (H, A), a tensor. `before` and `after` are two
# things to give it. Return how far the chunk moves: for each seed the root of the mean squared difference of the two
# chunks, then the mean over `seeds`. **Predict** what you would find for two equal inputs, if each call drew its own noise.

# %% exercise="effect"
def effect(sample, before, after, seeds):
    """How far the chunk moves between two inputs: one number."""
    ### BEGIN SOLUTION
    moved = [(sample(before, s) - sample(after, s)).square().mean().sqrt() for s in seeds]
    return float(torch.stack(moved).mean())
    ### END SOLUTION


# %% check="effect" points=4
from pi05lite.checks.looking import check_effect

points = check_effect(effect)
### BEGIN HIDDEN TESTS
linear = lambda given, seed: torch.full((2, 2), float(given * (seed + 1)))
points = points if abs(effect(linear, 1, 3, [0, 2]) - 4) < 1e-5 else 0
### END HIDDEN TESTS
points

# %% [markdown]
# <details><summary>Hint</summary>
#
# One loop over the seeds; in it, both calls get the **same** seed. `.square().mean().sqrt()`.
# </details>
#
# <details><summary>Why not compare the means of many samples?</summary>
#
# Moves to opposite sides cancel, and one needs very many samples to see a small effect. With the same noise two runs
# of the same input agree to the last digit.
# </details>

# %%
def packaged_effect(sample, before, after, seeds):
    """The package's distance between chunks of the same noises."""
    pairs = [np.stack([sample(given, s) for s in seeds]) for given in (before, after)]
    return interventions.distance(*pairs)


effect = checks.going_on("effect", effect, packaged_effect)


def sample(given, seed):
    """The policy's chunk (H, A) for (observation, text), normalised."""
    return torch.tensor(interventions.chunks(policy, *given, samples=1, seed=seed)[0])


# %%
here, seeds = (seeing, moment.text), range(4)
other = held_out.example(5, 1)
changes = {"nothing": here,
           "one word": (seeing, held_out.example(4, 1).text),
           "the hand's camera away": (interventions.without(seeing, "left_wrist"), moment.text),
           "the upper camera away": (interventions.without(seeing, "base"), moment.text),
           "the upper camera grey": (interventions.blank(seeing, "base"), moment.text),
           "the upper camera of another table": (interventions.with_image(
               seeing, "base", other.images["base"]), moment.text),
           "another state": (interventions.with_state(seeing, other.state), moment.text)}
for name, there in changes.items():
    print(f"{name:35} moves the chunk by {effect(sample, here, there, seeds):.3f}")
unpaired = np.mean([(sample(here, s) - sample(here, s + 100)).square().mean().sqrt() for s in seeds])
print(f"{'nothing, but unpaired noise':35} moves the chunk by {unpaired:.3f}")

# %% [markdown]
# The last line is the first mistake: with unpaired noise, changing *nothing* has an effect. Which real changes lie below it?
#
# The second mistake is the way of hiding. Away, grey and another table's picture are three questions. A policy that never
# missed a camera in training may do anything when one is **away**; a **grey** picture is none that it knows either. A picture
# **of another moment** is one that it knows, and it says something else: that is the change to trust most, and the one
# we use below.
#
# ## 5 · Attention is not an explanation
# Now both, side by side, over eight tables. **Predict**: will the camera that is read more be the one that matters more?

# %%
def uses(policy, n, asked=0, samples=4):
    """How far a table's chunk moves when one thing alone is taken from another table."""
    e, other = held_out.example(n, asked), held_out.example((n + 7) % 60, asked)
    o, chunks = Observation("glances", e.images, e.state), interventions.chunks
    changed = {"words": (o, held_out.example(n, 1 - asked).text)}
    changed |= {slot: (interventions.with_image(o, slot, other.images[slot]), e.text)
                for slot in e.images}
    changed["state"] = interventions.with_state(o, other.state), e.text
    before = chunks(policy, o, e.text, samples)
    return {name: interventions.distance(before, chunks(policy, *there, samples))
            for name, there in changed.items()}


# %%
def mean_of(rows):
    """The mean of some dicts with the same names."""
    return {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}


tables = range(8 if STEPS > 100 else 2)
read = mean_of([shares(trace(policy, Observation("glances", e.images, e.state), e.text, samples=1))
                for e in (held_out.example(n, 0) for n in tables)])
read["words"] = read.get("prompt", 0) + read["subtask"]
moved = mean_of([uses(policy, n) for n in tables])

# %%
total = {"read": sum(read[name] for name in moved), "moves the chunk": sum(moved.values())}
columns = {"read": read, "moves the chunk": moved}
figure = go.Figure()
for color, (label, row) in zip(pictures.COLORS, columns.items()):
    figure.add_bar(x=list(moved), y=[row[name] / total[label] for name in moved], name=label,
                   marker_color=color)
figure.update_layout(**pictures.LAYOUT, height=340, barmode="group", legend=pictures.NAMES_ABOVE,
                     title_text="what the chunk reads, and what moves it")
figure.update_yaxes(tickformat=".0%", title="share of the four")

# %% [markdown]
# Where the two bars differ, attention alone would have told you a wrong story. Reasons why something can be read and not
# matter: its values say little; other tokens say the same (the hand is in both pictures, and in the state); it is read by
# heads whose output nothing uses; a softmax must put its 1 somewhere. And why something can matter and be hardly read: one
# small share of a value that is large; or it was read *earlier*, by another token, which is then read.
#
# The same question inside one picture. Cover one square after the other, and see how far the chunk moves:

# %%
moves = interventions.occlusion(policy, seeing, moment.text)
chunk_reads = np.mean([a.row(a.T + h) for h in range(a.H)], axis=0)
pictures.contact_sheet({
    "read by the chunk": heated(moment.images["base"], chunk_reads),
    "read by the told head": heated(moment.images["base"], a.row(name_end, layer=1, head=0)),
    "covering it moves the chunk": heated(moment.images["base"], moves.ravel()),
}, f"“{moment.text}”: two pictures of attention, one of effects")

# %% [markdown]
# ## 6 · Inside: heads, keys and values
# Does the told head matter? Silence one head at a time, and count again how often the chunk ends at what was named.
# **Predict** two places in this table: layer 2, head 1 of the VLM, and all of the VLM's layer 3.

# %%
def table_of_heads(stack):
    """right() with each head of a stack silenced in turn: (layers, heads)."""
    out = np.zeros((c.vlm.depth, c.vlm.heads))
    for layer, head in np.ndindex(*out.shape):
        with interventions.silenced(stack, layer, head):
            out[layer, head] = right(policy)
    return out


inside = policy.model
silent = {"VLM": table_of_heads(inside.vlm), "expert": table_of_heads(inside.expert.transformer)}
for name, grid in silent.items():
    print(name, *grid.round(2).tolist(), sep="\n  ")
print(f"all heads speaking: {right(policy):.2f}")

# %% [markdown]
# The VLM's last layer changes nothing, exactly: the expert reads its keys and values, and those are made *before* its heads
# speak. (What these heads say goes to words only.) A head that can be missed is not a head that does nothing: others may step
# in for it. Silencing finds what is *needed*. To find what *carries* the answer, use the opposite: put it in.
#
# ### Activation patching
# Two runs on the same table: "reach the red block" and "reach the blue block", say. Only one token differs. Keep the first run, but
# take the keys and values of **one token in one layer** from the second, and let the expert read that. If the
# hand now goes to the other block, this is where the answer was.

# %% [markdown] assign=true
# ### Exercise 3 · Patch a cache (medium, 12 minutes)
# `cache` and `other` are lists with a (keys, values) pair for each layer, each (B, N', T, K). Return a cache as `cache`, but
# with keys **and** values of the tokens `tokens` (a list of places among the T) in layer `layer` from `other`. Neither
# run may be changed: you will patch it sixty times.

# %% exercise="patched"
def patched(cache, other, layer, tokens):
    """A new cache: some tokens of one layer come from the other run."""
    ### BEGIN SOLUTION
    out = list(cache)
    out[layer] = tuple(mine.clone() for mine in cache[layer])
    for mine, theirs in zip(out[layer], other[layer]):
        mine[:, :, tokens] = theirs[:, :, tokens]
    return out
    ### END SOLUTION


# %% check="patched" points=4
from pi05lite.checks.looking import check_patched

points = check_patched(patched)
### BEGIN HIDDEN TESTS
zeros, ones = ([(torch.full((1, 1, 3, 1), x), torch.full((1, 1, 3, 1), x))] * 2 for x in (0.0, 1.0))
got = patched(zeros, ones, 1, [2])
points = points if [x.flatten().tolist() for x in (*got[0], *got[1])] == [[0, 0, 0]] * 2 + [
    [0, 0, 1]] * 2 and zeros[1][0].sum() == 0 else 0
### END HIDDEN TESTS
points

# %% [markdown]
# <details><summary>Hint</summary>
#
# `list(cache)` copies the list, not the tensors in it: `clone()` the two tensors of that layer before you write into
# them. The third axis is the tokens: `keys[:, :, tokens]`.
# </details>

# %%
patched = checks.going_on("patched", patched, interventions.patched)
pairs = [[held_out.example(n, k) for n in range(12)] for k in (0, 1)]
first, second = (processor.collate(rows) for rows in pairs)
with torch.no_grad():
    clean, donor = (inside.prefix(batch, hidden=False) for batch in (first, second))


def end_of(cache):
    """Where the chunks end, (12, 2), normalised, on the first run's prefix with another cache."""
    prefix = replace(clean, cache=cache)
    return inside.sample(prefix, policy.steps, NOISE[:12])[-1][:, -1, :2].numpy()


stays, goes = end_of(clean.cache), end_of(donor.cache)
way = goes - stays


def carried(layer, tokens):
    """How far the end goes to the other block: 0 not at all, 1 all the way."""
    there = end_of(patched(clean.cache, donor.cache, layer, tokens)) - stays
    return float((there * way).sum() / (way * way).sum())


# %%
patches = 2 * 36
places = {"upper camera": list(range(36)), "hand's camera": list(range(36, patches))}
words = [processor.text.decode([i]) if i > 3 else "start" for i in first.tokens[0].tolist()]
words[5], words[10:13] = "(colour)", ["(x)", "(y)", "(height)"]
places |= {f"{n} {word.strip() or '␣'}": [patches + n] for n, word in enumerate(words)}
grid = np.array([[carried(layer, tokens) for tokens in places.values()]
                 for layer in range(c.vlm.depth)])

# %%
figure = go.Figure(go.Heatmap(z=grid.round(3), x=list(places), y=["layer 1", "layer 2", "layer 3"],
                              colorscale="Blues", zmin=0, zmax=1, colorbar_title="carried"))
figure.update_layout(**pictures.LAYOUT, height=300,
                     title_text="what carries the answer: 1 = the hand goes to the other block")
figure.update_yaxes(autorange="reversed").update_xaxes(tickangle=50)

# %%
order = np.argsort(-grid, axis=None)[:4]
for layer, n in zip(*np.unravel_index(order, grid.shape)):
    print(f"layer {layer + 1}, {list(places)[n]:16} carries {grid[layer, n]:.0%} of the way")
whole = [carried(layer, list(range(patches + len(words)))) for layer in range(3)]
print("all tokens of one layer:", [f"{x:.0%}" for x in whole])

# %% [markdown]
# In layer 1 only the colour's own keys and values can differ, for nothing has been read yet: all other columns are exactly 0.
# Where does the answer sit in layers 2 and 3: still at the colour, or at tokens that have read it, such as the last one of the
# name? **Attention shows who reads; this shows what it was read for.** All tokens of all layers together are the other run, 100 %;
# one layer alone may carry less, and some token may pull the wrong way.
#
# ## 7 · Watch it denoise
# "Reach a block" names none, and in training a coin decided. A policy that knows this should have **two modes**. Drag the
# slider from noise to action:

# %%
either = held_out.example(4, 3)
both = trace(policy, seeing, either.text, truth=None, samples=12, names=["x", "y", "height"])
both = over_the_table(both, train.robot(), moment.state)

from pi05lite.widgets import paths

paths.camera_figure(both, f"“{either.text}”: twelve noises").update_layout(height=470)

# %%
paths.modes_figure(both)

# %% [markdown]
# Each line is one noise, along the direction in which the finished chunks differ most. Where lines end in bundles, the policy
# has several answers, and the noise decides which. How far they lie apart is its **doubt**, and it costs nothing but samples.
#
# Now the first step. At flow time 0 there is nothing in $x$ but noise, and the best that a squared error can say is the **mean** of all
# answers (chapter 06): $x_0 + v(x_0, 0)$. So look at where the first guess ends, and where the finished chunk ends:

# %%
def end_points(x):
    """Where chunks (K, H, A) end on the table, (K, 2)."""
    return train.robot().from_model(x, moment.state)[:, -1, :2]


named = trace(policy, seeing, moment.text, samples=12)
for label, t in {moment.text: named, either.text: both}.items():
    guess, final = end_points(t.path[0] + t.velocity[0]), end_points(t.path[-1])
    to = [np.linalg.norm(final - place, axis=1) for _, place, _ in things(held_out.tables[4])[:2]]
    print(f"“{label}”: first guesses spread {guess.std(0).mean():.3f}, finished chunks "
          f"{final.std(0).mean():.3f}; nearer to its first block: {np.mean(to[0] < to[1]):.0%}")

# %% [markdown]
# A policy trained by plain regression, or asked for one step only, gives the first guess: between two blocks, where there is
# nothing. **That is what averaged modes look like:** a small squared error, a smooth chunk, and a hand that goes to the middle.
#
# ## 8 · Failures and their signs
# What goes wrong in practice is a short list. Each has a sign that an intervention can show and a loss curve cannot:
#
# | failure | sign | first test |
# |---|---|---|
# | language ignored | the right motion for the commonest task | change one word: the chunk moves by 0 or nearly |
# | state copied (causal confusion) | good error in the data, no reaction when something moves | take the state of another moment: all moves; take its pictures: nothing |
# | a camera unused, unplugged, or in the wrong slot | fails where only this camera sees | another moment's picture in each slot: which one moves the chunk? |
# | averaged modes | smooth, between two right answers | samples: one bundle in the middle, where data have two |
# | padding attended | another chunk when another prompt is in the batch | fill the prompt up: the chunk must stay the same to the last digits |
# | wrong direction of flow time | a chunk as rough as noise | the chunk after 10 steps is no better than after 1 |
# | another robot's statistics | right way, wrong place or size; jumps at the start | first step against the state, in the robot's units |
#
# ### Three patients
# Three policies, each with one of four defects. They have the same weights; something around them is broken. You may not look at
# what (the cell draws lots). Examine them, and name each defect.

# %%
DEFECTS = ("words do not arrive", "cameras swapped", "state is stuck", "another robot's statistics")


class Patient(Policy):
    """The trained policy with one thing broken around it."""

    def __init__(self, defect):
        super().__init__(policy.model, processor, steps=5)
        self.defect = defect
        if defect == DEFECTS[3]:  # one whose table is half as large
            robot, halve = train.robot(), lambda s: replace(s, q01=s.q01 / 2, q99=s.q99 / 2)
            stats = replace(robot.stats, action=halve(robot.stats.action))
            self.processor = Processor(c, text, None, {"glances": replace(robot, stats=stats)})

    def batch(self, o, words, level):
        if self.defect == DEFECTS[0]:
            words = "reach a block"
        if self.defect == DEFECTS[1]:
            o = replace(o, images=dict(zip(o.images, reversed(o.images.values()))))
        if self.defect == DEFECTS[2]:
            o = interventions.with_state(o, held_out[0].state)
        return super().batch(o, words, level)


# %%
lots = np.random.default_rng().permutation(4)[:3]
patients = dict(zip("ABC", (Patient(DEFECTS[n]) for n in lots)))


def examine(policy):
    """What moves it, and in the robot's units: its first step from the hand, its end from the thing."""
    rows, starts, away = [uses(policy, n) for n in range(10, 16)], [], []
    for n in range(10, 16):
        e = held_out.example(n, 0)
        chunk = policy.follow(Observation("glances", e.images, e.state), e.text).actions
        starts.append(np.linalg.norm(chunk[0] - e.state))
        away.append(np.linalg.norm(chunk[-1, :2] - held_out.tables[n].block))
    return mean_of(rows) | {"first step": np.mean(starts), "end": np.mean(away)}


for name, someone in {"healthy": policy, **patients}.items():
    print(f"{name:8}", "  ".join(f"{what} {x:.3f}" for what, x in examine(someone).items()))

# %% [markdown]
# Write your findings (numbers of `DEFECTS`, 0 to 3), then run the cell.

# %%
guesses = {"A": None, "B": None, "C": None}
for name, guess in guesses.items():
    if guess is None:
        print(f"{name}: no finding yet")
    else:
        said, is_so = DEFECTS[guess], patients[name].defect
        print(f"{name}: {said}: {'yes' if said == is_so else 'no, look again'}")

# %% [markdown]
# <details><summary>How to tell them apart</summary>
#
# A defect **in front of** the model shows in what moves it: an effect of exactly 0 is a thing that does not arrive (words, or the
# state), and with swapped cameras it is the other camera that moves the chunk. A defect **behind** it leaves all effects as they are: the chunk is
# right in the model's units and wrong in the robot's. Look at the first step and at the end.
# </details>

# %% [markdown]
# ## 9 · The same questions to other policies
# None of this needs a toy. Two policies are asked if they are here: the one that you trained in chapter 00 on real episodes,
# and the kit's policy for homes. For each: how far does the chunk move, as a share of what it moves when *everything* is
# taken from another moment? **Predict** for the real arm cr5, which has 18 training episodes and one camera: pictures or state?

# %%
def examine_moments(policy, here, there):
    """What moves the chunk when one thing is taken from another moment: name -> share of all."""
    (o, words), (other, other_words) = here, there
    changed = {f"camera {slot}": (interventions.with_image(o, slot, image), words)
               for slot, image in other.images.items()}
    changed |= {"state": (interventions.with_state(o, other.state), words),
                "words": (o, other_words), "everything": (other, other_words)}
    before = interventions.chunks(policy, *here, 4)
    moved = {name: interventions.distance(before, interventions.chunks(policy, *x, 4))
             for name, x in changed.items()}
    return {name: x / max(moved["everything"], 1e-9) for name, x in moved.items()}


def report(name, rows):
    """One line a policy."""
    print(f"{name:18}", "  ".join(f"{what} {x:.2f}" for what, x in mean_of(rows).items()))


# %%
from pi05lite.data import paths as folders
from pi05lite.train.setup import available, prepare


def moments_of(source, count=6):
    """Pairs of moments of a held-out source: ((observation, subtask), another one)."""
    g = np.random.default_rng(0)
    every = [source[i] for i in g.integers(len(source), size=2 * count)]
    seen = [(Observation(e.robot, e.images, e.state), e.text) for e in every]
    return zip(seen[:count], seen[count:])


first = Path("runs/00/posttrain")
if any(first.glob("step-*")) and folders.find("cr5_two_tasks"):
    tower = config.VisionConfig(name="test_convnext3", image_size=64, act=None)
    real = prepare(["cr5"], replace(config.tiny(), horizon=10, vision=tower), words=False)
    arm = pi05lite.load(first)
    report("cr5, chapter 00", [examine_moments(arm, *x) for x in moments_of(real.held_out["cr5"])])
else:
    print("no policy of chapter 00 here: run it first, and run this cell again")

# %% [markdown]
# If the state's share is near 1 and the camera's near 0, the policy plays back motions by where the arm is. That can have a small
# error on held-out episodes of the same two tasks, and it will not notice when the thing is moved. No loss curve shows it; this line
# does.
#
# The homes' policy was trained with the same told head (layer 2, head 1), on things in rooms. A home that it has never
# seen:

# %%
def home_moments(count=3):
    """Pairs of first moments of short tasks in new homes, and the words for both."""
    from pi05lite.evaluate.trials import HomeTrial, requests
    trials = [HomeTrial(r) for r in requests("short", 12 * count) if r.task == "pick"][:2 * count]
    seen = [(trial.observe(), trial.prompt) for trial in trials]
    return list(zip(seen[:count], seen[count:]))


homes = pi05lite.load(folders.KIT / "policy_homes")
moments = home_moments()
report("homes", [examine_moments(homes, *x) for x in moments])

# %%
(o, words), _ = moments[0]
look = trace(homes, o, words, samples=1, steps=2)
told = AttentionWidget(look, f"a new home: {words}", most=0)
told.selected = max(i for i, part in enumerate(look.parts) if part == "subtask")
told.layer, told.head = 1, 0
told

# %% [markdown] assign=true prose="looked_at" points=3
# ### Question · In words (5 minutes)
# A colleague shows you an attention picture: the chunk reads the patches of the cup, strongly, in the last layer. "So it
# knows where the cup is." You cover the cup in the picture, pair the noise, and the chunk does not move. Give two different
# explanations of how both can be true, and for each a further intervention that would tell it from the other.
#
# ### BEGIN MARK SCHEME
# - 1 point: an explanation on the side of redundancy: the same is known from elsewhere (another camera, the state, other patches or
#   tokens that read the cup earlier). Test: change several at once, e.g. cover it in all cameras, or take the state of another moment too.
# - 1 point: an explanation on the side of use: what is read is not used (small values, heads whose output goes nowhere, a softmax that must
#   put its weight somewhere, the chunk follows the state or the commonest motion). Test: silence that head, patch those tokens' keys
#   and values from another run, or move the cup / another moment's picture: nothing moves at all.
# - 1 point: the test tells the two apart: it says what each explanation predicts for it. (An effect of covering that is 0 because the
#   cover itself is unlike anything in training, with a moved cup as the test, is also a right explanation.)
# ### END MARK SCHEME

# %% [markdown]
# ## Try a change
# The told head had a loss of its own. Train without it: `aim=0.0` in `same`, another folder for `RUNS`, and run the chapter again.
# **Predict:** does the policy still find the block? Is there a head that looks at it anyway? Which token carries the answer now?
#
# ## What you have seen
# - A trace is one pass with everything named. Attention says who read what, in one layer and head; rollout follows it through the
#   layers, with equal heads and half for the residual.
# - Neither says what it was good for. Change one thing with the **same noise**, best into something that the policy knows
#   from elsewhere, and measure the chunk.
# - Silencing finds what is needed, patching finds what carries. What sits before the expert's last look counts; what
#   comes after does nothing.
# - Samples show doubt and modes; the first guess is near the mean.
# - Each failure has a sign. Effects of exactly 0 name what does not arrive; wrong units leave all effects as they are.
#
# **Common confusions.** A grey picture is not "no information": it is a strange picture. An effect is not good or bad: it
# says *used*. Effects do not add up to the whole. Attention on padding must be 0 and not small. A head that can be silenced without
# harm may have a double.
#
# **Ask yourself.** What would you patch to learn whether the *state* or the *picture* says where the hand is? Why is the VLM's
# last attention idle for actions, and not for words? When does a policy that ignores its pictures have the lower loss?
#
# Next: chapter 13 changes the parts that you have looked at.
#
# **To read.** Jain and Wallace 2019, arXiv 1902.10186 (attention is not explanation), and Wiegreffe and Pinter 2019, arXiv
# 1908.04626 (not not). Abnar and Zuidema 2020, arXiv 2005.00928 (rollout). Meng et al. 2022, arXiv 2202.05262 (activation
# patching). De Haan et al. 2019, arXiv 1905.11979 (causal confusion in imitation).
