# %% [markdown] assign=true
# # 05 · Action tokens: motion as words
#
# **The question:** a language model writes tokens from a list. A robot needs hundreds of numbers a second.
# How does motion become tokens, how many does it take, and what is lost?

# %% [markdown]
# ![One joint of a chunk: cut into bins, as rounded frequencies, bent by one code of eight; and what each way loses at how many tokens.](figures/05_action_tokens.png)
#
# When you are done you can
#
# 1. write the bins of RT-2 and OpenVLA, and say why they teach a model to copy,
# 2. build FAST by hand, down to the last merge, and get the tokens of the published algorithm,
# 3. build the quantiser of a learned codebook, and let a gradient through a choice that has none,
# 4. choose between them by measured rate and distortion.
#
# Reading 30 minutes, four exercises 40 minutes, computing about a minute on two CPU cores. You need NumPy and a
# little PyTorch; chapter 01 tells what a chunk is. What is built here lies in `pi05lite/tokens`: `bins.py`,
# `fast.py`, `bpe.py`, `vq.py` and `quantizers.py`.

# %% assign=true
import os

import numpy as np
import torch

import pi05lite
from pi05lite import checks

torch.manual_seed(0)
STEPS = int(os.environ.get("PI05LITE_STEPS", 10_000))  # no more than so many training steps a cell

# %% [markdown]
# ## 1 · A chunk is a table of numbers
# Real motion: every chunk of 50 steps of a real arm, from training episodes and from episodes that are kept
# apart. pi0.5 turns each chunk into tokens and learns to write them, as it learns to write words.

# %%
from pi05lite.data.robots import KNOWN, describe_robot, open_known
from pi05lite.evaluate.tokens import robot_chunks
from pi05lite.train.setup import available
from pi05lite.widgets import pictures

name = available("cr5")[0]
data = robot_chunks(name, 50)
H, A = data.test.shape[1:]
print(f"{name}: {len(data.train)} chunks to learn from, {len(data.test)} held out, "
      f"{H} x {A} = {H * A} numbers each")

# %% [markdown]
# One of the held-out ones, normalised. Most dimensions move slowly, some stand still, the gripper jumps:

# %%
seconds = np.arange(H) / open_known(name)[0].fps
motion = np.abs(np.diff(data.test, axis=1)).sum((1, 2)) * data.test_mask.all(1)
chunk = data.test[np.argsort(motion)[-len(motion) // 8]]  # livelier than seven in eight
pictures.compare_chunks(seconds, {"what was done": chunk}, data.names, "one chunk")

# %% [markdown]
# ## 2 · Bins: a token for every number
# The plain way, of RT-2 and OpenVLA: cut the range of each dimension into 256 stretches of equal length; the token
# is the number of the stretch, and stands for its middle. The range goes from the 1 % to the 99 % **quantile** of the
# training data and not from the smallest to the largest value: one wild command would otherwise use up the bins.
#
# $$x = 2\,\frac{a - q_{01}}{q_{99} - q_{01}} - 1 \;\text{, clipped to } [-1, 1], \qquad \text{bin} = \left\lfloor \frac{x+1}{2}\, N \right\rfloor$$

# %% [markdown] assign=true
# ### Exercise 1 · Into bins and back (easy, 8 minutes)
# `actions` (T, A) are in the robot's units, `low` and `high` (A,) are the 1 % and 99 % quantiles of each dimension.
# Return the bin numbers (T, A), 0 to bins - 1, of the range from low to high cut into `bins` equal stretches, and
# the actions (T, A) that they stand for: the centres of the bins, **in the robot's units**. Values beyond the
# quantiles belong to the first and the last bin, and so does `high` itself.

# %% exercise="bins_and_back"
def bins_and_back(actions, low, high, bins=256):
    """Bin numbers (T, A) of actions (T, A), and the actions (T, A) that they stand for."""
    ### BEGIN SOLUTION
    share = ((actions - low) / (high - low)).clip(0, 1)
    ids = np.minimum(np.floor(share * bins), bins - 1).astype(int)
    return ids, low + (ids + 0.5) / bins * (high - low)
    ### END SOLUTION


# %% check="bins_and_back" points=3
from pi05lite.checks.tokens import check_bins_and_back

points = check_bins_and_back(bins_and_back)
### BEGIN HIDDEN TESTS
ids, back = bins_and_back(np.array([[0.0], [9.9], [10.0]]), np.array([0.0]), np.array([10.0]), 10)
points = points if [int(i) for i in ids[:, 0]] == [0, 9, 9] and abs(back[0, 0] - 0.5) < 1e-6 else 0
### END HIDDEN TESTS
points

# %% [markdown]
# <details><summary>Hint</summary>
#
# Work with the share of the range, 0 to 1: `(actions - low) / (high - low)`, clipped. Bin k holds the shares from
# k / bins to (k + 1) / bins, so `np.floor`. Where does a share of exactly 1 go?
# </details>

# %%
from pi05lite.tokens.bins import BinsTokenizer


def packaged_bins(actions, low, high, bins=256):
    """The package's, which takes a batch of normalised chunks."""
    tokenizer = BinsTokenizer(bins)
    ids = tokenizer.encode(((actions - low) / (high - low) * 2 - 1)[None])
    back = tokenizer.decode(ids, *actions.shape)[0][0]
    return np.reshape(ids, actions.shape), low + (back + 1) / 2 * (high - low)


bins_and_back = checks.going_on("bins_and_back", bins_and_back, packaged_bins)

# %%
training = open_known(name)[0]
robot = describe_robot(training, KNOWN[name], H)
actions, stats = training.actions(0), robot.stats.action
for bins in (4, 16, 64, 256):
    ids, back = bins_and_back(actions, stats.q01, stats.q99, bins)
    inside = (actions >= stats.q01) & (actions <= stats.q99)
    error = np.abs(back - actions) / (stats.q99 - stats.q01) * 2
    print(f"{bins:4} bins: largest error inside the quantiles {error[inside].max():.4f} of a range of 2, "
          f"beyond them {error.max():.2f}")

# %% [markdown]
# 256 bins lose almost nothing. Their price is the **rate**: 350 tokens for one chunk of 7 joints, each written by one
# pass through the model. And there is a second price. **Predict:** how many of these tokens are the same as the
# token one step before?

# %%
ids, _ = bins_and_back(data.test.reshape(-1, A), -np.ones(A), np.ones(A), 256)
ids = np.reshape(ids, data.test.shape)  # (M, H, A)
for every in (1, 2, 5, 10):
    real = data.test_mask[:, ::every][:, 1:]
    jump = np.abs(np.diff(ids[:, ::every], axis=1))[real]
    print(f"every {every:2}th step ({training.fps / every:4g} Hz): {np.mean(jump == 0):.0%} of tokens repeat, "
          f"{np.mean(jump <= 4):.0%} are within 4 bins")

# %% [markdown]
# On cr5 59 % repeat at 10 Hz and 47 % at 1 Hz (some joints stand still anyway); pi0.5 runs at 50 Hz. The faster the
# control, the less a token says that the last one did not. A model then lowers its loss by copying and never needs
# to look at the pictures; this is what the authors of FAST saw happen. So do not spell every step. Spell what **changes**.
#
# ## 3 · FAST, first half: frequencies
# The discrete cosine transform writes each dimension of a chunk as a sum of H cosine waves. Number $k$ makes $k$ half
# turns from the first step to the last, so number 0 is the mean, low ones are the slow motion, high ones the jitter:
#
# $$c_k = s_k \sum_{t=0}^{H-1} x_t \cos\!\left(\frac{\pi\,(t+\tfrac12)\,k}{H}\right), \qquad s_0 = \sqrt{1/H}, \quad s_k = \sqrt{2/H}$$
#
# With these $s_k$ the matrix is orthonormal: its inverse is its transpose, and squared errors stay what they are.
# Keep only the slowest waves of our chunk and drag the slider:

# %%
import plotly.graph_objects as go

from pi05lite.tokens.fast import cosine_matrix

waves = cosine_matrix(H)  # (H, H), a wave a row
kept = {}
for k in (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, H):
    kept[k] = (waves[:k].T @ (waves[:k] @ chunk)).round(4)  # there and back with k waves
figure = pictures.compare_chunks(seconds, {"what was done": chunk, "slowest waves": kept[1]}, data.names,
                                 "a chunk from its slowest waves")
figure.frames = [go.Frame(name=str(k), traces=list(range(A, 2 * A)), data=[go.Scatter(y=y) for y in rough.T])
                 for k, rough in kept.items()]
figure.update_layout(**pictures.scrubber(figure.frames, "waves "), height=figure.layout.height + 90)

# %% [markdown]
# A smooth joint needs a handful; the jump of a gripper needs them all. Then comes the only loss of FAST: multiply by
# a **scale** and round. Small coefficients become 0, and there are many.
#
# In which order do the numbers go into the row? All dimensions' wave 0, then all dimensions' wave 1, and so on: the
# tokens written first say roughly where everything goes, those that follow only refine it.

# %% [markdown] assign=true
# ### Exercise 2 · The numbers of FAST (medium, 10 minutes)
# `chunk` is (H, A). Transform each dimension over time by the orthonormal cosine transform,
#
# $$c_k = s_k \sum_{t=0}^{H-1} x_t \cos\!\left(\frac{\pi\,(t+\tfrac12)\,k}{H}\right), \qquad s_0 = \sqrt{1/H}, \quad s_k = \sqrt{2/H},$$
#
# multiply by `scale`, round to the nearest whole number, and return one row of H * A numbers: first wave 0 of all
# dimensions, then wave 1 of all dimensions, and so on.

# %% exercise="fast_numbers"
def fast_numbers(chunk, scale=10.0):
    """H * A whole numbers of a chunk (H, A), lowest frequencies of all dimensions first."""
    ### BEGIN SOLUTION
    H = len(chunk)
    k, t = np.arange(H)[:, None], np.arange(H)[None, :]
    waves = np.sqrt(2 / H) * np.cos(np.pi * (t + 0.5) * k / H)  # (H, H)
    waves[0] /= np.sqrt(2)
    return np.rint(waves @ chunk * scale).astype(int).ravel()
    ### END SOLUTION


# %% check="fast_numbers" points=3
from pi05lite.checks.tokens import check_fast_numbers

points = check_fast_numbers(fast_numbers)
### BEGIN HIDDEN TESTS
still = np.asarray(fast_numbers(np.array([[0.5, -1.0]] * 16), 10.0))
points = points if still.tolist() == [20, -40] + [0] * 30 else 0
### END HIDDEN TESTS
points

# %% [markdown]
# <details><summary>Hint</summary>
#
# Make the matrix (H, H) of all waves at once: `k` as a column, `t` as a row. Then `waves @ chunk` is (H, A), with the
# frequency as the first axis. What does `.ravel()` do with rows and columns?
# </details>
#
# <details><summary>The paper flattens "column first"?</summary>
#
# Its matrix is (A, H), dimensions by frequencies. Ours is (H, A). Both put the low frequencies first.
# </details>

# %%
from pi05lite.tokens.fast import FastTokenizer


def packaged_numbers(chunk, scale=10.0):
    """The package's, which takes a batch of chunks."""
    return FastTokenizer(scale=scale).coefficients(chunk[None]).ravel()


fast_numbers = checks.going_on("fast_numbers", fast_numbers, packaged_numbers)

# %%
from plotly.subplots import make_subplots

table = np.reshape(fast_numbers(chunk), (H, A))  # frequency by dimension
figure = make_subplots(1, 2, subplot_titles=["the chunk: steps", "FAST's numbers: waves (grey: 0)"])
colors = [[0, pictures.COLORS[0]], [0.5, "rgba(127,127,127,0.15)"], [1, pictures.COLORS[5]]]
for column, z in enumerate((chunk, table), start=1):
    limit = float(np.abs(z).max()) if column == 1 else 20.0
    figure.add_heatmap(z=np.round(z.T, 2), zmin=-limit, zmax=limit, colorscale=colors, row=1, col=column,
                       y=data.names, showscale=False, xgap=1, ygap=1)
figure.update_xaxes(zeroline=False, showgrid=False).update_yaxes(autorange="reversed", showgrid=False, ticks="")
figure.update_yaxes(showticklabels=False, col=2)
figure.update_layout(**{**pictures.LAYOUT, "margin": dict(l=110, r=20, t=90, b=40)}, height=330,
                     title_text=f"{np.mean(table == 0):.0%} of the numbers are 0")

# %% [markdown]
# ## 4 · FAST, second half: words
# A row of 350 small numbers, most of them 0, is much like a text: the same letters stand side by side again and again.
# **Byte pair encoding** makes words of them, as it does in language models: find the most frequent pair of
# neighbours, make it one new token, look again. This is the only thing FAST learns, and it loses nothing.

# %% [markdown] assign=true
# ### Exercise 3 · One step of byte pair encoding (medium, 12 minutes)
# `rows` is a list of lists of tokens. Find the pair of neighbours that occurs most often **within** the rows (of
# equally frequent pairs the smallest), and put the token `new` in place of each occurrence, going through each row
# **from the left**: `0 0 0` with (0, 0) merged is `new 0`. Return the pair (a, b) and the new rows; leave the rows
# that you were given as they are.

# %% exercise="merge_once"
def merge_once(rows, new):
    """((a, b), rows): the most frequent pair of neighbours, and the rows with `new` in its place."""
    ### BEGIN SOLUTION
    count = {}
    for row in rows:
        for pair in zip(row, row[1:]):
            count[pair] = count.get(pair, 0) + 1
    best = min(count, key=lambda pair: (-count[pair], pair))
    merged = []
    for row in rows:
        out, i = [], 0
        while i < len(row):
            hit = tuple(row[i:i + 2]) == best
            out.append(new if hit else row[i])
            i += 2 if hit else 1
        merged.append(out)
    return best, merged
    ### END SOLUTION


# %% check="merge_once" points=3
from pi05lite.checks.tokens import check_merge_once

points = check_merge_once(merge_once)
### BEGIN HIDDEN TESTS
pair, rows = merge_once([[4, 4, 4, 4, 4], [2, 4, 4]], 9)
points = points if tuple(pair) == (4, 4) and [list(r) for r in rows] == [[9, 9, 4], [2, 9]] else 0
### END HIDDEN TESTS
points

# %% [markdown]
# <details><summary>Hint</summary>
#
# Count with `zip(row, row[1:])`, one row at a time, into a dictionary. `min(count, key=lambda pair: (-count[pair],
# pair))` takes the most frequent, of equals the smallest. To merge, walk with an index that goes two places on after
# a hit and one otherwise.
# </details>

# %%
from tokenizers import Tokenizer, models, trainers


def packaged_merge(rows, new):
    """One merge by the `tokenizers` library, which the package uses. Tokens become characters."""
    texts = ["".join(chr(t) for t in row) for row in rows]
    letters = sorted(set("".join(texts)))
    trainer = trainers.BpeTrainer(vocab_size=len(letters) + 1, initial_alphabet=letters, show_progress=False)
    bpe = Tokenizer(models.BPE())
    bpe.train_from_iterator(texts, trainer)
    word = bpe.id_to_token(len(letters))
    return tuple(map(ord, word)), [[ord(c) for c in t.replace(word, chr(new))] for t in texts]


merge_once = checks.going_on("merge_once", merge_once, packaged_merge)

# %% [markdown]
# Now train a tokenizer with it. The lowest number becomes token 0, so that all are counted from 0; every merge adds one
# token behind them. **Predict:** which pair merges first, and how many merges until a chunk is half as long?

# %%
some = FastTokenizer().prepare(data.train, data.train_mask)[::20]  # a sample is enough to see it
numbers = np.array([fast_numbers(c) for c in some])
letters = int(numbers.max() - numbers.min()) + 1
rows, merges, lengths = (numbers - numbers.min()).tolist(), [], [H * A]
for n in range(min(200, STEPS)):
    pair, rows = merge_once(rows, letters + n)
    merges.append(tuple(pair))
    lengths.append(np.mean([len(row) for row in rows]))
print("first merge:", [int(t + numbers.min()) for t in merges[0]])
figure = pictures.episode_figure(np.arange(len(lengths)), np.array(lengths)[:, None], [""],
                                 f"{H * A} numbers became {lengths[-1]:.0f} tokens a chunk")
figure.update_xaxes(title="merges", zeroline=False).update_yaxes(title="tokens", rangemode="tozero", zeroline=False)

# %% [markdown]
# Runs of zeros become words first; on cr5 half of the length is gone after seven merges. Is this really FAST? The package
# leaves the merging to the `tokenizers` library, as the published processor does. Same chunks, same number of
# merges:

# %%
theirs = FastTokenizer(letters + len(merges)).fit(some)
assert theirs.encode(some) == [list(row) for row in rows]
print(f"your {len(merges)} merges spell all {len(some)} chunks with the library's tokens, one for one")

# %% [markdown]
# (The published processor spells the numbers in UTF-8 first and cuts the text at characters that look like spaces,
# which merges cannot cross. `FastTokenizer(byte_level=True)` does the same and gives its exact ids; without the
# detour sequences are shorter.)
#
# The whole tokenizer, fitted on all training chunks with the published 1024 tokens and scale 10:

# %%
fast = FastTokenizer().fit(data.train, data.train_mask)
ids = fast.encode(chunk[None])
back, ok = fast.decode(ids, H, A)
print(f"{H * A} numbers, {len(ids[0])} tokens:", *ids[0][:12], "...")
print("largest error", np.abs(back[0] - chunk).max().round(3), "of a range of 2")
pictures.compare_chunks(seconds, {"what was done": chunk, "from FAST tokens": back[0]}, data.names,
                        f"{len(ids[0])} tokens")

# %% [markdown]
# How does the number of tokens grow with the control rate? Real motion was resampled to 5 ... 50 Hz and measured
# on held-out episodes (`pi05lite tokens measure`; this figure reads the stored result). Ten times the rate is ten
# times the bins, but hardly more FAST: the motion is the same, and only waves that are really there cost tokens.

# %%
import json
from pathlib import Path

from pi05lite.evaluate.tokens import PAPER
from pi05lite.widgets import tokens as drawn

results = Path(pi05lite.__file__).parents[1] / "data" / "results"
stored = json.loads((results / "tokens.json").read_text())
drawn.control_rate_figure(stored["rates"], PAPER)

# %% [markdown] assign=true prose="copying" points=3
# ### Question · In words (5 minutes)
# A policy that writes 256 bins at 50 Hz reaches a low token loss within an hour of training. On the robot the arm
# hardly moves. The same model with FAST tokens has a higher loss a token, and moves. Explain both, and name one thing
# that FAST makes harder. Four sentences.
#
# ### BEGIN MARK SCHEME
# - 1 point: at 50 Hz a bin token nearly always equals the token one step before, so copying it gives a low loss without
#   using pictures or prompt; a policy that copies its last action stays where it is.
# - 1 point: FAST's frequencies have this repetition taken out: each token tells something new about the whole chunk,
#   so it is harder to guess (higher loss a token) and must be learned from the observation. Losses a token of different
#   tokenizers cannot be compared.
# - 1 point: any of: lengths vary; one wrong token moves all numbers behind it or leaves too few or too many, so the
#   chunk may not decode; tokens are written one after the other, the chunk is there only at the end.
# ### END MARK SCHEME

# %% [markdown]
# ## 5 · A learned codebook
# The other family asks a network. An **encoder** turns the chunk into 8 points of a few numbers each, every point is
# replaced by the nearest of 256 **code** vectors, and a **decoder** makes a chunk of the 8 codes. The tokens are the
# numbers of the codes: 350 numbers in 8 tokens, 44 times fewer.
#
# **A warning about names.** Short accounts of pi0.5, the notes this kit began from among them, describe *this* and call
# it FAST. The published FAST (arXiv 2501.09747), which pi0-FAST and pi0.5 use, is what you have just built: a fixed
# transform, rounding, and BPE. It has no network and no codebook of shapes.
#
# | | FAST | learned codebook (VQ) |
# |---|---|---|
# | what is learned | which numbers stand side by side | encoder, codes and decoder |
# | tokens of a chunk | as many as its motion needs | always the same |
# | where the loss comes from | rounding: the same everywhere | whatever the decoder has not seen |
# | another horizon or robot | works | must be trained again |
# | what a token means | a few frequencies of a few dimensions | only the decoder knows |
#
# Choosing the nearest code has **no gradient**: move the point a little, and the code stays the same. The trick is to
# lie on the way back: forward the code, backward as if nothing had happened (straight through),
#
# $$\text{passed} = z + \mathrm{stop}(e_{\text{nearest}} - z)$$
#
# And a codebook has a disease: codes that nothing is near are never moved and never used. **Perplexity** tells how many
# codes are in even use: $\exp(-\sum_k p_k \ln p_k)$ with $p_k$ the share of points that take code $k$.

# %% [markdown] assign=true
# ### Exercise 4 · The nearest code (medium, 10 minutes)
# `z` (M, D) are points, `codebook` (K, D) the code vectors. Return three things: the vector of the nearest code
# (squared distance) for each point (M, D), with the gradient **straight through**: it reaches `z` unchanged, and the
# codebook not at all; the numbers of the codes (M,); and the perplexity $\exp(-\sum_k p_k \ln p_k)$ of the codes in use.

# %% exercise="quantize"
def quantize(z, codebook):
    """(vectors (M, D) with a straight-through gradient, codes (M,), perplexity) of points (M, D)."""
    ### BEGIN SOLUTION
    codes = torch.cdist(z, codebook).argmin(dim=1)
    passed = z + (codebook[codes] - z).detach()
    share = torch.bincount(codes, minlength=len(codebook)) / len(codes)
    return passed, codes, (-torch.xlogy(share, share).sum()).exp()
    ### END SOLUTION


# %% check="quantize" points=4
from pi05lite.checks.tokens import check_quantize

points = check_quantize(quantize)
### BEGIN HIDDEN TESTS
z = torch.tensor([[0.1], [0.9], [2.2], [2.1]], requires_grad=True)
passed, codes, even = quantize(z, torch.tensor([[0.0], [1.0], [2.0], [9.0]]))
passed.square().sum().backward()
good = (torch.as_tensor(codes).tolist() == [0, 1, 2, 2] and abs(float(even) - 2 * 2**0.5) < 1e-3
        and torch.allclose(z.grad[:, 0], torch.tensor([0.0, 2.0, 4.0, 4.0]), atol=1e-4))
points = points if good else 0
### END HIDDEN TESTS
points

# %% [markdown]
# <details><summary>Hint</summary>
#
# `torch.cdist(z, codebook)` is (M, K). In `z + (codebook[codes] - z).detach()` the value of the sum is the code, and
# its gradient is that of the first z. `torch.xlogy(p, p)` is p log p, and 0 where p is 0.
# </details>

# %%
from pi05lite.tokens.quantizers import VectorQuantizer
from pi05lite.tokens.vq import VQTokenizer


def packaged_quantize(z, codebook):
    """The package's, which keeps its codebook."""
    quantizer = VectorQuantizer(*codebook.shape)
    quantizer.codebook.copy_(codebook.detach())
    passed, codes, _ = quantizer(z)
    share = torch.bincount(codes[:, 0], minlength=len(codebook)) / len(codes)
    return passed, codes[:, 0], (-torch.xlogy(share, share).sum()).exp()


quantize = checks.going_on("quantize", quantize, packaged_quantize)

# %% [markdown]
# Put your quantiser into the package's codec (encoder and decoder: a linear map plus a small MLP each) and train it on
# the training chunks. Its codes have 2 numbers each, so that they can be drawn; the kit's usual ones have 4.

# %%
class Yours(VectorQuantizer):
    """The package's codebook with your choice of codes."""

    def forward(self, latents):
        passed, codes, _ = quantize(latents.flatten(0, 1), self.codebook)
        passed = passed.view_as(latents)
        return passed, codes.view(*latents.shape[:-1], 1), self.commitment(latents, passed)


book = VQTokenizer(8, quantizer=Yours(256, 2))
book.fit(data.train, data.train_mask, steps=min(800, STEPS))
print(f"training chunks: RMSE {book.report.rmse:.3f}, {book.report.usage:.0%} of the codes are used, "
      f"perplexity {book.report.perplexity:.0f} of 256")

# %%
def codes_figure(book, title, most=2000):
    """The latents of held-out chunks in the plane, and the codes that stand for them."""
    codec = book.codec
    with torch.no_grad():
        latents = codec.encode(torch.as_tensor(data.test)).flatten(0, 1)[:most].numpy()
        codes = codec.quantizer.codebook.numpy()
    figure = go.Figure(layout=dict(**pictures.LAYOUT, title_text=title, width=600, height=480))
    figure.add_scatter(x=latents[:, 0].round(3), y=latents[:, 1].round(3), name="latents", mode="markers",
                       marker=dict(color=pictures.TRUTH, size=3))
    figure.add_scatter(x=codes[:, 0], y=codes[:, 1], name="codes", mode="markers",
                       marker=dict(color=pictures.COLORS[5], size=7, symbol="x"))
    figure.update_xaxes(zeroline=False, showgrid=False)
    return figure.update_yaxes(zeroline=False, showgrid=False, scaleanchor="x")


codes_figure(book, f"256 codes, perplexity {book.report.perplexity:.0f}")

# %% [markdown]
# The codes lie where the latents are, densely where there are many. That takes care: the codebook *starts* by k-means
# on the latents, follows them by a moving average, and codes that nothing uses are moved onto latents. Section 9 takes
# these away.
#
# **What does a code say?** Change the first of the eight, keep the rest, and see which part of the chunk moves:

# %%
ids = book.encode(chunk[None])[0]
changed = {"from its codes": ids}
for k in (60, 160, 250):
    changed[f"first code {k}"] = [k, *ids[1:]]
decoded, _ = book.decode(list(changed.values()), H, A)
pictures.compare_chunks(seconds, dict(zip(changed, decoded)), data.names, "eight codes, and what the first one does")

# %% [markdown]
# All dimensions, all of the time: a code is no moment and no joint, it is a way for the whole chunk to bend. Compare the
# dotted line with the real chunk in section 1: smoother, and not exact.
#
# ## 6 · One wrong token
# A policy does not only lose by rounding; it writes wrong tokens too. Change one token of each held-out chunk at random:

# %%
from pi05lite.evaluate.tokens import flip

for label, tokenizer in {"bins": BinsTokenizer(), "FAST": fast, "codebook": book}.items():
    ids = tokenizer.encode(data.test, data.test_mask)
    broken, ok = tokenizer.decode(flip(ids, tokenizer.vocabulary_size), H, A)
    error = np.square(broken - data.test)[data.test_mask].mean() ** 0.5
    print(f"{label:9} {1 - ok.mean():4.0%} do not decode to a whole chunk any more; RMSE {error:.3f}")

# %% [markdown]
# A bin spoils one number. A code bends the chunk, to another chunk that some robot might do. A FAST token stands for
# one to many numbers; exchange it for a longer or shorter one, and all numbers behind it slip to another
# frequency, and the row has the wrong length. The policy's tokenizer knows this: `may_follow` tells which tokens may
# come next so that the chunk still gets whole, and the others are never drawn.

# %%
ids = fast.encode(chunk[None])[0]
for written in (0, len(ids) // 2, len(ids) - 1):
    allowed = fast.may_follow(ids[:written], H, A, limit=len(ids))
    print(f"after {written:3} of {len(ids)} tokens, {allowed.sum()} of {fast.vocabulary_size} may follow")

# %% [markdown]
# ## 7 · The same as the package
# Your four functions against the files in `pi05lite/tokens`, on held-out chunks. Next to read: `fast.py`, then
# `vq.py`.

# %%
one, sample = np.ones(A), data.test[::40]
assert BinsTokenizer().encode(sample) == [bins_and_back(c, -one, one)[0].ravel().tolist() for c in sample]
assert np.array_equal(FastTokenizer().coefficients(sample),
                      [np.reshape(fast_numbers(c), (H, A)) for c in sample])
with torch.no_grad():
    latents = book.codec.encode(torch.as_tensor(data.train)).flatten(0, 1)
    passed, codes, even = quantize(latents, book.codec.quantizer.codebook)
    known = book.codec.quantizer.nearest(latents)
assert (codes == known).float().mean() > 0.999  # a tie may fall either way
print("bins_and_back, fast_numbers and quantize agree with pi05lite.tokens; merge_once did in section 4")

# %% [markdown]
# ## 8 · Rate against distortion
# The payoff: what each family loses at how many tokens, on the chunks it was fitted on **and on episodes it has never
# seen**. Distortion is the root mean squared error in normalised units; the mean chunk, at no token at all, has 0.48
# on cr5.
#
# **Predict:** FAST's error at scale 2.5 is 0.07 at about 30 tokens. What will 32 codes get, on the training
# chunks and on the others? And what happens to FAST if its scale goes down to 1 and below?

# %%
def lost(tokenizer, chunks, mask):
    """(tokens a chunk, RMSE) of chunks (M, H, A)."""
    ids = tokenizer.encode(chunks, mask)
    error = np.square(tokenizer.decode(ids, H, A)[0] - chunks)[mask].mean() ** 0.5
    return np.mean([len(row) for row in ids]), error


table = []


def measure(family, setting, tokenizer):
    """Two rows of the table, of a fitted tokenizer."""
    seen, unseen = lost(tokenizer, data.train, data.train_mask), lost(tokenizer, data.test, data.test_mask)
    for where, (tokens, rmse) in (("training episodes", seen), ("held-out episodes", unseen)):
        table.append(dict(robot=where, family=family, setting=setting, tokens=tokens, rmse=rmse))
    bits = unseen[0] * np.log2(tokenizer.vocabulary_size)
    print(f"{family:5}{setting:11} training {seen[0]:6.1f} tokens, RMSE {seen[1]:.3f}   "
          f"held out {unseen[0]:6.1f}, {unseen[1]:.3f}   {bits:5.0f} bits")


# %%
for bins in (4, 16, 256):
    measure("bins", f"{bins} bins", BinsTokenizer(bins))
for scale in (0.5, 1, 2.5, 10, 40):
    measure("FAST", f"scale {scale:g}", FastTokenizer(scale=scale).fit(data.train, data.train_mask))

# %%
for n in (4, 8, 16, 32):
    tokenizer = VQTokenizer(n)
    measure("VQ", f"{n} codes", tokenizer.fit(data.train, data.train_mask, steps=min(800, STEPS)))

# %%
figure = drawn.rate_distortion_figure(table, title="what is lost at how many tokens (lower left is better)")
figure.update_xaxes(range=[0.4, 2.7]).update_yaxes(range=[-2.8, -0.5])

# %% [markdown]
# On cr5, in our run:
#
# - **Bins** stand on a wall: 350 tokens, whatever they keep. 350 tokens of four bins lose about what 4 codes lose.
# - **FAST** loses the same on episodes it has never seen (scale 2.5: 0.069 and 0.071). It pays for what is new in tokens,
#   28 and 31. Rounding has no favourite motions; the words of BPE have.
# - **The codebook** has favourites: 32 codes lose 0.095 on training chunks and 0.112 on the others. (With the kit's usual 1,500
#   steps in place of 800 it is 0.103 on the others. The gap is what there is to learn from: 18 episodes.)
# - At 30 tokens FAST is well ahead. The lines **cross** near 10 tokens; below, the codebook loses less. In **bits** they cross
#   near 120, since a FAST token is one of 1024 (10 bits) and a code one of 256 (8 bits).

# %% [markdown]
# Five more sets of real motion and one of smooth waves, measured the same way (held-out episodes, stored), with two more
# codebooks: **residual VQ**, where each code names what the ones before it left over, and **FSQ**, which has no codebook and
# rounds each number of a point to a few levels, so that nothing can die. Here FAST's
# lines end at scale 2.5, and the gap to the left of them is not its limit: on DROID scale 1 takes 10 tokens and loses
# 0.104, less than 16 codes (0.150). Where the lines cross, and whether they do, hangs on the data. Measure on yours.

# %%
drawn.rate_distortion_figure(stored["table"])

# %% [markdown]
# **Fewer tokens or less error, which is better for a policy?** Neither figure answers that; training does. The same
# tiny policy, 200 s of pre-training on cr5 with each, one seed (stored by `pi05lite tokens learn`). Lower is better:

# %%
drawn.learning_figure(json.loads((results / "token_learning.json").read_text())["rows"])

# %% [markdown]
# In so little training the shortest sequences do best at 50 steps: that model sees the most chunks. The authors of FAST, with
# far more training, found the opposite: FAST ahead of bins, and ahead of learned codes where motion must be exact. What pi0.5
# makes of it: FAST in pre-training, where tokens train fast beside words, and flow matching in post-training, because
# tokens are rounded and slow to write one after the other (chapter 09).
#
# ## 9 · Try a change
# Take the care away: a codebook that starts as a small cloud round 0, numbers between -1/256 and 1/256 as in many copies
# of VQ-VAE, and whose dead codes are never revived. **Predict:** how many of the 256 codes will be in use, and how much
# does it cost? Then delete `revive` from the class and run it again.

# %%
class Careless(VectorQuantizer):
    """A codebook that starts round 0, and that nobody looks after."""

    def start(self, latents, generator):
        self.codebook.copy_((torch.rand(self.codebook.shape, generator=generator) * 2 - 1) / self.codes)
        self.total.copy_(self.codebook)  # as if each had been used once

    def revive(self, latents, generator):
        return 0


careless = VQTokenizer(8, quantizer=Careless(256, 2))
careless.fit(data.train, data.train_mask, steps=min(800, STEPS))
for label, each in (("with care", book), ("careless", careless)):
    print(f"{label:10} perplexity {each.report.perplexity:4.0f}, {each.report.usage:4.0%} used, held-out RMSE "
          f"{lost(each, data.test, data.test_mask)[1]:.3f}")
codes_figure(careless, f"without care: perplexity {careless.report.perplexity:.0f} of 256")

# %% [markdown]
# On cr5: perplexity 50 in place of some 240, and 70 % of the codes never occur: they still lie where they began, all other latents
# have a nearer one, so nothing ever pulls them. The loss alone hardly tells (0.19 against 0.18): encoder and decoder
# make do with what is left. So watch the perplexity of a codebook, not only its error. With revival back it is
# some 240 again.
#
# ## What you have seen
# - Bins: one token a number; nearly exact, long, and at high rates full of copies.
# - FAST: cosine transform, scale, round, flatten slow waves first, BPE. Only the rounding loses, only BPE learns.
# - A codebook: encoder, nearest code, decoder; the gradient goes straight through, and codes die without care.
# - Rate and distortion are measured on episodes that were kept apart, or the learned code looks better than it is.
#
# **Common confusions.** FAST is not the learned codebook. A larger scale keeps *more*. FAST's numbers can be anything, its
# tokens are 0 to 1023. Perplexity of codes is good when high; perplexity of a language model when low. A lower loss *a
# token* says nothing across tokenizers. In openpi FAST's first 1024 ids fall on PaliGemma's 1024 box tokens, so
# a model with boxes needs ids of their own, as here (`pi05lite/tokens/vocabulary.py`).
#
# **Ask yourself.** Why must a chunk that runs past the end of an episode be filled by its last action and not by zeros?
# Which of the three would you send over a slow radio link? What does FAST do with a gripper, and would you treat it apart?
#
# Next: chapter 06 makes the same chunks without any token.
#
# **To read.** Brohan et al. 2023, arXiv 2307.15818 (RT-2: bins). Pertsch et al. 2025, arXiv 2501.09747 (FAST). van den
# Oord et al. 2017, arXiv 1711.00937 (VQ-VAE). Lee et al. 2024, arXiv 2403.03181 (VQ-BeT: codebooks for actions).
