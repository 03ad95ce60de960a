"""What each part of a model holds and costs: parameters, arithmetic, bytes, and the least time.

The arithmetic is counted by running each part on the meta device, where tensors have shapes and no
numbers, so that the count is of the code that runs and holds for any swapped part and any size.
"""

from dataclasses import dataclass, field

import torch
from torch.utils.flop_counter import FlopCounterMode

from pi05lite.model.linear import Linear
from pi05lite.model.masks import Layout
from pi05lite.model.pi05 import Pi05, Prefix
from pi05lite.tokens.kind import Kind


@dataclass(frozen=True)
class Device:
    """How fast a device is at best: floating-point operations and bytes a second."""

    name: str
    flops: float
    bandwidth: float


# Dense bf16 arithmetic and memory of the data sheets.
H200 = Device("H200", 989e12, 4.8e12)
H100 = Device("H100 SXM", 989e12, 3.35e12)
RTX4090 = Device("RTX 4090", 165e12, 1.01e12)


@dataclass(frozen=True)
class Part:
    """One part of a model in one call of `act`: runs is how often it runs for a chunk."""

    name: str
    parameters: int
    flops: int  # of one run
    moved: int  # bytes of one run: its weights once, and the keys and values that it reads
    runs: int = 1

    def floor(self, device):
        """Seconds that all its runs need at least: arithmetic or memory, whichever is more."""
        return self.runs * max(self.flops / device.flops, self.moved / device.bandwidth)


@dataclass(frozen=True)
class Description:
    """The parts of a model, for a batch of one; print it or let a notebook show it."""

    parts: tuple
    config: object = field(repr=False)
    device: Device | None = None
    title: str = ""

    @property
    def parameters(self):
        """All parameters."""
        return sum(p.parameters for p in self.parts)

    @property
    def flops(self):
        """Floating-point operations of one chunk."""
        return sum(p.runs * p.flops for p in self.parts)

    @property
    def floor(self):
        """Seconds of one chunk at least on the device, part after part."""
        return sum(p.floor(self.device) for p in self.parts)

    def rows(self):
        """The table as lists of text: a head, a row for each part, the sum."""
        head = ["part", "parameters", "runs", "GFLOP", "MB moved"]
        rows = [[p.name, f"{p.parameters:,}", str(p.runs), short(p.runs * p.flops / 1e9),
                 short(p.runs * p.moved / 1e6)] for p in self.parts]
        moved = sum(p.runs * p.moved for p in self.parts)
        rows.append(["sum", f"{self.parameters:,}", "", short(self.flops / 1e9),
                     short(moved / 1e6)])
        if self.device:
            head.append(f"floor on {self.device.name}")
            for row, floor in zip(rows, [*(p.floor(self.device) for p in self.parts), self.floor]):
                row.append(f"{short(1000 * floor)} ms")
        return [head, *rows]

    def share(self, seconds):
        """How much of a measured time the floor is, in [0, 1]."""
        return self.floor / seconds

    def __str__(self):
        rows = self.rows()
        wide = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
        lines = ["  ".join(cell.ljust(w) if i == 0 else cell.rjust(w)
                           for i, (cell, w) in enumerate(zip(row, wide))) for row in rows]
        return "\n".join([self.title, *lines])

    def _repr_html_(self):
        head, *rows = self.rows()
        cells = lambda row, tag: "".join(f"<{tag}>{cell}</{tag}>" for cell in row)  # noqa: E731
        body = "".join(f"<tr>{cells(row, 'td')}</tr>" for row in rows)
        return f"<p>{self.title}</p><table><tr>{cells(head, 'th')}</tr>{body}</table>"


def short(x):
    """A number with three digits, or all that stand before the point."""
    return f"{x:,.0f}" if x >= 999.5 else f"{x:.3g}"


def describe(config, device=None, text=None, steps=10, dtype=torch.bfloat16, build=Pi05):
    """What a pi0.5 of a config holds and costs for one chunk: a Description.

    device: a Device to compute the least time for; text: text tokens of the prompt (None: as many
    as fit); steps: flow steps; dtype: of the weights; build: a class or function of the config.
    """
    text = config.max_tokens if text is None else text
    with torch.device("meta"):
        model = build(config).eval().to(dtype)
        runs = _runs(model, text, dtype)
        size = torch.empty((), dtype=dtype).element_size()
        parts = []
        for name, modules, count, call, read in runs:
            with FlopCounterMode(display=False) as counter, torch.no_grad():
                call()
            weights = sum(p.numel() for module in modules for p in module.parameters())
            parts.append(Part(name, weights, counter.get_total_flops(), size * (weights + read),
                              steps if count is None else count))
    # A look-up reads one row a token, not the whole table.
    table = model.embedding.weight
    parts.insert(2, Part("token embedding", table.numel(), 0, size * text * table.shape[1]))
    return Description(tuple(parts), config, device, _title(model, config, text, steps, dtype))


def activations(model, text=None):
    """Bytes that one training example leaves in each part for the way back: name -> bytes.

    model: a Pi05 on the meta device, in the dtype that it computes in; text: text tokens (None: as
    many as fit). What autograd keeps, weights left out, nothing computed again, one flow draw.
    Attention is counted as the plain softmax that meta tensors take; a fused one keeps less.
    """
    text = model.config.max_tokens if text is None else text
    with torch.device("meta"):
        runs = _runs(model, text, model.embedding.weight.dtype, hidden=True)
        return {name: _kept(call, model) for name, _, _, call, _ in runs}


def _kept(call, model):
    """Bytes of the tensors that autograd keeps of a call, each storage once, weights left out."""
    weights = {p.untyped_storage()._cdata for p in model.parameters()}
    kept = {}  # the storages themselves, so that none is freed and its address used again

    def keep(x):
        kept[x.untyped_storage()._cdata] = x.untyped_storage()
        return x

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda x: x):
        result = call()  # noqa: F841  # holds the graph while it is counted
    return sum(s.nbytes() for key, s in kept.items() if key not in weights)


def _runs(model, text, dtype, hidden=False):
    """(name, modules, runs, call, numbers of keys and values read) of each part.

    runs None: as often as there are flow steps; hidden: with the VLM's hidden states, as in
    training.
    """
    c, px = model.config, model.config.vision.image_size
    images = torch.empty(len(c.cameras), 3, px, px, dtype=dtype)
    with torch.no_grad():
        patches = model.vision.patches(images)
    tokens = len(c.cameras) * patches.shape[1] + text
    layout = Layout(torch.full((1, tokens), int(Kind.PROMPT)), torch.ones(1, tokens).bool())
    x = torch.empty(1, tokens, c.vlm.width, dtype=dtype)
    bias = torch.empty(1, 1, tokens, tokens, dtype=dtype)
    pair = torch.empty(1, c.vlm.kv_heads, tokens, c.vlm.head_dim, dtype=dtype)
    prefix = Prefix(None, [(pair, pair)] * c.vlm.depth, layout, torch.empty(1, c.action_size))
    chunk = torch.empty(1, c.horizon, c.action_size)
    cache = 2 * c.vlm.depth * pair.numel()
    return [
        ("picture tower", [model.vision.tower], 1, lambda: model.vision.patches(images), 0),
        ("projector", [model.vision.projector], 1, lambda: model.vision.projector(patches), 0),
        ("VLM", [model.vlm], 1,
         lambda: model.vlm(x, bias, model.vlm.turn(layout.positions()), hidden=hidden), 0),
        ("action expert", [model.expert], None,
         lambda: model.velocity(prefix, chunk, torch.empty(1)), cache),
    ]


def _title(model, config, text, steps, dtype):
    count = sum(p.numel() for p in model.parameters())
    c = config
    return (f"{count:,} parameters in {str(dtype).removeprefix('torch.')}; one chunk of "
            f"{c.horizon} x {c.action_size} from {len(c.cameras)} cameras of {c.vision.image_size} "
            f"px and {text} text tokens, {steps} flow steps")


def measure_device(seconds=1.0, dtype=torch.float32, device="cpu"):
    """What this device reaches in a large matrix product and a large copy, as a Device."""
    from torch.utils.benchmark import Timer

    n = 2048
    a, b = torch.randn(2, n, n, device=device).to(dtype).unbind()
    big = torch.empty(1 << 26, device=device, dtype=torch.uint8)
    # Whichever product is quicker: our linear layers may take another one than PyTorch's.
    names = dict(a=a, b=b, layer=Linear(n, n, bias=False, device=device, dtype=dtype), big=big,
                 other=torch.empty_like(big))

    def seconds_of(code):
        timer = Timer(code, globals=names, num_threads=torch.get_num_threads())
        return timer.blocked_autorange(min_run_time=seconds / 3).median

    with torch.no_grad():
        product = min(seconds_of("a @ b"), seconds_of("layer(a)"))
    copy = seconds_of("other.copy_(big)")
    return Device(f"this {device}", 2 * n**3 / product, 2 * big.numel() / copy)
