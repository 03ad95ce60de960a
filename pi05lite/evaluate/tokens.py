"""Action tokenizers side by side, on held-out episodes: rate, distortion, damage and speed."""

import time
from dataclasses import dataclass

import numpy as np

from pi05lite.data import paths
from pi05lite.data.robots import KNOWN, describe_robot, open_known
from pi05lite.data.sources import RobotSource
from pi05lite.tokens.bins import BinsTokenizer
from pi05lite.tokens.fast import FastTokenizer
from pi05lite.tokens.quantizers import FiniteQuantizer, ResidualQuantizer
from pi05lite.tokens.vq import VQTokenizer
from pi05lite.train.setup import all_chunks

# Steps of a chunk: the paper's 50, but episodes of bridge are 10 to 36 steps long.
HORIZONS = {"cr5": 50, "droid": 50, "droid_new": 50, "g1": 50, "bridge": 10, "bridge_vpp": 10}
RATES = (5, 15, 20, 50)  # Hz, those of the FAST paper
# FAST paper (arXiv 2501.09747), one-second chunks: dataset -> (Hz, tokens as bins, as FAST)
PAPER = {"BridgeV2": (5, 35, 20), "DROID": (15, 105, 29), "Bussing": (20, 140, 28),
         "Shirt folding": (50, 700, 53)}


@dataclass
class Chunks:
    """Training and held-out chunks (M, H, A) of one robot, normalised, with masks (M, H)."""

    name: str
    train: np.ndarray
    train_mask: np.ndarray
    test: np.ndarray
    test_mask: np.ndarray
    names: list  # of the A dimensions
    unit: np.ndarray  # (A,) the robot's units in one normalised unit


def robot_chunks(name, horizon):
    """The chunks of a known robot, from training and from held-out episodes."""
    known, parts = KNOWN[name], open_known(name)
    robot = describe_robot(parts[0], known, horizon)
    both = [all_chunks(RobotSource(part, robot, horizon, "low", known.gripper)) for part in parts]
    names = parts[0].features["action"]["names"] or range(robot.action_size)
    unit = (robot.stats.action.q99 - robot.stats.action.q01) / 2
    return Chunks(name, *both[0], *both[1], [str(n) for n in names], unit)


def smooth_chunks(count=2000, horizon=50, size=7, seed=0):
    """Synthetic chunks: slow sine waves within [-1, 1]; the last fifth is held out."""
    random = np.random.default_rng(seed)
    shape = (count, 1, size)
    seconds = np.linspace(0, 1, horizon)[None, :, None]
    phase = random.uniform(0, 2 * np.pi, shape) + random.uniform(1, 6, shape) * seconds
    wave = random.uniform(-0.3, 0.3, shape) + random.uniform(0, 0.6, shape) * np.sin(phase)
    chunks, mask = wave.astype(np.float32), np.ones((count, horizon), dtype=bool)
    cut = count * 4 // 5
    return Chunks("smooth", chunks[:cut], mask[:cut], chunks[cut:], mask[cut:],
                  [f"wave {k}" for k in range(size)], np.ones(size))


def methods():
    """The tokenizers to compare: (family, what is special, an unfitted tokenizer)."""
    yield from (("bins", f"{n} bins", BinsTokenizer(n)) for n in (16, 64, 256))
    yield from (("FAST", f"scale {s:g}", FastTokenizer(1024, s)) for s in (2.5, 5, 10, 20, 40))
    yield from (("FAST", f"scale 10, vocabulary {v}", FastTokenizer(v)) for v in (512, 2048))
    yield "FAST", "scale 10, byte-level", FastTokenizer(byte_level=True)
    yield from (("VQ", f"{n} codes", VQTokenizer(n)) for n in (4, 8, 16, 32))
    yield from (("residual VQ", f"{n} codes", VQTokenizer(n, quantizer=ResidualQuantizer))
                for n in (8, 16, 32))
    yield from (("FSQ", f"{n} codes", VQTokenizer(n, quantizer=FiniteQuantizer))
                for n in (4, 8, 16, 32))


def measure(family, setting, tokenizer, data, seed=0):
    """Fit a tokenizer on the training chunks and measure it on the held-out ones: one table row."""
    begin = time.perf_counter()
    tokenizer.fit(data.train, data.train_mask)
    fit_seconds = time.perf_counter() - begin
    _, H, A = data.test.shape
    tokens, encode = timed(lambda: tokenizer.encode(data.test, data.test_mask))
    clipped = getattr(tokenizer, "clipped_coefficients", 0)
    (decoded, ok), decode = timed(lambda: tokenizer.decode(tokens, H, A))
    off = np.abs(decoded - data.test) * data.test_mask[..., None]
    steps = data.test_mask.sum()
    rmse = np.sqrt(np.square(off).sum(axis=(0, 1)) / steps)  # (A,)
    broken, still_ok = tokenizer.decode(flip(tokens, tokenizer.vocabulary_size, seed), H, A)
    hurt = np.square((broken - data.test) * data.test_mask[..., None]).sum() / steps / A
    length = float(np.mean([len(ids) for ids in tokens]))
    report = getattr(tokenizer, "report", None)
    return {
        "robot": data.name, "horizon": H, "family": family, "setting": setting,
        "vocabulary": tokenizer.vocabulary_size, "tokens": length, "ratio": H * A / length,
        "bits": length * float(np.log2(tokenizer.vocabulary_size)),
        "rmse": float(np.sqrt(np.square(rmse).mean())), "largest": float(off.max()),
        "rmse_units": rmse * data.unit, "largest_units": off.max(axis=(0, 1)) * data.unit,
        "malformed": float(1 - ok.mean()), "clipped_coefficients": clipped,
        "flip_failures": float(1 - still_ok.mean()), "flip_rmse": float(np.sqrt(hurt)),
        "used": len({i for ids in tokens for i in ids}),
        "perplexity": report and report.perplexity, "revived": report and report.revived,
        "fit_seconds": fit_seconds, "encode_per_second": len(tokens) / encode,
        "decode_per_second": len(tokens) / decode,
    }


def timed(call, times=3):
    """(What `call` gives, the median of its seconds)."""
    seconds = []
    for _ in range(times):
        begin = time.perf_counter()
        result = call()
        seconds.append(time.perf_counter() - begin)
    return result, float(np.median(seconds))


def flip(tokens, vocabulary, seed=0):
    """The sequences with one token of each changed to another one, at random."""
    random = np.random.default_rng(seed)
    flipped = [list(ids) for ids in tokens]
    for ids in flipped:
        place = random.integers(len(ids))
        ids[place] = int((ids[place] + random.integers(1, vocabulary)) % vocabulary)
    return flipped


def mean_row(data):
    """What the mean chunk of the training episodes gets: no tokens at all."""
    weight = data.train_mask[..., None]
    mean = (data.train * weight).sum(0) / np.maximum(weight.sum(0), 1)
    off = np.square(data.test - mean) * data.test_mask[..., None]
    rmse = float(np.sqrt(off.sum() / data.test_mask.sum() / off.shape[2]))
    return {"robot": data.name, "horizon": data.test.shape[1], "train": len(data.train),
            "held_out": len(data.test), "names": data.names, "unit": data.unit,
            "mean_chunk_rmse": rmse}


def here():
    """The robots of the table whose data is on this machine."""
    return [name for name in HORIZONS if paths.find(KNOWN[name].folder)]


def rate_distortion(names=None, say=print):
    """(What each data set is, the rows of all methods on all of them), smooth waves included."""
    sets, rows = [], []
    for name in here() if names is None else names:
        sets.append(robot_chunks(name, HORIZONS.get(name, 10)))
    sets.append(smooth_chunks())
    for data in sets:
        for family, setting, tokenizer in methods():
            row = measure(family, setting, tokenizer, data)
            rows.append(row)
            say(f"{data.name:<11}{family:<12}{setting:<25}{row['tokens']:7.1f} tokens"
                f"{row['ratio']:7.1f} x  rmse {row['rmse']:.4f}")
    return [mean_row(data) for data in sets], rows


# ---- tokens against the control rate -----------------------------------------------------------


def resampled(actions, fps, rate):
    """An episode's actions (T, A) at another rate, by straight lines between its steps."""
    recorded = np.arange(len(actions)) / fps
    seconds = np.arange(0, recorded[-1] + 1e-9, 1 / rate)
    return np.stack([np.interp(seconds, recorded, column) for column in actions.T], axis=1)


def one_second_chunks(dataset, rate, most=2000, column=None, fps=None):
    """At most `most` evenly spread chunks (M, H, A) of one second, H = rate."""
    chunks = []
    for e in range(len(dataset.episodes)):
        actions, recorded = dataset.actions(e), fps or dataset.fps
        if column:  # several commands a frame, one after the other
            actions = dataset.column(e, column).reshape(-1, actions.shape[1])
        steps = resampled(actions, recorded, rate)
        chunks += [steps[t:t + rate] for t in range(len(steps) - rate + 1)]
    stride = -(-len(chunks) // most)
    return np.stack(chunks[::stride]).astype(np.float32)


def control_rates(names=("cr5", "droid", "droid_new", "g1"), rates=RATES, say=print):
    """Tokens of one second of real motion as bins and as FAST, per robot and rate.

    Rates above the recorded one are interpolated, which adds steps and no detail.
    """
    rows = []
    for name in names:
        train, test = open_known(name)
        fps, column = train.fps, None
        if "action.joint_position_15hz" in train.features:
            fps, column = 15, "action.joint_position_15hz"
        for rate in rates:
            both = [one_second_chunks(part, rate, column=column, fps=fps) for part in (train, test)]
            low, high = np.quantile(both[0].reshape(-1, both[0].shape[2]), [0.01, 0.99], axis=0)
            both = [(x - low) / np.maximum(high - low, 1e-4) * 2 - 1 for x in both]
            tokens = FastTokenizer().fit(both[0]).encode(both[1])
            bins, fast = both[1][0].size, float(np.mean([len(ids) for ids in tokens]))
            rows.append({"robot": name, "recorded": fps, "rate": rate, "sizes": both[1].shape[2],
                         "bins": bins, "fast": fast, "ratio": bins / fast,
                         "held_out": len(tokens)})
            say(f"{name:<11}{rate:3d} Hz  bins {bins:5d}  FAST {fast:6.1f}  {bins / fast:5.1f} x")
    return rows
