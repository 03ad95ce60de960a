# %% [markdown] assign=true
# # 03 · The transformer: who reads whom
#
# **The question:** pictures, words and actions stand in one sequence. How do they read each other, and
# who decides what may be read?

# %% [markdown]
# ![The mask of pi0.5 as blocks: pictures and prompt see each other, text and action tokens look back, the flow block sees all but the action tokens.](figures/03_transformer.png)
#
# This picture is the chapter: blue means "may look". When you are done you can
#
# 1. write attention with a mask in three lines, and name six ways to get it wrong,
# 2. explain how RoPE tells a token how far away another one is,
# 3. draw the mask of any mixture of blocks from one 0/1 flag a token,
# 4. decode with a KV cache, and say why the flow block of pi0.5 can use one too.
#
# Reading 25 minutes, four exercises 40 minutes, computing under a minute on two CPU cores. You need
# PyTorch and a matrix product. What is built here lies in `pi05lite/model/layers.py`, `masks.py` and
# `transformer.py`, and runs the real 3.35 B weights too.

# %% assign=true
import os

import numpy as np
import torch
from torch import nn

import pi05lite
from pi05lite import checks, config
from pi05lite.model import layers
from pi05lite.model.masks import Layout
from pi05lite.tokens.kind import Kind

torch.manual_seed(0)
STEPS = int(os.environ.get("PI05LITE_STEPS", 10_000))  # no more than so many training steps a cell

# %% [markdown]
# ## 1 · Reading by likeness
# A token is a vector. To read others it makes a **query** (what am I looking for?); every token offers a
# **key** (what do I have?) and a **value** (what you get). Likeness of query and key says how much:
#
# $$\text{read}_i = \sum_j w_{ij}\, v_j, \qquad w_{i\cdot} = \mathrm{softmax}_j\!\left(\frac{q_i\cdot k_j}{\sqrt K} + \begin{cases}0 & i \text{ may look at } j\\ -\text{a lot} & \text{otherwise}\end{cases}\right)$$
#
# Four words with keys that we choose by hand. "it" looks for a thing that can be picked up:

# %%
from pi05lite.widgets import pictures

words = ["put", "the", "banana", "it"]
#                     verb  thing
keys = torch.tensor([[4.0, 0.0], [0.0, 0.0], [0.0, 4.0], [0.0, 0.5]])
query = torch.tensor([[0.0, 1.0]])  # of "it"
weights = (query @ keys.T / 2**0.5).softmax(-1)
print({word: f"{w:.0%}" for word, w in zip(words, weights[0].tolist())})

# %% [markdown]
# The mask goes in **before** the softmax, as a very negative number added to the score. So a hidden token
# gets a weight of exactly 0, and the weights of the others still sum to 1.
#
# **Why divide by $\sqrt K$?** The dot product of two random vectors of K numbers is about $\sqrt K$ large.
# Without the division, softmax would put all the weight on one token from the start:

# %%
for K in (4, 64, 256):
    q, k = torch.randn(1000, K), torch.randn(1000, 20, K)
    scores = torch.einsum("bk,bsk->bs", q, k)
    raw, scaled = scores.softmax(-1).amax(-1).mean(), (scores / K**0.5).softmax(-1).amax(-1).mean()
    print(f"K = {K:3}: largest of 20 weights, unscaled {raw:.2f}, scaled {scaled:.2f}")

# %% [markdown] assign=true
# ### Exercise 1 · Attention with a mask (medium, 10 minutes)
# One head. `q`, `k`, `v` are (T, K), `mask` is (T, T) bool and True where row i **may** look at column j.
# Scale by the root of K, hide, softmax over the keys, read. A row that may look at nothing (padding) must
# not give NaN.

# %% exercise="attention"
def attention(q, k, v, mask):
    """What each token reads (T, K); q, k, v (T, K), mask (T, T) bool, True = may look."""
    ### BEGIN SOLUTION
    scores = q @ k.T / q.shape[-1] ** 0.5  # (T, T)
    scores = scores.masked_fill(~mask, -1e30)
    return scores.softmax(dim=-1) @ v
    ### END SOLUTION


# %% check="attention" points=3
from pi05lite.checks.transformer import check_attention

points = check_attention(attention)
### BEGIN HIDDEN TESTS
eye = torch.eye(5, dtype=torch.bool)
v = torch.randn(5, 3)
points = points if torch.allclose(attention(9 * v, v, v, eye), v, atol=1e-5) else 0
### END HIDDEN TESTS
points

# %% [markdown]
# <details><summary>Hint</summary>
#
# `scores.masked_fill(~mask, -1e30)` puts a number wherever the mask is False. Which axis of the scores
# belongs to the keys? Each row must share out 1 among them.
# </details>
#
# <details><summary>Why not minus infinity?</summary>
#
# A row of nothing but minus infinity has no largest entry: softmax gives 0/0, NaN, and NaN spreads to the
# whole batch through the loss. Gemma, and this kit, hide with -2.38e38.
# </details>

# %%
def packaged_attention(q, k, v, mask):
    """The package's, which takes a batch and heads."""
    bias = layers.attention_bias(mask[None], q.dtype)
    return layers.attend(q[None, :, None], k[None, None], v[None, None], bias)[0]


attention = checks.going_on("attention", attention, packaged_attention)

# %% [markdown]
# ## 2 · Where am I? RoPE
# **Predict:** shuffle the tokens of a sequence. What changes in what each token reads?

# %%
x, everything = torch.randn(6, 8), torch.ones(6, 6, dtype=torch.bool)
order = torch.randperm(6)
same = torch.allclose(attention(x, x, x, everything)[order],
                      attention(x[order], x[order], x[order], everything), atol=1e-5)
print("each token reads the same after shuffling:", same)

# %% [markdown]
# Nothing: attention sees a bag of tokens, and "the cup on the plate" is "the plate on the cup". **RoPE**
# gives places by turning. Take number $i$ of the first half of a query and number $i$ of the second half
# as a point $(a, b)$ in a plane, and turn it by an angle that grows with its place $p$:
#
# $$\theta_i = \frac{p}{10000^{\,2i/K}}, \qquad (a, b) \to (a\cos\theta_i - b\sin\theta_i,\;\; b\cos\theta_i + a\sin\theta_i)$$
#
# Keys are turned the same way. The dot product of two turned vectors depends only on the *difference* of
# the turns, so on how far apart the two tokens are. Low $i$ turn quickly and tell near places apart; high
# $i$ hardly turn and tell far ones.

# %% [markdown] assign=true
# ### Exercise 2 · Turn by place (medium, 10 minutes)
# Turn x (T, K) by places (T,). Pair $i$ is number i of the **first half** and number i of the **second
# half** (as in Gemma; some code pairs neighbours), with the angle $p / 10000^{2i/K}$, $i = 0 \dots K/2-1$:
# $(a, b) \to (a\cos\theta - b\sin\theta,\; b\cos\theta + a\sin\theta)$.

# %% exercise="rotate"
def rotate(x, places):
    """x (T, K) with every pair turned by its place (T,)."""
    ### BEGIN SOLUTION
    half = x.shape[1] // 2
    speed = 10_000 ** (-torch.arange(half) / half)  # radians a place
    angle = places[:, None] * speed  # (T, K/2)
    a, b = x[:, :half], x[:, half:]
    return torch.cat([a * angle.cos() - b * angle.sin(), b * angle.cos() + a * angle.sin()], dim=1)
    ### END SOLUTION


# %% check="rotate" points=3
from pi05lite.checks.transformer import check_rotate

points = check_rotate(rotate)
### BEGIN HIDDEN TESTS
a, b = torch.randn(2, 1, 12)
near = rotate(a, torch.tensor([3])) @ rotate(b, torch.tensor([5])).T
far = rotate(a, torch.tensor([90])) @ rotate(b, torch.tensor([92])).T
points = points if torch.allclose(near, far, atol=1e-3) else 0
### END HIDDEN TESTS
points

# %% [markdown]
# <details><summary>Hint</summary>
#
# Three lines: the angles (T, K/2) from `places[:, None]` and the K/2 speeds; the two halves of x; then
# `torch.cat` of the two turned halves along the last axis.
# </details>

# %%
def packaged_rotate(x, places):
    """The package's, which takes a batch and heads."""
    return layers.rotate(x[None, :, None], layers.rotary(places[None], x.shape[1]))[0, :, 0]


rotate = checks.going_on("rotate", rotate, packaged_rotate)

# %% [markdown]
# One query at place 50 and the same key everywhere: the score is highest at its own place, falls off to both
# sides in ripples (the quick pairs come round again every six places), and looks the same from place 20 or 80.

# %%
one, places = torch.ones(1, 32), torch.arange(100)
scores = [(rotate(one, torch.tensor([at])) @ rotate(one.expand(100, -1), places).T)[0] / 32
          for at in (20, 50, 80)]
pictures.episode_figure(places.numpy(), torch.stack(scores, 1).numpy(),
                        [f"query at {at}" for at in (20, 50, 80)],
                        "how well a turned query fits the same key at other places"
                        ).update_xaxes(title="place of the key")

# %% [markdown]
# ## 3 · Who may look at whom
# A language model may look back only, or it could copy the word that it should predict. But a picture has no
# order: the patches of all cameras and the words of the prompt are *given*, and may see each other. So the
# sequence is cut into **blocks**. Inside a block everyone sees everyone; a block sees the blocks before it.
#
# One flag a token says it all (openpi calls it `ar_mask`): 1 opens a new block, 0 stays in the block before.
#
# | flags | what it is |
# |---|---|
# | `0 0 0 0 0 0` | one block: everything sees everything |
# | `1 1 1 1 1 1` | every token its own block: causal, as in GPT |
# | `0 0 0 1 1 1` | a prefix that sees itself, then causal text (PaliGemma) |
# | `0 0 0 1 0 0` | a prefix, then one block of actions (pi0) |
#
# **Predict** the four pictures before you run exercise 3.

# %% [markdown] assign=true
# ### Exercise 3 · The mask from flags (medium, 10 minutes)
# `opens` (T,) holds 0 and 1: a 1 opens a new block. `valid` (T,) is False at padding. Return mask (T, T), True
# where row i may look at column j: j is in the same block or an earlier one, and **neither** is padding.

# %% exercise="may_look"
def may_look(opens, valid):
    """mask (T, T) bool: row i may look at column j."""
    ### BEGIN SOLUTION
    block = opens.cumsum(0)  # the number of each token's block
    mask = block[None, :] <= block[:, None]
    return mask & valid[None, :] & valid[:, None]
    ### END SOLUTION


# %% check="may_look" points=3
from pi05lite.checks.transformer import check_may_look

points = check_may_look(may_look)
### BEGIN HIDDEN TESTS
m = torch.as_tensor(may_look(torch.tensor([1, 0, 1, 0, 1]), torch.ones(5, dtype=torch.bool)))
points = points if m.sum(1).tolist() == [2, 2, 4, 4, 5] else 0
### END HIDDEN TESTS
points

# %% [markdown]
# <details><summary>Hint</summary>
#
# `opens.cumsum(0)` numbers the blocks. Row i is who looks, column j is who is looked at: put the block
# numbers once along the rows (`[:, None]`) and once along the columns (`[None, :]`).
# </details>

# %%
def packaged_may_look(opens, valid):
    """The rule of `Layout.mask`, which reads the flags off the kinds of the tokens."""
    block = opens.cumsum(0)
    return (block[None, :] <= block[:, None]) & valid[None, :] & valid[:, None]


may_look = checks.going_on("may_look", may_look, packaged_may_look)

# %%
from plotly.subplots import make_subplots

examples = {"one block": [0] * 6, "causal": [1] * 6, "prefix, text": [0, 0, 0, 1, 1, 1],
            "prefix, actions": [0, 0, 0, 1, 0, 0]}
figure = make_subplots(1, 4, subplot_titles=list(examples))
for column, opens in enumerate(examples.values(), start=1):
    mask = may_look(torch.tensor(opens), torch.ones(6, dtype=torch.bool)).numpy()
    figure.add_traces(pictures.mask_figure(mask, opens).data, rows=1, cols=column)
figure.update_yaxes(autorange="reversed", visible=False).update_xaxes(visible=False)
figure.update_layout(**pictures.LAYOUT, height=300, title_text="four vectors of flags, four masks")

# %% [markdown]
# ### The mask of pi0.5
# One thing flags cannot say. pi0.5 has action **tokens** (FAST) and the **flow** block side by side, two ways
# of saying the same chunk. If the flow block could read the tokens, it would copy the answer in training,
# and at run time there are no tokens. So that one rectangle is cut out:

# %%
kinds = [Kind.PROMPT] * 8 + [Kind.TEXT] * 3 + [Kind.ACTION] * 4 + [Kind.FLOW] * 4
layout = Layout(torch.tensor([kinds]), torch.ones(1, len(kinds), dtype=torch.bool))
print(layout.describe())

# %%
opens = torch.tensor([0] * 8 + [1] * 3 + [1] * 4 + [1, 0, 0, 0])
plain = may_look(opens, torch.ones(len(kinds), dtype=torch.bool))
cut = (plain & ~layout.mask()[0]).nonzero()
print(f"your mask and the package's differ at {len(cut)} places:",
      {f"{Kind(kinds[i]).label} looking at {Kind(kinds[j]).label}" for i, j in cut.tolist()})

# %% [markdown]
# The same on real data: pictures of the cameras, a prompt with the state in it, the subtask, FAST tokens, and 10
# flow tokens.

# %%
from dataclasses import replace

from pi05lite.model.pi05 import Pi05
from pi05lite.train.setup import available, prepare

name = available("droid_new")[0]
setup = prepare([name], replace(config.tiny(), horizon=10), words=False)
model = Pi05(setup.config)
example = setup.train[name].example(0, 5)
batch = setup.processor.collate([example])
pictures.sequence_figure(model, batch)

# %% [markdown]
# **What if padding were attended?** Sequences of a batch differ in length and are filled up. One short prompt,
# once alone and once padded with 40 places of nothing:

# %%
x = torch.randn(12, 16)
long = torch.cat([x, torch.zeros(40, 16)])
valid = torch.arange(52) < 12
read = attention(x, x, x, torch.ones(12, 12, dtype=torch.bool))
good = attention(long, long, long, may_look(torch.zeros(52, dtype=torch.long), valid))[:12]
bad = attention(long, long, long, torch.ones(52, 52, dtype=torch.bool))[:12]
print(f"change of what is read: masked {(good - read).abs().max():.1e}, "
      f"padding attended {(bad - read).abs().max():.2f}")

# %% [markdown]
# ## 4 · The KV cache
# To write the next word, only the new token is needed: the keys and values of the old ones cannot have changed,
# because old tokens never look at new ones. Keep them. **Predict:** of the three, queries, keys and values,
# why are the queries not kept?

# %% [markdown] assign=true
# ### Exercise 4 · One step with a cache (medium, 10 minutes)
# A new token at `place` has q, k, v (1, K), **not yet turned**. The cache is (keys, values), each (n, K), the keys
# turned when they came in. `turn(x, places)` turns x (n, K) by places (n,). Turn what must be turned, add the new
# token **behind** the old ones, and read. Return what it reads (1, K), and the new cache (keys, values).

# %% exercise="step"
def step(q, k, v, place, cache, turn):
    """(read (1, K), (keys, values)) of one new token behind a cache."""
    ### BEGIN SOLUTION
    here = torch.tensor([place])
    keys = torch.cat([cache[0], turn(k, here)])
    values = torch.cat([cache[1], v])
    weights = (turn(q, here) @ keys.T / q.shape[-1] ** 0.5).softmax(dim=-1)
    return weights @ values, (keys, values)
    ### END SOLUTION


# %% check="step" points=3
from pi05lite.checks.transformer import check_step

points = check_step(step)
### BEGIN HIDDEN TESTS
alone = step(torch.ones(1, 4), torch.ones(1, 4), torch.full((1, 4), 7.0), 5,
             (torch.zeros(0, 4), torch.zeros(0, 4)), lambda x, places: x)[0]
points = points if torch.allclose(alone, torch.full((1, 4), 7.0)) else 0
### END HIDDEN TESTS
points

# %% [markdown]
# <details><summary>Hint</summary>
#
# Queries and keys are turned, values never. No mask is needed: everything in the cache is earlier.
# </details>

# %%
def packaged_step(q, k, v, place, cache, turn):
    """The package's attention behind a cache."""
    here = torch.tensor([place])
    keys, values = torch.cat([cache[0], turn(k, here)]), torch.cat([cache[1], v])
    bias = torch.zeros(1, 1, 1, len(keys))
    read = layers.attend(turn(q, here)[None, :, None], keys[None, None], values[None, None], bias)
    return read[0], (keys, values)


step = checks.going_on("step", step, packaged_step)

# %% [markdown]
# Write 60 tokens behind the real prefix, by the package's transformer, with its cache and without. The states
# agree, the time does not:

# %%
import time

from pi05lite.model.layers import attention_bias

stack, c = model.vlm.eval(), model.config
tokens = torch.randn(1, 60, c.vlm.width)


@torch.no_grad()
def run(x, layout, last=None, past=None):
    """Hidden states and cache of the last tokens, the rest in the cache."""
    return stack(x, attention_bias(layout.mask(last), x.dtype), stack.turn(layout.positions(last)), past)


with torch.no_grad():
    x, layout = model.embed(batch)
plain_x, plain_layout, (hidden, cache) = x, layout, run(x, layout)
began = time.perf_counter()
for t in range(60):
    layout = layout.append([Kind.TEXT])
    hidden, cache = run(tokens[:, t:t + 1], layout, 1, cache)
cached = time.perf_counter() - began

# %%
began = time.perf_counter()
for t in range(60):
    plain_layout = plain_layout.append([Kind.TEXT])
    plain_x = torch.cat([plain_x, tokens[:, t:t + 1]], dim=1)
    full, _ = run(plain_x, plain_layout)
whole = time.perf_counter() - began
gap = (full[:, -1:] - hidden).abs().max().item()
print(f"largest difference {gap:.1e}; without cache {whole / cached:.1f} times the time")

# %% [markdown]
# **This is why nothing may look at the flow block.** Denoising runs the flow tokens ten times. Since pictures,
# prompt and text never see them, their keys and values are computed once and read ten times (chapter 07).

# %% [markdown] assign=true prose="prefix" points=3
# ### Question · In words (5 minutes)
# Someone lets pictures and prompt look at the flow tokens too: "more information cannot hurt". Name what breaks
# at run time, and what breaks in training if the flow tokens may look at the FAST tokens. Four sentences.
#
# ### BEGIN MARK SCHEME
# - 1 point: the prefix's keys and values would change with every denoising step (the flow tokens do), so they
#   cannot be cached; the whole VLM would have to run ten times for a chunk.
# - 1 point: FAST tokens spell the chunk that the flow block must find; in training it would copy the answer
#   and learn nothing from pictures and prompt.
# - 1 point: at run time there are no FAST tokens (only the subtask and the flow), so what it had learned to
#   read is missing: training and use must see the same.
# ### END MARK SCHEME

# %% [markdown]
# ## 5 · The same as the package
# Your one-head functions against `pi05lite.model.layers` and the layout's mask. Next to read:
# `pi05lite/model/layers.py`, 174 lines, then `masks.py`.

# %%
q, k, v = torch.randn(3, 9, 16)
mask = may_look(torch.tensor([0, 0, 0, 0, 1, 1, 1, 0, 0]), torch.arange(9) != 2)
places = torch.arange(9)
read = attention(rotate(q, places), rotate(k, places), v, mask)
theirs = packaged_attention(packaged_rotate(q, places), packaged_rotate(k, places), v, mask)
assert torch.allclose(read[mask.any(1)], theirs[mask.any(1)], atol=1e-5)
layout = Layout(torch.tensor([[0, 0, 0, 0, 1, 1, 3, 3, 3]]), torch.ones(1, 9, dtype=torch.bool))
assert torch.equal(layout.mask()[0], may_look(torch.tensor([0, 0, 0, 0, 1, 1, 1, 0, 0]),
                                              torch.ones(9, dtype=torch.bool)))
print("attention, rotate and may_look agree with pi05lite.model")

# %% [markdown]
# ## 6 · Measure the mask from outside
# Does a whole pi0.5 keep what the picture at the top promises? Do not trust the mask: **change** the tokens of one
# block, run the model, and see which blocks notice. (A fresh expert starts with closed gates and listens to nobody,
# so they are opened first.)

# %%
from pi05lite.model.pi05 import Prefix


def opened(model):
    """The model with the gates of its expert open, as they are after training."""
    torch.manual_seed(0)
    with torch.no_grad():
        model.expert.transformer.modulation.weight.normal_(0, 0.5)
        model.expert.transformer.modulation.bias.normal_(0, 0.5)
    return model.eval()


@torch.no_grad()
def states(model, x, noise, layout):
    """Hidden states (1, T, D) of the prefix and the velocity (1, H, A) of the flow block."""
    hidden, cache = model.vlm(x, attention_bias(layout.mask(), x.dtype),
                              model.vlm.turn(layout.positions()))
    return hidden, model.velocity(Prefix(hidden, cache, layout), noise, torch.tensor([0.5]))


# %%
def noticed(model):
    """(names, moved): moved[i, j] is True where block i notices that block j was changed."""
    with torch.no_grad():
        x, layout = model.embed(batch)
    kinds, where = layout.kinds[0].tolist(), torch.arange(x.shape[1])
    images, noise = x.shape[1] - batch.tokens.shape[1], torch.randn(1, 10, model.config.action_size)
    names = ["pictures" if t < images else Kind(k).label for t, k in enumerate(kinds)]
    blocks = {n: torch.tensor([n == m for m in names]) & layout.valid[0] for n in dict.fromkeys(names)}
    before = states(model, x, noise, layout)
    moved = []
    for name in [*blocks, "flow"]:
        there = blocks[name] if name in blocks else torch.zeros_like(where, dtype=torch.bool)
        changed = torch.where(there[:, None], torch.randn_like(x), x)
        after = states(model, changed, torch.randn_like(noise) if name == "flow" else noise, layout)
        gaps = [(after[0] - before[0])[0, rows].abs().max() for rows in blocks.values()]
        moved.append([g.item() > 1e-5 for g in [*gaps, (after[1] - before[1]).abs().max()]])
    return [*blocks, "flow"], np.array(moved).T


# %%
names, moved = noticed(opened(model))
for name, row in zip(names, moved):
    print(f"{name:9} notices a change of: {', '.join(n for n, m in zip(names, row) if m)}")
pictures.mask_figure(moved, names, "measured: row notices a change of column")

# %% [markdown]
# The same blocks as at the top, found without looking at any mask. The rows of pictures and prompt are the reason
# that their keys and values can be cached; the gap between flow and action tokens is the reason that the flow block
# cannot copy.
#
# ## 7 · Try a change
# Any part can be swapped by handing in another class. This attention forgets the mask. **Predict** the picture:
# which of its rectangles stay grey, and why those?

# %%
from functools import partial

from pi05lite.model.expert import ActionExpert


class Forgetful(layers.Attention):
    """Attention that looks at everything, padding and future included."""

    def forward(self, x, bias, turn, past=None, record=None):
        return super().forward(x, torch.zeros_like(bias), turn, past, record)


torch.manual_seed(0)
careless = Pi05(setup.config, attention=Forgetful, expert=partial(ActionExpert, attention=Forgetful))
names, moved = noticed(opened(careless))
pictures.mask_figure(moved, names, "measured without a mask")

# %% [markdown]
# All is blue but the column of the flow block. That one does not hang on the mask: the prefix is computed before the
# flow block exists. And note that nothing failed, no error and no warning:
# a forgotten mask shows only in a test like this one, or on the robot.
#
# ## What you have seen
# - Attention reads values by likeness of query and key; the mask goes in before the softmax.
# - RoPE turns queries and keys, never values; only distances matter.
# - One flag a token makes every mask but one: flow and FAST tokens never see each other.
# - Nothing looks at the flow block, so all before it is computed once and cached.
#
# **Common confusions.** In a mask, rows look and columns are looked at. A block mask is not causal: patches see
# later patches. Padding is masked as a *column*; what its own row says is never used. Cached keys are already
# turned. The papers print 18 heads for the real model; it has 8 (18 is the number of layers).
#
# **Ask yourself.** Why are positions counted over valid tokens only? Why may the prompt see the pictures *and* the
# pictures the prompt? What would the state token of pi0 need as its flag?
#
# Next: chapter 06 makes actions out of noise; chapter 07 lets an expert read these keys and values.
#
# **To read.** Vaswani et al. 2017, arXiv 1706.03762. Su et al. 2021, arXiv 2104.09864 (RoPE). Beyer et al. 2024,
# arXiv 2407.07726 (PaliGemma: prefix masks). pi0.5, arXiv 2504.16054, section IV.
