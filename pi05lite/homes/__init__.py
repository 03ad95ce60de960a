"""Homes: a small world of generated rooms, things and robots in which policies can be tried.

Importing this package registers the Gymnasium environment pi05lite/TidyHome-v0 and nothing else.
"""

from gymnasium.envs.registration import register, registry

ENVIRONMENT = "pi05lite/TidyHome-v0"

if ENVIRONMENT not in registry:
    register(ENVIRONMENT, entry_point="pi05lite.homes.env:TidyHome")
