"""Sources of a mixture: each turns an index into an Example.

A source has a `name`, a length, and `source[i]`; robots also carry `robot`, what the processor
needs to know of them.
"""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from pi05lite.data.examples import Example
from pi05lite.data.images import fit
from pi05lite.data.subtasks import gripper_phases, subtask
from pi05lite.errors import DataError, say


class RobotSource:
    """The frames of a LeRobot dataset, at one level.

    "low": subtask -> actions; "high": the episode's task -> subtask. Episodes without language are
    left out at the high level and have an empty subtask at the low level.
    """

    def __init__(self, dataset, robot, horizon, level="low", gripper=None):
        self.dataset, self.robot, self.horizon, self.level = dataset, robot, horizon, level
        self.name = f"{robot.name}/{level}"
        self.gripper = gripper  # index of the gripper in the action, None: no phases
        self.phases = [self._phases(e) for e in range(len(dataset.episodes))]
        self.states = [robot.states(dataset, e) for e in range(len(dataset.episodes))]
        self.frames = [i for e, start in enumerate(self._starts()) if level == "low"
                       or dataset.episodes[e].tasks[0]
                       for i in range(start, start + dataset.episodes[e].length)]
        if not self.frames:
            raise DataError(say(f"{self.name}: examples", "at least one frame with a task", 0,
                                'use level="low", or a dataset with language'))

    def _starts(self):
        return np.cumsum([0] + [e.length for e in self.dataset.episodes[:-1]]).tolist()

    def _phases(self, e):
        if self.gripper is None:
            return None
        return gripper_phases(self.dataset.actions(e)[::self.dataset.steps, self.gripper])

    def subtask(self, e, t):
        """What the robot is doing at frame t of episode e, in words."""
        task = self.dataset.task(e, t)
        return task if self.phases[e] is None or not task else subtask(task, self.phases[e][t])

    def images(self, e, t):
        """The pictures at a frame, by camera slot."""
        return {slot: self.dataset.image(e, t, key) for slot, key in self.robot.cameras.items()}

    def __len__(self):
        return len(self.frames)

    def __getitem__(self, i):
        return self.example(*self.dataset.locate(self.frames[i]))

    def example(self, e, t):
        """The example at frame t of episode e (positions in `dataset.episodes`)."""
        example = Example(self.name, self.level, self.subtask(e, t), self.images(e, t),
                          self.robot.name, self.states[e][t])
        if self.level == "high":
            return replace(example, text=self.dataset.task(e, t), answer=example.text)
        actions, steps = self.dataset.chunk(e, t, self.horizon)
        return replace(example, actions=actions, steps=steps)


class _Pictures:
    """Pictures with words from a folder that holds a .jsonl list and the picture files."""

    def __init__(self, folder, listing, image_size, slot="base", split=None):
        self.folder, self.image_size, self.slot = Path(folder), image_size, slot
        self.name = self.folder.name
        path = self.folder / listing
        if not path.is_file():
            raise DataError(say(f"{path}", "a list of pictures, one JSON object a line",
                                "no such file", "point PI05LITE_DATA at the folder that has it"))
        try:
            self.rows = [json.loads(line) for line in path.read_text().splitlines() if line]
        except ValueError as error:
            raise DataError(say(f"{path}", "one JSON object a line", error,
                                "get the dataset again")) from error
        self.rows = [r for r in self.rows if split is None or r.get("split") == split]

    def __len__(self):
        return len(self.rows)

    def image(self, row):
        path = self.folder / row["image"]
        try:
            with Image.open(path) as image:
                return fit(np.asarray(image.convert("RGB")), self.image_size)
        except OSError as error:
            raise DataError(say(str(path), "a readable picture", error,
                                "get the dataset again")) from error


class CaptionSource(_Pictures):
    """Pictures with one sentence each: DROID scenes and their instructions."""

    def __init__(self, folder, image_size, slot="base", split=None):
        super().__init__(folder, "captions.jsonl", image_size, slot, split)

    def __getitem__(self, i):
        row = self.rows[i]
        return Example(self.name, "words", "caption en", {self.slot: self.image(row)},
                       answer=row["instruction"])


class BoxSource(_Pictures):
    """Pictures with labelled boxes; the boxes move with the padding that makes them square."""

    def __init__(self, folder, image_size, slot="base", split="train"):
        super().__init__(folder, "boxes.jsonl", image_size, slot, split)

    def __getitem__(self, i):
        row = self.rows[i]
        objects = []
        for o in row["objects"]:
            x0, y0, x1, y1 = square_box(o["box_xyxy_norm"], row["width"], row["height"])
            objects.append((o["label"], (y0, x0, y1, x1)))
        names = " ; ".join(sorted({label for label, _ in objects}))
        return Example(self.name, "words", f"detect {names}", {self.slot: self.image(row)},
                       objects=sorted(objects))


def square_box(box, width, height):
    """A box (x0, y0, x1, y1) in [0, 1] of a picture, in [0, 1] of the picture padded square."""
    side = max(width, height)
    scale = np.array([width, height] * 2) / side
    shift = (1 - scale) / 2
    return tuple((np.asarray(box) * scale + shift).tolist())
