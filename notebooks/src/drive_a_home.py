# %% [markdown]
# # Drive a robot in a home
#
# A page to play with: the small world that policies of this kit are trained and tested in, and its
# robot in your hands. Homes come from a seed: change `home`, and walls, furniture, colours and light
# are others. Change `seed`, and other things lie about.

# %%
from pi05lite.homes.tasks import LONG, SHORT, Episode
from pi05lite.widgets.drive import DriveWidget

episode = Episode(task="pick", home=7, seed=3)
print("short skills:", ", ".join(SHORT))
print("long tasks:  ", ", ".join(LONG))

# %% [markdown]
# Click the field below the pictures and use the keys, or set sliders and press **drive**. The robot sees
# only the small pictures (`head`, `wrist`, `surround`), as a policy does. Can you do the task? Press
# **let the expert** to see how the script would go on from here.

# %%
drive = DriveWidget(episode)
drive

# %% [markdown]
# A long task earns points step by step. This one is in a home that no training seed can produce.

# %%
DriveWidget(Episode(task="drawer", home=1, seed=1, split="new"))

# %% [markdown]
# What you did, as numbers: the state that the robot reports, and what the rubric says.

# %%
print(dict(zip(episode.robot.state_names, episode.world.state().round(3).tolist())))
print(f"progress {episode.rubric.progress:.0%}", episode.rubric.failure or "success")
