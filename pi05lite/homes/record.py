"""One expert episode as data: pictures at the rate a model is called, actions at 50 Hz, words."""

import json
from zlib import crc32

import numpy as np

from pi05lite.homes.camera import boxes
from pi05lite.homes.expert import Expert
from pi05lite.homes.furniture import DRAWER
from pi05lite.homes.home import Draw
from pi05lite.homes.language import STAINS, Speaker
from pi05lite.homes.places import dock
from pi05lite.homes.plan import disturb
from pi05lite.homes.robots import HZ, QUICK, Intent
from pi05lite.homes.tasks import Episode

TAIL = 25  # steps recorded after the task is done
TROUBLE = 0.2  # share of episodes in which something is pushed or slips
OFF = 0.05  # how far the body strays from what was asked, as a share of its quickest
KNOCKED = 0.5  # share of episodes in which the body is knocked aside again and again
PAUSE, KNOCK = (0.5, 4.0), (0.2, 0.8)  # seconds between two knocks, and of one
CLENCHED, CLENCH = 0.7, (0.7, 1.5)  # share of knocks in which an empty hand closes; seconds
POLITE = ("{}", "{}", "now {}", "please {}", "{} please")


def record(request, every=25, size=64, voice="usual", style=None):
    """Play one episode with the expert; returns what `write_dataset` takes, with its meta.

    every: actions a picture; voice: "usual" words of subtasks, the "episode"'s own synonyms, or a
    "person" who finds new words for each subtask. The task text is the prompt; per frame there are
    the subtask, the boxes of what it is about and of all in sight of the first camera that hands
    may go to, things, drawers and stains (JSON [[name, [y0, x0, y1, x1]], ...]), "things.NAME",
    what another camera sees (`seen_by`), and "furniture", what of it the first camera sees; of a
    base that moves its "odometry", JSON [x, y, heading] in metres and radians, and in meta "docks",
    where it stands before each piece of furniture whose name is its own, JSON [[name, [x, y,
    heading]], ...].
    """
    episode = Episode(request)
    key = crc32(repr(request).encode()) if style is None else style
    draw, expert = Draw(key, 3), Expert(episode, key)
    when = int(draw.between(30, 400)) if draw.chance(TROUBLE) else -1
    stray = _Stray(episode, Draw(key, 4))
    film, actions = _Film(episode, size, voice, Draw(key, 5)), []
    until = None
    while until is None or len(actions) < until or len(actions) % every:
        action, task = expert.act()
        if len(actions) % every == 0:
            film.take(task)
        actions.append(action)
        episode.world.step(stray(action))
        episode.rubric.score()
        if until is None:
            disturb(episode, draw, episode.world.time, when)
            if episode.over:
                until, success = len(actions) + TAIL, bool(episode.rubric.success)
    r, rubric = request, episode.rubric
    meta = {"task_kind": r.task, "home": r.home, "split": r.split, "episode_seed": r.seed,
            "room": episode.home.room, "success": success,
            "progress": float(rubric.progress), "failure": "" if success else rubric.failure}
    if episode.robot.mobile:
        meta["docks"] = json.dumps([[episode.home.pieces[p].names[0],
                                     _round(dock(episode.home.pieces[p]))] for p in own(episode)])
    return film.episode_dict() | {"action": np.array(actions), "task": episode.prompt, "meta": meta}


class _Stray:
    """What the body does instead of what it was asked: a little off, slowly changing.

    In some episodes it is also knocked aside, so that there is data on how to come back from where
    an expert never goes by itself, but a policy that errs a little does (DART, arXiv 1703.09327).
    Some knocks close empty hands: what has closed on nothing must open again, not go on as if full.
    """

    def __init__(self, episode, draw):
        self.world, robot = episode.world, episode.robot
        low, high = np.array(robot.action_low), np.array(robot.action_high)
        self.span, self.draw, self.off = (high - low) / 2, draw, np.zeros(len(low))
        if robot.name == "two_arm":  # it is told places, not velocities
            self.span[:] = QUICK / HZ
        self.fingers = np.array(["gripper" in n or "opening" in n for n in robot.action_names])
        self.span[self.fingers] = 0
        self.closed = np.full(self.world.hands, False)  # hands that are closed by a knock
        hands = self.world.hands
        self.fist = robot.encode(Intent(np.zeros(3), np.zeros((hands, 3)), np.ones(hands)),
                                 self.world.targets)
        self.base = np.array(["base" in n for n in robot.action_names])
        self.low, self.high = low, high
        self.knocked, self.knock = draw.chance(KNOCKED), np.zeros(len(low))
        self.left = self._steps(PAUSE)

    def _steps(self, seconds):
        return int(self.draw.between(*seconds) * HZ)

    def __call__(self, action):
        push = np.array([self.draw.between(-1, 1) for _ in self.off])
        self.off = 0.95 * self.off + 0.5 * push
        if self.knocked:
            self._knock(action)
        out = np.clip(action + (OFF * self.off + self.knock) * self.span, self.low, self.high)
        fingers = np.flatnonzero(self.fingers)[self.closed]
        out[fingers] = self.fist[fingers]
        return out

    def _knock(self, action):
        """Begin or end a knock: of the base where it drives, of the hands where it stands."""
        self.left -= 1
        if self.left > 0:
            return
        if self.knock.any():
            self.knock, self.left = 0 * self.knock, self._steps(PAUSE)
            self.closed[:] = False
            return
        drives = self.base.any() and np.abs(action[self.base]).max() > 0.12  # else it holds still
        knock = np.array([self.draw.between(-0.7, 0.7) for _ in self.off])
        self.knock, self.left = knock * (self.base == drives), self._steps(KNOCK)
        if not drives and self.draw.chance(CLENCHED):
            self.closed[:] = [self._empty(k) for k in range(self.world.hands)]
            if self.closed.any():  # for longer, and so more gently
                self.left, self.knock = self._steps(CLENCH), 0.3 * self.knock

    def _empty(self, k):
        """Whether hand k holds nothing, and nothing is so near that it would at once."""
        w = self.world
        away = w.places() - w.data.xpos[w.hand_body[k]]  # (things, 3)
        return not w.grips[k].busy and np.linalg.norm(away, axis=1).min(initial=1.0) > 0.12


class _Film:
    """The frames of one episode as they are taken."""

    def __init__(self, episode, size, voice, draw):
        self.episode, self.size, self.voice, self.draw = episode, size, voice, draw
        self.cameras = [c.name for c in episode.robot.cameras]
        self.pictures = {name: [] for name in self.cameras}
        self.state, self.texts = [], {"subtask": [], "boxes": [], "things": [], "furniture": []}
        self.texts |= {f"things.{name}": [] for name in self.cameras[1:]}
        self.texts |= {"odometry": []} if episode.robot.mobile else {}
        self.last, self.said = None, ""

    def take(self, task):
        """One frame: what is seen and sensed now, and what the subtask is about."""
        world = self.episode.world
        for k, name in enumerate(self.cameras):
            picture, geom = world.camera.picture(world.data, name, self.size)
            self.pictures[name].append(picture)
            if k == 0:
                about, seen = found(self.episode, task, geom)
                pieces = furniture(self.episode, geom, panorama=False)
            else:
                seen_here = seen_by(self.episode, self.episode.robot.cameras[k], geom)
                self.texts[f"things.{name}"].append(json.dumps(seen_here))
        if "odometry" in self.texts:
            self.texts["odometry"].append(json.dumps(_round(world.base)))
        self.state.append(world.state())
        for key, value in (("subtask", self._say(task)), ("boxes", json.dumps(about)),
                           ("things", json.dumps(seen)), ("furniture", json.dumps(pieces))):
            self.texts[key].append(value)

    def _say(self, task):
        if task == self.last:
            return self.said
        e, self.last = self.episode, task
        speaker = {"usual": e.usual, "episode": e.words}.get(self.voice)
        if speaker is None:
            speaker = Speaker(e.home, e.things, self.draw)
            self.said = self.draw.one(POLITE).format(speaker.say(task))
        else:
            self.said = speaker.say(task)
        return self.said

    def episode_images(self):
        """Pictures by feature key."""
        return {f"observation.images.{name}": np.array(frames)
                for name, frames in self.pictures.items()}

    def episode_dict(self):
        """State, pictures and texts."""
        return {"state": np.array(self.state), "images": self.episode_images(),
                "texts": self.texts}


def found(episode, task, geom):
    """([name, box] of what a subtask is about, [name, box] of all in sight), rounded."""
    about = things(episode, geom, [task.thing] if task.thing is not None else [])
    if task.skill == "wipe":
        about += stains(episode, geom)
    if task.drawer or task.skill in ("open", "close"):
        about += drawers(episode, geom)
    elif task.piece is not None:
        here = boxes(geom, episode.scene.piece_of, [task.piece])
        about += [[episode.home.pieces[p].names[0], _round(box)] for p, box in here.items()]
    return about, in_sight(episode, geom)


def seen_by(episode, camera, geom):
    """[name, box] of what a camera shows, rounded: as `in_sight`, of a panorama the furniture.

    Near a hand a drawer and the stains are wider than the picture, and the hand does not go to the
    middle of what is left of them: there a drawer is its knob, and stains are the nearest one.
    """
    if camera.panorama:
        return furniture(episode, geom)
    if camera.hand is None:
        return in_sight(episode, geom)
    return things(episode, geom) + drawers(episode, geom, episode.scene.knob_of) \
        + nearest_stain(episode, geom, camera.hand)


def in_sight(episode, geom):
    """[name, box] of all that hands may go to, rounded."""
    return things(episode, geom) + drawers(episode, geom) + stains(episode, geom)


def things(episode, geom, which=None):
    """[name, box] of things in sight (of those numbers), rounded."""
    which = range(len(episode.things)) if which is None else which
    return [[episode.things[t].name, _round(box)]
            for t, box in boxes(geom, episode.scene.thing_of, which).items()]


def drawers(episode, geom, owner=None):
    """[name, box] of the fronts of drawers with their knobs, rounded; owner: of other geoms."""
    owner = episode.scene.drawer_of if owner is None else owner
    return [[DRAWER[0], _round(box)]
            for box in boxes(geom, owner, range(len(episode.home.pieces))).values()]


def stains(episode, geom):
    """[name, box] of all stains that are left together, rounded."""
    return [[STAINS, _round(box)]
            for box in boxes(geom, episode.scene.stain_of, [0], least=2).values()]


def nearest_stain(episode, geom, hand):
    """[name, box] of the stain in sight that is nearest to a hand, rounded; [] if none is."""
    world = episode.world
    seen = boxes(geom, episode.scene.each_stain, range(len(episode.stains)), least=2)
    away = {k: np.hypot(*(world.to_base(np.array(episode.stains[k])) - world.hand[hand])[:2])
            for k in seen}
    return [[STAINS, _round(seen[min(away, key=away.get)])]] if seen else []


def furniture(episode, geom, panorama=True):
    """[name, box] of the furniture in sight whose name is its own, rounded.

    Of what the seam of a panorama cuts in two it is the larger part.
    """
    owner = episode.scene.piece_of
    seen = boxes(geom, owner, own(episode), least=8)
    cut = [p for p, box in seen.items() if panorama and (box[1], box[3]) == (0, 1)]
    for p in cut:
        here, half = (geom >= 0) & (owner[geom] == p), geom.shape[1] // 2
        left = here[:, :half].sum() > here[:, half:].sum()
        side = np.where((np.arange(geom.shape[1]) < half) == left, geom, -1)
        seen |= boxes(side, owner, [p])
    return [[episode.home.pieces[p].names[0], _round(box)] for p, box in seen.items()]


def own(episode):
    """The numbers of the pieces of furniture whose name no other piece has."""
    names = [piece.names[0] for piece in episode.home.pieces]
    return [p for p, name in enumerate(names) if names.count(name) == 1]


def _round(box):
    return [round(float(v), 4) for v in box]
