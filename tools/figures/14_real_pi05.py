"""The picture at the head of chapter 14: shares of the parts, and memory, as they are counted."""

import plotly.graph_objects as go
import torch
from plotly.subplots import make_subplots

import pi05lite
from pi05lite import config
from pi05lite.model.describe import H200
from pi05lite.model.pi05 import Pi05
from pi05lite.train import lora
from pi05lite.widgets import pictures

BLUE, ORANGE, GREEN, PINK, SKY, RED = pictures.COLORS
PARTS = {"picture tower": (SKY, "black"), "VLM": (BLUE, "white"), "word table": (PINK, "black"),
         "action expert": (ORANGE, "black")}


def parts_of(table):
    """Name -> Part of a description; the projector is counted with the tower elsewhere."""
    named = {p.name: p for p in table.parts}
    return {name: named["token embedding" if name == "word table" else name] for name in PARTS}


def bars(figure, table):
    """Four quantities, each shared out between the parts; what is 8 % or more has its number."""
    parts = parts_of(table)
    rows = {"parameters": lambda p: p.parameters, "arithmetic": lambda p: p.runs * p.flops,
            "bytes moved": lambda p: p.runs * p.moved, "least time, H200": lambda p: p.floor(H200)}
    for name, (color, ink) in PARTS.items():
        shares = [of(parts[name]) / sum(map(of, table.parts)) for of in rows.values()]
        figure.add_bar(y=list(rows), x=shares, name=name, orientation="h", marker_color=color,
                       text=[f"{x:.0%}" if x > 0.08 else "" for x in shares], textangle=0,
                       textposition="inside", insidetextanchor="middle",
                       insidetextfont=dict(color=ink, size=15), row=1, col=1)
    figure.update_xaxes(visible=False, row=1, col=1)
    figure.update_yaxes(autorange="reversed", showline=False, tickfont_size=15, row=1, col=1)


def memory(figure, model):
    """Gigabytes to run, to train adapters, to train all: activations not counted."""
    run = 2 * sum(p.numel() for p in model.parameters()) / 1e9
    every = 10 * run
    with torch.device("meta"):
        some = lora.cost(lora.add(model))
    adapters = (some.total - some.average) / 1e9
    figure.add_bar(x=["run", "adapters", "train all"], y=[run, adapters, every], showlegend=False,
                   marker_color=GREEN, text=[f"{x:.0f} GB" for x in (run, adapters, every)],
                   textposition="outside", textfont_size=15, row=1, col=2)
    figure.update_yaxes(visible=False, range=[0, 80], row=1, col=2)
    figure.update_xaxes(tickfont_size=15, row=1, col=2)


def draw():
    """Shares of the parts on the left, memory on the right."""
    with torch.device("meta"):
        model = Pi05(config.pi05())
    figure = make_subplots(1, 2, column_widths=[0.66, 0.34], horizontal_spacing=0.06,
                           subplot_titles=["one chunk: who has what share?",
                                           "memory, without activations"])
    bars(figure, pi05lite.describe(config.pi05(), H200, build=lambda c: model))
    memory(figure, model)
    figure.update_annotations(font=dict(size=16, color="#7a7a7a"))
    return figure.update_layout(go.Layout(pictures.LAYOUT), width=960, height=360, bargap=0.25,
                                barmode="stack", plot_bgcolor="rgba(0,0,0,0)",
                                margin=dict(l=5, r=5, t=45, b=5),
                                legend=dict(orientation="h", y=-0.02, x=0.33, xanchor="center",
                                            yanchor="top", font_size=14, traceorder="normal"))
