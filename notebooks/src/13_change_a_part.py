# %% [markdown] assign=true
# # 13 · Change the architecture: swap a part, compare fairly
#
# **The question:** I have an idea for another part. Does it help?

# %% [markdown]
# ![Left: pi0.5 as a column of parts, one of them exchanged. Middle: the contract, one promise of it broken and named. Right: losses of two variants, a line for each seed; the seeds differ more than the variants.](figures/13_change_a_part.png)
#
# When you are done you can
#
# 1. write another part in a notebook cell and build a whole pi0.5 with it,
# 2. find out in a second whether it breaks a mask, a cache or a gradient, before it costs a night of training,
# 3. say how much two runs of the *same* model differ, and with that, what a difference between two models is worth,
# 4. give two variants the same budget, and say the same *what*,
# 5. read a comparison, your own or a published one, and name what makes it unfair.
#
# Reading 25 minutes, four exercises 40 minutes, computing a few minutes on two CPU cores. You need chapters 06 (flow
# matching) and 07 (the expert). The tools lie in `pi05lite/lab`, ready-made swaps in `pi05lite/lab/swaps`.

# %% assign=true
import copy
import os
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import plotly.graph_objects as go
import torch
from scipy import stats
from torch import nn

import pi05lite
from pi05lite import checks, config, lab
from pi05lite.lab import budget, runs, statistics, swaps
from pi05lite.model import layers
from pi05lite.model.expert import Pi0Expert
from pi05lite.model.pi05 import Pi05
from pi05lite.widgets import pictures

torch.manual_seed(0)
STEPS = int(os.environ.get("PI05LITE_STEPS", 10_000))  # no more than so many training steps a cell

# %% [markdown]
# ## 1 · A model is a list of parts
# `Pi05(config)` builds pi0.5. Every part of it is a class that the builder is *handed*, so that another class can take
# its place. There is no registry and no name to look up: a class of this notebook will do.
#
# | handed in as | the kit's own | is asked for |
# |---|---|---|
# | `attention=` | `Attention` | `forward(x, bias, turn, past)`: what the tokens read, and keys and values to keep |
# | `norm=`, `feed_forward=` | `RMSNorm`, `FeedForward` | one layer's other two pieces |
# | `time=` | `AdaptiveTime` | how the expert is told the flow time |
# | `expert=`, `vision=` | `ActionExpert`, `VisionTower` | the whole action expert, the whole picture tower |
# | `objective=` | `FlowMatching` | flow times, what is shown and asked for, and how a chunk is drawn |
#
# Numbers are another matter: widths, depths and learning rates are changed with `dataclasses.replace`.

# %%
class NormedKeys(layers.Attention):
    """Queries and keys of unit length: no logit can grow without limit."""

    def project(self, x, turn):
        q, k, v = super().project(x, turn)
        return layers.unit_rms(q), layers.unit_rms(k), v


c = replace(config.nano(), max_tokens=96)
size = lambda model: sum(p.numel() for p in model.parameters())
for name, builder in {"pi0.5": Pi05, "normed keys": lab.build(attention=NormedKeys),
                      "pi0's time": lab.build(time=swaps.norms.MixedTime),
                      "pi0's expert": lab.build(expert=Pi0Expert)}.items():
    print(f"{name:20} {size(builder(c)):,} parameters")

# %% [markdown]
# Four models, each from a line. And now the danger: all four would train, and so would a fifth with a mistake in it.
#
# ## 2 · What must a part not break?
# Here are two attentions with a mistake that one makes in earnest. The first leaves out the mask; the second forgets
# the keys and values that it was handed. Both give numbers of the right shape.

# %%
class NoMask(layers.Attention):
    """Everyone looks at everyone."""

    def forward(self, x, bias, turn, past=None, record=None):
        return super().forward(x, torch.zeros_like(bias), turn, past, record)


class Forgets(layers.Attention):
    """Keeps the past for others, and does not look at it itself."""

    def forward(self, x, bias, turn, past=None, record=None):
        y, new = super().forward(x, bias[..., -x.shape[1]:], turn, None, record)
        return y, new if past is None else tuple(torch.cat(pair, dim=2) for pair in zip(past, new))


x = torch.randn(2, 6, c.vlm.width)
seen = layers.attention_bias(torch.ones(2, 6, 6).tril().bool(), x.dtype)
turn = layers.rotary(torch.arange(6).expand(2, 6), c.vlm.head_dim)
for part in (layers.Attention, NoMask, Forgets):
    y, _ = part(c.vlm.width, c.vlm.heads, c.vlm.kv_heads, c.vlm.head_dim)(x, seen, turn)
    print(f"{part.__name__:10} {tuple(y.shape)}, finite: {bool(y.isfinite().all())}")

# %% [markdown]
# **Predict:** who finds the mistakes? A test of shapes: no. The training loss? It may even fall *faster* without a mask,
# for a token that sees the next one need not guess it. Section 5 trains the first of them, so that you can look.
#
# What finds them is a **contract**: properties that hold for every part, whatever its idea is. Change a token that
# nobody may see, and nothing may move. Go token by token with a cache, and all must come out as in one pass.
# `lab.check` tries a part by itself and then inside a nano model:

# %%
print(lab.check(NormedKeys))

# %%
def verdict(part):
    """What a part keeps, or what it breaks."""
    try:
        return str(lab.check(part))
    except lab.Broken as broken:
        return str(broken)


print(verdict(NoMask), "\n")
print(verdict(Forgets))

# %% [markdown]
# Each breach says what was tried, what was expected, what came, and where to look. The names of the promises:
#
# | promise | in words |
# |---|---|
# | shapes, determinism, saves | right shapes, the same numbers twice, a checkpoint that carries all of it |
# | masks, padding | who may not be seen is not seen: later tokens, flow tokens, padding, other examples |
# | cache | with keys and values kept, token by token gives what one pass gives |
# | gradients, insulation | every trained weight gets a gradient; with insulation (chapter 07) exactly 0 outside the expert |
# | reach | the expert does use pictures, words, flow time and the whole chunk |
#
# It cannot know whether the idea is *good*. It says that what you are about to measure is your idea, and not a leak.

# %% [markdown] assign=true
# ### Exercise 1 · A part of your own (medium, 15 minutes)
# pi0.5 tells the flow time to **every norm** of the expert (chapter 07). Is that needed? Write the plainest other
# way: the time is added **once** to each action token, where it enters, and the layers have plain norms.
# A time conditioning has
#
# - a class attribute `norm`: the norm of the expert's layers, here `layers.RMSNorm`, which reads nothing,
# - `__init__(width)`,
# - `forward(tokens, wave)`: tokens (B, H, D) and the time as waves (B, D) -> the tokens, and a condition for the
#   norms, which is `None` here.
#
# Send the wave through one linear layer, and add the result to all H tokens of its chunk.

# %% exercise="AddedTime"
class AddedTime(nn.Module):
    """The flow time through a linear layer, added to every action token."""

    norm = layers.RMSNorm

    def __init__(self, width):
        super().__init__()
        ### BEGIN SOLUTION
        self.read = nn.Linear(width, width)
        ### END SOLUTION

    def forward(self, tokens, wave):
        """tokens (B, H, D), wave (B, D) -> tokens (B, H, D), None."""
        ### BEGIN SOLUTION
        return tokens + self.read(wave)[:, None], None
        ### END SOLUTION


# %% check="AddedTime" points=4
from pi05lite.checks.swap import check_added_time

points = check_added_time(AddedTime)
### BEGIN HIDDEN TESTS
torch.manual_seed(3)
part, row = AddedTime(4), torch.randn(2, 4)
said = part(torch.zeros(2, 3, 4), row)[0]
points = points if torch.allclose(part(torch.ones(2, 3, 4), row)[0] - 1, said, atol=1e-5) else 0
### END HIDDEN TESTS
points

# %% [markdown]
# <details><summary>Hint</summary>
#
# `self.read = nn.Linear(width, width)`. Its result has the shape (B, D); `[:, None]` makes room for the H tokens. Return
# two things, the second is `None`.
# </details>
#
# <details><summary>"breaks gradients: none for expert.time..."?</summary>
#
# A weight that nothing reads, or a `detach()`. A layer made in `__init__` must be used in `forward`.
# </details>

# %%
AddedTime = checks.going_on("AddedTime", AddedTime, swaps.norms.AddedTime)
print(verdict(AddedTime))
print(f"{size(lab.build(time=AddedTime)(c)):,} parameters, pi0.5 {size(Pi05(c)):,}")

# %% [markdown]
# ## 3 · One seed misleads
# Now train it beside pi0.5, and see who is lower? Not yet. First ask how much **two runs of the same model** differ. A
# seed draws the first weights, the order of the data and the noise. Nobody chose it, so nothing that it alone changed
# is a finding.
#
# We use the kit's own toy table at nano size, so that a run takes seconds. `lab.Variant` holds all that one run needs;
# `lab.compare` runs variants x seeds under one budget. It keeps one small file a run in `out`, and what is there is
# not done again. Here with a single variant:

# %%
from pi05lite.tokens.fast import FastTokenizer
from pi05lite.train import recipe
from pi05lite.train.setup import prepare

setup = prepare(["toy"], c, FastTokenizer(c.vocabulary.actions), words=False)
RUN = min(150, STEPS)
plan = replace(recipe.posttrain(RUN, batch_size=8, learning_rate=5e-3), ema=0.9)
base = lab.Variant.of(setup, plan)
SEEDS = range(5 if RUN > 100 else 2)
OUT = Path(tempfile.mkdtemp())  # name a folder of your own to keep what is found
METRICS = {"chunk error": lab.chunk_error(setup.held_out["toy"], setup.train["toy"]),
           "flow error": lab.flow_error(setup.mixture)}

# %% [markdown]
# Two measures, each on what was not trained on. **Chunk error**: the squared distance of the chunk that the policy
# would do from what was done, in held-out episodes; the mean action has 1. **Flow error**: the flow loss on unseen
# examples, with the same noise for all.

# %%
def compare(variants, metrics=METRICS, progress=True):
    """The variants on the toy table, with all seeds."""
    return lab.compare(variants, base, lab.Budget(steps=RUN), SEEDS, OUT, metrics, progress)


alone = compare({"pi0.5": lab.part()})

# %%
def by_seed(found, metric):
    """name -> the mean over the trials, a number a seed."""
    return {name: found.values(metric, name).mean(axis=1) for name in found.names}


for metric in METRICS:
    values = by_seed(alone, metric)["pi0.5"]
    print(f"{metric}: {values.round(3)}  mean {values.mean():.3f}, "
          f"standard deviation {values.std(ddof=1):.3f}, from best to worst {np.ptp(values):.3f}")

# %% [markdown]
# **Read this before any comparison.** If two of these runs were two ideas, you would report the distance between them
# as what your idea gains. A difference below that spread, from one run each, is a coin that was tossed once.
#
# So: several seeds for each variant. And **the same** seeds: variants that share a seed share data order and noise
# (and the first weights, as far as they have the same ones), so part of the luck is the same for both. Subtract
# seed by seed, and that part is gone.

# %% [markdown] assign=true
# ### Exercise 2 · A paired difference with its interval (medium, 10 minutes)
# `a` and `b` (S,) are losses of two variants, a number a seed, the same seeds in the same order. Return the mean of
# a - b and the two ends of its 95 % interval:
#
# $$\bar d \pm t\,\frac{s_d}{\sqrt S},\qquad d = a - b$$
#
# $s_d$ is the standard deviation **of the differences**, with S - 1 below the line. `t` is handed in: Student's
# factor for S seeds (2.78 for five; 1.96 only for very many).

# %% exercise="paired"
def paired(a, b, t):
    """Mean, low and high end of a - b."""
    ### BEGIN SOLUTION
    d = np.asarray(a) - np.asarray(b)
    half = t * d.std(ddof=1) / len(d) ** 0.5
    return d.mean(), d.mean() - half, d.mean() + half
    ### END SOLUTION


# %% check="paired" points=4
from pi05lite.checks.swap import check_paired

points = check_paired(paired)
### BEGIN HIDDEN TESTS
mean, low, high = paired(np.array([3.0, 5.0, 10.0]), np.array([1.0, 4.0, 7.0]), 4.0)
points = points if abs(mean - 2) < 1e-6 and abs(high - low - 8 / 3**0.5) < 1e-6 else 0
### END HIDDEN TESTS
points

# %% [markdown]
# <details><summary>Hint</summary>
#
# Subtract first: `d = a - b`. Then only `d` is used. `d.std(ddof=1)` divides by S - 1.
# </details>
#
# <details><summary>Why not two intervals, and look whether they overlap?</summary>
#
# Each of them holds the luck of the seeds in full, also the part that both had. They can overlap widely while one
# variant is lower with every single seed.
# </details>

# %%
def packaged_paired(a, b, t):
    """SciPy's paired interval; it finds t itself."""
    found = stats.ttest_rel(a, b).confidence_interval(0.95)
    return np.mean(a) - np.mean(b), found.low, found.high


paired = checks.going_on("paired", paired, packaged_paired)
student = lambda S: stats.t.ppf(0.975, S - 1)

# %% [markdown]
# How good are such rules? Ask them about something where the answer is known: **two equal models**. Draw losses with
# luck that is shared by seed and luck of each own, and count how often a rule claims a difference. 5 % is what a
# 95 % interval promises. **Predict** for two seeds: how often do both happen to fall on the same side?

# %%
def false_alarms(S, tries=min(300, 5 * STEPS)):
    """Rule -> how often it tells two equal models apart by S seeds."""
    g, again, t = np.random.default_rng(S), np.random.default_rng(0), student(S)
    claims = {"one run each, no interval": 1.0, "the same sign with every seed": 0,
              "paired, bootstrap over seeds": 0, "paired, Student's t": 0}
    for _ in range(tries):
        luck = g.normal(size=S)
        a, b = luck + 0.5 * g.normal(size=S), luck + 0.5 * g.normal(size=S)
        low, high = paired(a, b, t)[1:]
        sampled = np.quantile(again.choice(a - b, (500, S)).mean(axis=1), [0.025, 0.975])
        for rule, claim in zip(list(claims)[1:], (abs(np.sign(a - b).sum()) == S,
                               sampled[0] > 0 or sampled[1] < 0, low > 0 or high < 0)):
            claims[rule] += claim / tries
    return claims


counts = (2, 3, 5, 10)
alarms = [false_alarms(S) for S in counts]

# %%
figure = go.Figure()
for color, rule in zip(pictures.COLORS, alarms[0]):
    figure.add_scatter(x=list(map(str, counts)), y=[row[rule] for row in alarms], name=rule,
                       line_color=color)
figure.add_hline(y=0.05, line_dash="dot", line_color=pictures.TRUTH)
figure.update_yaxes(title="claims a difference", tickformat=".0%", range=[-0.03, 1.05])
figure.update_xaxes(title="seeds", type="category")
figure.update_layout(**pictures.LAYOUT, height=360, title_text="false alarms: two equal models")

# %% [markdown]
# One run each *always* names a winner. The bootstrap, drawing again among two or three seeds, never sees how far
# seeds can lie apart: in our 300 tries it claimed a difference in half of the cases at two seeds, in a quarter at three,
# and still in 18 % at five. Student's t knows how little two numbers say of their own spread, stays near its promise
# (5 to 8 %), and pays with wide intervals.
#
# So `lab.compare` takes Student's t over the seeds' differences, as you did, and adds what other **trials** would have
# changed (a mean over a few episodes is not one over all): the two half widths are added as squares. Its star says
# that this interval leaves out 0. With two seeds it will seldom say so, and with one never: then the interval is over
# trials and tells of two trained models, and the table says that too. `pi05lite/lab/statistics.py` has all of it, and
# its tests count false alarms as you just did.
#
# ## 4 · The same budget: the same what?
# "Trained equally long" has three meanings, and a part can win by one and lose by another:
#
# | the same | asks | unfair where |
# |---|---|---|
# | steps | what does it learn from as many examples? | its step costs more |
# | arithmetic (FLOPs) | what does it make of as much computing? | its operations are small, and the machine waits |
# | time on one machine | what do I have tomorrow morning? | its code is not yet as well tuned |
#
# Say which one you chose, and give the other figures beside it. What a training step costs:

# %%
from pi05lite.lab.costs import costs

ideas = {"pi0.5": lab.part(), "time added once": lab.part(time=AddedTime),
         "one set of weights": swaps.one_set, "regression": swaps.regression}
made = {name: swap(base) for name, swap in ideas.items()}
price = {name: costs(v, torch.device("cpu")) for name, v in made.items()}
seconds = budget.speeds(made, {}, torch.device("cpu"))
for name, row in price.items():
    print(f"{name:20} {row['parameters']:7,} parameters  {row['gflop_a_step']:.3f} GFLOP  "
          f"{row['megabytes']:.1f} MB  {1000 * seconds[name]:.0f} ms a step")

# %% [markdown]
# Arithmetic and memory are counted, so they are the same everywhere. Time is measured, **side by side, in turns**: what
# else the machine does then slows all alike. Compare the two columns: one set of weights does 18 % more arithmetic a
# step, and took 2 % more time when we measured. At this size a step is many small calls, and its time follows their
# number rather than their arithmetic.

# %% [markdown] assign=true
# ### Exercise 3 · As many steps as the budget pays (easy, 5 minutes)
# `costs`: name -> what one step costs (FLOPs or seconds); the **first** variant is what the others are compared with.
# It runs `steps` steps. Return name -> how many whole steps each may run, so that none spends more than the first
# does.

# %% exercise="steps_for"
def steps_for(costs, steps):
    """name -> steps, for the same budget."""
    ### BEGIN SOLUTION
    paid = steps * next(iter(costs.values()))
    return {name: int(paid / cost) for name, cost in costs.items()}
    ### END SOLUTION


# %% check="steps_for" points=3
from pi05lite.checks.swap import check_steps_for

points = check_steps_for(steps_for)
### BEGIN HIDDEN TESTS
points = points if steps_for({"x": 4.0, "y": 1.0, "z": 8.5}, 10) == {"x": 10, "y": 40, "z": 4} else 0
### END HIDDEN TESTS
points

# %% [markdown]
# <details><summary>Hint</summary>
#
# The budget is `steps` times the cost of the first. `next(iter(costs.values()))` is that cost. `int(x)` cuts off what
# stands behind the point.
# </details>

# %%
def packaged_steps_for(costs, steps):
    """What `lab.Budget(seconds=...)` does."""
    paid = lab.Budget(seconds=steps * next(iter(costs.values())))
    return {name: paid.steps_at(cost) for name, cost in costs.items()}


steps_for = checks.going_on("steps_for", steps_for, packaged_steps_for)
print("same arithmetic:", steps_for({n: row["gflop_a_step"] for n, row in price.items()}, RUN))
print("same time:      ", steps_for(seconds, RUN))

# %% [markdown]
# One trap: a run of another length needs **its own schedule**. Cut a run of 300 steps at 200, and its learning rate has
# not yet fallen; it looks worse than a run that was planned for 200. `lab.compare` plans each run for its steps.
#
# ## 5 · The comparison
# Your part, and `NoMask` of section 2, whose mistake the contract named. Steps are the same for all here, since their
# costs hardly differ. pi0.5 is not trained again. **Predict** both: will the time added once do? Will the loss give
# the missing mask away?

# %%
parts = compare({"pi0.5": lab.part(), "time added once": lab.part(time=AddedTime),
                 "no mask": lab.part(attention=NoMask)})

# %%
parts

# %% [markdown]
# (You changed your part and ran this again? Then it was refused: the folder holds results of the *old* one under this
# name. Give the new one another name.)
#
# In the figure a dot is the mean, its line the 95 % interval over seeds and trials, a small stroke one seed. On the right
# the difference to pi0.5, paired, at 95 % for both comparisons together; the dot is full where that leaves out 0:

# %%
parts.figure("flow error", "held-out flow error, lower is better")

# %%
parts.figure("chunk error", "held-out chunk error, lower is better")

# %%
def against_first(found, metric, names=None, seeds=None):
    """Each variant against the first, paired by seed."""
    values = {name: x[:seeds] for name, x in by_seed(found, metric).items()}
    first = values.pop(found.names[0])
    for name in names or values:
        mean, low, high = paired(values[name], first, student(len(first)))
        better = (values[name] < first).sum()
        print(f"{metric:12} {name:16} {mean:+.3f} [{low:+.3f}, {high:+.3f}]  "
              f"lower with {better} of {len(first)} seeds")


for metric in METRICS:
    against_first(parts, metric)

# %% [markdown]
# In our run (five seeds, 150 steps; the chunk error of pi0.5 was 0.96 with its best seed and 1.28 with its worst):
#
# | against pi0.5, paired | flow error | chunk error |
# |---|---|---|
# | time added once | +0.13 [+0.07, +0.20], higher with 5 of 5 seeds | +0.01 [-0.07, +0.09], higher with 3 of 5 |
# | no mask | -0.01 [-0.02, +0.00], lower with 4 of 5 | **+0.15** [+0.08, +0.21], higher with 5 of 5 |
#
# - **The time added once** makes the flow error worse, with every seed. On what the robot would do, nothing can be told:
#   the interval holds a gain and a loss. That is no proof that the two are equal. It says how large a difference five
#   seeds could still hide.
# - **The missing mask** does not show in the losses. They are even a little lower: in training, and in the examples of
#   the flow error too, the right action tokens stand in the prefix, and nothing keeps the expert from reading them. When
#   it acts there are none, and the chunk is worse with every seed. The contract knew it in a second, and named it.
# - That gap is not half as large as the one between the best and the worst seed of pi0.5. Of the 25 ways to take one run
#   of each, 4 say the opposite; pairing shows it.
#
# ### Other objectives, and a measure that takes sides
# Now two swaps from the package that change *what is asked for*: flow times drawn evenly (chapter 06 left this open),
# and a regression head, which says the chunk in one pass. Before you run it: which of the two measures can
# compare them with pi0.5 at all?

# %%
aims = compare({"pi0.5": lab.part(), "even flow times": swaps.uniform_time,
                "regression": swaps.regression})

# %%
aims

# %%
aims.figure("chunk error", "held-out chunk error, lower is better")

# %%
against_first(aims, "chunk error")
print("flow error  ", {name: f"{x.mean():.3f}" for name, x in by_seed(aims, "flow error").items()})

# %% [markdown]
# In our run: even flow times +0.07 [+0.05, +0.10], higher with 5 of 5 seeds: a quarter of the distance between
# the best and the worst seed, and yet a clear result, because each pair shares its luck. And the regression
# -0.53 [-0.75, -0.30]: it *halves* the chunk error.
#
# **So the paper is wrong, and one should regress?** Look at what is measured. The flow error is out of the question:
# the two objectives ask for other things, and at flow times of their own, so their errors have nothing in common. But
# the chunk error takes sides too. It is a squared distance, which the **mean** of all good chunks makes smallest
# (chapter 06), and the regression says that mean, while pi0.5 draws **one** chunk. Put it to the test: let pi0.5 do the
# mean of eight of its samples. A new metric is a function of the policy, and nothing is trained again for it:
#
# %%
class MeanOfEight:
    """A policy that does the mean of eight samples."""

    def __init__(self, policy):
        self.policy, self.model, self.processor = policy, policy.model, policy.processor

    def chunks(self, batch, noise, mask):
        g = torch.Generator().manual_seed(0)
        draws = [torch.randn(noise.shape, generator=g) for _ in range(8)]
        return np.mean([self.policy.chunks(batch, draw, mask) for draw in draws], axis=0)


def mean_error(policy, seed):
    """The chunk error of that mean."""
    return METRICS["chunk error"](MeanOfEight(policy), seed)


means = compare({"pi0.5": lab.part(), "regression": swaps.regression},
                METRICS | {"error of the mean": mean_error}, progress=False)
for metric in ("chunk error", "error of the mean"):
    print(f"{metric:18}", {name: f"{x.mean():.2f}" for name, x in by_seed(means, metric).items()})
against_first(means, "error of the mean")

# %% [markdown]
# In our run pi0.5 falls from 1.11 to 0.71, the regression stays at 0.59, and the difference shrinks from -0.53 to -0.12
# [-0.24, -0.01]. So most of the "gain" was the measure's taste for means. (The mean of eight still holds an eighth of
# the scatter.) What is left may be real at this size: one pass is the easier thing to learn in 150 steps. Whether a
# mean is something to *do* is another question, and the bottle of chapter 06 has answered it.
#
# ### What it costs to act
# The table has it all in one row, and a decision needs more than one column. Against the time for one chunk:

# %%
def price_figure(comparisons, metric):
    """Each variant's metric over the seconds of one chunk."""
    figure, found = go.Figure(), {n: f for f in comparisons for n in f.names}
    for color, (name, f) in zip(pictures.COLORS, found.items()):
        mean, low, high = f.measured(metric)[name]
        figure.add_scatter(x=[1000 * f.of(name)[0]["act_seconds"]], y=[mean], name=name, mode="markers",
                           marker=dict(color=color, size=12),
                           error_y=dict(array=[high - mean], arrayminus=[mean - low]))
    figure.update_xaxes(title="ms a chunk", rangemode="tozero")
    figure.update_yaxes(title=metric, rangemode="tozero")
    return figure.update_layout(**pictures.LAYOUT, height=400, title_text="what it gives, what it takes")


price_figure((parts, aims), "chunk error")

# %% [markdown]
# The regression asks the expert once where the others ask ten times; the rest of the chunk's time is the prefix, and it
# stays. pi0.5 with even flow times does *the same* to act as pi0.5, so the distance of these two along the axis is what
# the clock adds. Differences of that size in a table of latencies mean nothing.
#
# ## 6 · Spot the unfair comparison
# What makes a comparison fair is that **one** thing differs. Each result file holds what was run, down to the last
# number: config, recipe, data. So a machine can look for what else differs.

# %% [markdown] assign=true
# ### Exercise 4 · What else was changed? (easy, 10 minutes)
# `a` and `b` are two runs as groups of settings, `{"recipe": {"steps": 300, ...}, "data": {...}, ...}`. Return the
# dotted names (`"recipe.steps"`) of **all** that differs, in whatever order, except `idea`, the name that the
# comparison is about. A setting that only one of the two has differs too.

# %% exercise="confounds"
def confounds(a, b, idea):
    """Dotted names of what differs beside the idea."""
    ### BEGIN SOLUTION
    found = []
    for group in {*a, *b}:
        one, other = a.get(group, {}), b.get(group, {})
        for name in {*one, *other}:
            missing = (name in one) != (name in other)
            if (missing or one[name] != other[name]) and f"{group}.{name}" != idea:
                found.append(f"{group}.{name}")
    return sorted(found)
    ### END SOLUTION


# %% check="confounds" points=4
from pi05lite.checks.swap import check_confounds

points = check_confounds(confounds)
### BEGIN HIDDEN TESTS
one = {"recipe": {"alpha": 1.0, "steps": 5}, "data": {"cr5": 1.0}}
two = {"recipe": {"alpha": 10.0, "steps": 5}, "data": {"cr5": 0.5, "words": 0.5}}
points = points if sorted(confounds(one, two, "recipe.alpha")) == ["data.cr5", "data.words"] else 0
### END HIDDEN TESTS
points

# %% [markdown]
# <details><summary>Hint</summary>
#
# Two loops: over the groups of both, and over the names of both within a group. `{*one, *other}` are the names that are
# in either.
# </details>

# %%
def packaged_confounds(a, b, idea):
    """From the lines with which the lab refuses another variant under an old name."""
    bare = {"config": {}, "recipe": {}, "data": {}, "weights": "", "first_loss": 1.0}
    lines = runs.unlike_facts(bare | a, bare | b)
    return [name for name in (line.split(":")[0] for line in lines) if name != idea]


confounds = checks.going_on("confounds", confounds, packaged_confounds)

# %% [markdown]
# First our own comparison. Then that of a colleague, who found that **insulation** (chapter 07) halves the loss. The
# runs are real records, and he meant well:

# %%
groups = lambda facts: {group: facts[group] for group in ("recipe", "data")}
ours, other = (parts.of(name)[0]["facts"] for name in ("pi0.5", "time added once"))
print("ours, beside the part:", confounds(groups(ours), groups(other), "the part"))

before, after = groups(ours), copy.deepcopy(groups(ours))
after["recipe"] |= {"insulate": True, "alpha": 1.0, "steps": 2 * RUN, "seed": 3,
                    "learning_rate": 2e-3}
print("his, beside insulation:", confounds(before, after, "recipe.insulate"))

# %% [markdown]
# Not all of these weigh alike. `alpha` may belong to the idea (with insulation the two losses no longer meet in one
# gradient); then say so, and also try the old model with it. Twice the steps never belong to it. A learning rate
# tuned for one side alone is the commonest of all: **tune both or none**, with the same number of tries. And a loss
# whose terms are weighed with another `alpha` is another loss: it can halve without anything being learned.

# %% [markdown] assign=true prose="unfair" points=4
# ### Question · In words (8 minutes)
# From a report: *"We replaced the expert's attention by X. Both models were trained for 24 hours on the same GPU, X
# on a machine of its own, the baseline beside other jobs. We took the default learning rate for the baseline, and for
# X the best of six. X reached a training loss of 0.21 (best of five seeds), the baseline 0.23. X is significantly
# better."* Name four things that are wrong with this comparison, and say for each what you would do instead.
#
# ### BEGIN MARK SCHEME
# One point for each of four, with its remedy:
# - time by the clock on unlike loads: the baseline got fewer steps; count steps or FLOPs, or time both side by side.
# - six tries at the learning rate against one: tune both with the same number of tries (on data that is not the test).
# - best of five seeds against one (or an unnamed) run: the mean over the same seeds for both.
# - "significantly" without an interval: paired differences by seed with a t interval, or at least every seed's value.
# - a training loss: held-out data, and what the robot is for (success in closed loop); a leak lowers the training loss.
# - no contract test: X may see what it must not.
# ### END MARK SCHEME

# %% [markdown]
# ## 7 · The same as the package

# %%
a, b = (by_seed(parts, "flow error")[name] for name in ("time added once", "pi0.5"))
mean, low, high, sure = parts.differences("flow error")["time added once"]
assert np.isclose(paired(a, b, student(len(a)))[0], mean)
assert np.allclose(paired(a, b, student(len(a))), packaged_paired(a, b, None))
# With one number a seed there are no trials to add, and the lab's interval is yours.
assert np.allclose(paired(a, b, student(len(a))), statistics.difference(a[:, None], b[:, None])[:3])
assert steps_for(seconds, RUN) == packaged_steps_for(seconds, RUN)
assert sorted(confounds(before, after, "")) == sorted(packaged_confounds(before, after, ""))

both = [kind(16) for kind in (AddedTime, swaps.norms.AddedTime)]
if not set(both[0].state_dict()) ^ set(both[1].state_dict()):  # yours may be built otherwise
    both[0].load_state_dict(both[1].state_dict())
    given = torch.randn(2, 5, 16), torch.randn(2, 16)
    assert torch.allclose(both[0](*given)[0], both[1](*given)[0], atol=1e-5)
print("the part, differences, budgets and confounds agree with pi05lite.lab")

# %% [markdown]
# Next to read: `pi05lite/lab/attending.py`, the promises of an attention, 100 lines; `comparison.py` and
# `statistics.py`; and any file of `pi05lite/lab/swaps`, each of under 30 lines.
#
# ## 8 · Try a change
# A difference that is real in one setting can be gone in another. The commonest doubt of a reader: *would it still be
# so after longer training?* Ask for the same comparison with another number of steps, in another folder.
# **Predict:** will the gap between the two times grow, shrink, or change its sign?

# %%
longer = lab.compare({"pi0.5": lab.part(), "time added once": lab.part(time=AddedTime)}, base,
                     lab.Budget(steps=2 * RUN), SEEDS[:3], OUT / "longer", METRICS, progress=False)
for steps, found in ((RUN, parts), (2 * RUN, longer)):
    print(f"{steps} steps, the same seeds")
    for metric in METRICS:
        against_first(found, metric, ["time added once"], len(SEEDS[:3]))

# %%
longer.curves("flow")

# %% [markdown]
# In our run, three seeds: the flow error with the time added once was higher by 0.12 [-0.04, +0.28] after 150 steps, and
# by 0.03 [-0.11, +0.18] after 300, lower with one seed. The gap seems to close, and three seeds cannot tell; nor can
# they say anything of the chunk error. (The same 150 steps were clear with the five seeds of section 5: this is what two
# seeds more are worth.) An honest report reads: "worse by flow error after 150 steps; whether that lasts we do not
# know." What would settle it is more seeds at 300 steps, and not another look at these.
#
# On real data the same lines serve: `prepare(available("cr5"), config.tiny())`, `lab.Budget(seconds=300)`, and
# `lab.success("short", 200)` as a metric in the homes, where the robot must *do* it.
#
# ## What you have seen
# - A part is a class that the builder is handed. A contract says what every part must keep, and names what it breaks.
# - A mistake need not show in the loss, and a leak makes it better.
# - Seeds differ. Measure that first; then pair by seed, give the interval, and count how many comparisons you made.
# - Same steps, same arithmetic, same time are three questions.
# - A measure can take sides. Ask of each column whether it means the same for both rows.
#
# **Common confusions.** "Not significant" is not "equal": with few seeds it says that you cannot tell. A training loss
# is comparable between variants only where target, weights and noise are the same. Overlapping intervals of two
# variants do not say that their difference is within 0. More trials do not replace more seeds: 200 rollouts of one
# run say much about that run, and nothing about the next one. Fewer FLOPs are not less time.
#
# **Ask yourself.** You try twenty ideas, and one is significant at 5 %: what do you do next? Why is the first variant
# of `lab.compare` trained with the same seeds as the others and not with more? Which part of pi0.5 could you swap
# without training anything again?
#
# Next: chapter 14 looks at the real pi0.5, where one seed is all that anyone can pay for.
#
# **To read.** Agarwal et al. 2021, arXiv 2108.13264 (few runs, honest intervals). Bouthillier et al. 2021, arXiv
# 2103.03098 (what varies in a benchmark). Peebles and Xie 2023, arXiv 2212.09748 (how a condition comes in, compared).
