"""The checks of the chapters' exercises: each takes the learner's object and says what is wrong.

One file a chapter; `going_on` gives the learner's object where it passed, else the package's.
"""

from pi05lite.checks.core import going_on  # noqa: F401
