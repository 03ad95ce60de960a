"""A prettier view of the same scene by MuJoCo's OpenGL renderer, for videos; where OpenGL works.

Policies never see it: their pictures come from the software camera, the same on every machine.
"""

import mujoco
import numpy as np

from pi05lite.errors import ConfigError, say


class View:
    """Draws a World with shadows; size: (height, width). Use it in a `with` block."""

    def __init__(self, world, size=(480, 640)):
        self.world = world
        try:
            self._renderer = mujoco.Renderer(world.model, *size)
        except Exception as error:  # each backend fails in its own way
            way_out = ("set MUJOCO_GL=egl (or osmesa) before Python starts where there is no "
                       "screen, or use the software camera: world.images()")
            raise ConfigError(say("OpenGL view", "an OpenGL library that works here",
                                  f"{type(error).__name__}: {error}", way_out)) from error

    def __enter__(self):
        return self

    def __exit__(self, *failure):
        self._renderer.close()

    def picture(self, camera=None):
        """uint8 (height, width, 3) from a camera of the robot; None: from behind and above it."""
        if camera is None:
            camera = self._behind()
        elif camera not in [c.name for c in self.world.robot.cameras if not c.panorama]:
            known = [c.name for c in self.world.robot.cameras if not c.panorama]
            raise ConfigError(say("camera of the OpenGL view", f"one of {known}, or None", camera,
                                  "panoramas are for the software camera alone"))
        self._renderer.update_scene(self.world.data, camera)
        return self._renderer.render()

    def _behind(self):
        """A free camera that looks over the robot's shoulder."""
        x, y, heading = self.world.base
        free = mujoco.MjvCamera()
        free.lookat[:] = (x + 0.4 * np.cos(heading), y + 0.4 * np.sin(heading), 0.75)
        free.distance, free.elevation = 2.0, -32
        free.azimuth = np.degrees(heading) + 28
        return free
