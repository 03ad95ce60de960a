"""Generated datasets as sources of a training mixture."""

import json
from collections import Counter
from pathlib import Path

import numpy as np

from pi05lite.data.examples import Example
from pi05lite.data.lerobot import LeRobotDataset
from pi05lite.data.robots import Robot
from pi05lite.data.sources import RobotSource
from pi05lite.data.stats import compute
from pi05lite.errors import DataError, say
from pi05lite.homes.arrange import LONG
from pi05lite.homes.furniture import NAMES
from pi05lite.homes.language import furniture_in, skill_of
from pi05lite.homes.places import way_to
from pi05lite.homes.robots import find_robot

SYNONYMS = {names[0]: names for names in NAMES.values()}


class HomeSource(RobotSource):
    """Frames of a generated robot dataset at one level.

    "low": subtask -> actions; "high": prompt -> boxes of what the next subtask is about, then the
    subtask in words (pi0.5, section IV-C), of long tasks alone: a short one is its own subtask.
    boxes=False leaves boxes out.
    """

    def __init__(self, dataset, robot, horizon, level="low", name=None, boxes=True):
        self.boxes = boxes
        super().__init__(dataset, robot, horizon, level)
        self.name = name or f"{dataset.name}/{level}"
        if level == "high":
            self.frames = [i for i in self.frames if self.is_long(dataset.locate(i)[0])]
            if not self.frames:
                raise DataError(say(f"{self.name}: tasks", f"some of {LONG}", "short ones alone",
                                    'level="low", or more episodes'))

    def is_long(self, e):
        """Whether the task of episode e takes several subtasks."""
        return self.dataset.episodes[e].meta["task_kind"] in LONG

    def subtask(self, e, t):
        """What the robot is doing at frame t of episode e, in words."""
        return str(self.dataset.column(e, "subtask")[t])

    def balance(self, shares):
        """Have skills come by these shares (skill -> share), whatever the data has of each.

        Frames of a rare skill come several times and of a frequent one not all, evenly over the
        data; what the data lacks leaves its share to the others.
        """
        skills = [skill_of(self.subtask(*self.dataset.locate(i))) for i in self.frames]
        count = Counter(skills)
        weights = np.array([shares.get(skill, 0) / count[skill] for skill in skills])
        if not weights.any():
            raise DataError(say(f"{self.name}: subtasks", f"of the skills {sorted(shares)}",
                                sorted({*map(str, skills)}), "shares of the skills that it has"))
        until = np.round(weights.cumsum() / weights.sum() * len(skills)).astype(int)
        self.frames = np.repeat(self.frames, np.diff(until, prepend=0)).tolist()

    def example(self, e, t):
        """The example at frame t of episode e."""
        example = super().example(e, t)
        about, words = objects(self.dataset.column(e, "boxes")[t]), furniture_in(example.text)
        everywhere = in_sight(self.dataset, e, t)
        example.named = {slot: said(example.text, renamed(seen, words))
                         for slot, seen in everywhere.items()}
        example.way = self.way(e, t)
        example.docks = dict(renamed(docks(self.dataset, e, t).items(), words))
        example.seen = everywhere
        if self.level == "low":
            example.named["base"] = renamed(about, words)
        elif self.boxes:
            example.objects = about
            example.seen["base"] = about + [s for s in everywhere["base"] if s not in about]
        return example

    def way(self, e, t):
        """(3,) ahead, left (m) and turn (rad) from where the base stands to where it does at the
        end of the subtask; None without odometry."""
        if "odometry" not in self.dataset.features:
            return None
        texts, poses = (self.dataset.column(e, name) for name in ("subtask", "odometry"))
        later = np.flatnonzero(np.asarray(texts[t:]) != texts[t])
        end = t + later[0] if len(later) else len(texts) - 1
        return way_to(*(json.loads(str(poses[k])) for k in (t, end))).astype(np.float32)


class NamesSource(HomeSource):
    """Prompts of the low level that name what the cameras show, and ask for no action.

    Each frame comes `variants` times, each time with up to `most` other names; furniture also goes
    by its synonyms.
    """

    variants, most = 4, 8

    def __len__(self):
        return len(self.frames) * self.variants

    def __getitem__(self, i):
        e, t = self.dataset.locate(self.frames[i // self.variants])
        seen = in_sight(self.dataset, e, t)
        names = sorted({name for shown in seen.values() for name, _ in shown})
        draw = np.random.default_rng(i)
        asked = [names[k] for k in draw.permutation(len(names))[:self.most]]
        words = other_words(asked, draw)
        named = {slot: renamed([(name, box) for name, box in shown if name in asked], words)
                 for slot, shown in seen.items()}
        return Example(self.name, "low", " ; ".join(words.get(name, name) for name in asked),
                       self.images(e, t), self.robot.name, self.states[e][t], named=named,
                       seen={slot: renamed(shown, words) for slot, shown in seen.items()},
                       docks=dict(renamed(docks(self.dataset, e, t).items(), words)))


class WordsSource:
    """Pictures with questions, captions and boxes from a generated WD dataset."""

    def __init__(self, dataset, slot="base", name=None):
        self.dataset, self.slot, self.name = dataset, slot, name or dataset.name

    def __len__(self):
        return len(self.dataset)

    def __getitem__(self, i):
        e, t = self.dataset.locate(i)
        answer = str(self.dataset.column(e, "answer")[t]) or None
        found = objects(self.dataset.column(e, "boxes")[t]) or None
        return Example(self.name, "words", str(self.dataset.column(e, "question")[t]),
                       {self.slot: self.dataset.image(e, t, self.dataset.cameras[0])},
                       answer=answer, objects=found, named={self.slot: found or []},
                       seen={self.slot: objects(self.dataset.column(e, "things")[t])})


class ThingsSource:
    """Frames of a dataset with questions where things are, as seen by one of its cameras.

    Boxes in robot pictures tie words to places in the very pictures that actions start from. Each
    picture comes `variants` times, each time with one to three other things to find, and in half
    of them with none: all that is there is to be said, the nearest `most` of it and each after its
    box. To find what is named is one thing, to name what is found another.
    """

    variants, most, all = 4, 5, "detect all"

    def __init__(self, dataset, name=None):
        self.dataset, self.name = dataset, name or f"{dataset.name}/things"
        self.views = list(views(dataset))  # (slot, camera, column)
        starts = np.cumsum([0] + [e.length for e in dataset.episodes[:-1]])
        self.frames = [(v, int(start + t)) for v, (_, _, column) in enumerate(self.views)
                       for e, start in enumerate(starts)
                       for t, text in enumerate(dataset.column(e, column)) if len(text) > 2]

    def __len__(self):
        return len(self.frames) * self.variants

    def seen(self, i):
        """(picture, [(label, box)] of everything in it) of example i."""
        view, frame = self.frames[i // self.variants]
        (e, t), (_, camera, column) = self.dataset.locate(frame), self.views[view]
        return self.dataset.image(e, t, camera), objects(self.dataset.column(e, column)[t])

    def docks(self, i):
        """{name of furniture: (3,)}: the way to it from where example i was seen (`docks`)."""
        return docks(self.dataset, *self.dataset.locate(self.frames[i // self.variants][1]))

    def __getitem__(self, i):
        picture, seen = self.seen(i)
        slot = self.views[self.frames[i // self.variants][0]][0]
        draw = np.random.default_rng(i)
        if i % 2:  # what is lower in a picture is nearer
            asked = sorted(seen, key=lambda thing: -thing[1][2])[:self.most]
            return Example(self.name, "words", self.all, {slot: picture}, objects=asked,
                           seen={slot: seen})
        count = min(len(seen), int(draw.choice((1, 1, 2, 3))))
        asked = sorted(seen[k] for k in draw.permutation(len(seen))[:count])
        words = other_words([name for name, _ in asked], draw)
        asked = sorted(renamed(asked, words))
        return Example(self.name, "words", "detect " + " ; ".join(name for name, _ in asked),
                       {slot: picture}, objects=asked, named={slot: asked},
                       seen={slot: renamed(seen, words)},
                       docks=dict(renamed(self.docks(i).items(), words)))


def docks(dataset, e, t):
    """{name of furniture: (3,) float32}: from where the base is to where it stands before it.

    Ahead, left (m) and turn (rad); {} where a dataset does not know.
    """
    places = dataset.episodes[e].meta.get("docks")
    if places is None or "odometry" not in dataset.features:
        return {}
    here = json.loads(str(dataset.column(e, "odometry")[t]))
    return {name: way_to(here, place).astype(np.float32) for name, place in json.loads(places)}


def in_sight(dataset, e, t):
    """{slot: [(label, box)]} of all that hands may go to and all furniture, camera by camera.

    Pictures of hands have no furniture boxed, nor have those of datasets without that column.
    """
    seen = {slot: objects(dataset.column(e, column)[t]) for slot, _, column in views(dataset)}
    if "furniture" in dataset.features:
        seen["base"] = seen["base"] + objects(dataset.column(e, "furniture")[t])
    return seen


def renamed(seen, words):
    """[(label, ...)] with other words (label -> word) for some of the labels."""
    return [(words.get(label, label), about) for label, about in seen]


def other_words(names, draw):
    """{usual name: any of its synonyms, itself included} of the furniture among names."""
    return {name: str(draw.choice(SYNONYMS[name])) for name in names if name in SYNONYMS}


def said(text, seen):
    """Those of [(label, box)] whose label a text says; of labels within labels the longest."""
    seen = [(label, box) for label, box in seen if f" {label} " in f" {text} "]
    return [(label, box) for label, box in seen
            if not any(label != other and f" {label} " in f" {other} " for other, _ in seen)]


def views(dataset):
    """(slot of the model, camera, column) of each camera whose things are boxed."""
    if len(dataset.cameras) == 1:  # pictures alone
        yield "base", dataset.cameras[0], "things"
        return
    for slot, camera in find_robot(dataset.robot).slots.items():
        first = slot == "base"
        column = "things" if first else f"things.{camera}"
        if first or column in dataset.features:
            yield slot, f"observation.images.{camera}", column


def objects(text):
    """A cell of boxes (JSON) as [(label, (y0, x0, y1, x1))]."""
    return [(label, tuple(box)) for label, box in json.loads(text)]


def open_home_data(folder, name, image_size=64, cache=None):
    """A dataset of the factory: source `name` (MM, ME ...) in `folder`."""
    path = Path(folder) / name
    if not path.is_dir():
        raise DataError(say(f"source {name} in {folder}", "a dataset folder of that name", "none",
                            f"pi05lite homes data {folder} --sources {name}"))
    return LeRobotDataset(path, name=name, image_size=image_size, cache=cache)


def describe_home_robot(dataset):
    """The Robot of a generated dataset: its exact statistics, cameras by slot, control rate."""
    known = find_robot(dataset.robot)
    cameras = {slot: f"observation.images.{camera}" for slot, camera in known.slots.items()}
    return Robot(known.name, compute(dataset), cameras, float(dataset.fps * dataset.steps))
