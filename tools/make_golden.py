"""Make tests/golden from a folder of golden figures: python tools/make_golden.py FOLDER

Weights, inputs and outputs are copied; of each gradient 64 entries, its norm and its largest entry
are kept, which is what the tests compare.
"""

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file

GOLDEN = Path(__file__).resolve().parents[1] / "tests" / "golden"
ENTRIES = 64


def digest(gradient):
    """(66,): norm, largest entry, then entries at even distances."""
    flat = gradient.double().flatten()
    places = torch.linspace(0, len(flat) - 1, ENTRIES, dtype=torch.float64).round().long()
    return torch.cat([flat.norm()[None], flat.abs().max()[None], flat[places]]).float()


def main(folder):
    """Copy what the tests need from `folder`."""
    for name in ("pi05", "pi0"):
        for part in ("model", "outputs", "outputs_jax"):
            file = f"{name}_{part}.safetensors"
            shutil.copyfile(folder / file, GOLDEN / file)
        gradients = load_file(folder / f"{name}_grads.safetensors")
        digests = {k: digest(v) for k, v in gradients.items()}
        save_file(digests, GOLDEN / f"{name}_grads.safetensors")
    shutil.copyfile(folder / "pi05_inputs.safetensors", GOLDEN / "inputs.safetensors")
    chunks = np.load(folder / "fast.npz")
    scaled = {k: chunks[f"16x7/{k}"] for k in ("raw", "q01", "q99", "norm", "unnorm_back")}
    np.savez_compressed(GOLDEN / "quantiles.npz", **scaled)
    prompts = json.loads((folder / "prompts.json").read_text())
    (GOLDEN / "prompts.json").write_text(json.dumps(prompts, separators=(",", ":")))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
