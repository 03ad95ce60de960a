"""An episode in a home, played by the scripted expert, for the pictures of some chapters."""

import numpy as np

from pi05lite.homes.expert import Expert
from pi05lite.homes.tasks import Episode


def played(robot, task="pick"):
    """What the first camera sees (T, h, w, 3) and what is done (T, A) in one episode of a home."""
    home = Episode(task=task, home=7, seed=3, robot=robot)
    expert, rows = Expert(home), []
    while not home.over:
        action, _ = expert.act()
        rows.append((home.world.images(192)[home.robot.cameras[0].name], action))
        home.step(action)
    return [np.stack(column) for column in zip(*rows)], home.robot.action_names
