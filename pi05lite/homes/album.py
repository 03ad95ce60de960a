"""Pictures of homes with words, drawn when asked for and held in memory: WD without a dataset."""

from pi05lite.data.examples import Example
from pi05lite.homes.pictures import pictures
from pi05lite.homes.sources import objects


class Album:
    """`count` pictures in each of some homes; a source of a mixture, and of `train.look`.

    first: seed of the first home; size: pixels a side; home: seed -> the seed of another home in
    which that seed's things and views are drawn (None: each in its own).
    """

    def __init__(self, homes, first=40_000, count=20, size=64, slot="base", name="homes",
                 home=None):
        self.name, self.rows = name, []
        for seed in range(first, first + homes):
            episode = pictures(seed, count, size, home and home(seed))
            texts, frames = episode["texts"], episode["images"]["observation.images.picture"]
            for picture, question, answer, boxes, things in zip(
                    frames, *(texts[k] for k in ("question", "answer", "boxes", "things"))):
                found = objects(boxes) or None
                example = Example(name, "words", question, {slot: picture}, answer=answer or None,
                                  objects=found, named={slot: found or []},
                                  seen={slot: objects(things)})
                self.rows.append((example, picture, objects(things)))

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, i):
        return self.rows[i][0]

    def seen(self, i):
        """(picture, [(label, box)] of everything in it) of example i."""
        return self.rows[i][1:]
