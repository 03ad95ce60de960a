"""Checks of chapter 01, robot data."""

import numpy as np

from pi05lite.checks.core import Wrong, as_array, check, claim, compare, near, several
from pi05lite.data import robots, stats
from pi05lite.data.lerobot import LeRobotDataset


def walk(steps, sizes, seed=0):
    """A smooth random motion (steps, len(sizes)), each dimension as far as its size."""
    random = np.random.default_rng(seed)
    return random.normal(size=(steps, len(sizes))).cumsum(0) * sizes / np.sqrt(steps)


@check("at_rate", 3, seals=("pi05lite.evaluate.tokens.resampled",))
def check_at_rate(at_rate):
    """at_rate(actions, fps, rate) -> the actions at another rate, by straight lines."""
    recorded = walk(11, (1.0, 30.0), seed=1)  # at 10 Hz: 0 to 1 second
    at = lambda seconds: lines(recorded, 10, seconds)  # noqa: E731
    yield counted("10 Hz at 4 Hz", at_rate(recorded.copy(), 10, 4), at(np.arange(5) / 4), 1, {
        "these are whole recorded steps: 0.25 s lies between the steps at 0.2 s and 0.3 s":
            recorded[[0, 2, 5, 7, 10]],
        "these are whole recorded steps, the nearest ones: draw straight lines between them":
            recorded[[0, 2, 5, 8, 10]],
        "these are whole recorded steps, every second one: 5 Hz and not 4": recorded[:10:2],
        "the motion is stretched: consecutive steps must be 1 / rate seconds apart":
            at(np.arange(5) / 5),
        "fps and rate are swapped in the times": at(np.arange(5) / 10),
    }, "0, 0.25, 0.5, 0.75, 1 s")
    slow = recorded[:4]  # at 5 Hz: 0 to 0.6 s
    at = lambda seconds: lines(slow, 5, seconds)  # noqa: E731
    yield counted("5 Hz at 20 Hz", at_rate(slow.copy(), 5, 20), at(np.arange(13) / 20), 2, {
        "steps are repeated: the robot would stand still and jerk":
            np.repeat(slow, 4, axis=0)[:13],
        "the motion is stretched: consecutive steps must be 1 / rate seconds apart":
            at(np.arange(13) / 13 * 0.6),
        "fps and rate are swapped in the times": at(np.arange(13) / 5),
    }, "0, 0.05, 0.1 ... 0.6 s")


def lines(actions, fps, seconds):
    """Straight lines between recorded actions (T, A), at these seconds."""
    return np.stack([np.interp(seconds, np.arange(len(actions)) / fps, column)
                     for column in actions.T], axis=1)


def counted(what, got, right, points, mistakes, times):
    """`compare` for steps in time: too few and too many have a sentence of their own."""
    got, n = as_array(what, got), len(right)
    if got.ndim == 2 and len(got) == n - 1:
        return claim(False, points, "", f"{what}: the last recorded step is missing, the times are "
                                        f"{times}")
    if got.ndim == 2 and len(got) > n and near(got[:n], right, 1e-4):
        return claim(False, points, "", f"{what}: it goes on after the last recorded step, where "
                                        f"nothing is known; the times are {times}")
    return compare(what, got, right, points, mistakes, f"Write down the times first: {times}.")


@check("cut_chunk", 4, seals=(LeRobotDataset.chunk,))
def check_cut_chunk(cut_chunk):
    """cut_chunk(actions, episode, t, horizon) -> the chunk from row t, and which steps are real."""
    actions = walk(16, (1.0, 5.0, 0.3), seed=2) + 9
    episode = np.repeat([0, 1, 2], [5, 6, 5])  # rows 0-4, 5-10, 11-15
    ask = lambda t, horizon: several(  # noqa: E731
        cut_chunk(actions.copy(), episode.copy(), t, horizon), 2, "chunk, real")
    chunk, _ = ask(6, 3)
    yield compare("a chunk in the middle", chunk, actions[6:9], 1, {
        "it starts one step late: the action of row t comes first": actions[7:10],
        "t is counted from the start of the episode here; it is a row of the whole table":
            actions[11 - 3:11]})
    chunk, real = ask(8, 6)  # three real steps
    last = actions[10]
    pad = lambda rows, fill: np.concatenate(  # noqa: E731
        [rows, np.broadcast_to(fill, (6 - len(rows), 3))])
    yield compare("a chunk over an episode's end", chunk, pad(actions[8:11], last), 1, {
        "the chunk runs into the next episode: its last steps belong to another task":
            actions[8:14],
        "the rest is zeros: for a joint, zero is a command, and it may be far away":
            pad(actions[8:11], 0.0),
        "the rest is the chunk's first action; the robot would go back": pad(actions[8:11],
                                                                           actions[8]),
        "the chunk was moved back until it fits: its first step is no longer now": actions[5:11],
        "it starts one step late: the action of row t comes first": pad(actions[9:11], last),
        "the episode's last action is missing": pad(actions[8:10], actions[9]),
    }, "Three real steps, then the episode's last action again.")
    yield compare("which steps are real", real, [1, 1, 1, 0, 0, 0], 1, {
        "it is inverted: True is a real step": [0, 0, 0, 1, 1, 1],
        "padding counts as real: the loss would teach to stand still": np.ones(6),
        "the episode's last step is real, and this says it is not": [1, 1, 0, 0, 0, 0],
        "one step too many is real": [1, 1, 1, 1, 0, 0],
    }, "True as long as the step lies in the episode of row t.")
    chunk, real = ask(13, 6)
    ends = np.allclose(as_array("chunk", chunk)[-1], actions[15]) if len(chunk) == 6 else False
    yield claim(ends and int(np.sum(as_array("real", real))) == 3, 1, "at the end of the table",
                "at the end of the table there is no next episode, and the same must hold: three "
                "real steps, then the last action again")


@check("relative", 3, seals=(robots.Robot.origin, robots.Robot.to_model))
def check_relative(relative):
    """relative(chunk, state, joints) -> the chunk with joints counted from the state now."""
    state = np.array([0.4, -1.2, 2.0, 0.7])
    chunk = state + walk(5, (0.3, 0.2, 0.5, 0.3), seed=3) + [0.05, -0.03, 0.02, 0.1]
    joints = np.array([True, True, True, False])
    given = chunk.copy()
    got = relative(given, state.copy(), joints.copy())
    where = lambda value, whole=chunk: np.where(joints, value, whole)  # noqa: E731
    steps = np.diff(chunk, axis=0, prepend=state[None])
    yield compare("the chunk, joints from the state", got, where(chunk - state), 2, {
        "each step is counted from the step before: then errors add up along the chunk. All are "
        "counted from the state now": where(steps),
        "it is counted from the chunk's first action, not from where the robot is":
            where(chunk - chunk[0]),
        "each step is counted from the step before, and the state is not used":
            where(np.diff(chunk, axis=0, prepend=chunk[:1])),
        "the gripper is made relative too: it stays absolute": chunk - state,
        "it is the wrong way round: state - command": where(state - chunk),
        "nothing is relative yet": chunk, "only the first step is counted from the state":
            np.concatenate([where(chunk - state)[:1], chunk[1:]]),
        "the gripper is lost: only joints change, the rest stays as it is":
            where(chunk - state, np.zeros_like(chunk)),
    }, "Subtract the state from every step, in the joints' columns.")
    yield claim(np.array_equal(given, chunk), 1, "the chunk that came in is as it was",
                "the chunk that came in was changed: the dataset's own actions would be relative "
                "the next time they are read. `-=` and `chunk[:, joints] = ` work in place")


@check("make_scale", 4, seals=(stats.compute, stats.of_values, stats.Stats.normalize,
                               stats.Stats.unnormalize))
def check_make_scale(make_scale):
    """make_scale(episodes, training) -> two functions: to [-1, 1], and back."""
    sizes = (1.0, 40.0, 0.05)
    episodes = [walk(200, sizes, seed=k) + np.array([0, 100, 3]) for k in range(4)]
    episodes[1][17] += np.array(sizes) * 30  # a glitch, of one frame
    episodes[2] = episodes[2] + 2 * np.array(sizes)  # held out, and somewhere else
    training = [0, 1, 3]
    values = np.concatenate([episodes[e] for e in training])
    scale = make_scale([e.copy() for e in episodes], list(training))
    to_model, to_robot = several(scale, 2, "to_model, to_robot")
    if not callable(to_model) or not callable(to_robot):
        raise Wrong("return two functions: to_model(x) and to_robot(y)")
    q = lambda v, *p: np.quantile(v, p, axis=0)  # noqa: E731
    low, high = q(values, 0.01, 0.99)
    inside = low + (high - low) * np.linspace(0.1, 0.9, 7)[:, None]
    on = lambda low, high: on_range(inside, low, high).clip(-1, 1)  # noqa: E731
    each = np.mean([q(episodes[e], 0.01, 0.99) for e in training], axis=0)
    got = as_array("to_model(x)", to_model(inside.copy())).clip(-1, 1)
    yield compare("values within the range", got, on(low, high), 2, {
        "statistics were taken over the held-out episodes too: the test then looks easier than it "
        "is": on(*q(np.concatenate(episodes), 0.01, 0.99)),
        "these are the smallest and the largest value: one glitch of one frame decides the range":
            on(values.min(0), values.max(0)),
        "this is z-scoring by mean and standard deviation; pi0.5 maps quantiles to -1 and 1":
            ((inside - values.mean(0)) / values.std(0)).clip(-1, 1),
        "all dimensions share one range: small ones vanish beside large ones":
            on(*np.quantile(values, [0.01, 0.99])),
        "quantiles were taken of each episode and then averaged; pool the frames first": on(*each),
        "the range is [0, 1], not [-1, 1]": (inside - low) / (high - low),
        "np.percentile counts in percent: these are the 0.01 % and 0.99 % quantiles":
            on(*q(values, 0.0001, 0.0099)),
        "these are other quantiles: 1 % and 99 %": on(*q(values, 0.05, 0.95)),
    }, "The 1 % quantile must come out at -1 and the 99 % quantile at 1, in each dimension.")
    far = np.stack([low - 3 * (high - low), high + 3 * (high - low)])
    yield compare("values beyond the range", to_model(far), [[-1] * 3, [1] * 3], 1, {
        "they are not clipped: a glitch of one frame would rule the loss": on_range(far, low, high),
    }, "Outside of the range it must be -1 or 1.")
    y = np.linspace(-0.8, 0.8, 7)[:, None] * [1, -1, 1]
    share = (y + 1) / 2 * (high - low)
    yield compare("there and back", to_model(to_robot(y.copy())), y, 1, {
        "the shift is missing on the way back": on_range(share, low, high).clip(-1, 1),
        "on the way back [-1, 1] is taken for [0, 1]":
            on_range(y * (high - low) + low, low, high).clip(-1, 1),
        "to_robot gives back what it gets": on_range(y, low, high).clip(-1, 1),
    }, "to_robot undoes to_model.")


def on_range(x, low, high):
    """x with [low, high] on [-1, 1], not clipped."""
    return (x - low) / (high - low) * 2 - 1
