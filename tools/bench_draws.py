"""What several flow draws per prefix buy: held-out flow loss after equal processor time.

    python tools/bench_draws.py --seconds 120     # cr5 where PI05LITE_DATA has it, else the toy

One prefix serves several noises and flow times, so a draw more costs only the expert. Each variant
trains the same tiny model from the same start on the same stream of batches; the loss is taken on
the same held-out frames, noises and flow times for all.
"""

import argparse
import time
from dataclasses import replace

import torch

import pi05lite  # noqa: F401  # first: it lets timm import next to a CPU-only torch
from pi05lite import config
from pi05lite.model.pi05 import Pi05
from pi05lite.train.fit import Stream
from pi05lite.train.setup import available, prepare

BATCH = 16


def held_out(setup, name, count=256):
    """One batch of held-out frames at even distances."""
    source = setup.held_out[name]
    return setup.processor.collate([source[int(i)] for i in
                                    torch.linspace(0, len(source) - 1, count)])


@torch.no_grad()
def loss(model, batch):
    """Mean flow loss of a batch, eight fixed draws a row."""
    model.eval()
    prefix = model.prefix(batch, hidden=False)
    error = model.flow_losses(prefix, batch.actions, batch.action_mask, 8,
                              generator=torch.Generator().manual_seed(0))
    model.train()
    return float(error.sum() / batch.action_mask.sum() / 8)


def train(setup, test, draws, budget, every):
    """Rows (processor seconds, steps, held-out loss) of one variant."""
    torch.manual_seed(0)
    model = Pi05(setup.config)
    optimizer = torch.optim.AdamW(model.parameters(), 1e-3, (0.9, 0.95), fused=True)
    stream = Stream(setup.mixture, setup.processor.collate, BATCH, 10**9)
    spent, rows = 0.0, []
    for step, batch in enumerate(stream):
        begin = time.process_time()
        generator = torch.Generator().manual_seed(step)
        rows_with = batch.action_mask.flatten(1).any(dim=1)
        prefix = model.prefix(batch, hidden=False).select(rows_with)
        mask = batch.action_mask[rows_with]
        error = model.flow_losses(prefix, batch.actions[rows_with], mask, draws,
                                  generator=generator)
        optimizer.zero_grad()
        (error.sum() / mask.sum() / draws).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        spent += time.process_time() - begin
        if spent >= (len(rows) + 1) * every:
            rows.append((spent, step + 1, loss(model, test)))
        if spent >= budget:
            return rows


def main():
    """Print the loss of each variant after equal shares of the budget."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seconds", type=float, default=120, help="processor time a variant")
    parser.add_argument("--draws", type=int, nargs="+", default=[1, 2, 4, 8])
    args = parser.parse_args()
    (name, *_) = available("cr5")
    c = replace(config.tiny(), horizon=10)
    setup = prepare([name], c, words=False, shares={"high": 0.0001})
    test = held_out(setup, name)
    print(f"{name}, held-out flow loss ({len(test)} frames) by processor seconds, batch {BATCH}")
    for draws in args.draws:
        rows = train(setup, test, draws, args.seconds, args.seconds / 4)
        cells = "  ".join(f"{spent:4.0f} s {value:.4f}" for spent, _, value in rows)
        print(f"  {draws} draws: {cells}   ({rows[-1][1]} steps)", flush=True)


if __name__ == "__main__":
    main()
