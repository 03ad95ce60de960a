"""Drive a robot in a home, with sliders, buttons or keys."""

import io

import anywidget
import ipywidgets as ui
import numpy as np
import traitlets
from PIL import Image

from pi05lite.evaluate.film import room
from pi05lite.homes.expert import Expert
from pi05lite.homes.plan import plan
from pi05lite.homes.robots import HZ, Intent

BEAT = 6  # steps for each beat of a held key: 0.12 s
KEYS = {  # key -> (which part, axis, direction)
    "w": ("base", 0, 1), "s": ("base", 0, -1), "a": ("base", 1, 1), "d": ("base", 1, -1),
    "q": ("base", 2, 1), "e": ("base", 2, -1), "i": ("hand", 0, 1), "k": ("hand", 0, -1),
    "j": ("hand", 1, 1), "l": ("hand", 1, -1), "u": ("hand", 2, 1), "o": ("hand", 2, -1),
}
SPEED = {"base": np.array([0.3, 0.3, 0.8]), "hand": np.array([0.25, 0.25, 0.25])}
HELP = ("W S drive · A D sideways · Q E turn · I K hand ahead, back · J L hand left, right · "
        "U O hand up, down · space closes and opens · 1 2 choose the hand")

SCRIPT = """
function render({ model, el }) {
  const pad = document.createElement("div");
  pad.tabIndex = 0;
  pad.className = "pi05-keys";
  pad.textContent = "Click here, then drive with keys. " + model.get("help");
  const down = new Set();
  let timer = null;
  const beat = () => {
    if (!down.size) { clearInterval(timer); timer = null; return; }
    model.set("pressed", [...down]);
    model.set("beat", model.get("beat") + 1);
    model.save_changes();
  };
  pad.addEventListener("keydown", (event) => {
    if (event.metaKey || event.ctrlKey || event.key === "Tab") return;
    event.preventDefault(); event.stopPropagation();
    if (event.repeat) return;
    const key = event.key.toLowerCase();
    if (" 12".includes(key)) {
      model.set("struck", [key, (model.get("struck")[1] || 0) + 1]);
      model.save_changes();
      return;
    }
    down.add(key);
    if (!timer) { beat(); timer = setInterval(beat, 120); }
  });
  pad.addEventListener("keyup", (event) => down.delete(event.key.toLowerCase()));
  pad.addEventListener("blur", () => down.clear());
  el.appendChild(pad);
}
export default { render };
"""
STYLE = """
.pi05-keys { padding: 8px 12px; border: 1px solid #8a8f98; border-radius: 6px; cursor: pointer; }
.pi05-keys:focus { outline: 3px solid #e8731a; }
"""


class Keys(anywidget.AnyWidget):
    """A field that takes keys: `pressed` and a counting `beat` while any is held down."""

    _esm, _css = SCRIPT, STYLE
    help = traitlets.Unicode(HELP).tag(sync=True)
    pressed = traitlets.List().tag(sync=True)
    struck = traitlets.List(["", 0]).tag(sync=True)
    beat = traitlets.Int(0).tag(sync=True)


class DriveWidget(ui.VBox):
    """An Episode to be driven by hand; `size`: pixels of the pictures as they are shown.

    Sliders hold what the robot is asked for while "drive" runs for the chosen time; keys act while
    they are held down; the expert can be asked to go on for a while.
    """

    def __init__(self, episode, size=240):
        self.episode, self.size, self.hand, self.shut = episode, size, 0, False
        self.names = ["room"] + [c.name for c in episode.robot.cameras]
        self.pictures = {name: ui.Image(format="png", width=size) for name in self.names}
        self.said, self.pad = ui.HTML(), Keys()
        self.sliders = {
            (part, axis): ui.FloatSlider(0, min=-v, max=v, step=v / 10, description=label)
            for part, labels in self._parts() for axis, (v, label) in enumerate(labels)}
        self.seconds = ui.FloatSlider(0.5, min=0.1, max=3, step=0.1, description="seconds")
        self.grip = ui.ToggleButton(description="gripper open")
        go, help_, again = (ui.Button(description=text) for text in (
            "drive", "let the expert", "start again"))
        go.on_click(lambda _: self.run(self.slid(), round(self.seconds.value * HZ)))
        help_.on_click(lambda _: self.ask_expert(round(self.seconds.value * HZ)))
        again.on_click(lambda _: self.restart())
        self.pad.observe(lambda _: self.run(self.pressed(), BEAT), "beat")
        self.pad.observe(self._strike, "struck")
        self.grip.observe(lambda change: self._close(change["new"]), "value")
        boxes = [ui.VBox([s for (p, _), s in self.sliders.items() if p == part])
                 for part, _ in self._parts()]
        super().__init__([self.said, ui.HBox([self._shown(name) for name in self.names]),
                          self.pad, ui.HBox([*boxes, ui.VBox([self.grip, self.seconds])]),
                          ui.HBox([go, help_, again])])
        self.restart()

    def _parts(self):
        hand = ("hand", list(zip(2 * SPEED["hand"], ("hand ahead", "hand left", "hand up"))))
        base = ("base", list(zip(SPEED["base"], ("drive", "sideways", "turn"))))
        return [base, hand] if self.episode.robot.mobile else [hand]

    def _shown(self, name):
        return ui.VBox([ui.Label(name), self.pictures[name]])

    def restart(self):
        """Back to the start of the episode."""
        self.episode.reset()
        self.expert = None
        self._close(bool(self.episode.held))
        self.draw()

    def slid(self):
        """{(part, axis): velocity} of the sliders."""
        return {key: slider.value for key, slider in self.sliders.items()}

    def pressed(self):
        """{(part, axis): velocity} of the keys that are held down."""
        out = {}
        for part, axis, sign in (KEYS[key] for key in self.pad.pressed if key in KEYS):
            out[part, axis] = out.get((part, axis), 0) + sign * SPEED[part][axis]
        return out

    def run(self, speeds, steps):
        """Move at these speeds for some steps, then draw."""
        world, robot = self.episode.world, self.episode.robot
        for _ in range(steps):
            if self.episode.over:
                break
            intent = Intent(np.zeros(3), np.zeros((world.hands, 3)), world.closed.copy())
            intent.closed[self.hand] = float(self.shut)
            for (part, axis), value in speeds.items():
                if part == "hand":
                    intent.hands[self.hand, axis] = value
                elif robot.mobile:
                    intent.base[axis] = value
            self.episode.step(robot.encode(intent, world.targets))
        self.expert = None  # what it had in mind is out of date
        self.draw()

    def ask_expert(self, steps):
        """Let the scripted expert act for some steps, then draw."""
        self.expert = self.expert or Expert(self.episode)
        for _ in range(steps):
            if not self.episode.over:
                self.episode.step(self.expert.act()[0])
        self._close(self.episode.world.closed[self.hand] > 0.5)
        self.draw()

    def _strike(self, change):
        key = change["new"][0]
        if key == " ":
            self._close(not self.shut)
            self.run({}, 2 * BEAT)
        elif key in "12" and int(key) <= self.episode.world.hands:
            self.hand = int(key) - 1
            self._close(self.episode.world.closed[self.hand] > 0.5)

    def _close(self, shut):
        self.shut = self.grip.value = bool(shut)
        self.grip.description = "gripper closed" if shut else "gripper open"

    def draw(self):
        """Show what the cameras see now, and how the task goes."""
        world, e = self.episode.world, self.episode
        self.pictures["room"].value = _png(room(world, self.size))
        for name, picture in world.images(64).items():
            self.pictures[name].value = _png(np.asarray(Image.fromarray(picture).resize(
                (self.size, self.size), Image.Resampling.NEAREST)))
        task = plan(e)
        next_ = "done" if e.rubric.success else e.usual.say(task) if task else "-"
        end = f" · over: {e.rubric.failure}" if e.over and e.rubric.failure else ""
        self.said.value = (f"<b>{e.prompt}</b> · next: {next_} · points "
                           f"{len(e.rubric.earned)} of {len(e.rubric.points)} · "
                           f"{world.time / HZ:.1f} s{end}")


def _png(picture):
    """uint8 (h, w, 3) as PNG bytes."""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG")
    return buffer.getvalue()
