"""The data factory: the six sources of pi0.5, written as LeRobot v3.0 datasets.

Work is cut into jobs of a few episodes. Each job is a pure function of its numbers, runs in any
process, and leaves one file in a hidden folder; so a stopped run goes on where it was, and a seed
gives the same bytes however many processes there are. At the end the files become the dataset.
"""

import json
import multiprocessing
import os
import shutil
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from tqdm.auto import tqdm

from pi05lite.data.cache import atomic_path
from pi05lite.data.write import write_dataset
from pi05lite.errors import DataError, say
from pi05lite.homes.card import write_card
from pi05lite.homes.home import Draw
from pi05lite.homes.photographs import photographs
from pi05lite.homes.pictures import pictures
from pi05lite.homes.record import record
from pi05lite.homes.robots import HZ, ROBOTS
from pi05lite.homes.tasks import Request

JOB = 4  # episodes
LONG = ("dishes", "drawer", "laundry", "toys", "table")
SHORT = ("pick", "wipe", "open", "close", "go", "put")
MIXED = tuple(task for long in LONG for task in (long, *SHORT))  # a small set has some of each


@dataclass(frozen=True)
class Source:
    """One of pi0.5's six sources: who does what, in how many homes, in whose words."""

    name: str
    about: str
    share: float  # of the episodes of a whole set
    robot: str
    tasks: tuple
    first: int  # home seeds from here on
    homes: int | None  # how many homes; None: one for each episode
    every: int = 25  # actions a picture
    voice: str = "usual"
    split: str = "train"


SOURCES = {s.name: s for s in (
    Source("MM", "mobile manipulator in few homes", 0.12, "mobile", MIXED, 0, 20,
           voice="mixed"),
    Source("ME", "fixed arm in many homes", 0.35, "arm",
           ("pick", "put", "pick", "put", "open", "close", "wipe"), 10_000, None, voice="mixed"),
    Source("CE", "two-armed robot in a laboratory", 0.22, "two_arm",
           ("pick", "put", "wipe", "tray"), 0, 50, voice="mixed"),
    Source("HL", "long tasks in many homes: subtasks in words, with boxes", 0.08, "mobile", LONG,
           20_000, None, every=50),
    Source("VI", "long tasks told step by step, each in new words", 0.04, "mobile", LONG, 0, 20,
           voice="person"),
    Source("WD", "pictures with captions, questions and boxes, over all kinds of things", 0.19,
           "", (), 40_000, None, every=1),
)}


def make(out, sources=tuple(SOURCES), episodes=600, seed=0, homes=None, size=64, every=None,
         workers=None, video=False, photos=True, progress=True, split="train", first=None):
    """Write sources as datasets in folder `out`; returns their folders. A finished one stays.

    episodes: of all six sources together, each source gets its share; homes: in how many MM and VI
    are recorded; every: actions a picture (None: as each source has it); workers: processes (None:
    one a core); video: H.264 in place of exact pictures; photos: real photographs join WD where
    they are on this machine. split, first: other homes than those for training, and the seed of the
    first of them, to learn what training in the test homes themselves would give.
    """
    plans = [_plan(name, episodes, homes, every, split, first) for name in sources]
    out = Path(out).expanduser()
    todo = [(s, n) for s, n in plans if not (out / s.name).exists()]
    for source, _ in todo:
        (out / f".{source.name}.parts").mkdir(parents=True, exist_ok=True)
    jobs = [(s, n, k, size, seed, str(out / f".{s.name}.parts")) for s, n in todo
            for k in range(0, n, JOB)]
    total = sum(n for _, n in todo)
    with tqdm(total=total, desc="episodes", disable=not progress) as bar:
        for done in _each(_job, jobs, workers or os.cpu_count() or 1):
            bar.update(done)
    for source, count in todo:
        _assemble(out, source, count, size, seed, video, photos)
    return [out / source.name for source, _ in plans]


def _plan(name, episodes, homes, every, split="train", first=None):
    """(source with its settings, number of episodes); raises DataError for what cannot be."""
    if name not in SOURCES:
        raise DataError(say("source", f"some of {tuple(SOURCES)}", repr(name), "name these"))
    for what, value in (("episodes", episodes), ("homes", homes), ("every", every)):
        if value is not None and value < 1:
            raise DataError(say(f"number of {what}", "at least 1", value, "ask for more"))
    source = SOURCES[name]
    changes = {"homes": homes if homes and name in ("MM", "VI") else source.homes, "split": split}
    if first is not None:
        changes["first"] = first
    if every and source.robot:
        changes["every"] = every
    source = Source(**asdict(source) | changes)
    return source, max(1, round(episodes * source.share))


def _each(work, jobs, workers):
    """Results of work(job), as they come; in this process where one worker is asked for."""
    if workers == 1 or len(jobs) < 2:
        yield from map(work, jobs)
        return
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(workers, len(jobs)), mp_context=spawn) as pool:
        futures = [pool.submit(work, job) for job in jobs]
        try:
            for future in as_completed(futures):
                yield future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _job(job):
    """Make the episodes k .. k + JOB - 1 of a source, unless their file is there; how many."""
    source, count, k, size, seed, folder = job
    path, last = _part(folder, source, count, k, size, seed), min(k + JOB, count)
    if not path.exists():
        made = [_episode(source, i, size, seed) for i in range(k, last)]
        with atomic_path(path) as temporary, open(temporary, "wb") as file:
            np.savez(file, **_flat(made))
    return last - k


def _part(folder, source, count, k, size, seed):
    """The file of a job; its name holds what it depends on, so that no other run takes it."""
    return Path(folder) / f"{count}-{source.homes or 0}-{source.every}-{size}-{seed}-{k:06d}.npz"


def _episode(source, i, size, seed):
    """Episode i of a source, the same in every process."""
    draw = Draw(seed, list(SOURCES).index(source.name), i)
    start = source.first + 100_000 * seed
    if not source.robot:
        return pictures(start + i, size=size)
    home = start + (int(draw.rng.integers(source.homes)) if source.homes else i)
    request = Request(source.tasks[i % len(source.tasks)], home, source.split, i, source.robot)
    voice = source.voice
    if voice == "mixed":
        voice = "episode" if draw.chance(0.3) else "usual"
    return record(request, source.every, size, voice, style=int(draw.rng.integers(2**31)))


def _flat(episodes):
    """Episodes as arrays by name, for one file without pickles."""
    out = {}
    for n, e in enumerate(episodes):
        words = {"task": e["task"], "texts": e["texts"], "meta": e["meta"]}
        out |= {f"{n} state": e["state"], f"{n} action": e["action"],
                f"{n} words": np.frombuffer(json.dumps(words).encode(), np.uint8)}
        out |= {f"{n} {key}": frames for key, frames in e["images"].items()}
    return out


def _read(path):
    """The episodes of a file."""
    with np.load(path) as arrays:
        names = sorted({name.split(" ", 1)[0] for name in arrays.files}, key=int)
        for n in names:
            words = json.loads(arrays[f"{n} words"].tobytes())
            images = {name.split(" ", 1)[1]: arrays[name] for name in arrays.files
                      if name.startswith(f"{n} observation.images.")}
            yield {"state": arrays[f"{n} state"], "action": arrays[f"{n} action"],
                   "images": images, **words}


def _assemble(out, source, count, size, seed, video, photos):
    """The dataset from its files, with its card."""
    parts = out / f".{source.name}.parts"
    paths = [_part(parts, source, count, k, size, seed) for k in range(0, count, JOB)]
    robot = ROBOTS.get(source.robot)
    names = {"state": list(robot.state_names), "action": list(robot.action_names)} if robot else {}
    card = {"made": 0, "tasks": {}, "homes": set(), "success": 0}

    def found():
        for path in paths:
            yield from _read(path)
        if photos and robot is None:
            yield from photographs(size)

    def episodes():
        for e in found():
            card["made"] += 1
            card["homes"] |= {e["meta"]["home"]} - {-1}
            card["success"] += e["meta"].get("success", True)
            kind = e["meta"].get("task_kind") or e["meta"]["room"]
            card["tasks"][kind] = card["tasks"].get(kind, 0) + 1
            yield e
    steps = source.every if robot else 1
    rate = HZ / steps if robot else 1
    rate = int(rate) if rate == int(rate) else rate  # LeRobot counts whole frames
    write_dataset(out / source.name, episodes(), rate, source.robot or "none", names, video, steps)
    write_card(out / source.name, source, card, count, size, seed, video)
    shutil.rmtree(parts)
