"""Post-training as in a notebook: the expert alone, on the pre-trained model that the kit carries.

    python tools/six_minutes.py DATA OUT            # 2,400 steps: 4.5 minutes of two CPU cores
    pi05lite evaluate --checkpoint OUT --suite short --count 120 --high none

DATA: a folder made by `pi05lite homes data`; of it, MM is used. One process, as a notebook is.
"""

import sys
import time
from pathlib import Path

from pi05lite.train import homes, recipe
from pi05lite.train.command import begun
from pi05lite.train.fit import fit, quickest_precision

BEGIN = Path(__file__).resolve().parents[1] / "data" / "pretrained_homes"


def main(data, out, steps=2400):
    """Train, and say how long it took."""
    model, processor = begun(BEGIN)
    setup = homes.prepare(data, model.config, "expert", processor=processor)
    begin = time.time()
    fit(model, processor, setup.mixture, recipe.home_expert(int(steps)), out,
        precision=quickest_precision())
    print(f"{time.time() - begin:.0f} s")


if __name__ == "__main__":
    main(*sys.argv[1:])
