"""The OpenGL view draws where OpenGL works, and says what to do where it does not."""

import os
import subprocess
import sys

import numpy as np
import pytest

from pi05lite.errors import ConfigError

CODE = """
import numpy as np
from pi05lite.errors import ConfigError
from pi05lite.homes.gl import View
from pi05lite.homes.tasks import Episode
world = Episode(task="pick").world
try:
    with View(world, (120, 160)) as view:
        for camera in (None, "head"):
            picture = view.picture(camera)
            assert picture.shape == (120, 160, 3) and picture.std() > 10, picture.std()
        try:
            view.picture("surround")
        except ConfigError as error:
            assert "software camera" in str(error)
            print("drawn")
except ConfigError as error:
    print(error)
"""


def run(backend):
    env = {k: v for k, v in os.environ.items() if k not in ("MUJOCO_GL", "PYOPENGL_PLATFORM")}
    env = {k: v for k, v in env.items() if k != "DISPLAY"} | {"MUJOCO_GL": backend}
    return subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, env=env)


@pytest.mark.parametrize("backend", ["egl", "osmesa"])
def test_a_view_is_drawn_or_the_way_out_is_named(backend):
    done = run(backend)
    if done.returncode:  # the backend's own import failed, before any view was asked for
        assert "mujoco" in done.stderr or "OpenGL" in done.stderr
        return
    assert done.stdout.strip() == "drawn" or "MUJOCO_GL" in done.stdout


def test_without_opengl_the_error_names_the_software_camera(monkeypatch):
    from pi05lite.homes import gl
    from pi05lite.homes.tasks import Episode

    class Broken:
        def __init__(self, *size):
            raise ImportError("no libGL here")

    monkeypatch.setattr(gl.mujoco, "Renderer", Broken, raising=False)
    with pytest.raises(ConfigError, match="(?s)no libGL here.*software camera"):
        gl.View(Episode(task="pick").world)
    assert np.asarray(Episode(task="pick").world.images(16)["head"]).shape == (16, 16, 3)
