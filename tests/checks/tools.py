"""Running a check on right and wrong answers."""


def verdict(check, mine, capsys):
    """(points, what was printed)."""
    capsys.readouterr()
    points = check(mine)
    return points, capsys.readouterr().out
