# %% [markdown] assign=true
# # 01 · Robot data: what a robot senses and does
#
# **The question:** an arm in a lab, another one on a table and a humanoid log other numbers at other rates.
# How do their recordings become examples for one model?

# %% [markdown]
# ![Above: what a camera sees at five moments. Below: the robot's actions over time, with two windows of 50 steps, the chunks; the second one reaches over the end of the episode.](figures/01_robot_data.png)
#
# When you are done you can
#
# 1. open a robot dataset and say what each of its numbers means,
# 2. say what a chunk of 50 steps covers at each control rate, and change the rate,
# 3. cut chunks that never run into another episode, with a mask for what is padding,
# 4. count actions from where the robot is, and bring all of it to [-1, 1] without looking at the test.
#
# Reading 25 minutes, four exercises 35 minutes, computing about a minute on two CPU cores. You need NumPy. What
# is built here lies in `pi05lite/data/lerobot.py`, `stats.py` and `robots.py`.

# %% assign=true
import numpy as np

import pi05lite
from pi05lite import checks

# %% [markdown]
# ## 1 · What an episode is
# A person holds a device, the arm follows, and everything is written down: what the cameras saw, where the
# joints were (the **state**), what was commanded (the **action**), and one sentence that says what it was for.
# One go from start to end is an **episode**. The datasets here are folders in LeRobot format: tables, videos,
# words.

# %%
from pi05lite.data.robots import KNOWN, open_known
from pi05lite.train.setup import available

names = available("droid", "droid_new", "cr5", "g1")
opened = {name: open_known(name, image_size=96) for name in names}  # training part, held-out part
dataset, E = opened[names[0]][0], 1  # one robot and one of its episodes for the next cells
print(dataset.describe())

# %%
print("words: ", dataset.task(E, 0))
print("state: ", dataset.states(E).shape, dataset.features["observation.state"]["names"])
print("action:", dataset.actions(E).shape, dataset.features["action"]["names"])
print("at the first frame:", dataset.states(E)[0].round(2), dataset.actions(E)[0].round(2))

# %% [markdown]
# **State and action have one row a frame.** On droid they look alike: where the joints are, and where they shall
# go. That is a choice of whoever recorded it. Others command velocities, or small displacements of the hand.
# Nothing in the file's numbers tells you: read the dataset's description.
#
# At the end of this chapter stands an *example*, what the model is trained on:

# %%
from pi05lite.data.robots import describe_robot
from pi05lite.data.sources import RobotSource

robot = describe_robot(dataset, KNOWN[names[0]], horizon=10)
source = RobotSource(dataset, robot, 10, "low", KNOWN[names[0]].gripper)
example = source.example(E, 20)
for key in ("text", "state", "actions", "steps"):
    value = getattr(example, key)
    print(f"{key:8}", value if isinstance(value, str) else value.shape)
print("images  ", {slot: image.shape for slot, image in example.images.items()})

# %% [markdown]
# Five things: words, pictures, the state now, the **next** 10 actions, and which of those 10 are real. The rest of
# this chapter is how they come about.
#
# ## 2 · What a robot senses
# **Predict:** of all numbers that a robot takes in at one moment, which share is about its own body?

# %%
for name, (train, _) in opened.items():
    light = sum(int(np.prod(train.features[camera]["shape"])) for camera in train.all_cameras)
    print(f"{name:10} {len(train.all_cameras)} cameras, {light:,} numbers of light, "
          f"{train.state_size} of its own joints")

# %% [markdown]
# Next to none, and yet they matter: a camera does not show how far a joint is turned to a tenth of a degree. The
# pictures are made square, the aspect kept, black bars around (`pi05lite.data.images.fit`), for a model that takes
# 224 x 224 pixels (the real one) or 64 x 64 (ours).

# %%
from pi05lite.widgets import episodes, pictures

shortest = {name: min(range(len(d.episodes)), key=lambda e: d.episodes[e].length)
            for name, (d, _) in opened.items()}
shown = [name for name in names if name != "droid_new"] or names  # the same arm as droid
seen = {f"{name}, {camera.split('.')[-1]}": opened[name][0].image(shortest[name], 8, camera)
        for name in shown for camera in opened[name][0].cameras}
pictures.contact_sheet(seen, "what the cameras see: outside, and at the wrist")

# %% [markdown]
# An outside camera shows where things are, the one at the wrist whether the fingers are round the cup. pi0.5
# takes four cameras to choose a subtask, and three to move. A robot that lacks one leaves its place empty, and a mask
# says so.
#
# ## 3 · Control rates
# A **control rate** of 50 Hz means a new action every 20 ms. Real robots differ tenfold. The kit's own
# simulated robots run at the paper's 50 Hz; a few episodes of one with two arms, for comparison:

# %%
from pi05lite.homes.expert import Expert
from pi05lite.homes.tasks import Episode


def simulate(seed):
    """States (T, S) and actions (T, A) of an episode in a home, played by a scripted expert."""
    home = Episode(task="pick", home=7, seed=seed, robot="two_arm")
    expert, rows = Expert(home), []
    while not home.over:
        action, _ = expert.act()
        rows.append((home.world.state(), action))
        home.step(action)
    return tuple(np.stack(column) for column in zip(*rows))


# %%
motions = {name: (train.fps, [(train.states(e), train.actions(e)) for e in range(len(train.episodes))])
           for name, (train, _) in opened.items()}
motions["two arms"] = (50, [simulate(seed) for seed in range(3)])
rates = {name: fps for name, (fps, _) in motions.items()}
episodes.rates_figure(rates, 50, "a chunk of 50 steps, one dot each")

# %% [markdown]
# The same 50 steps are one second at 50 Hz and more than ten at 4 Hz. So **a chunk is a number of steps, and what it
# covers is up to the robot**. Ten seconds ahead nobody knows what the cup will do; openpi takes 15 steps for
# DROID at 15 Hz.
#
# **Is the rate what it says?** cr5 kept the clock of the recording computer:

# %%
clocks = {f"{name}, episode {e}": train.column(e, "timestamp_raw") for name, (train, _) in
          opened.items() if "timestamp_raw" in train.features for e in (0, 1)}
if clocks:
    gaps = np.concatenate([np.diff(clock.reshape(-1)) for clock in clocks.values()])
    print(f"{len(gaps)} intervals: middle one {np.median(gaps) * 1000:.0f} ms, "
          f"{(gaps > 0.15).sum()} of them above 150 ms")
else:
    print("no robot here kept its raw clock; generated data is exact")
episodes.clock_figure(clocks or {names[0]: dataset.timestamps(E)}, 10 if clocks else dataset.fps)

# %% [markdown]
# On cr5 most frames are 99 ms apart, and one in twenty comes after 200 ms: a beat was missed. Cleaned-up datasets
# hide this (the column `timestamp` counts exactly 0, 0.1, 0.2 s). A policy that is called by such a clock meets it
# again.
#
# To use a recording at another rate, draw straight lines between its steps and read them at new times.

# %% [markdown] assign=true
# ### Exercise 1 · Another control rate (easy, 10 minutes)
# `actions` (T, A) were recorded at `fps` steps a second: step k at k / fps seconds. Return what they are at `rate`
# steps a second, by straight lines between the recorded steps. The first step stays at 0 s, the new ones are exactly
# 1 / rate seconds apart, and none lies after the last recorded step (one may lie *on* it).

# %% exercise="at_rate"
def at_rate(actions, fps, rate):
    """The actions (T', A) at `rate` steps a second, from actions (T, A) at `fps`."""
    ### BEGIN SOLUTION
    recorded = np.arange(len(actions)) / fps  # seconds
    seconds = np.arange(0, recorded[-1] + 1e-9, 1 / rate)
    return np.stack([np.interp(seconds, recorded, column) for column in actions.T], axis=1)
    ### END SOLUTION


# %% check="at_rate" points=3
from pi05lite.checks.data import check_at_rate

points = check_at_rate(at_rate)
### BEGIN HIDDEN TESTS
slope = np.asarray(at_rate(np.arange(7)[:, None] * 1.0, 6, 9))
points = points if np.allclose(slope[:, 0], np.arange(10) * 6 / 9) else 0
### END HIDDEN TESTS
points

# %% [markdown]
# <details><summary>Hint</summary>
#
# `np.interp(seconds, recorded, column)` draws the lines for one dimension; `actions.T` goes over dimensions.
# `np.arange(0, end, step)` leaves the end out: add a little to it.
# </details>

# %%
from pi05lite.evaluate.tokens import resampled

at_rate = checks.going_on("at_rate", at_rate, resampled)

# %% [markdown]
# **How much is lost at a lower rate?** Keep every third step, fill the rest in with lines, and compare with what was
# really commanded. In percent of the range in which 98 % of a dimension's values lie:

# %%
for name, (fps, rows) in motions.items():
    off, ends = [], np.quantile(np.concatenate([a for _, a in rows]), [0.01, 0.99], axis=0)
    for _, actions in rows:
        back = at_rate(actions[::3], fps / 3, fps)
        off.append(np.abs(back - actions[:len(back)]))
    share = np.concatenate(off).mean(0) / np.maximum(ends[1] - ends[0], 1e-6)
    print(f"{name:10} {fps:3} Hz from {fps / 3:4.1f} Hz: off by {share.mean():.1%} of the range, "
          f"worst dimension {share.max():.1%}")

# %% [markdown]
# Positions are smooth and survive. The velocities of cr5 and grippers, which jump, do so less. **Two warnings.**
# Going *up* in rate invents steps, and no detail. And an action that means "move *this far* in one step" must be
# divided when steps become shorter: interpolating it would make the robot faster.

# %% [markdown] assign=true prose="rates" points=3
# ### Question · In words (5 minutes)
# A colleague trains one policy on an arm at 5 Hz and a humanoid at 30 Hz, with chunks of 50 steps for both, and has
# each robot execute half of a chunk before the policy looks again. The humanoid works. The arm knocks over a cup
# that someone moved. Explain why, and name two ways to mend it and what each costs. Four sentences.
#
# ### BEGIN MARK SCHEME
# - 1 point: 25 steps are 5 s at 5 Hz and 0.8 s at 30 Hz; for 5 s the arm acts on an old picture.
# - 1 point: one mend is to execute fewer steps before looking again (or a shorter chunk) for the arm; costs more
#   calls of the policy for the same time.
# - 1 point: another mend, such as recording or commanding at a higher rate (interpolating up alone makes the chunk
#   shorter in seconds, and adds no detail or reaction by itself).
# ### END MARK SCHEME

# %% [markdown]
# ## 4 · Chunks
# The model does not say one action, it says the next H at once: the robot goes on while the model thinks, and small
# errors have fewer occasions to add up. The trouble is the end of an episode, where fewer than H actions are left.
#
# LeRobot v3.0 puts many episodes into one table, one after the other. **Predict:** what does
# `actions[t:t + H]` give near the end of an episode?

# %% [markdown] assign=true
# ### Exercise 2 · Cut a chunk (medium, 10 minutes)
# `actions` (N, A) holds all episodes, one after the other; `episode` (N,) says which one each row belongs to. Return
# the chunk (H, A) that starts at row t, with `actions[t]` first, and `real` (H,), True where a step lies in the
# episode of row t. Steps past its end repeat its last action: for an arm that is commanded to places, "stay there".

# %% exercise="cut_chunk"
def cut_chunk(actions, episode, t, horizon):
    """The chunk (H, A) from row t, and which of its steps are real (H,)."""
    ### BEGIN SOLUTION
    last = np.flatnonzero(episode == episode[t])[-1]  # the last row of this episode
    steps = t + np.arange(horizon)
    return actions[np.minimum(steps, last)], steps <= last
    ### END SOLUTION


# %% check="cut_chunk" points=4
from pi05lite.checks.data import check_cut_chunk

points = check_cut_chunk(cut_chunk)
### BEGIN HIDDEN TESTS
chunk, real = cut_chunk(np.arange(6)[:, None], np.array([3, 3, 3, 8, 8, 8]), 2, 4)
points = points if np.ravel(chunk).tolist() == [2] * 4 and np.sum(real) == 1 else 0
### END HIDDEN TESTS
points

# %% [markdown]
# <details><summary>Hint</summary>
#
# First the last row of the episode: `np.flatnonzero(episode == episode[t])[-1]`. Then the rows that you want,
# t, t + 1, ..., and `np.minimum` to keep them from going further than that.
# </details>

# %%
def packaged_chunk(actions, episode, t, horizon):
    """The rule of `LeRobotDataset.chunk`, which has its episodes apart."""
    mine = actions[episode == episode[t]]
    steps = t - int(np.argmax(episode == episode[t])) + np.arange(horizon)
    return mine[np.minimum(steps, len(mine) - 1)], steps < len(mine)


cut_chunk = checks.going_on("cut_chunk", cut_chunk, packaged_chunk)

# %% [markdown]
# How much of the training data is padding, over all chunks of each robot?

# %%
for name, (fps, rows) in motions.items():
    table = np.concatenate([actions for _, actions in rows])
    number = np.repeat(np.arange(len(rows)), [len(actions) for _, actions in rows])
    some = range(0, len(table), max(1, len(table) // 300))  # about 300 of its rows
    share = {H: 1 - np.mean([cut_chunk(table, number, t, H)[1] for t in some]) for H in (10, 50)}
    print(f"{name:10} padding at H = 10: {share[10]:.0%}, at H = 50: {share[50]:.0%}")

# %% [markdown]
# Short episodes at a low rate pay most: on droid every third step of a 50-step chunk is padding. Without the mask a
# third of the loss would teach to **stand still**, and a robot that learned it stops in mid-air.
#
# ## 5 · Counted from where?
# Absolute joint angles say where to go in the room of that one robot. Within a second a joint moves little, so in a
# range that is as wide as the whole table a chunk is nearly a constant. openpi, and this kit, count joints **from the
# state at the start of the chunk**: the model says how far to go from here. The gripper stays absolute: open is open.

# %% [markdown] assign=true
# ### Exercise 3 · From where the robot is (easy, 5 minutes)
# `chunk` (H, A) holds absolute commands, `state` (A,) where the robot is now, `joints` (A,) is True for the
# dimensions that are joint positions. Return the chunk with those counted from the state; the others (a gripper)
# stay. Leave `chunk` itself as it is.

# %% exercise="relative"
def relative(chunk, state, joints):
    """The chunk (H, A) with its joints counted from the state (A,) now."""
    ### BEGIN SOLUTION
    return chunk - np.where(joints, state, 0)  # (H, A) - (A,)
    ### END SOLUTION


# %% check="relative" points=3
from pi05lite.checks.data import check_relative

points = check_relative(relative)
### BEGIN HIDDEN TESTS
still = relative(np.full((3, 2), 5.0), np.array([5.0, 5.0]), np.array([True, False]))
points = points if np.asarray(still).tolist() == [[0, 5]] * 3 else 0
### END HIDDEN TESTS
points

# %% [markdown]
# <details><summary>Hint</summary>
#
# What must be subtracted is the state in the joints' columns and 0 in the others: `np.where(joints, state, 0)`.
# </details>

# %%
def packaged_relative(chunk, state, joints):
    """The rule of `Robot.to_model`, before it scales."""
    origin = np.zeros_like(chunk[0])
    origin[joints] = state[joints]
    return chunk - origin


relative = checks.going_on("relative", relative, packaged_relative)

# %% [markdown]
# All chunks of one robot whose actions are places, both ways. Thick: where 98 % of the commands lie; thin: all.

# %%
who = next((name for name in ("g1", "droid") if name in motions), "two arms")
fps, rows = motions[who]
size = rows[0][1].shape[1]
labels = (opened[who][0].features["action"]["names"] if who in opened else
          [f"{side}.{n}" for side in ("left", "right") for n in ("x", "y", "z", "opening")])
joints = np.array(["gripper" not in n and "opening" not in n for n in labels])
pairs = [(state[t], action[t:t + 10]) for state, action in rows
         for t in range(0, len(action) - 10, 5)]
both = {"absolute": np.concatenate([chunk for _, chunk in pairs]),
        "from the state": np.concatenate([relative(chunk, s, joints) for s, chunk in pairs])}
some = range(0, size, max(1, size // 8))
episodes.ranges_figure({title: {labels[k]: values[:, k] for k in some}
                        for title, values in both.items()}, f"{who}: the actions of all chunks")

# %% [markdown]
# How far one chunk moves, as a share of the range that it is told in (standard deviation within a chunk):

# %%
for title, values in both.items():
    low, high = np.quantile(values, [0.01, 0.99], axis=0)
    inside = values.reshape(len(pairs), 10, size).std(1) / np.maximum(high - low, 1e-6)
    print(f"{title:15} {inside[:, joints].mean():.1%} of the range")

# %% [markdown]
# On the humanoid a chunk fills its range about three times as well when it is counted from the state, so the same
# error of the model is a third of the error at the hand. And *standing still* is the same chunk everywhere: zeros.
#
# ## 6 · One scale for all robots
# Radians, metres, millimetres a step, 0 or 1 for a gripper. pi0.5 maps, dataset by dataset and dimension by
# dimension, the 1 % quantile to -1 and the 99 % quantile to 1. Why not the smallest and the largest value? Look at
# what single frames do:

# %%
who = "cr5" if "cr5" in motions else names[0]
values = np.concatenate([actions for _, actions in motions[who][1]])
labels = opened[who][0].features["action"]["names"]
low, high = np.quantile(values, [0.01, 0.99], axis=0)
for k, label in enumerate(labels):
    print(f"{label:16} all {values[:, k].min():6.2f} to {values[:, k].max():5.2f}   "
          f"98 % of them {low[k]:6.2f} to {high[k]:5.2f}")

# %% [markdown]
# `joint_4_vel` of cr5 hardly ever moves: 98 % of its values lie within 0.024 rad/s, and a few frames reach twenty
# times as far. By smallest and largest value all ordinary motion of this joint would lie within 2 % of the range;
# by quantiles it fills the range, and the few frames are **clipped**. (openpi does not clip. There, such frames
# reach the model as values of 40 and more; in a dataset with a joint that is locked a user met -3200.)
#
# And: statistics are part of what is *learned from the training episodes*. Taking them over the held-out ones, too,
# makes the test easier than the world.

# %% [markdown] assign=true
# ### Exercise 4 · The scale (medium, 10 minutes)
# `episodes` is a list of arrays (T, n), `training` the positions of those that may be looked at. Find the 1 % and
# 99 % quantile of each dimension over all frames of the training episodes together, and return two functions:
# `to_model(x)` maps them to -1 and 1 and clips what is outside; `to_robot(y)` is the way back.

# %% exercise="make_scale"
def make_scale(episodes, training):
    """(to_model, to_robot), two functions of arrays (..., n)."""
    ### BEGIN SOLUTION
    values = np.concatenate([episodes[e] for e in training])
    low, high = np.quantile(values, [0.01, 0.99], axis=0)

    def to_model(x):
        return ((x - low) / (high - low) * 2 - 1).clip(-1, 1)

    def to_robot(y):
        return (y + 1) / 2 * (high - low) + low

    return to_model, to_robot
    ### END SOLUTION


# %% check="make_scale" points=4
from pi05lite.checks.data import check_make_scale

points = check_make_scale(make_scale)
### BEGIN HIDDEN TESTS
ramp = [np.linspace(0, 100, 1001)[:, None], np.full((50, 1), 1e4)]
there, back = make_scale(ramp, [0])
points = points if np.allclose(np.ravel([there(50.0), there(1e4), back(-1.0)]), [0, 1, 1]) else 0
### END HIDDEN TESTS
points

# %% [markdown]
# <details><summary>Hint</summary>
#
# `np.quantile(values, [0.01, 0.99], axis=0)` gives both ends of each dimension. A function that is defined inside
# another one sees its variables: `low` and `high` are there.
# </details>

# %%
from pi05lite.data import stats


def packaged_scale(episodes, training):
    """The package's, with the held-out episodes left alone."""
    found = stats.of_values(np.concatenate([episodes[e] for e in training]))
    return found.normalize, found.unnormalize


make_scale = checks.going_on("make_scale", make_scale, packaged_scale)

# %% [markdown]
# What a leak does. Values of the held-out episodes that are clipped (they do not come back), with statistics of the
# training episodes alone, and with statistics of all:

# %%
for name, (train, held_out) in opened.items():
    parts = [*(train.actions(e) for e in range(len(train.episodes))),
             *(held_out.actions(e) for e in range(len(held_out.episodes)))]
    test, clipped = np.concatenate(parts[len(train.episodes):]), {}
    for title, count in (("honest", len(train.episodes)), ("leaked", len(parts))):
        to_model, to_robot = make_scale(parts, range(count))
        clipped[title] = np.mean(np.abs(to_robot(to_model(test)) - test) > 1e-4)
    print(f"{name:10} clipped:", {title: f"{share:.1%}" for title, share in clipped.items()})

# %% [markdown]
# With seven tasks in eleven episodes (droid_new) the held-out ones go where no training episode went. That is what a
# test must show, and the leaked scale hides three quarters of it.
#
# ## 7 · The same as the package
# Your four functions against the dataset's chunk and the robot's scale, over all frames of an episode. Next to read:
# `pi05lite/data/robots.py`, `Robot.to_model`, then `pi05lite/data/stats.py`.

# %%
H, joints = 10, np.zeros(dataset.action_size, dtype=bool)
joints[[a for a, _ in robot.relative]] = True


def rows_of(e):
    """(chunk as the model counts it, real) of every frame of an episode, by your functions."""
    actions, states = dataset.actions(e), robot.states(dataset, e)
    same = np.zeros(len(actions), dtype=int)
    for t in range(len(actions)):
        chunk, real = cut_chunk(actions, same, t, H)
        yield relative(chunk, states[t, :len(joints)], joints), real


every = [list(rows_of(e)) for e in range(len(dataset.episodes))]

# %%
if joints.any():  # relative: every real step of every chunk counts, seen from its own state
    rows = [np.concatenate([chunk[real] for chunk, real in rows]) for rows in every]
else:  # absolute: a step is the same in every chunk, once is enough
    rows = [dataset.actions(e) for e in range(len(every))]
to_model, to_robot = make_scale(rows, range(len(every)))
mine = np.stack([to_model(chunk) for chunk, _ in every[E]])
chunks, masks = zip(*(dataset.chunk(E, t, H) for t in range(len(every[E]))))
theirs = robot.to_model(np.stack(chunks), robot.states(dataset, E))
assert np.allclose(mine, theirs, atol=1e-4)
assert np.array_equal(np.stack([real for _, real in every[E]]), np.stack(masks))
print("chunks, masks, relative actions and scale agree with pi05lite.data:", mine.shape)

# %% [markdown]
# ## 8 · Watch it
# One episode as a film: cameras, state and actions at the same moment. The dots are the chunk that the model is asked
# for from there, cut and scaled by your functions; hover a line for its name. **Find** the frame where the gripper
# closes, the first frame whose chunk knows of it, and the frames at the end where dots are missing.

# %%
images = {camera.split(".")[-1]: dataset.images(E, camera) for camera in dataset.cameras}
state_names = dataset.features["observation.state"]["names"]
first = np.stack([chunk[0] for chunk, _ in every[E]])  # each frame's own action, as the model counts
panels = {"state, the robot's units": (dataset.states(E), state_names),
          "actions, scaled; dots: the chunk from here": (to_model(first),
                                                         dataset.features["action"]["names"])}
episodes.film_figure(images, dataset.timestamps(E), panels,
                     lambda t: (mine[t], every[E][t][1]), dataset.task(E, 0))

# %% [markdown]
# On droid the dots often leave the lines: the chunk counts from the state at *its* start, so the further ahead, the
# further from 0, while each line is the first step of a chunk only.
#
# ## 9 · Try a change
# Take the smallest and the largest value in place of the quantiles. **Predict** for which dimensions it hardly
# matters, and for which it is a disaster. Where numbers are written in 256 bins (as the state is, chapter 02), how
# many bins are left for 98 % of the values?

# %%
values = np.concatenate([actions for _, actions in motions[who][1]])
ends = {"quantiles": np.quantile(values, [0.01, 0.99], axis=0), "min, max": (values.min(0),
                                                                              values.max(0))}
for title, (low, high) in ends.items():
    y = (values - low) / np.maximum(high - low, 1e-6) * 2 - 1
    used = np.ptp(np.quantile(y, [0.01, 0.99], axis=0), axis=0) / 2 * 256
    print(f"{title:10}", dict(zip(opened[who][0].features["action"]["names"],
                                  used.round().astype(int).tolist())))

# %% [markdown]
# Six bins for a whole joint: on cr5 a few frames would have taken the other 250. Now go the other way, and put 20 %
# and 80 % for the quantiles: all bins are used again. What can a robot not do that never gets an order beyond them?
#
# ## What you have seen
# - An episode: pictures, states and actions at one rate, and a sentence.
# - A chunk is H steps; seconds follow from the control rate. A mask marks what lies past the end.
# - Joints are counted from the state at the start of the chunk, grippers are not.
# - Quantiles of the training episodes make one scale for all robots.
#
# **Common confusions.** *Relative* is not the difference between consecutive steps: all steps count from one state.
# The rate of the video is not always the rate of control (droid: pictures at 5 Hz, commands at 15 Hz). In some
# datasets `action[t]` is just `state[t + 1]`, because no command was logged (droid_new): then an action says where
# the arm *got*. Statistics belong to a dataset, not to a robot: two labs with one kind of arm have two scales.
#
# **Ask yourself.** What happens to a chunk if the statistics of another dataset undo the scale? Why must relative
# actions have statistics over whole chunks, and not over frames? Why would z-scores be a worse fit for bins?
#
# Next: chapter 02 puts pictures, words, state and actions into one sequence.
#
# **To read.** Khazatsky et al. 2024, arXiv 2403.12945 (DROID). Zhao et al. 2023, arXiv 2304.13705 (ACT: why
# chunks). Black et al. 2024, arXiv 2410.24164 (pi0). pi0.5, arXiv 2504.16054, section IV and appendix.
