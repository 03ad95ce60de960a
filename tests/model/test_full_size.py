"""The full 3.35 B parameters, on request: PI05LITE_FULL_SIZE=1 make test ARGS="-n0 -s -k full_size"

Writes a random bfloat16 checkpoint of about 7 GB in openpi's layout, loads it in a process of its
own and samples one chunk from three cameras; prints peak memory and times. Needs 8 GB of memory.
"""

import json
import os
import subprocess
import sys

import pytest

from pi05lite import config

WRITE = """
import sys, torch
from pi05lite import config
from pi05lite.model.importing import save_openpi
from pi05lite.model.pi05 import Pi05
torch.manual_seed(0)
with torch.device("meta"):
    model = Pi05(config.pi05()).to(torch.bfloat16)
model = model.to_empty(device="cpu")
with torch.no_grad():
    for p in model.parameters():
        p.normal_(0, 0.02)
save_openpi(model, sys.argv[1])
"""
READ = """
import json, resource, sys, time
import torch, pi05lite
from pi05lite.model.batch import Batch
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
import pi05lite.model.importing
before, start = peak(), time.perf_counter()
model = pi05lite.load_openpi(sys.argv[1], dtype=torch.bfloat16).eval()
loaded, load_peak = time.perf_counter() - start, peak()
c = model.config
tokens = torch.randint(4, 1000, (1, c.max_tokens))
batch = Batch(torch.rand(1, 3, 3, 224, 224).bfloat16() * 2 - 1, torch.ones(1, 3).bool(), tokens,
              torch.zeros_like(tokens), torch.ones_like(tokens).bool())
start = time.perf_counter()
with torch.inference_mode():
    chunk = model.sample(batch, generator=torch.Generator().manual_seed(0))[-1]
print(json.dumps(dict(
    model=sum(p.numel() * p.element_size() for p in model.parameters()), before=before,
    load_peak=load_peak, load_s=loaded, sample_s=time.perf_counter() - start, peak=peak(),
    shape=list(chunk.shape), finite=bool(chunk.isfinite().all()))))
"""


@pytest.mark.slow
@pytest.mark.skipif(not os.environ.get("PI05LITE_FULL_SIZE"),
                    reason="7 GB on disk: set PI05LITE_FULL_SIZE=1")
def test_full_size_checkpoint_loads_within_its_own_size_and_samples(tmp_path):
    def python(code):
        return subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True, text=True,
                              stdout=subprocess.PIPE).stdout

    python(WRITE)
    size = (tmp_path / "model.safetensors").stat().st_size
    seen = json.loads(python(READ))
    (tmp_path / "model.safetensors").unlink()
    print(f"\nfile {size / 1e9:.2f} GB, model {seen['model'] / 1e9:.2f} GB; loaded in "
          f"{seen['load_s']:.0f} s with a peak of {seen['load_peak'] / 1e9:.2f} GB "
          f"({seen['before'] / 1e9:.2f} GB of them before); one chunk in {seen['sample_s']:.0f} s, "
          f"peak {seen['peak'] / 1e9:.2f} GB")
    assert seen["shape"] == [1, config.pi05().horizon, 32] and seen["finite"]
    assert seen["model"] == 2 * 3_353_433_872
    assert seen["load_peak"] - seen["before"] <= 1.15 * seen["model"]
