"""The picture at the head of chapter 05."""

import json
from pathlib import Path

import numpy as np
from plotly.subplots import make_subplots

from pi05lite.tokens import vq
from pi05lite.tokens.bins import BinsTokenizer
from pi05lite.tokens.fast import FastTokenizer
from pi05lite.widgets import pictures

RESULTS = Path(__file__).resolve().parents[2] / "data" / "results" / "tokens.json"
CODES = [247, 145, 226, 187, 255, 170, 54, 49]  # how the shipped codebook spells a chunk of cr5


def draw():
    """One joint of a chunk as bins, as frequencies, through a codebook; rate and distortion."""
    book = vq.default()
    chunk = book.decode([CODES], 50, 7)[0][0]
    joint = int(np.abs(np.diff(chunk, axis=0)).sum(0).argmax())
    x, blue, orange, green = chunk[:, joint].clip(-1, 1), *pictures.COLORS[:3]
    figure = make_subplots(1, 4, horizontal_spacing=0.055, subplot_titles=[
        "bins: a number, a token", "FAST: rounded waves", "codebook: one code of 8",
        "error by tokens (CR5 arm)"])
    add = lambda column, **line: figure.add_scatter(  # noqa: E731
        row=1, col=column, showlegend=False, **line)
    binned = BinsTokenizer(12).decode(BinsTokenizer(12).encode(x[None, :, None]), 50, 1)[0]
    add(1, y=binned[0, :, 0], mode="lines", line=dict(color=blue, shape="hvh"))
    waves = FastTokenizer(scale=4).coefficients(x[None, :, None])[0, :, 0]
    for some, color in ((waves == 0, "rgba(127,127,127,0.5)"), (waves != 0, orange)):
        k = np.flatnonzero(some)
        add(2, x=k, y=waves[k], mode="markers", marker=dict(color=color, size=6))
        add(2, x=np.repeat(k, 3), y=np.stack([0 * k, waves[k], np.full(len(k), np.nan)], 1).ravel(),
            mode="lines", line=dict(color=color, width=2))
    for code in range(5, 256, 25):
        other = book.decode([[code, *CODES[1:]]], 50, 7)[0][0, :, joint]
        add(3, y=other, mode="lines", line=dict(color=green, width=1))
    for column in (1, 3):
        add(column, y=x, mode="lines", line=dict(color=pictures.TRUTH, width=3, dash="dot"))
    rows = json.loads(RESULTS.read_text())["table"]
    for family, color in (("bins", blue), ("FAST", orange), ("VQ", green)):
        mine = sorted((r["tokens"], r["rmse"]) for r in rows if r["robot"] == "cr5" and
                      r["family"] == family and "," not in r["setting"])
        add(4, x=[t for t, _ in mine], y=[e for _, e in mine], mode="lines+markers+text",
            line=dict(color=color), text=[family], textposition="top right",
            textfont=dict(color=color))
    figure.update_xaxes(zeroline=False).update_yaxes(zeroline=False)
    figure.update_xaxes(type="log", tickvals=[5, 20, 100, 400], range=[0.4, 3], col=4)
    figure.update_yaxes(type="log", tickvals=[0.002, 0.01, 0.05, 0.2], range=[-2.85, -0.45],
                        col=4)
    return figure.update_layout(**{**pictures.LAYOUT, "margin": dict(l=35, r=20, t=40, b=30)},
                                width=1000, height=270)
