"""Checks of the homes that are too long for the tests; run them when the world changes.

    python tools/check_homes.py experts 500      # success of the experts in new homes
    python tools/check_homes.py builds 10000     # homes that build, with everything in reach
    python tools/check_homes.py memory 2000      # growth of memory over episodes
    python tools/check_homes.py rollouts 200     # seconds for short rollouts of a tiny policy
    python tools/check_homes.py speed 300        # pictures, steps and episodes a second
"""

import ctypes
import gc
import resource
import sys
import time
from collections import Counter

import numpy as np

from pi05lite.evaluate.intervals import wilson
from pi05lite.homes.expert import Expert
from pi05lite.homes.home import ROOMS, SPLITS
from pi05lite.homes.plan import support
from pi05lite.homes.tasks import LONG, SHORT, Episode

MOBILE = SHORT + tuple(task for task in LONG if task != "tray")
WHO = ([("mobile", task) for task in MOBILE]
       + [("arm", task) for task in ("pick", "put", "open", "close", "wipe", "drawer", "follow")]
       + [("two_arm", task) for task in ("pick", "put", "wipe", "tray")])


def experts(count):
    """Success of the experts: `count` episodes over all robots, tasks and splits, each its home."""
    good, all_, why = Counter(), Counter(), []
    for i in range(count):
        robot, task = WHO[i % len(WHO)]
        split = SPLITS[1 + i // len(WHO) % (len(SPLITS) - 1)]
        e = Episode(task=task, home=5_000_000 + i, seed=i, split=split, robot=robot)
        expert = Expert(e, i)
        while not e.over:
            e.step(expert.act()[0])
        for key in (f"{robot} {task}", split, "all"):
            all_[key] += 1
            good[key] += e.rubric.success
        if not e.rubric.success:
            why.append((e.request, e.rubric.failure))
    for key, n in all_.items():
        low, high = wilson(good[key], n)
        print(f"{key:<18} {good[key]:>5} of {n:<5} [{100 * low:.1f}, {100 * high:.1f}]")
    for request, failure in why:
        print("failed:", failure, request)


def builds(count):
    """Episodes that build, rest still, and have every wanted thing within a hand's reach."""
    far, moved = [], []
    for i in range(count):
        task = MOBILE[i % len(MOBILE)]
        room = None if task not in ("pick", "put", "go") else list(ROOMS)[i % len(ROOMS)]
        e = Episode(task=task, home=i, seed=i, split=SPLITS[i % len(SPLITS)], room=room)
        w = e.world
        for t, thing in enumerate(e.things):
            if e.held is not None and e.held[1] == t:
                continue
            if np.hypot(*(w.places()[t] - thing.pose[:3])[:2]) > 0.01:
                moved.append((e.request, thing.kind))
            p = support(e, t)
            if p is None:
                far.append((e.request, thing.kind))
                continue
            top = w.middle(t) + (0, 0, w.span(t)[2])
            place = w.to_piece(p, top) + (e.home.pieces[p].distance, 0, 0)
            hand = e.robot.hands[0]
            if not (np.array(hand.low) < place).all() or not (place < np.array(hand.high)).all():
                far.append((e.request, thing.kind))
        if (i + 1) % 1000 == 0:
            print(f"{i + 1} built, {len(far)} out of reach, {len(moved)} moved", flush=True)
    print(f"{count} homes built; out of reach: {far[:5]}; moved while settling: {moved[:5]}")


def memory(count):
    """Memory after 200 episodes, after half of `count`, and after all of them."""
    for i in range(count):
        e = Episode(task=MOBILE[i % len(MOBILE)], home=i, seed=i)
        expert = Expert(e, i)
        for _ in range(20):
            e.step(expert.act()[0])
        e.world.images(64)
        if i + 1 in (200, count // 2, count):
            before = now()
            give_back()
            print(f"after {i + 1}: {before:.1f} MB now, {now():.1f} MB of it in use, "
                  f"{most():.1f} MB at most", flush=True)


def rollouts(count):
    """Seconds for `count` short rollouts of an untrained tiny policy: hardly any ends early."""
    from dataclasses import replace
    from functools import partial

    import torch

    from pi05lite import config
    from pi05lite.data.robots import Robot
    from pi05lite.data.stats import DatasetStats, of_values
    from pi05lite.evaluate import drivers, rollout, scores, trials
    from pi05lite.model.pi05 import Pi05
    from pi05lite.policy import Policy
    from pi05lite.processor import Processor
    from pi05lite.tokens.text import TextTokenizer

    rng = np.random.default_rng(0)
    stats = DatasetStats("mobile", of_values(rng.uniform(-1, 1, (99, 7))),
                         of_values(rng.uniform(-0.3, 0.3, (99, 7))))
    robot = Robot("mobile", stats, {"base": "head", "left_wrist": "wrist"}, 50)
    words = TextTokenizer.train(["pick up the mug", "Task: 0 1 2 3 4 5 6 7 8 9, State: "], 600)
    c = replace(config.tiny(), max_tokens=256)
    torch.manual_seed(0)
    policy = Policy(Pi05(c), Processor(c, words, None, {"mobile": robot}))
    make = [partial(trials.HomeTrial, r, 64, robot.cameras)
            for r in trials.requests("short", count)]
    print(f"tiny: {sum(p.numel() for p in policy.model.parameters()) / 1e6:.2f} M parameters")
    out = rollout.rollouts(drivers.PolicyDriver(policy), make, progress=False)
    print(scores.show({"all": scores.summary(out)["all"]}))


def speed(count):
    """Pictures and control steps a second; 10 s episodes of data a minute, on this one process."""
    from pi05lite.homes.record import record
    from pi05lite.homes.tasks import Request

    episodes = [Episode(task="pick", home=i, seed=i) for i in range(10)]
    clock = time.perf_counter()
    for i in range(count):
        episodes[i % 10].world.images(64, ["head"])
    seconds = time.perf_counter() - clock
    geoms = np.mean([e.scene.model.ngeom for e in episodes])
    print(f"{count / seconds:.0f} pictures a second at 64 x 64 ({geoms:.0f} geoms)")
    clock, action = time.perf_counter(), np.array([0, 0, 0, 0.1, 0, -0.1, 0])
    for i in range(20 * count):
        episodes[i % 10].world.step(action)
    print(f"{20 * count / (time.perf_counter() - clock):.0f} control steps a second")
    clock, steps = time.perf_counter(), 0
    for i in range(count // 5):
        task = MOBILE[i % len(MOBILE)]
        steps += len(record(Request(task, i, "train", i))["action"])
    per_minute = 60 * steps / 500 / (time.perf_counter() - clock)
    print(f"{per_minute:.0f} episodes of 10 s a minute, three cameras twice a second")


def now():
    """Resident memory, MB."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize() / 1e6


def give_back():
    """Hand freed memory back to the system, where the C library can; it keeps some for later."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def most():
    """The most resident memory so far, MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6


if __name__ == "__main__":
    start = time.time()
    checks = {f.__name__: f for f in (experts, builds, memory, rollouts, speed)}
    checks[sys.argv[1]](int(sys.argv[2]))
    print(f"{time.time() - start:.0f} s")
