"""Real photographs with captions and boxes, where they are on this machine, as part of WD."""

import json

import numpy as np

from pi05lite.data import paths
from pi05lite.data.sources import BoxSource, CaptionSource

FOLDERS = {"vl/droid_captions": CaptionSource, "vl/playing_cards": BoxSource}


def photographs(size=64, together=50):
    """Yield episodes of up to `together` photographs, as `pictures` gives them; none if none are
    found in PI05LITE_DATA or the downloads."""
    for name, kind in FOLDERS.items():
        folder = paths.find(name)
        if folder is None:
            continue
        source = kind(folder, size)
        for start in range(0, len(source), together):
            yield _episode(source, range(start, min(start + together, len(source))), name)


def _episode(source, rows, name):
    texts = {"question": [], "answer": [], "boxes": [], "things": []}
    frames = []
    for i in rows:
        example = source[i]
        frames.append(example.images[source.slot])
        texts["question"].append(example.text)
        texts["answer"].append(example.answer or "")
        found = json.dumps([[label, [round(v, 4) for v in box]]
                            for label, box in example.objects or []])
        texts["boxes"].append(found)
        texts["things"].append(found)
    blank = np.zeros((len(frames), 1), np.float32)
    return {"state": blank, "action": blank, "task": "", "texts": texts,
            "images": {"observation.images.picture": np.array(frames)},
            "meta": {"home": -1, "room": f"photographs {name}"}}
