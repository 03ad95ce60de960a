"""Errors that name the thing, what was expected, what was received, and the way out."""


class Pi05Error(ValueError):
    """Base of every error the kit raises on purpose."""


class DataError(Pi05Error):
    """A dataset, a file of it, or a value in it is not what it should be."""


class ConfigError(Pi05Error):
    """Two parts (config, checkpoint, data, tokenizer) do not fit together."""


def say(thing, expected, received, way_out):
    """One readable message from the four facts that every error states."""
    return f"{thing}\n  expected: {expected}\n  received: {received}\n  way out:  {way_out}"
