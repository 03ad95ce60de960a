"""Time of a training step and of a chunk on this machine, beside their floor and beside peers.

    make bench                                   # this kit alone, tiny, on the CPU
    make bench ARGS="--peer openpi='python peer.py'"   # in turn with another program
    python tools/bench.py gpu                    # full size in bf16 and `small`, on a GPU

A peer is a program that prints `ready` when warm, then answers each line `train` or `sample` on its
standard input with the seconds of one repetition. All sizes are those of `tiny_size`, so that the
ratio says what the code does and not what the model is. Everything is measured in interleaved
rounds; medians are printed.
"""

import argparse
import shlex
import statistics
import subprocess
import sys
import time

import torch
from torch.utils.flop_counter import FlopCounterMode

import pi05lite  # noqa: F401  # first: it lets timm import next to a CPU-only torch
from pi05lite import config
from pi05lite.config import Config, TransformerConfig, VisionConfig
from pi05lite.model import linear
from pi05lite.model.batch import Batch
from pi05lite.model.describe import H100, H200, describe, measure_device
from pi05lite.model.pi05 import Pi05
from pi05lite.tokens.vocabulary import Vocabulary

BATCH = 32
PREFIX, DRAWS = "  of it the prefix", "pi05lite, 4 flow draws"  # rows that do other work


def tiny_size():
    """Two cameras of 64 px at 16 tokens, 24 text tokens, widths 128 and 96, chunks of 50 x 7."""
    sizes = dict(depth=4, heads=4, kv_heads=1, head_dim=32)
    return Config(
        vision=VisionConfig(image_size=64, patch=16, width=128, depth=4, heads=4, mlp=512),
        vlm=TransformerConfig(width=128, mlp=512, **sizes),
        expert=TransformerConfig(width=96, mlp=384, **sizes),
        vocabulary=Vocabulary(text=2048, actions=0), cameras=("base", "left_wrist"), horizon=50,
        action_size=7, max_tokens=24)


def random_batch(c, size, text, device="cpu", dtype=torch.float32):
    """A batch without padding: every camera there, `text` prompt tokens."""
    px, C = c.vision.image_size, len(c.cameras)
    tokens = torch.randint(4, c.vocabulary.text, (size, text), device=device)
    return Batch(
        torch.rand(size, C, 3, px, px, device=device).to(dtype) * 2 - 1,
        torch.ones(size, C, dtype=torch.bool, device=device), tokens, torch.zeros_like(tokens),
        torch.ones_like(tokens).bool(),
        actions=torch.rand(size, c.horizon, c.action_size, device=device) * 2 - 1)


class Ours:
    """One model with what a repetition needs."""

    def __init__(self, c, text, batch=BATCH, device="cpu", dtype=torch.float32, draws=1):
        torch.manual_seed(0)
        self.model = Pi05(c).to(device, dtype)
        self.many = random_batch(c, batch, text, device, dtype)
        self.one = random_batch(c, 1, text, device, dtype)
        self.draws = draws
        fused = torch.device(device).type in ("cpu", "cuda")
        self.optimizer = torch.optim.AdamW(self.model.parameters(), 1e-4, fused=fused)

    def train(self):
        """Forward, backward, AdamW, flow loss."""
        self.optimizer.zero_grad()
        prefix = self.model.prefix(self.many, hidden=False)
        self.model.flow_losses(prefix, self.many.actions, draws=self.draws).mean().backward()
        self.optimizer.step()

    @torch.no_grad()
    def sample(self):
        """One chunk from one observation, prefix included, 10 Euler steps."""
        return self.model.sample(self.one, 10)[-1]

    @torch.inference_mode()
    def prefix(self):
        """Only what comes before the flow steps."""
        return self.model.prefix(self.one, hidden=False)

    def flops(self):
        """Floating-point operations of one training step."""
        small, linear.SMALL = linear.SMALL, float("inf")  # the counter knows torch's own products
        with FlopCounterMode(display=False) as counter:
            self.train()
        linear.SMALL = small
        return counter.get_total_flops()


class Peer:
    """Another program that times one repetition a line."""

    def __init__(self, command):
        self.process = subprocess.Popen(shlex.split(command), stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        if not any(line.strip() == "ready" for line in self.process.stdout):
            raise SystemExit(f"the peer {command!r} ended before it was ready")

    def time(self, what):
        """Seconds of one repetition of "train" or "sample"."""
        self.process.stdin.write(what + "\n")
        self.process.stdin.flush()
        return float(self.process.stdout.readline())


def seconds(call, device="cpu"):
    """How long one call takes."""
    wait = torch.cuda.synchronize if device == "cuda" else lambda: None
    wait()
    start = time.perf_counter()
    call()
    wait()
    return time.perf_counter() - start


def rounds(calls, count, repeat=1):
    """{name: median seconds} of calls that return their seconds, in interleaved rounds."""
    kept = {name: [] for name in calls}
    for r in range(count + 1):
        for name, call in calls.items():
            took = statistics.median(call() for _ in range(repeat))
            if r:  # the first round warms up
                kept[name].append(took)
    return {name: statistics.median(times) for name, times in kept.items()}


def table(title, times, floor, against, other=(PREFIX, DRAWS)):
    """Print medians, the ratio to one of them, and the share of the floor where it applies."""
    print(f"\n{title}; floor {1000 * floor:.1f} ms")
    for name, took in times.items():
        ratio = f"  {took / times[against]:5.2f} of {against}" if against in times else ""
        share = "" if name in other else f"   {floor / took:6.1%} of the floor's speed"
        print(f"  {name:28}{1000 * took:8.1f} ms{ratio}{share}")


def cpu(args):
    """The table of the README."""
    torch.set_num_threads(args.threads)
    c, here = tiny_size(), measure_device()
    print(f"this machine: {here.flops / 1e9:.0f} GFLOP/s in large products, "
          f"{here.bandwidth / 1e9:.0f} GB/s, {torch.get_num_threads()} threads")
    print(describe(c, here, text=24, dtype=torch.float32))
    ours, four = Ours(c, 24), Ours(c, 24, draws=4)
    compiled = Ours(c, 24)
    if not args.no_compile:
        compiled.model.compile_parts()
        compiled.sample()
    peers = {name: Peer(command) for name, command in
             (text.split("=", 1) for text in args.peer)}
    first = next(iter(peers), "pi05lite")

    flops = ours.flops()
    calls = {name: lambda p=p: p.time("train") for name, p in peers.items()}
    calls["pi05lite"] = lambda: seconds(ours.train)
    calls[DRAWS] = lambda: seconds(four.train)
    table(f"training step, batch {BATCH}, {flops / 1e9:.1f} GFLOP with one draw",
          rounds(calls, args.rounds), flops / here.flops, first)

    calls = {name: lambda p=p: p.time("sample") for name, p in peers.items()}
    calls["pi05lite"] = lambda: seconds(ours.sample)
    if not args.no_compile:
        calls["pi05lite, compiled"] = lambda: seconds(compiled.sample)
    calls[PREFIX] = lambda: seconds(ours.prefix)
    table("one chunk, 10 flow steps", rounds(calls, args.rounds, repeat=7),
          describe(c, here, text=24, dtype=torch.float32).floor, first)

    try:
        import bench_tokens
    except ImportError:  # not run from tools/
        return
    print()
    bench_tokens.main()


def gpu(args):
    """One chunk of the full size, and training steps of `small`, on the GPU at hand."""
    if args.device == "cuda" and not torch.cuda.is_available():
        raise SystemExit("no GPU here: --device cpu --size nano tries the script itself")
    c = getattr(config, args.size)()
    name = torch.cuda.get_device_name() if args.device == "cuda" else args.device
    print(f"torch {torch.__version__}, {name}")
    for limit in (H100, H200):
        print(describe(c, limit))
    gpu_chunk(args, c)
    gpu_training(args, getattr(config, args.train_size)())


def gpu_chunk(args, c):
    """Time of one chunk, eager and compiled in three ways."""
    device = args.device
    one = Ours(c, c.max_tokens, batch=1, device=device, dtype=torch.bfloat16)
    one.optimizer = None
    clock = lambda: seconds(one.sample, device)  # noqa: E731
    times = rounds({"eager": clock, PREFIX: lambda: seconds(one.prefix, device)},
                   args.rounds, repeat=3)
    for mode in ("default", "max-autotune-no-cudagraphs", "reduce-overhead"):
        try:
            torch._dynamo.reset()
            one.model.compile_parts(mode=mode)
            times |= rounds({f"compiled, {mode}": clock}, args.rounds, repeat=3)
        except Exception as error:  # a mode that this torch or GPU cannot do
            print(f"compile mode {mode}: {type(error).__name__}: {str(error)[:200]}")
    here = measure_device(dtype=torch.bfloat16, device=device)
    table(f"one chunk of {args.size} in bfloat16, batch of one", times, describe(c, here).floor,
          "eager")


def gpu_training(args, c):
    """Time of a training step."""
    step = Ours(c, c.max_tokens, batch=args.batch, device=args.device)

    def autocast():
        with torch.autocast(args.device, torch.bfloat16):
            step.train()

    took = rounds({"train": lambda: seconds(autocast, args.device)}, args.rounds)["train"]
    print(f"\ntraining step of {args.train_size}, bf16 autocast, batch {args.batch}: "
          f"{1000 * took:.1f} ms, {args.batch / took:.0f} examples a second")


def main():
    """Parse the arguments and run."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("where", nargs="?", choices=["cpu", "gpu"], default="cpu")
    parser.add_argument("--peer", action="append", default=[], metavar="NAME=COMMAND")
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--no-compile", action="store_true")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--size", default="pi05", help="preset for the chunk")
    parser.add_argument("--train-size", default="small", help="preset for the training step")
    parser.add_argument("--batch", type=int, default=64)
    args = parser.parse_args()
    cpu(args) if args.where == "cpu" else gpu(args)


if __name__ == "__main__":
    sys.exit(main())
