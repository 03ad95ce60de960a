"""Tasks, short skills and long ones, and the episode in which one is done."""

from dataclasses import replace

from pi05lite.errors import DataError, say
from pi05lite.homes.arrange import LONG, SHORT, TASKS, Arrangement, Goal, Request
from pi05lite.homes.home import SPLITS, Draw, check_home
from pi05lite.homes.language import PROMPTS, Speaker, Subtask
from pi05lite.homes.robots import HZ
from pi05lite.homes.rubric import Rubric
from pi05lite.homes.scene import Scene
from pi05lite.homes.world import World

__all__ = ["LONG", "SHORT", "TASKS", "Episode", "Goal", "Request"]
SECONDS = {"pick": 14, "follow": 14, "put": 14, "open": 16, "close": 16, "wipe": 25, "go": 20}
SECONDS |= {"dishes": 165, "drawer": 120, "laundry": 165, "toys": 165, "table": 180, "tray": 90}


class Episode(Arrangement):
    """A task in a room: its world, its words, and its score so far.

    Raises DataError for a request that cannot be.
    """

    def __init__(self, request=None, **changes):
        r = replace(request or Request(), **changes)
        check_home(r.home, split=r.split)
        check_home(r.seed)
        draw = Draw(r.home, SPLITS.index(r.split), r.seed, 7)
        super().__init__(r, draw)
        self.words = Speaker(self.home, self.things, draw)
        self.usual = Speaker(self.home, self.things)
        self.prompt = self._prompt(draw)
        self.scene = Scene(self.home, self.robot, self.things, self.start, self.stains)
        self.limit = SECONDS[r.task] * HZ
        self.reset()

    def reset(self):
        """Begin (again) from the start."""
        for geom in self.scene.stain_geoms:
            self.scene.model.geom_rgba[geom, 3] = 1
        self.world = World(self.scene, self.start, self.held)
        if self.opened:
            self.world.data.qpos[self.world.drawers[self.station]] = 0.22
            self.world.settle()
        self.rubric = Rubric(self)

    def _prompt(self, draw):
        task = self.request.task
        if task in PROMPTS:
            piece = self.home.pieces[self.goals[0].piece].names[0]
            return draw.one(PROMPTS[task]).format(piece=piece)
        return self.words.say(self.first)

    @property
    def first(self):
        """A short task as the subtask it consists of."""
        task = self.request.task
        if task in ("pick", "follow"):
            return Subtask("pick", self.target)
        if task == "put":
            return Subtask("put", 0, self.goals[0].piece)
        if task == "wipe":
            return Subtask("wipe", piece=self.wiped_piece)
        if task == "go":
            return Subtask("go", piece=self.target)
        return Subtask(task, piece=self.station)

    # ---- how it goes ---------------------------------------------------------------------------

    def step(self, action):
        """One action (A,), and what it earned; raises DataError after the end."""
        if self.over:
            raise DataError(say(f"episode of {self.request.task!r}", "no step after its end",
                                f"a step after {self.world.time} steps", "call reset() first"))
        self.world.step(action)
        self.rubric.score()

    @property
    def over(self):
        """Whether the task is done or its time is up."""
        return self.world.time >= self.limit or self.rubric.success

    @property
    def wanted(self):
        """Numbers of the things that the task is about."""
        sponge = {t for t, thing in enumerate(self.things) if self.stains
                  and thing.kind == "sponge"}
        target = {self.target} if self.request.task in ("pick", "follow") else set()
        return {goal.thing for goal in self.goals} | sponge | target
