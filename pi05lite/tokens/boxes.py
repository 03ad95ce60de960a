"""Boxes as location tokens, PaliGemma's way: y_min, x_min, y_max, x_max, then the label."""

from itertools import groupby

import numpy as np

from pi05lite.errors import DataError, say
from pi05lite.tokens.vocabulary import EOS, PAD


def encode_box(box, vocabulary):
    """Four location ids of a box (y_min, x_min, y_max, x_max), each a fraction of the picture."""
    return vocabulary.location_id(box_bins(box, vocabulary.locations)).tolist()


def box_bins(box, count):
    """The four sides of a box, fractions of the picture, as numbers of `count` bins: (4,) int.

    Fractions outside [0, 1] are clipped. Raises DataError on NaN or a box turned inside out.
    """
    box = np.asarray(box, dtype=np.float64)
    if box.shape != (4,) or np.isnan(box).any() or (box[:2] > box[2:]).any():
        raise DataError(say(
            "box", "y_min, x_min, y_max, x_max with min <= max, as fractions of the picture",
            str(box.tolist()), "check the order (y first) and the units",
        ))
    return np.minimum(np.floor(np.clip(box, 0, 1) * count).astype(int), count - 1)


def decode_box(ids, vocabulary):
    """Four location ids -> (y_min, x_min, y_max, x_max): the centres of the bins."""
    bins = vocabulary.location(np.asarray(ids))
    if bins.shape != (4,):
        raise DataError(say(
            "ids of a box", "four location ids", f"shape {bins.shape}", "pass one box at a time"
        ))
    return tuple(((bins + 0.5) / vocabulary.locations).tolist())


def box_text(box, vocabulary):
    """A box as PaliGemma writes it, for people: "<loc0102><loc0000><loc0511><loc1023>"."""
    return "".join(f"<loc{vocabulary.location(i):04d}>" for i in encode_box(box, vocabulary))


def encode_boxes(objects, tokenizer, vocabulary):
    """Ids of [(label, box), ...]: box, label, " ;", box, label; DataError on an unusable label."""
    ids = []
    for label, box in objects:
        label = label.strip()
        if not label or ";" in label:
            raise DataError(say(
                "label of a box", "text without ;", repr(label), "rename the object"
            ))
        ids += tokenizer.encode(" ;") if ids else []
        ids += encode_box(box, vocabulary) + tokenizer.encode(" " + label)
    return ids


def decode_boxes(ids, tokenizer, vocabulary):
    """Ids up to EOS -> ([(label, box), ...], skipped), skipped = number of malformed pieces.

    A piece is a run of location ids and what follows it up to the next run. It is malformed if the
    run is not four ids, the box is inside out, or what follows is not a label.
    """
    ids = [int(i) for i in ids]
    ids = ids[: ids.index(EOS)] if EOS in ids else ids
    first, end = vocabulary.span("location")
    runs = [
        (is_location, list(run))
        for is_location, run in groupby((i for i in ids if i != PAD), lambda i: first <= i < end)
    ]
    objects, skipped = [], 0
    if runs and not runs[0][0]:
        skipped += 1  # words before the first box
        runs = runs[1:]
    for i in range(0, len(runs), 2):
        label_ids = runs[i + 1][1] if i + 1 < len(runs) else []
        found = _decode_object(runs[i][1], label_ids, tokenizer, vocabulary)
        objects += [found] if found else []
        skipped += not found
    return objects, skipped


def _decode_object(box_ids, label_ids, tokenizer, vocabulary):
    """One (label, box), or None if it is malformed."""
    if len(box_ids) != 4 or any(not 0 <= i < tokenizer.size for i in label_ids):
        return None
    box = decode_box(box_ids, vocabulary)
    label = tokenizer.decode(label_ids).strip().removesuffix(";").strip()
    if not label or ";" in label or box[0] > box[2] or box[1] > box[3]:
        return None
    return label, box


def iou(a, b):
    """Shared area over joint area of two boxes (y_min, x_min, y_max, x_max): 0 apart, 1 the same.

    Two boxes without area have 0.
    """
    a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    shared = np.prod(np.clip(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0, None))
    joint = np.prod(a[2:] - a[:2]) + np.prod(b[2:] - b[:2]) - shared
    return float(shared / joint) if joint > 0 else 0.0
