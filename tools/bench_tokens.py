"""FAST in batches against the published algorithm run chunk by chunk, in one run: same ids, time.

The reference is written from the paper's description: one chunk at a time, scipy's cosine
transform, scale, round, one character a coefficient, byte-level BPE of the `tokenizers` library.
It is quicker than the published processor, which has a layer of `transformers` round the same.

    python tools/bench_tokens.py          # real chunks of cr5 where PI05LITE_DATA has them
"""

import time

import numpy as np
from scipy.fft import dct, idct

from pi05lite.evaluate import tokens as evidence
from pi05lite.tokens.fast import FastTokenizer

ROUNDS = 7


def encode_singly(tokenizer, chunks):
    """The published algorithm, chunk by chunk: ids."""
    bpe, rows = tokenizer.bpe.tokenizer, []
    for chunk in chunks:
        numbers = np.around(dct(chunk, axis=0, norm="ortho") * tokenizer.scale)
        numbers = np.maximum(numbers.ravel() - tokenizer.min_token, 0).astype(int)
        rows.append(bpe.encode("".join(map(chr, numbers))).ids)
    return rows


def decode_singly(tokenizer, rows, horizon, action_size):
    """Its inverse: chunks (B, H, A)."""
    bpe, chunks = tokenizer.bpe.tokenizer, []
    for ids in rows:
        numbers = np.array(list(map(ord, bpe.decode(ids)))) + tokenizer.min_token
        frequencies = numbers.reshape(horizon, action_size) / tokenizer.scale
        chunks.append(idct(frequencies, axis=0, norm="ortho"))
    return np.stack(chunks)


def in_turn(*calls):
    """Median seconds of each call, measured in interleaved rounds."""
    spent = [[] for _ in calls]
    for _ in range(ROUNDS):
        for seconds, call in zip(spent, calls):
            begin = time.perf_counter()
            call()
            seconds.append(time.perf_counter() - begin)
    return [float(np.median(seconds)) for seconds in spent]


def compare(data):
    """Rows of the table for one set of chunks: (what, microseconds a chunk singly, in batches)."""
    chunks = np.concatenate([data.train, data.test])
    count, H, A = chunks.shape
    tokenizer = FastTokenizer(byte_level=True, clip=False).fit(data.train)  # as published
    rows = encode_singly(tokenizer, chunks)
    assert tokenizer.encode(chunks) == rows, "the ids differ"
    back, ok = tokenizer.decode(rows, H, A)
    assert ok.all() and np.allclose(back, decode_singly(tokenizer, rows, H, A), atol=1e-5)
    pairs = {
        "encode": in_turn(lambda: encode_singly(tokenizer, chunks),
                          lambda: tokenizer.encode(chunks)),
        "decode": in_turn(lambda: decode_singly(tokenizer, rows, H, A),
                          lambda: tokenizer.decode(rows, H, A)),
    }
    return [(f"{data.name} {count} x {H} x {A}, {what}", 1e6 * one / count, 1e6 * many / count)
            for what, (one, many) in pairs.items()]


def main():
    """Print the medians and their ratios."""
    sets = [evidence.smooth_chunks(5000)]
    sets += [evidence.robot_chunks("cr5", 50)] if "cr5" in evidence.here() else []
    print(f"{'FAST, microseconds a chunk':<34}{'one by one':>12}{'batched':>10}{'ratio':>8}")
    for data in sets:
        for what, one, many in compare(data):
            print(f"{what:<34}{one:12.1f}{many:10.1f}{one / many:7.1f}x")


if __name__ == "__main__":
    main()
