"""Data of one's own: a seed that belongs to a student and is the same on every machine."""

import hashlib
import os


def student_seed(purpose="", student=None):
    """A seed in [0, 2**31) from the student's name and what it is for.

    The name is PI05LITE_STUDENT where none is given. Grading sets it; without it all have one seed.
    """
    name = os.environ.get("PI05LITE_STUDENT", "") if student is None else student
    digest = hashlib.sha256(f"{name.strip().lower()}/{purpose}".encode()).digest()
    return int.from_bytes(digest[:4], "little") >> 1
