# %% [markdown] assign=true
# # 14 · The real pi0.5: sizes, cost, real weights, fine-tuning, many devices
#
# **The question:** what changes when the same code runs 3.35 B parameters, and what must you know before you rent a
# GPU?

# %% [markdown]
# ![Left: four bars, the shares of picture tower, VLM, word table and action expert in parameters, arithmetic, bytes moved and least time; the expert is small in the first two and large in the third. Right: what memory holds for running, for adapters, and for training all weights.](figures/14_real_pi05.png)
#
# When you are done you can
#
# 1. say what any part of pi0.5 costs, in parameters, arithmetic and bytes, without a GPU and in seconds,
# 2. work out the least time of a chunk on a device, and know from it which part to spend on,
# 3. work out what memory running, training and adapters take,
# 4. read a published checkpoint, find out why one does not fit, and know what else belongs to it,
# 5. train adapters, and share one batch between devices without changing what is learned.
#
# Reading 25 minutes, four exercises 40 minutes, computing a minute or two on two CPU cores, no download. You need
# chapters 03 (the cache), 06 (flow) and 07 (the expert). It reads `pi05lite/model/describe.py`, `model/importing.py`
# and `train/lora.py`.

# %% assign=true
import copy
import os
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import plotly.graph_objects as go
import torch

import pi05lite
from pi05lite import checks, config
from pi05lite.errors import ConfigError
from pi05lite.model import describe, importing
from pi05lite.model.describe import H100, H200, RTX4090, activations, measure_device
from pi05lite.model.expert import Pi0Expert
from pi05lite.model.pi05 import Pi05
from pi05lite.widgets import pictures

torch.manual_seed(0)
STEPS = int(os.environ.get("PI05LITE_STEPS", 10_000))  # no more than so many training steps a cell
OUT = Path(tempfile.mkdtemp())

# %% [markdown]
# ## 1 · The same classes, other numbers
# All chapters so far built `Pi05(config.tiny())` or smaller. `config.pi05()` is the real thing, and it is built by the
# same line. On the **meta device** a tensor has a shape and a type and no numbers, so 3.35 B of them take no memory:

# %%
began = time.perf_counter()
with torch.device("meta"):
    real = Pi05(config.pi05()).to(torch.bfloat16)
took, count = time.perf_counter() - began, sum(p.numel() for p in real.parameters())
print(f"{count:,} parameters in {took:.0f} s")
print("one weight:", tuple(real.vlm.layers[0].feed_forward.down.weight.shape), "on",
      real.embedding.weight.device)

# %% [markdown]
# Such a model can be *run*: every operation works out the shape of its result. Count the operations on the way, and
# you know the arithmetic of the code that really runs, whatever part was swapped. That is what `describe` does.
# **Predict:** the expert holds an eighth of the parameters. What share of the arithmetic is its? And of the bytes that
# are fetched from memory for a chunk?

# %%
whole = lambda c: real  # already built
table = pi05lite.describe(config.pi05(), H200, build=whole)
table

# %%
small = pi05lite.describe(config.tiny(), H200)
small

# %%
def shares(description):
    """Quantity -> the share of each part."""
    parts = description.parts
    table = {"parameters": [p.parameters for p in parts],
             "arithmetic": [p.runs * p.flops for p in parts],
             "bytes moved": [p.runs * p.moved for p in parts],
             "least time": [p.floor(H200) for p in parts]}
    return {name: np.array(values) / sum(values) for name, values in table.items()}


# %%
def share_figure(descriptions):
    """Stacked bars: what each part's share of each quantity is, in each size."""
    figure = go.Figure()
    rows = [(name, quantity) for quantity in shares(table) for name in descriptions]
    axis = [[quantity for _, quantity in rows], [name for name, _ in rows]]
    for n, part in enumerate(table.parts):
        values = [shares(descriptions[name])[quantity][n] for name, quantity in rows]
        figure.add_bar(y=axis, x=values, name=part.name, orientation="h",
                       marker_color=pictures.COLORS[(4, 2, 3, 0, 1)[n]])  # as in the head picture
    figure.update_xaxes(tickformat=".0%", range=[0, 1]).update_yaxes(autorange="reversed")
    return figure.update_layout(**pictures.LAYOUT, barmode="stack", height=420,
                                legend=pictures.NAMES_ABOVE | dict(traceorder="normal"),
                                title_text="one chunk")


share_figure({"real": table, "tiny": small})

# %% [markdown]
# In the real model the expert has 13 % of the parameters, 8 % of the arithmetic, and 65 % of the bytes: its weights are
# fetched ten times. In `tiny` it has 70 % of the arithmetic too, since its VLM reads 160 tokens and not 968. So **what
# you tuned at a small size need not be what costs at the large one.** Which of the columns counts?
#
# ## 2 · Where the time of one chunk goes
# A device does two things at once: it multiplies (`flops` a second) and it fetches numbers from memory (`bandwidth`
# bytes a second). A part can be done no sooner than the slower of the two. That is its **floor**. How much arithmetic
# comes with each byte decides which one it is:

# %%
print(f"an H200 can do {H200.flops / H200.bandwidth:.0f} operations while one byte comes in")
for p in table.parts:
    if p.flops:
        side = "arithmetic" if p.flops / p.moved > H200.flops / H200.bandwidth else "memory"
        print(f"{p.name:14} {p.flops / p.moved:7.0f} a byte: bound by {side}")

# %% [markdown]
# The tower and the VLM use each weight for hundreds of tokens. The expert has only the 50 steps of the chunk, so most of
# the time it waits for its weights. (The word table is looked up, not multiplied, to make a chunk.)

# %% [markdown] assign=true
# ### Exercise 1 · The least time of a chunk (medium, 10 minutes)
# `parts` is a list of (multiply-adds, bytes, runs): what **one** run of a part multiplies, what it fetches, and how
# often it runs for a chunk. Parts come one after the other. No weight stays on the chip between two runs. `flops` are
# floating-point operations a second (a multiply-add is a multiplication and an addition), `bandwidth` bytes a second.
# Return the seconds that a chunk takes at least.

# %% exercise="chunk_floor"
def chunk_floor(parts, flops, bandwidth):
    """Seconds of one chunk at least."""
    ### BEGIN SOLUTION
    return sum(runs * max(2 * macs / flops, moved / bandwidth) for macs, moved, runs in parts)
    ### END SOLUTION


# %% check="chunk_floor" points=4
from pi05lite.checks.real import check_chunk_floor

points = check_chunk_floor(chunk_floor)
### BEGIN HIDDEN TESTS
least = chunk_floor([(6.0, 1.0, 1), (1.0, 8.0, 3)], 4.0, 2.0)
points = points if abs(least - 15) < 1e-6 else 0
### END HIDDEN TESTS
points

# %% [markdown]
# <details><summary>Hint</summary>
#
# For one run: the seconds of arithmetic, the seconds of fetching, and of these the larger. Times the runs. Then add the
# parts.
# </details>
#
# <details><summary>Why not the larger of the two sums?</summary>
#
# That would let the VLM's arithmetic go on while the expert's weights come in. But the expert cannot start before the
# VLM is done, and its second run not before the first.
# </details>

# %%
def packaged_chunk_floor(parts, flops, bandwidth):
    """What `describe` does."""
    device = describe.Device("", flops, bandwidth)
    return sum(describe.Part("", 0, 2 * macs, moved, runs).floor(device)
               for macs, moved, runs in parts)


chunk_floor = checks.going_on("chunk_floor", chunk_floor, packaged_chunk_floor)

# %%
here = replace(measure_device(0.5), name="this machine")
rows = lambda t: [(p.flops / 2, p.moved, p.runs) for p in t.parts]
for device in (H200, H100, RTX4090, here):
    seconds = chunk_floor(rows(table), device.flops, device.bandwidth)
    print(f"{device.name:13} {device.flops / 1e12:7.3g} TFLOP/s  {device.bandwidth / 1e9:6.0f} GB/s  "
          f"at least {1000 * seconds:,.1f} ms a chunk")

# %% [markdown]
# (The cards' figures are those of their data sheets, for bf16 without sparsity; this machine's were measured just now
# with a large matrix product in fp32 and a large copy.)
#
# **How good is a floor?** It was never measured on a GPU by this kit, but others have measured theirs. The pi0 paper
# gives for an RTX 4090 and three cameras 14 ms for the pictures, 32 ms for the prefix, 27 ms for ten runs of the
# expert ([arXiv 2410.24164](https://arxiv.org/abs/2410.24164)); a later paper about nothing but speed gives 36.8 ms for
# the whole ([arXiv 2510.26742](https://arxiv.org/abs/2510.26742)). pi0 is pi0.5 with another expert and a shorter
# prompt, so:

# %%
older = lambda c: Pi05(c, expert=Pi0Expert)
pi0 = pi05lite.describe(config.pi05(), RTX4090, text=48, build=older)
for p in pi0.parts:
    print(f"{p.name:16} {1000 * p.floor(RTX4090):5.1f} ms")
print(f"floor {1000 * pi0.floor:.1f} ms: {pi0.share(0.073):.0%} of the first measurement, "
      f"{pi0.share(0.0368):.0%} of the second")

# %% [markdown]
# Part by part the floor is 4, 19 and 6 ms against 14, 32 and 27. The order is right where arithmetic rules, and most is
# lost in the **expert**: ten runs of many small operations, where the card waits for the next call. The second paper
# got most of that back: it needs a quarter more than the floor (for a prompt whose length we do not know). So a floor tells
# you what tuning can gain, and where.
#
# The same here, with a model that this machine can run:

# %%
from pi05lite.model.batch import Batch


def blank(c, B=1):
    """A batch of noise in the shape of a config."""
    px, tokens = c.vision.image_size, torch.randint(4, 200, (B, c.max_tokens))
    images = torch.rand(B, len(c.cameras), 3, px, px) * 2 - 1
    return Batch(images, torch.ones(B, len(c.cameras)).bool(), tokens, torch.zeros_like(tokens),
                 torch.ones_like(tokens).bool())


def seconds_a_chunk(model, tries=7):
    """The median."""
    batch, times = blank(model.config), []
    for _ in range(tries):
        began = time.perf_counter()
        model.sample(batch)
        times.append(time.perf_counter() - began)
    return float(np.median(times))


# %%
for name, c in {"nano": config.nano(), "tiny": config.tiny()}.items():
    costs = pi05lite.describe(c, here, dtype=torch.float32)
    took = seconds_a_chunk(Pi05(c).eval())
    print(f"{name}: floor {1000 * costs.floor:.2f} ms, measured {1000 * took:.1f} ms: "
          f"{costs.share(took):.0%}")

# %% [markdown]
# At these sizes it is calls and not arithmetic that one waits for. So the clock of a small model says little about the
# large one, and the count says much.
#
# ## 3 · What the cache takes
# The expert reads the keys and values that the VLM left (chapter 07). They are made once, kept, and fetched in each of the
# ten steps.

# %%
c = config.tiny()
prefix = Pi05(c).prefix(blank(c, B=2))
keys = prefix.cache[0][0]
print("layers:", len(prefix.cache), " keys of one:", tuple(keys.shape), keys.dtype)
print("bytes:", sum(x.numel() * x.element_size() for pair in prefix.cache for x in pair))

# %% [markdown]
# `(B, kv_heads, T, K)`: **one** head of keys, though there are four of queries. All queries ask the same keys, each in its own
# way (multi-query attention). The real model has 8 heads of queries and 1 of keys and values.

# %% [markdown] assign=true
# ### Exercise 2 · Bytes of the cache (easy, 5 minutes)
# `valid` (B, T) is False at padding. `c` has the sizes of the VLM: `width`, `depth`, `mlp`, `heads`, `kv_heads`,
# `head_dim`. Return the bytes of all that is kept of the prefix, with `size` bytes a number.

# %% exercise="cache_bytes"
def cache_bytes(valid, c, size):
    """Bytes of the keys and values of all layers."""
    ### BEGIN SOLUTION
    return 2 * c.depth * c.kv_heads * c.head_dim * valid.numel() * size
    ### END SOLUTION


# %% check="cache_bytes" points=3
from pi05lite.checks.real import check_cache_bytes

points = check_cache_bytes(cache_bytes)
### BEGIN HIDDEN TESTS
from pi05lite.config import TransformerConfig

other = TransformerConfig(width=9, depth=2, mlp=11, heads=4, kv_heads=2, head_dim=3)
points = points if int(cache_bytes(torch.zeros(2, 5).bool(), other, 4)) == 960 else 0
### END HIDDEN TESTS
points

# %% [markdown]
# <details><summary>Hint</summary>
#
# Look at the shape above. A tensor has all of its places, padded ones too. One tensor of keys, one of values, in each
# layer.
# </details>

# %%
def packaged_cache_bytes(valid, c, size):
    """From tensors of that shape, without numbers."""
    pair = [torch.empty(len(valid), c.kv_heads, valid.shape[1], c.head_dim, device="meta")] * 2
    return size * c.depth * sum(x.numel() for x in pair)


cache_bytes = checks.going_on("cache_bytes", cache_bytes, packaged_cache_bytes)

# %% [markdown]
# Now the real one: 3 cameras of 256 patches and 200 places of text. **Predict:** for one robot, does it matter that there
# is one head of keys and not eight? And for 32 robots at once?

# %%
vlm, expert = real.config.vlm, table.parts[-1]
weights = 2 * expert.parameters  # bytes that a run of the expert fetches, whatever the batch
for robots in (1, 8, 32):
    valid = torch.ones(robots, 3 * 256 + 200).bool()
    one, eight = (cache_bytes(valid, replace(vlm, kv_heads=n), 2) for n in (1, 8))
    more = (weights + eight) / (weights + one)
    print(f"{robots:2} robots: cache {one / 1e6:6.1f} MB, with 8 heads of keys {eight / 1e6:7.1f} "
          f"MB; a run of the expert fetches {more:.2f} times as much")

# %% [markdown]
# For one robot the cache is 18 MB beside 860 MB of weights: eight heads would have it fetch 14 % more. For many, the weights are
# fetched once for all and the caches are what is left, so that multi-query saves most where a model serves many.
# (It is 1/8 of the *cache*. It is not 1/8 of the arithmetic: there are 8 heads of queries all the same.)
#
# ## 4 · What training takes
# To run a model you hold its weights. To train it you hold them several times over:
#
# | | bytes a weight, trained | frozen |
# |---|---|---|
# | the weight, which takes steps too small for bf16 | 4 (fp32) | 2 (bf16) |
# | its gradient | 4 | |
# | AdamW's mean of the gradient, and of its square | 4 + 4 | |
# | a moving average of the weights (openpi keeps one unless it trains adapters) | 4 | |
#
# "Mixed precision" means that products are done in bf16: autocast makes the bf16 copies on the way, layer by layer. The
# weights themselves stay in fp32.

# %% [markdown] assign=true
# ### Exercise 3 · Memory of training (easy, 5 minutes)
# `trained` and `frozen` are numbers of weights. Those that are trained are in fp32, with gradient and both of AdamW's
# moments in fp32; frozen ones are in bf16. `average` says whether a moving average of what is trained is kept too, in
# fp32. No bf16 copies, no activations. Return the bytes.

# %% exercise="training_bytes"
def training_bytes(trained, frozen, average):
    """Bytes of weights, gradients, moments, and the average if there is one."""
    ### BEGIN SOLUTION
    copies = 5 if average else 4  # weights, gradients, two moments
    return 4 * copies * trained + 2 * frozen
    ### END SOLUTION


# %% check="training_bytes" points=3
from pi05lite.checks.real import check_training_bytes

points = check_training_bytes(training_bytes)
### BEGIN HIDDEN TESTS
points = points if training_bytes(7, 100, False) == 312 and training_bytes(7, 0, True) == 140 else 0
### END HIDDEN TESTS
points

# %% [markdown]
# <details><summary>Hint</summary>
#
# Four copies of what is trained, five with the average, each of 4 bytes a number. One copy of what is frozen.
# </details>

# %%
def packaged_training_bytes(trained, frozen, average):
    """By `lora.cost`, which counts a model's parameters."""
    model = torch.nn.ParameterList(torch.empty(n, device="meta") for n in (trained, frozen))
    model[1].requires_grad_(False)
    found = lora.cost(model)
    return found.total if average else found.total - found.average


from pi05lite.train import lora

training_bytes = checks.going_on("training_bytes", training_bytes, packaged_training_bytes)

# %% [markdown]
# **Adapters** (LoRA, section 6) train a small pair of matrices beside each frozen one. Here they are put into the real
# model, with openpi's ranks:

# %%
with torch.device("meta"):
    adapted = lora.add(copy.deepcopy(real), vlm=16, expert=32)
print(lora.summary(adapted))
N, A = table.parameters, lora.cost(adapted).trainable
held = {"run": 2 * N, "train adapters": training_bytes(A, N, average=False),
        "train all": training_bytes(N, 0, average=True)}
for name, size in held.items():
    print(f"{name:15} {size / 1e9:5.1f} GB")

# %% [markdown]
# So adapters cost next to nothing? One thing is missing, and it grows with the batch: what the forward pass **leaves
# behind for the backward pass**, the activations. They too can be counted without a GPU: autograd says what it keeps.
# **Predict:** with adapters 0.9 % of the weights are trained. Are 0.9 % of the activations kept?

# %%
kept = {"train adapters": activations(adapted.to(torch.bfloat16)), "train all": activations(real)}
for name, parts in kept.items():
    print(f"{name:15}", "  ".join(f"{part} {size / 1e9:.2f}" for part, size in parts.items()),
          f"  sum {sum(parts.values()) / 1e9:.2f} GB an example")

# %%
def memory_figure(batches=(1, 8, 32)):
    """What is held, by job and batch."""
    names = ["run", *(f"{job},<br>batch {B}" for job in kept for B in batches)]
    still = [held["run"], *(held[job] for job in kept for _ in batches)]
    grows = [0, *(B * sum(kept[job].values()) for job in kept for B in batches)]
    figure = go.Figure()
    for label, sizes, color in (("weights, gradients, moments, average", still, 0),
                                ("activations", grows, 1)):
        figure.add_bar(x=names, y=np.array(sizes) / 1e9, name=label,
                       marker_color=pictures.COLORS[color])
    for card, size in (("RTX 4090", 24), ("H100", 80), ("H200", 141)):
        figure.add_hline(y=size, line_dash="dot", line_color=pictures.TRUTH,
                         annotation_text=f"{card}, {size} GB", annotation_position="top left")
    figure.update_yaxes(title="GB")
    return figure.update_layout(**pictures.LAYOUT, barmode="stack", height=430,
                                legend=pictures.NAMES_ABOVE | dict(traceorder="normal"),
                                title_text="memory")


memory_figure()

# %% [markdown]
# Three quarters of them are kept, 4.1 GB an example in place of 5.5. To tell an adapter in the VLM's first layer what it did,
# the gradient comes back through every layer behind it, and needs what these held, trained or not. Only the tower in
# front of the first adapter leaves nothing. So a batch of 32 takes 132 GB beside the 7 of adapters, and 177 GB beside the 67 of
# all weights: **the batch decides, and not the 0.9 %.**
#
# Two ways out, both paid in time: a smaller batch (or several devices, section 7), or throwing activations away and
# computing them again on the way back, a forward pass more. openpi's JAX code does the latter; `fit` does not. (The count
# holds for a plain softmax, as meta tensors take it; a fused attention keeps less.)
#
# ## 5 · The real weights
# A published checkpoint is a table: names and tensors, in a file of the safetensors format. It starts with 8 bytes
# that say how long the head is, then comes the head, JSON with type, shape and place of each tensor, and then the
# numbers. So one can look into 7 GB without loading them. What openpi's pi0.5 has in its file, by our own classes:

# %%
places = importing.places(real)
for theirs in list(places)[:2] + list(places)[330:333] + list(places)[-3:]:
    print(f"{theirs}\n    {tuple(places[theirs].view.shape)}, our {places[theirs].ours}")
print(len(places), "names, and one more that no one uses: the expert's own word table")

# %% [markdown]
# `pi05lite/model/importing.py` keeps the whole map in 18 patterns. Each entry is a **view**: openpi stores q, k and v
# apart, here they are three ranges of rows of one matrix. Two names of the model share one tensor (the word table is
# also the output layer), and the file has it once, as `lm_head`.
#
# Here is a small checkpoint in exactly that layout, written on the spot, and its head read by hand:

# %%
import json
import struct

nano = Pi05(config.nano()).eval()
importing.save_openpi(nano, OUT / "nano")


def head_of(file):
    """Name -> type, shape and place of each tensor, from the first bytes of a file."""
    with open(file, "rb") as f:
        length, = struct.unpack("<Q", f.read(8))  # 8 bytes, the smallest first
        return {k: v for k, v in json.loads(f.read(length)).items() if k != "__metadata__"}


# %%
head = head_of(OUT / "nano" / "model.safetensors")
for name in list(head)[:2] + ["action_out_proj.weight"]:
    print(name, head[name])
print(len(head), "tensors,", sum(np.prod(x["shape"], dtype=int) for x in head.values()), "numbers")

# %% [markdown]
# Loading compares names and shapes before it copies anything, then copies **64 MB at a time**, each piece turned into
# the type that you ask for. So nothing is held twice: a random checkpoint of the full size, 7.23 GB in bf16, loaded within
# 7.08 GB of memory for 6.71 GB of weights (README; `PI05LITE_FULL_SIZE=1 make test ARGS="-n0 -s -k full_size"` does it again).

# %%
again = pi05lite.load_openpi(OUT / "nano", config.nano()).eval()
pairs = list(zip(nano.state_dict().items(), again.state_dict().values()))
print("all weights the same:", all(torch.equal(a, b) for (_, a), b in pairs))

batch, noise = blank(config.nano()), torch.randn(1, 10, 8)
chunk = nano.sample(batch, noise=noise)[-1]
print("the same chunk:", torch.equal(chunk, again.sample(batch, noise=noise)[-1]))

# %% [markdown]
# In bf16 a number has 8 bits of precision left, and half of the bytes:

# %%
half = pi05lite.load_openpi(OUT / "nano", config.nano(), dtype=torch.bfloat16).eval()
size = lambda model: sum(p.numel() * p.element_size() for p in model.parameters())
other = half.sample(replace(batch, images=batch.images.bfloat16()), noise=noise)[-1]
print(f"{size(half) / size(nano):.0%} of the bytes, the chunk is off by "
      f"{(other - chunk).abs().max() / chunk.abs().max():.1%} of its largest entry")

# %% [markdown]
# ### Time runs the other way there
# In openpi t = 1 is noise and the velocity points from the action to the noise. Here it is the other way round
# (chapter 06). **One file** knows it: `importing.py` turns the sign of the last layer on the way in, and again on the way
# out. **Predict:** what does the file hold, beside the model?

# %%
from safetensors.torch import load_file, save_file

stored = load_file(OUT / "nano" / "model.safetensors")["action_out_proj.weight"]
print("stored + ours = 0:", bool((stored + nano.expert.action_out.weight == 0).all()))

# %% [markdown]
# (Nothing else need be turned: the expert reads its time as what is *left* of the noise, 1 - tau, and that is openpi's
# t.) Load such weights without the turn, and the sampler walks **away** from the action, without any error.
#
# ### When it does not fit
# Somebody renamed a tensor, as converters do. A loader that takes what it finds (`strict=False`) would leave that layer
# at random. This one says so:

# %%
tensors = load_file(OUT / "nano" / "model.safetensors")
tensors["time_mlp_input.weight"] = tensors.pop("time_mlp_in.weight")
save_file(tensors, OUT / "renamed.safetensors")
try:
    pi05lite.load_openpi(OUT / "renamed.safetensors", config.nano())
except ConfigError as error:
    print(str(error).replace(str(OUT), "..."))

# %% [markdown]
# ### pi0 and pi0.5
# The older model is the same with two parts swapped: how the expert is told the time, and where the state goes. The
# names tell them apart, and `load_openpi` asks for no more than that:

# %%
with torch.device("meta"):
    their_places = importing.places(older(config.nano()))
our_places = importing.places(nano)
ends = lambda names: sorted({".".join(name.split(".")[-3:]) for name in names if ".1." not in name})
print("pi0 alone:  ", *ends(their_places.keys() - our_places.keys()), sep="\n    ")
print("pi0.5 alone:", *ends(our_places.keys() - their_places.keys()), sep="\n    ")

# %% [markdown]
# ### What a checkpoint is not
# Weights alone move no robot. Two things belong to them, and with the wrong ones everything runs and nothing works:
#
# 1. **The statistics** that actions and states are scaled by: `norm_stats.json` in the checkpoint's `assets`, one for
#    each robot (chapter 01). Yours are not theirs.
# 2. **The tokenizer**: PaliGemma's. Its licence does not let the kit carry it, so it is read from a file of yours.

# %%
from pi05lite.data.stats import DatasetStats
from pi05lite.tokens.paligemma import paligemma

numbers = {"q01": [-2.0, -1.0], "q99": [2.0, 0.5], "mean": [0.0, 0.0], "std": [1.0, 0.3]}
content = {"norm_stats": {"state": numbers, "actions": numbers}}
(OUT / "norm_stats.json").write_text(json.dumps(content))
stats = DatasetStats.from_openpi(OUT / "norm_stats.json", "arm")
command = np.array([1.0, 0.0])
print("a command of (1, 0) is, for the model,", stats.action.normalize(command).round(4))
try:
    print(paligemma().encode("Task: pick up the cup, State: 128 64;\nAction: "))
except ConfigError as error:
    print(error)

# %% [markdown]
# With weights, statistics and tokenizer on your disk, this is all of it, but for the imports (README). The published weights
# themselves have not been run with this kit yet; openpi's own small test weights have, and give openpi's numbers.
#
# ```python
# model = pi05lite.load_openpi("pi05_droid", dtype=torch.bfloat16)
# stats = DatasetStats.from_openpi("pi05_droid/assets/droid/norm_stats.json", "droid", 8, 8)
# robot = Robot("droid", stats, {"base": "exterior", "left_wrist": "wrist"}, fps=15)
# policy = Policy(model, Processor(model.config, paligemma(), None, {"droid": robot}))
# chunk = policy.follow(Observation("droid", images, state), "pick up the cup")
# ```
#
# ## 6 · Fine-tuning
# You have a base model and a new task. **All weights** or **adapters**? An adapter is a pair of thin matrices beside a
# frozen one ([arXiv 2106.09685](https://arxiv.org/abs/2106.09685)): A takes the input down to r numbers, B takes these up
# to the output, and B starts at 0, so that the model starts as it was:
#
# $$y = W x + \tfrac{\alpha}{r}\, B\,(A\,x) \qquad\text{afterwards}\qquad W' = W + \tfrac{\alpha}{r}\, B A$$
#
# On the right: when training is over, the pair can be added into the matrix, and running costs nothing more.

# %%
torch.manual_seed(0)
W, x, r, alpha = torch.randn(16, 32), torch.randn(5, 32), 4, 4.0
A_, B_ = torch.randn(r, 32), torch.randn(16, r)
beside = x @ W.T + alpha / r * (x @ A_.T) @ B_.T
merged = x @ (W + alpha / r * B_ @ A_).T
print(f"largest difference {(beside - merged).abs().max():.0e}; "
      f"{W.numel()} weights frozen, {A_.numel() + B_.numel()} trained")

# %% [markdown]
# At a width of 16 that saves little. In the real VLM's largest matrix, 2048 to 32,768, a pair of rank 16 has 557,056
# numbers in place of 67 million.
#
# Now on episodes: a base model that knows all tasks but one of a robot, and episodes of that one to learn.

# %%
from pi05lite.data.mixture import Mixture
from pi05lite.data.sources import RobotSource
from pi05lite.train import recipe
from pi05lite.train.fit import fit
from pi05lite.train.setup import at_level, available, prepare

name = available("cr5")[0]
c = config.nano()
c = replace(c, max_tokens=96, vision=replace(c.vision, image_size=64, patch=16))
setup = prepare([name], c, words=False)
c = setup.config
tasks = sorted({e.tasks[0] for e in setup.train[name].dataset.episodes})
OLD, NEW = tasks[:-1], tasks[-1:]
print("known:", *OLD, "\nnew:  ", *NEW)

# %%
def of_task(source, tasks):
    """The part of a robot's data that shows these tasks."""
    chosen = [e.index for e in source.dataset.episodes if e.tasks[0] in tasks]
    return RobotSource(source.dataset.subset(chosen), source.robot, source.horizon, "low",
                       source.gripper)


def mixture(tasks, seed=0):
    """Training examples of these tasks: actions, and subtasks to say."""
    low = of_task(setup.train[name], tasks)
    return Mixture([low, at_level(low, "high")], {low.name: 1.0, f"{name}/high": 0.25}, seed)


def examples(tasks, count=64, seed=0):
    """Unseen examples of these tasks, with noise and flow times that all models share."""
    source, g = of_task(setup.held_out[name], tasks), torch.Generator().manual_seed(seed)
    chosen = torch.randint(len(source), (count,), generator=g).tolist()
    noise = torch.randn(4 * count, c.horizon, c.action_size, generator=g)
    return (setup.processor.collate([source[i] for i in chosen]),
            noise * setup.processor.size_mask(name), torch.rand(4 * count, generator=g))


# %%
unseen = {"known tasks": examples(OLD), "new task": examples(NEW)}


@torch.no_grad()
def measure(model):
    """Held-out flow error on known tasks and on the new one."""
    found = {}
    for kind, (batch, noise, tau) in unseen.items():
        errors = model.eval().flow_losses(model.prefix(batch), batch.actions, batch.action_mask, 4,
                                          noise=noise, tau=tau)
        found[kind] = float(errors.sum() / batch.action_mask.sum() / 4)
    return found


def train(model, tasks, numbers, folder):
    """Train by a recipe, in a folder of its own; the model."""
    numbers = replace(numbers, flow_draws=4, blur=0.05, save_every=10_000)
    return fit(model, setup.processor, mixture(tasks), numbers, OUT / folder, progress=False,
               tensorboard=False, accelerator="cpu").model


# %%
PRE, POST = min(400, STEPS), min(80, STEPS)
torch.manual_seed(0)
base = train(Pi05(c), OLD, recipe.posttrain(PRE, learning_rate=5e-3), "base")
print({kind: round(error, 3) for kind, error in measure(base).items()})

# %% [markdown]
# Three ways to learn the new task from its own episodes, with the same batches and steps: all weights, adapters, and from
# scratch without a base. `recipe.finetune` has openpi's numbers; at this size steps are few and rates high.
# **Predict** two columns: who is best on the new task? And who still does the known ones, which are in no batch?

# %%
def finetune(label, model, rate, lora=None):
    """Train on the new task alone; what it reached, and how many weights were trained."""
    began = time.perf_counter()
    model = train(model, NEW, recipe.finetune(POST, 16, rate, lora=lora), label)
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    print(f"{label:22} {trained:7,} trained  {time.perf_counter() - began:4.0f} s  ",
          {kind: round(error, 3) for kind, error in measure(model).items()})
    return model


tuned = {"all weights": finetune("all weights", copy.deepcopy(base), 3e-3)}

# %%
tuned["adapters"] = finetune("adapters, ranks 4, 8", copy.deepcopy(base), 1e-2, (4, 8))

# %%
torch.manual_seed(0)
tuned["scratch"] = finetune("from scratch", Pi05(c), 3e-3)

# %%
def reached(models):
    """Held-out error of each model, on the known tasks and on the new one."""
    figure = go.Figure()
    for kind, color in zip(unseen, pictures.COLORS):
        figure.add_bar(x=list(models), y=[measure(m)[kind] for m in models.values()], name=kind,
                       marker_color=color)
    figure.update_yaxes(title="held-out flow error", rangemode="tozero")
    return figure.update_layout(**pictures.LAYOUT, barmode="group", height=360,
                                legend=pictures.NAMES_ABOVE, title_text="one new task")


reached({"base": base} | tuned)

# %% [markdown]
# In our run on cr5 (400 steps for the base, 80 for each of the others, one seed):
#
# | | trained | known task | new task |
# |---|---|---|---|
# | base | | 0.319 | 0.411 |
# | all weights | 95,656 | 0.327 | 0.380 |
# | adapters, ranks 4 and 8 | 7,040 | 0.323 | 0.386 |
# | from scratch | 95,656 | 0.699 | 0.699 |
#
# - **The base is most of it.** It never saw the task, and is far ahead of 80 steps from scratch.
# - **Adapters reach four fifths of the gain** of all weights (0.025 of 0.031) with a fourteenth of the numbers. Which of the
#   two is better cannot be said from one seed, with rates that were tuned for neither (chapter 13).
# - **The known task is hardly lost**, though it is in no batch. 80 steps are few; before a longer run, keep a held-out set of
#   what must not be lost, as here, and look at it.
#
# (On the kit's own toy table the tasks differ by a colour alone, so there is little that is new.)

# %%
from pi05lite.train.checkpoint import newest


@torch.no_grad()
def say(model):
    """Velocities for unseen examples."""
    batch, noise, tau = unseen["new task"]
    return model.velocity(model.prefix(batch), noise[:len(batch)], tau[:len(batch)])


file = newest(OUT / "adapters, ranks 4, 8") / lora.FILE
print(f"the adapters' file: {file.stat().st_size / 1000:.0f} kB, "
      f"the base {size(base) / 1000:.0f} kB")
before = say(tuned["adapters"])
plain = lora.merge(tuned["adapters"])
print("merged: a plain Pi05:", set(plain.state_dict()) == set(base.state_dict()),
      f" largest difference of a velocity {(say(plain) - before).abs().max():.0e}")

# %% [markdown]
# One base and a small file for each task: that is how adapters are kept. A file of adapters belongs to **its** base, and
# `lora.read` refuses another one, and one with adapters merged into it.
#
# ## 7 · Many devices
# When a batch does not fit on one device, several share it. Each has a copy of the model (DDP) and takes its part of the
# examples, and the gradients are averaged before the step. It sounds as if nothing could go wrong. Here is one batch of 7
# examples, cut for two processes as `fit` does it:

# %%
from pi05lite.train.draws import Draws
from pi05lite.train.fit import Stream
from pi05lite.train.module import TrainingModule

torch.manual_seed(0)
model, data = Pi05(c), mixture(tasks, seed=2)
module = TrainingModule(model, recipe.posttrain(), data.names)


def cut(rank, world, size=7):
    """The part of a batch that a process gets, and its noise."""
    stream = Stream(data, setup.processor.collate, size, 1, rank=rank, world=world)
    return next(iter(stream)), Draws(0, range(rank, size, world))


parts = [module.terms(*cut(rank, 2)) for rank in (0, 1)]
for rank, terms in enumerate(parts):
    print(f"process {rank}:", {loss: int(terms[loss][1]) for loss in ("text", "tokens", "flow")})

# %% [markdown]
# Each loss is a mean over *its* terms: over words, action tokens, action numbers. The processes hold unlike numbers of
# them, and one may hold none. Its own mean is then 0/0.

# %% [markdown] assign=true
# ### Exercise 4 · One gradient from many (medium, 10 minutes)
# `gradients["text"]` and `gradients["flow"]` (P, D): the gradient of each process's **own mean** of that loss;
# 0 where the process has none of it. `counts["text"]` and `counts["flow"]` (P,): over how many terms that mean was
# taken. Return the gradient (D,) of text + `alpha` x flow, each the mean over **all** terms of the whole batch. A loss
# of which no process has a term counts 0.

# %% exercise="global_gradient"
def global_gradient(gradients, counts, alpha):
    """The gradient that one process with the whole batch would have."""
    ### BEGIN SOLUTION
    def whole(name):
        n = counts[name]
        return (n[:, None] * gradients[name]).sum(0) / n.sum().clamp(min=1)

    return whole("text") + alpha * whole("flow")
    ### END SOLUTION


# %% check="global_gradient" points=4
from pi05lite.checks.real import check_global_gradient

points = check_global_gradient(global_gradient)
### BEGIN HIDDEN TESTS
ones = {k: torch.tensor([[1.0], [4.0]]) for k in ("text", "flow")}
some = {"text": torch.tensor([2, 1]), "flow": torch.tensor([0, 5])}
points = points if abs(float(global_gradient(ones, some, 0.5)[0]) - 4) < 1e-5 else 0
### END HIDDEN TESTS
points

# %% [markdown]
# <details><summary>Hint</summary>
#
# A mean times its count is a sum. Add the sums of all processes, divide by the sum of all counts, for each loss by
# itself. `n[:, None]` makes room for D; `.clamp(min=1)` keeps 0/0 away.
# </details>
#
# <details><summary>Why not simply the mean of the processes' gradients?</summary>
#
# It is what DDP does by itself. It is right where all have the same counts, as with pictures to be classified. A process
# with 3 words would count as much as one with 50: each of its words sixteen times.
# </details>

# %%
def packaged_global_gradient(gradients, counts, alpha):
    """What `TrainingModule.losses` arranges before the gradients are averaged."""
    share = {name: n / n.sum().clamp(min=1) for name, n in counts.items()}
    one = lambda name: (share[name][:, None] * gradients[name]).sum(0)
    return one("text") + alpha * one("flow")


global_gradient = checks.going_on("global_gradient", global_gradient, packaged_global_gradient)

# %% [markdown]
# On that batch: the gradient of each process's own means, put together in both ways, against one process with all 7
# examples.

# %%
learned = [p for p in model.parameters() if p.requires_grad]


def gradient(loss):
    """All gradients as one long vector."""
    found = torch.autograd.grad(loss, learned, retain_graph=True, allow_unused=True)
    return torch.cat([(torch.zeros_like(p) if g is None else g).flatten()
                      for p, g in zip(learned, found)])


own, counts = {}, {}
for loss in ("text", "flow"):
    counts[loss] = torch.tensor([int(terms[loss][1]) for terms in parts])
    own[loss] = torch.stack([gradient(terms[loss][0] / max(1, terms[loss][1])) for terms in parts])
everything = module.terms(*cut(0, 1))
text, flow = (everything[loss][0] / everything[loss][1] for loss in ("text", "flow"))
right = gradient(text + 10 * flow)

# %%
off = lambda g: float((torch.as_tensor(g) - right).norm() / right.norm())
print(f"weighted by counts: off by {off(global_gradient(own, counts, 10.0)):.0e} of its length")
print(f"mean of means:      off by {off(own['text'].mean(0) + 10 * own['flow'].mean(0)):.0%}")

# %% [markdown]
# No error would have told you. The run would have been *another* run, one that depends on how many devices you had.
# Here any number of devices makes the same run: `batch_size` counts the examples of all, noise and flow times belong to
# the example and not to the process, and sums and counts are added up before anything is divided
# (`pi05lite/train/module.py`). `make test ARGS="-k devices"` starts two real processes and compares losses, gradients and
# checkpoints with one. On several GPUs it has not been run yet.
#
# ```
# torchrun --nproc-per-node 8 train.py                                   # one machine, 8 GPUs
# torchrun --nnodes 2 --nproc-per-node 8 --rdzv-backend c10d --rdzv-id pi05 \
#     --rdzv-endpoint FIRST_MACHINE:29500 train.py                       # on each of two machines
# ```
#
# with `fit(..., devices=8, num_nodes=1, strategy="ddp")` in `train.py` (README, "Many devices"). **DDP** divides the batch and
# holds everything else on each device. **FSDP** (`strategy="fsdp"`) divides weights, gradients and moments as well:

# %%
for devices in (1, 2, 4, 8):
    activation = 32 / devices * sum(kept["train all"].values())
    ddp, fsdp = (held["train all"] / n + activation for n in (1, devices))
    print(f"{devices} devices, batch 32 in all: DDP {ddp / 1e9:4.0f} GB each, "
          f"FSDP {fsdp / 1e9:4.0f} GB each")

# %% [markdown]
# (FSDP gathers one layer at a time to compute with it, which comes on top, and pays with traffic between the devices.)
#
# ## 8 · Before you rent
# Everything above in one table: what fits on which card, and how often a second it could say a chunk at best.

# %%
def batch_that_fits(job, card):
    """The largest batch whose activations fit beside what is held; -1 where that alone does not."""
    left = card * 1e9 - held[job]
    return int(left / sum(kept[job].values())) if left > 0 else -1


for device, card in ((RTX4090, 24), (H100, 80), (H200, 141)):
    floor = chunk_floor(rows(table), device.flops, device.bandwidth)
    some, every = (batch_that_fits(job, card) for job in ("train adapters", "train all"))
    print(f"{device.name:9} {card:3} GB  at most {1 / floor:4.0f} chunks a second;  "
          f"largest batch: adapters {some}, all weights {every}")

# %% [markdown]
# (-1: not even the weights.) A card is never empty, and a floor never reached, so leave room. And mind what a robot
# needs: at 20 Hz it takes 20 *actions* a second, and not 20 chunks. pi0 ran 16 actions of each chunk on such robots,
# 0.8 s, before it looked again ([arXiv 2410.24164](https://arxiv.org/abs/2410.24164)).

# %% [markdown] assign=true prose="spend" points=4
# ### Question · In words (8 minutes)
# A robot must look again before **every** action, 20 times a second: a new chunk every 50 ms. On your card a chunk takes
# 73 ms: 14 ms picture tower (three cameras), 32 ms VLM, 27 ms ten runs of the expert. By arithmetic and bytes the card could
# do these in 4, 19 and 6 ms. Which part would you spend on first, and how? Name one change that costs accuracy and one that
# costs none. Which change that sounds good would hardly help? And was the demand right in the first place?
#
# ### BEGIN MARK SCHEME
# One point for each:
# - 23 ms must go. The expert is furthest from its floor (21 ms to gain, by few and large calls: compile, CUDA graphs), and
#   that costs no accuracy. (The VLM with 13 ms to gain is second; either with its number is fine.)
# - a change that costs accuracy, with its size: 5 steps in place of 10 saves about 13 ms; one camera less saves about a
#   third of the tower and of the VLM's tokens; a lower resolution.
# - one that hardly helps, with the reason: a smaller VLM cache or fewer heads (18 MB beside 860 MB), a smaller word table
#   (looked up, not multiplied), lower precision of weights for the VLM (bound by arithmetic, unless the arithmetic gets
#   quicker too), a shorter chunk (the expert waits for its weights, whatever the number of steps).
# - the demand: a chunk holds 50 actions; execute several and compute the next chunk meanwhile (real-time chunking), so that
#   73 ms can be enough at 20 Hz; what is lost is how soon it reacts.
# ### END MARK SCHEME

# %% [markdown]
# ## 9 · The same as the package

# %%
assert np.isclose(chunk_floor(rows(table), H200.flops, H200.bandwidth), table.floor)
assert np.isclose(chunk_floor(rows(small), RTX4090.flops, RTX4090.bandwidth),
                  sum(p.floor(RTX4090) for p in small.parts))
valid = torch.ones(1, 968).bool()
assert cache_bytes(valid, vlm, 2) == table.parts[-1].moved - weights
assert training_bytes(N, 0, True) == 20 * N
assert training_bytes(A, N, True) == lora.cost(adapted).total
both = [f(own, counts, 10.0) for f in (global_gradient, packaged_global_gradient)]
assert torch.allclose(torch.as_tensor(both[0]), both[1], atol=1e-5)
print("floors, cache, memory and shared gradients agree with pi05lite")

# %% [markdown]
# Next to read: `pi05lite/model/describe.py`, then `importing.py` from `places` to `slices`, and `TrainingModule.losses`.
#
# ## 10 · Try a change
# Before you pay for a change, count it. Three of them, on an RTX 4090: one camera in place of three, 5 steps in place of
# 10, 8 heads of keys and values in place of 1. **Predict** which helps most, and which hardly.

# %%
def milliseconds(parts):
    """The floor on an RTX 4090."""
    return 1000 * sum(p.floor(RTX4090) for p in parts)


one = replace(config.pi05(), cameras=("base",))
with torch.device("meta"):
    one_camera = Pi05(one)
five = [replace(p, runs=min(p.runs, 5)) for p in table.parts]
eight = replace(table.parts[-1], moved=table.parts[-1].moved + 7 * cache_bytes(valid, vlm, 2))
for label, parts in {"as it is": table.parts, "5 steps": five,
                     "one camera": pi05lite.describe(one, build=lambda c: one_camera).parts,
                     "8 heads of keys (cache alone)": (*table.parts[:-1], eight)}.items():
    print(f"{label:30} {milliseconds(parts):5.1f} ms")

# %% [markdown]
# One camera in place of three takes 15 of 35.5 ms away: the VLM reads 456 tokens and not 968. Five steps fewer save 4 ms, and
# eight heads would add 1. But these are floors. In the measurement of section 2 ten runs of the expert took 27 ms, where
# five would have saved 13. **Count first, then measure, and spend where both agree.**
#
# Now yours: a smaller picture (`replace(c.vision, image_size=112)`), 48 places of text, a VLM of half the depth. Count,
# then say what you would give up for it.
#
# ## What you have seen
# - One code path for all sizes: what a model costs can be counted on the meta device, part by part, before it exists.
# - A part is bound by arithmetic or by memory. The VLM computes, the expert waits for its weights.
# - Running takes 2 bytes a weight, training up to 20, and activations grow with the batch. Adapters save nearly all of the
#   first, and a quarter of the second.
# - A checkpoint is names and numbers, and needs its statistics and its tokenizer. What does not fit must be said.
# - A mean of means is another loss. Add sums and counts.
#
# **Common confusions.** GFLOP is an amount, GFLOP/s a speed. A multiply-add is two operations. Fewer parameters are not
# less time where one waits for calls. bf16 halves the bytes, and makes arithmetic quicker only on a device that is
# built for it. LoRA is small on disk and in moments, not in activations. More devices with the same `batch_size` are the
# same run, sooner; more devices with a batch each are another run.
#
# **Ask yourself.** Why does the first camera that you take away save more than the last five steps? What would the floor be if
# the expert denoised 32 robots' chunks in one batch? Which of the numbers in this chapter would be wrong with a fused attention?
#
# **To read.** Hu et al. 2021, arXiv 2106.09685 (LoRA). pi0, arXiv 2410.24164 (section on inference). Realtime-VLA, arXiv
# 2510.26742. `openpi`'s `examples/convert_jax_model_to_pytorch.py`.
