"""Checks of the homes that are too long for the tests; run them when the world changes.

    python tools/check_homes.py experts 500      # success of the experts in new homes
    python tools/check_homes.py builds 10000     # homes that build, with everything in reach
    python tools/check_homes.py memory 2000      # growth of memory over episodes
"""

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
            place = w.to_piece(p, w.middle(t)) + (e.home.pieces[p].distance, 0, 0)
            hand = e.robot.hands[0]
            if not (np.array(hand.low) < place).all() or not (place < np.array(hand.high)).all():
                far.append((e.request, thing.kind))
        if (i + 1) % 1000 == 0:
            print(f"{i + 1} built, {len(far)} out of reach, {len(moved)} moved", flush=True)
    print(f"{count} homes built; out of reach: {far[:5]}; moved while settling: {moved[:5]}")


def memory(count):
    """Resident memory after 200 episodes and after `count`."""
    for i in range(count):
        e = Episode(task=MOBILE[i % len(MOBILE)], home=i, seed=i)
        expert = Expert(e, i)
        for _ in range(20):
            e.step(expert.act()[0])
        e.world.images(64)
        if i + 1 in (200, count // 2, count):
            print(f"after {i + 1}: {now():.1f} MB now, {most():.1f} MB at most", flush=True)


def now():
    """Resident memory, MB."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize() / 1e6


def most():
    """The most resident memory so far, MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


if __name__ == "__main__":
    start = time.time()
    {"experts": experts, "builds": builds, "memory": memory}[sys.argv[1]](int(sys.argv[2]))
    print(f"{time.time() - start:.0f} s")
