"""Time the grading of a class: hand in solved copies of an assignment, grade all, say how long.

    python tools/bench_grading.py                         30 submissions of 02_tokens
    python tools/bench_grading.py 06_flow_matching -n 10
"""

import argparse
import os
import re
import tempfile
import time
from pathlib import Path

import nbformat

from pi05lite.classroom import course, grading


def solved(room, name):
    """The release with the source's solutions in it."""
    source, release = (nbformat.read(room / kind / name / f"{name}.ipynb", 4)
                       for kind in ("source", "release"))
    right = {cell.metadata["nbgrader"]["grade_id"]: cell.source for cell in source.cells}
    for cell in release.cells:
        key = cell.metadata["nbgrader"]["grade_id"]
        if key.startswith("exercise-"):
            cell.source = re.sub(r"[ \t]*### (BEGIN|END) SOLUTION\n?", "", right[key])
    return release


def processor():
    """Processor seconds of this process and of those it has waited for."""
    return sum(os.times()[:4])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("assignment", nargs="?", default="02_tokens")
    parser.add_argument("-n", type=int, default=30, help="how many submissions; 30")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as room:
        room = Path(room)
        started = time.monotonic()
        course.build(room, [args.assignment])
        print(f"built in {time.monotonic() - started:.0f} s")
        notebook = solved(room, args.assignment)
        for k in range(args.n):
            folder = room / "submitted" / f"student{k:02d}" / args.assignment
            folder.mkdir(parents=True)
            nbformat.write(notebook, folder / f"{args.assignment}.ipynb")
        started, used = time.monotonic(), processor()
        marks = grading.grade(room, args.assignment)
        seconds, used = time.monotonic() - started, processor() - used
        scores = sorted({m.score for m in marks})
        print(f"{args.n} submissions of {args.assignment}: {seconds:.0f} s, "
              f"{seconds / args.n:.1f} s each (processor {used / args.n:.1f} s each), "
              f"scores {scores}")


if __name__ == "__main__":
    main()
