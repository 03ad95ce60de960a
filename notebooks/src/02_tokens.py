# %% [markdown] assign=true
# # 02 · Tokens: everything in one sequence
#
# **The question:** a picture is pixels, an instruction is letters, a state is numbers, a motion is a table. How can
# one transformer read all of them?

# %% [markdown]
# ![A picture cut into patches, then one row of blocks each for the patches, the prompt, the state, the subtask, the action tokens and the flow tokens.](figures/02_tokens.png)
#
# Everything becomes **tokens**: vectors of one width, in one row. When you are done you can
#
# 1. cut a picture into patches and say why the first layer of a vision transformer is a convolution,
# 2. write the prompt of pi0.5, with the robot's state in it, to the last character,
# 3. lay out prompt, subtask and actions in one sequence, and say what is to be predicted,
# 4. count the tokens of the real model by hand, and say what each kind of them costs.
#
# Reading 25 minutes, four exercises 35 minutes, computing under a minute on two CPU cores. You need
# chapter 01 and PyTorch. What is built here lies in `pi05lite/tokens`, `processor.py` and `model/vision.py`.

# %% assign=true
import numpy as np
import torch

import pi05lite
from pi05lite import checks, config
from pi05lite.tokens.kind import Kind
from pi05lite.tokens.vocabulary import BOS, EOS

torch.manual_seed(0);

# %% [markdown]
# ## 1 · The whole thing first
# One moment of a real episode, with everything that training can ask of it: two pictures, an instruction, the state,
# the right subtask, and the next 10 actions.

# %%
from dataclasses import replace

from pi05lite.model.pi05 import Pi05
from pi05lite.train.setup import at_level, available, prepare

name = available("droid_new")[0]
setup = prepare([name], replace(config.tiny(), horizon=10), words=False)
model, processor, c = Pi05(setup.config).eval(), setup.processor, setup.config

# %%
low = setup.train[name].example(0, 20)
example = replace(at_level(setup.train[name], "high").example(0, 20), actions=low.actions,
                  steps=low.steps)
print("instruction:", example.text, "\nsubtask:    ", example.answer)
print("pictures:   ", {slot: image.shape for slot, image in example.images.items()})
print("state:      ", example.state.round(2), "\nactions:    ", example.actions.shape)

# %%
batch = processor.collate([example])
with torch.no_grad():
    x, layout = model.embed(batch)
print("what the transformer gets:", tuple(x.shape))

# %% [markdown]
# One row of vectors, each 128 numbers wide (2048 in the real model). From here on nobody knows what was a picture and
# what was a word, except from the vectors themselves and from a list of *kinds* beside them. Where do they come from?
#
# ## 2 · Pictures: cut, then project
# A transformer reads a row of vectors, and a picture is a plane. **Cut it into patches.** Each patch of 16 x 16
# pixels and three colours is a vector of 768 numbers.

# %%
from pi05lite.widgets import blocks, pictures

image = example.images["base"]  # uint8 (64, 64, 3)
pictures.contact_sheet({"what the camera sees": image,
                        "16 patches": blocks.cut_apart(image, 16)}, "")

# %% [markdown] assign=true
# ### Exercise 1 · Cut into patches (medium, 10 minutes)
# `image` is (3, h, w), colours first as in PyTorch. Return its patches (P, 3 * size * size): **row by row**, left
# to right, then the next row. Within a patch the colours come first, then rows, then columns, so that the first one
# is `image[:, :size, :size].flatten()`.

# %% exercise="patchify"
def patchify(image, size):
    """The patches (P, 3 * size * size) of an image (3, h, w), row by row."""
    ### BEGIN SOLUTION
    grid = image.unfold(1, size, size).unfold(2, size, size)  # (3, rows, columns, size, size)
    return grid.permute(1, 2, 0, 3, 4).flatten(2).flatten(0, 1)
    ### END SOLUTION


# %% check="patchify" points=3
from pi05lite.checks.sequence import check_patchify

points = check_patchify(patchify)
### BEGIN HIDDEN TESTS
wide = torch.arange(3 * 2 * 6.0).reshape(3, 2, 6)
points = points if torch.equal(patchify(wide, 2)[1], wide[:, :, 2:4].flatten()) else 0
### END HIDDEN TESTS
points

# %% [markdown]
# <details><summary>Hint</summary>
#
# Two loops and `torch.stack` are fine: for each `y` in steps of `size`, for each `x` in steps of `size`. Without
# loops: `image.unfold(1, size, size)` cuts along the rows and puts the pieces last.
# </details>

# %%
def packaged_patchify(image, size):
    """The rule that timm's towers follow, by PyTorch's own function."""
    return torch.nn.functional.unfold(image[None], size, stride=size)[0].T


patchify = checks.going_on("patchify", patchify, packaged_patchify)

# %% [markdown]
# Then one linear layer brings all patches to the tower's width. A convolution whose stride is its size does just
# that, cut and project in one go, and that is how vision towers write it. **The same numbers?**

# %%
from pi05lite.data.images import to_float

pixels = torch.from_numpy(to_float(image)).permute(2, 0, 1)  # (3, 64, 64), -1 to 1
first = model.vision.tower.patch_embed.proj  # a convolution, 16 x 16 with stride 16
with torch.no_grad():
    by_hand = patchify(pixels, 16) @ first.weight.flatten(1).T + first.bias  # (16, 128)
    by_tower = first(pixels[None])[0].flatten(1).T
print("a convolution is cut and project:", torch.allclose(by_hand, by_tower, atol=1e-4))

# %% [markdown]
# Now the patches know nothing of each other. The **tower** (SigLIP in the real model) is a transformer over the
# patches of one picture; it adds where each patch was, and lets them look at each other. Last, the **projector**
# brings them to the width of the language model. What comes out are tokens like any other.

# %%
with torch.no_grad():
    features = model.vision.patches(pixels[None])
    tokens = model.vision.projector(features)
print(f"pixels {tuple(pixels.shape)} -> patches {tuple(patchify(pixels, 16).shape)} -> tower "
      f"{tuple(features.shape[1:])} -> tokens {tuple(tokens.shape[1:])}")

# %% [markdown]
# **Predict:** the real model takes 224 x 224 pixels, patches of 14, three cameras. How many tokens? (Section 6 has
# the answer.) What happens to a thing that is smaller than a patch?
#
# ## 3 · Words: a list of pieces
# A tokenizer cuts a text into pieces from a fixed list, its **vocabulary**, and gives the place of each in the
# list, its **id**. Frequent words are one piece, rare ones several. The id picks a row of a table, and that row is
# the vector.

# %%
text = processor.text
for words in (example.text, "put the xylophone in it"):
    ids = text.encode(words)
    print([text.decode([i]) for i in ids], ids)
print("table:", tuple(model.embedding.weight.shape), "(ids, width)")

# %% [markdown]
# This vocabulary was trained on the few sentences of the dataset, so an unknown word falls into letters. The real
# one has 257,152 ids, more than half a billion numbers in the table: a sixth of the model is a list of words.
#
# **One detail that breaks ports.** Rows of the table are multiplied by the root of the width when they are looked up
# (Gemma does so), the pictures' tokens are *not*. Lengths of the vectors, divided by the root of the width:

# %%
with torch.no_grad():
    shown = {"words, as the table has them": model.embedding(batch.tokens[0]),
             "words, as they enter": model.embed_tokens(batch.tokens[0]), "patches": tokens[0]}
for title, vectors in shown.items():
    print(f"{title:30} {vectors.square().mean(-1).sqrt().mean():.2f}")

# %% [markdown]
# ## 4 · The state: numbers as words
# How does a language model read "joint 3 is at -2.37"? pi0 gave the state a vector of its own. **pi0.5 writes it
# into the prompt**: each number, scaled to [-1, 1] (chapter 01), falls into one of 256 equal bins, and the bin's
# number is written as text. The model that was trained on the web has seen numbers before.
#
# Bin 0 starts at -1, bin 128 at 0; bin 255 ends at 1. **Predict:** in which bin is 0.5, and in which is -3?

# %% [markdown] assign=true
# ### Exercise 2 · The prompt (medium, 10 minutes)
# Write the prompt of the low level: `Task: <task>, State: <bins>;`, a new line, `Action: ` with a space at its end.
# `values` (S,) are the state in [-1, 1]; clip what lies beyond. 256 equal bins, 0 to 255; a value on an edge
# belongs to the upper one. Whole numbers, separated by spaces.

# %% exercise="write_prompt"
def write_prompt(task, values):
    """The text in front of the actions, for a state (S,) in [-1, 1]."""
    ### BEGIN SOLUTION
    bins = np.floor((np.clip(values, -1, 1) + 1) / 2 * 256).astype(int)
    bins = np.minimum(bins, 255)  # 1 itself is the end of the last bin
    return f"Task: {task}, State: {' '.join(map(str, bins))};\nAction: "
    ### END SOLUTION


# %% check="write_prompt" points=4
from pi05lite.checks.sequence import check_write_prompt

points = check_write_prompt(write_prompt)
### BEGIN HIDDEN TESTS
wanted = "Task: go, State: 0 63 64 128 255;\nAction: "
points = points if write_prompt("go", np.array([-2, -0.501, -0.5, 0, 1.0])) == wanted else 0
### END HIDDEN TESTS
points

# %% [markdown]
# <details><summary>Hint</summary>
#
# `np.floor((x + 1) / 2 * 256)` is the bin, once x is clipped; look at what it gives for x = 1.
# `" ".join(map(str, bins))` puts numbers into a text, `"\n"` is the new line.
# </details>
#
# <details><summary>Why not np.digitize alone?</summary>
#
# openpi does it so, and below the range it gives -1: the prompt then says "-1", two tokens that the model has
# hardly met. Clipping first costs nothing.
# </details>

# %%
from pi05lite.tokens.prompt import robot_prompt


def packaged_prompt(task, values):
    """The package's, at the low level."""
    return robot_prompt(task, values, "low")


write_prompt = checks.going_on("write_prompt", write_prompt, packaged_prompt)

# %%
values = processor.normal_state(low)
prompt = write_prompt(low.text, values)
ids = text.encode(prompt)
print(prompt)
print([text.decode([i]) for i in ids])

# %% [markdown]
# What does a bin cost in precision? The joint's range divided by 256:

# %%
stats = setup.train[name].robot.stats.state
for label, width in zip(setup.train[name].dataset.features["observation.state"]["names"],
                        (stats.q99 - stats.q01) / 256):
    print(f"{label:10} one bin is {width:.4f} of the robot's units")

# %% [markdown]
# On this arm (droid_new, radians) a third of a degree at most, finer than the pictures show. Here each number is
# one token; Gemma's tokenizer splits digits, so the real model needs up to four tokens for each, with its space.
#
# **Is the state read at all?** Some released models leave it out (openpi's pi0.5 for LIBERO), and their users wonder
# why nothing changes when they change it. A test for that is one line: change the state, and look whether the output
# changes.
#
# ## 5 · One sequence
# Actions can be tokens, too (FAST, chapter 05): a chunk becomes a few dozen ids from a range of their own. Four
# ranges, which never overlap:

# %%
v = c.vocabulary
for kind in ("text", "action", "location", "segment"):
    first_id, end = v.span(kind)
    print(f"{kind:9} {first_id:5} to {end - 1:5}" if end > first_id else f"{kind:9} none")
action_ids = processor.action_ids(example)
print("this chunk:", action_ids)

# %% [markdown]
# *Location* ids name places in a picture, for boxes round things. **In openpi's code the two collide**: FAST token
# t has the id 257152 - 1 - 128 - t, and the locations are the ids 256000 to 257023:

# %%
fast = {257_152 - 1 - 128 - t for t in range(2048)}
places = set(range(256_000, 257_024))
print(f"{len(fast & places)} of {len(places)} locations are action tokens as well")

# %% [markdown]
# That does no harm to a model that never says boxes. pi0.5 does say them, before its subtasks, so the kit keeps the
# ranges apart.
#
# Now the layout. What is **given** comes first: pictures, BOS (the start), the prompt. What is **to be predicted**
# follows: the answer in words with EOS (the end), then the action tokens with an EOS of their own. Each token has a
# kind, for the mask of chapter 03, and a flag that says if the loss counts it.
#
#     BOS  prompt ...        PROMPT   given
#     answer ...  EOS        TEXT     to be predicted
#     actions ... EOS        ACTION   to be predicted

# %% [markdown] assign=true
# ### Exercise 3 · Lay it out (medium, 10 minutes)
# `prompt`, `answer` and `actions` are lists of ids; `answer` or `actions` can be None, then that part is not there
# at all (no EOS either). Return three lists of one length: the tokens (BOS, prompt, answer, EOS, actions, EOS), the
# kind of each (`Kind.PROMPT`, `Kind.TEXT`, `Kind.ACTION`; an EOS is of the kind that it ends), and True where a
# token is to be predicted.

# %% exercise="lay_out"
def lay_out(prompt, answer, actions):
    """(tokens, kinds, target) of one sequence, three lists."""
    ### BEGIN SOLUTION
    tokens, kinds = [BOS, *prompt], [Kind.PROMPT] * (len(prompt) + 1)
    for ids, kind in ((answer, Kind.TEXT), (actions, Kind.ACTION)):
        if ids is not None:
            tokens += [*ids, EOS]
            kinds += [kind] * (len(ids) + 1)
    return tokens, kinds, [kind != Kind.PROMPT for kind in kinds]
    ### END SOLUTION


# %% check="lay_out" points=4
from pi05lite.checks.sequence import check_lay_out

points = check_lay_out(lay_out)
### BEGIN HIDDEN TESTS
only = lay_out([9], [7], None)
points = points if [list(map(int, part)) for part in only] == [[BOS, 9, 7, EOS], [0, 0, 1, 1],
                                                               [0, 0, 1, 1]] else 0
### END HIDDEN TESTS
points

# %% [markdown]
# <details><summary>Hint</summary>
#
# Start with `[BOS, *prompt]`. Then the same three lines for the answer and for the actions: tokens, kinds, and
# nothing if it is None. What is to be predicted follows from the kinds.
# </details>

# %%
from pi05lite.tokens import prompt as prompts


def packaged_lay_out(prompt, answer, actions):
    """The package's."""
    s = prompts.sequence(prompt, answer, actions)
    return s.tokens, s.kinds, s.target


lay_out = checks.going_on("lay_out", lay_out, packaged_lay_out)

# %% [markdown] assign=true prose="eos" points=3
# ### Question · In words (5 minutes)
# A colleague marks the prompt as to be predicted, too, "so that the model learns more from each example", and drops
# the EOS, "because it is not a word". Name what the first does to training of a *robot* model, and what the second
# does at run time. Four sentences.
#
# ### BEGIN MARK SCHEME
# - 1 point: instruction and state are always given at run time and never said by the robot; a loss on them, which are
#   more tokens than the subtask, spends training on what is not needed.
# - 1 point: prompt tokens see each other in both directions (one block), so the token to be predicted is in sight:
#   what is learned there is copying, and the loss looks better than it is.
# - 1 point: without EOS the model never learns when it is done; at run time it writes on up to the limit, and the
#   chunk of actions cannot be told from what follows.
# ### END MARK SCHEME

# %% [markdown]
# Last, the **flow tokens**: the noisy chunk that the action expert moves, one token for each of its H steps,
# through a linear layer of its own (chapters 06 and 07). They never enter the language model. That makes all:
#
# ## 6 · Count, and pay
# Every token is paid for: the transformer's arithmetic grows with their number, that of attention with the number of
# **pairs** (who looks at whom). The prefix (pictures and text) is computed once for a chunk. Then the flow tokens are
# computed anew in every denoising step, each looking at the prefix and at all flow tokens.

# %% [markdown] assign=true
# ### Exercise 4 · Count (easy, 5 minutes)
# Return three numbers for one chunk: the tokens of the prefix (for `cameras` square pictures of `px` pixels a side,
# in patches of `patch` pixels, and `text` tokens of text), the flow tokens of a chunk of `horizon` steps, and the
# pairs in one head of one layer: the prefix looks at the prefix, once; in each of `steps` denoising steps every
# flow token looks at the prefix and at every flow token.

# %% exercise="count"
def count(cameras, px, patch, text, horizon, steps):
    """(prefix, flow, pairs) of one chunk."""
    ### BEGIN SOLUTION
    prefix = cameras * (px // patch)**2 + text
    return prefix, horizon, prefix**2 + steps * horizon * (prefix + horizon)
    ### END SOLUTION


# %% check="count" points=4
from pi05lite.checks.sequence import check_count

points = check_count(count)
### BEGIN HIDDEN TESTS
points = points if list(count(1, 32, 8, 4, 2, 3)) == [20, 2, 532] else 0
### END HIDDEN TESTS
points

# %% [markdown]
# <details><summary>Hint</summary>
#
# A picture of 224 pixels holds 224 / 14 = 16 patches side by side. And below each other?
# </details>

# %%
def packaged_count(cameras, px, patch, text, horizon, steps):
    """Counted on the masks that the package builds."""
    from pi05lite.model.masks import Layout

    prefix = cameras * (px // patch)**2 + text
    given = Layout(torch.zeros(1, prefix, dtype=torch.long), torch.ones(1, prefix).bool())
    flow = given.append([Kind.FLOW] * horizon).mask(horizon)
    return prefix, horizon, int(given.mask().sum() + steps * flow.sum())


count = checks.going_on("count", count, packaged_count)

# %%
for title, numbers in (("the real pi0.5", (3, 224, 14, 200, 50, 10)),
                       ("ours", (2, 64, 16, len(ids) + 1, 10, 10))):
    prefix, flow, pairs = count(*numbers)
    print(f"{title:15} prefix {prefix:4}, flow {flow:3}, {pairs:,} pairs in every head and layer")

# %% [markdown]
# 968 and 50, three quarters of them patches. And in arithmetic? `describe` counts the floating-point operations of
# the code that runs, part by part, without any weights. The language model's are shared out by tokens:

# %%
from pi05lite.model.describe import describe


def costs(config, text):
    """Floating-point operations of one chunk by what they are spent on; text: tokens of text."""
    parts = {part.name: part.runs * part.flops for part in describe(config, text=text).parts}
    seen = len(config.cameras) * (config.vision.image_size // (config.vision.patch or 14))**2
    each = parts["VLM"] / (seen + text)  # of one token
    return {"pictures": parts["picture tower"] + parts["projector"] + seen * each,
            "prompt": text * each, "flow": parts["action expert"]}


full, ours = costs(config.pi05(), 200), costs(c, len(ids) + 1)
for title, table in (("the real pi0.5", full), ("ours", ours)):
    print(f"{title:15}", {part: f"{flops / 1e9:,.4g} GFLOP" for part, flops in table.items()})

# %%
blocks.costs_figure({"the real pi0.5": full, "ours": ours}, "the arithmetic of one chunk")

# %% [markdown]
# In the real model three quarters of the arithmetic go into *looking*, and ten denoising steps are the smallest
# part: the expert is a fifth of the language model in size, and has 50 tokens where the prefix has 968. (In ours
# the flow costs most, because the prefix is so short.) The action *tokens* of training do not appear: at run time
# the chunk comes from the flow.
#
# ## 7 · The sequence of a real example
# All of it, block by block, in its order. Hover for the place in the sequence and for what stands there; patches
# show what they are of. The notes say which parts are given, written or there in training only, and their share of
# the arithmetic.

# %%
from itertools import groupby

from pi05lite.policy import Policy
from pi05lite.trace import token_parts

belongs = token_parts(Policy(model, processor), batch, "high")[len(example.images) * 16:]
special = {BOS: "<bos>", EOS: "<eos>"}
said = [special.get(i) or (f"<{i}>" if i >= v.text else text.decode([i]))
        for i in batch.tokens[0].tolist()]
words = [(part, [label for _, label in run])
         for part, run in groupby(zip(belongs, said), key=lambda pair: pair[0])]

# %%
once = costs(c, len(said))
each, whole = once["prompt"] / len(said), sum(once.values())
note = {"prompt": "given", "state": "given", "subtask": "written", "tokens": "training"}
parts = []
for slot, image in example.images.items():
    cut = image.reshape(4, 16, 4, 16, 3).swapaxes(1, 2).reshape(16, 16, 16, 3)
    parts.append(blocks.Part(slot, [f"patch {k}" for k in range(16)], list(cut), "given, "
                               f"{once['pictures'] / len(example.images) / whole:.0%}"))
parts += [blocks.Part(part, labels, note=f"{note[part]}, {len(labels) * each / whole:.0%}")
          for part, labels in words]
parts.append(blocks.Part("flow", [f"step {k + 1}" for k in range(c.horizon)],
                           note=f"10 times, {once['flow'] / whole:.0%}"))
blocks.blocks_figure(parts, f"{x.shape[1]} tokens of the prefix, and {c.horizon} of the flow")

# %% [markdown]
# **Find** BOS and both EOS, the numbers of the state, and the patch where the gripper is. Which blocks are missing
# at the low level at run time? (The subtask then stands in the prompt, in place of the instruction; no action
# tokens are there.)
#
# ## 8 · The same as the package
# Your functions on this example against `Processor.collate`. Next to read: `pi05lite/tokens/prompt.py`, 55 lines,
# then `Processor.sequence` and `Pi05.embed`.

# %%
mine = lay_out(processor.prompt_ids(example), processor.answer_ids(example), action_ids)
theirs = (batch.tokens[0], batch.kinds[0], batch.target[0])
assert all([int(a) for a in mine_] == theirs_.tolist() for mine_, theirs_ in zip(mine, theirs))
assert text.encode(write_prompt(low.text, values)) == processor.prompt_ids(low)
prefix, flow, _ = count(len(example.images), 64, 16, len(mine[0]), c.horizon, 10)
assert (prefix, flow) == (x.shape[1], c.horizon)
print("prompt, sequence and count agree with pi05lite:", len(mine[0]), "places of text")

# %% [markdown]
# ## 9 · Try a change
# Everything has a price in tokens. **Predict** for the full model, in percent of its arithmetic: one camera in
# place of three; pictures of 448 pixels; a prompt of 50 tokens; chunks of 100 steps. No weights are needed to know:

# %%
base = config.pi05()
changes = {"as it is": (base, 200), "one camera": (replace(base, cameras=("base",)), 200),
           "448 pixels": (replace(base, vision=replace(base.vision, image_size=448)), 200),
           "50 text tokens": (base, 50), "100 steps": (replace(base, horizon=100), 200)}
table = {title: costs(*change) for title, change in changes.items()}
for title, row in table.items():
    print(f"{title:15} {sum(row.values()) / 1e12:5.2f} TFLOP, "
          f"{sum(row.values()) / sum(full.values()):4.0%} of the full model's")

# %%
blocks.costs_figure(table, "the arithmetic of one chunk, by what it is spent on")

# %% [markdown]
# Sharper eyes cost most by far: twice the pixels a side are four times the tokens. Chunks twice as long cost 8 %
# more arithmetic. (Time is another matter: ten steps read all weights of the expert ten times. Chapter 14 has
# the clock.)
#
# ## What you have seen
# - Patches: cut row by row, one linear layer, a tower, a projector. 256 tokens a camera in the real model.
# - Words: ids that pick rows of a table. The state is text as well, in 256 bins.
# - What is given first, what is to be predicted after; an EOS ends each part and is itself to be predicted.
# - Tokens of one width in one row; a list of kinds beside them says who may look at whom.
#
# **Common confusions.** A token is a vector, an id is a number that picks one; pictures have tokens and no ids.
# *Prompt* is what is given at that level: the instruction at the high level, the subtask at the low one. The target
# marks tokens to be predicted; each is predicted by the token *before* it. FAST tokens and flow tokens are two ways
# to say the same chunk. A missing camera is not a black picture: its tokens are masked (openpi's pi0-FAST does not
# mask them).
#
# **Ask yourself.** Why do words have ids and patches none? Could a patch be predicted? What would have to change to
# write a state with 1,024 bins, and what would be won? Why is the state turned into text *before* it is padded to
# 32 numbers?
#
# Next: chapter 03 lets these tokens read each other.
#
# **To read.** Dosovitskiy et al. 2021, arXiv 2010.11929 (patches). Zhai et al. 2023, arXiv 2303.15343 (SigLIP).
# Beyer et al. 2024, arXiv 2407.07726 (PaliGemma: one sequence). pi0.5, arXiv 2504.16054, section IV.
