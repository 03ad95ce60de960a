"""Draw the pictures at the heads of the chapters: notebooks/figures/NN_name.png.

    python tools/draw_figures.py [NN ...]        needs Chromium and the dev extra
"""

import json
import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from playwright.sync_api import sync_playwright
from plotly.subplots import make_subplots

import pi05lite  # noqa: F401
from pi05lite.data.images import fit
from pi05lite.homes.expert import Expert
from pi05lite.homes.tasks import Episode
from pi05lite.model import flow
from pi05lite.model.masks import Layout
from pi05lite.tokens import vq
from pi05lite.tokens.bins import BinsTokenizer
from pi05lite.tokens.fast import FastTokenizer
from pi05lite.tokens.kind import Kind
from pi05lite.widgets import blocks, pictures, plane

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "notebooks" / "figures"
RESULTS = ROOT / "data" / "results" / "tokens.json"
CODES = [247, 145, 226, 187, 255, 170, 54, 49]  # how the shipped codebook spells a chunk of cr5


def demonstrations(count):
    """Two good ways round a bottle, (count, 2)."""
    angle = torch.randint(2, (count,)) * torch.pi + 0.3 * torch.randn(count)
    return (1 + 0.07 * torch.randn(count))[:, None] * torch.stack([angle.cos(), angle.sin()], 1)


def true_velocity(data):
    """E[a - noise | x_tau] of a set of actions (N, 2), exactly: what a perfect network says."""
    def velocity(x, tau):
        t = tau[:, None].clamp(max=0.98)
        far = ((x[:, None] - t[..., None] * data) ** 2).sum(-1) / (1 - t) ** 2  # (B, N)
        a = (-far / 2).softmax(-1) @ data
        return (a - x) / (1 - t)
    return velocity


def chapter_06():
    """Demonstrations and their mean; ways from noise; samples."""
    torch.manual_seed(1)
    data = demonstrations(500)
    way = torch.stack(flow.euler(true_velocity(data), torch.randn(300, 2), 40))
    figure = plane.plane(["demonstrations, and their mean", "from noise to actions", "samples"])
    plane.obstacle(figure, 0.6, (1, 2, 3))
    dots = lambda xy, column, color, size=4, symbol="circle": figure.add_scatter(  # noqa: E731
        x=xy[:, 0], y=xy[:, 1], mode="markers", row=1, col=column, showlegend=False,
        marker=dict(color=color, size=size, symbol=symbol))
    dots(data, 1, pictures.COLORS[0])
    dots(data.mean(0, keepdim=True), 1, pictures.COLORS[5], 14, "x")
    for k in range(40):
        figure.add_scatter(x=way[:, k, 0], y=way[:, k, 1], mode="lines", row=1, col=2,
                           line=dict(color=pictures.TRUTH, width=1), showlegend=False)
    dots(way[0, :40], 2, pictures.COLORS[1])
    dots(way[-1, :40], 2, pictures.COLORS[0])
    dots(way[-1], 3, pictures.COLORS[0])
    return figure.update_layout(width=960, height=360, margin=dict(t=40))


def chapter_03():
    """Who looks at whom in pi0.5."""
    kinds = [Kind.PROMPT] * 12 + [Kind.TEXT] * 4 + [Kind.ACTION] * 6 + [Kind.FLOW] * 6
    layout = Layout(torch.tensor([kinds]), torch.ones(1, len(kinds), dtype=torch.bool))
    names = ["pictures"] * 7 + [Kind(k).label for k in kinds[7:]]
    return pictures.mask_figure(layout.mask()[0].numpy(), names).update_layout(
        width=560, height=560)


def chapter_05():
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
    thin = dict(zeroline=False, gridcolor="rgba(127,127,127,0.2)")  # on light and on dark paper
    figure.update_xaxes(**thin).update_yaxes(**thin)
    figure.update_xaxes(type="log", tickvals=[5, 20, 100, 400], range=[0.4, 3], col=4)
    figure.update_yaxes(type="log", tickvals=[0.002, 0.01, 0.05, 0.2], range=[-2.85, -0.45],
                        col=4)
    return figure.update_layout(**{**pictures.LAYOUT, "margin": dict(l=35, r=20, t=40, b=30)},
                                width=1000, height=270)


def played(robot, task="pick"):
    """What the first camera sees (T, h, w, 3) and what is done (T, A) in one episode of a home."""
    home = Episode(task=task, home=7, seed=3, robot=robot)
    expert, rows = Expert(home), []
    while not home.over:
        action, _ = expert.act()
        rows.append((home.world.images(192)[home.robot.cameras[0].name], action))
        home.step(action)
    return [np.stack(column) for column in zip(*rows)], home.robot.action_names


def chapter_01():
    """What a camera sees and what is done over an episode, and two chunks of 50 steps."""
    (seen, actions), names = played("mobile")
    last, moments = len(actions) - 1, 5
    figure = make_subplots(2, moments, row_heights=[1, 1.3], vertical_spacing=0.04,
                           horizontal_spacing=0.01,
                           specs=[[{}] * moments, [{"colspan": moments}, *[None] * (moments - 1)]])
    for k, t in enumerate(np.linspace(0, last, moments).astype(int), 1):
        figure.add_image(source=pictures.png(seen[t]), row=1, col=k)
    figure.update_xaxes(visible=False, row=1).update_yaxes(visible=False, row=1)
    moves = [k for k in range(len(names)) if np.ptp(actions[:, k]) > 0.05]
    for color, k in zip(pictures.COLORS, moves):
        figure.add_scatter(x=np.arange(last + 1) / 50, y=actions[:, k], mode="lines", row=2, col=1,
                           line=dict(color=color, width=2), showlegend=False)
    for start, color in ((20, pictures.COLORS[0]), (last - 30, pictures.COLORS[5])):
        for x0, x1, solid in ((start, min(start + 50, last), True), (last, start + 50, False)):
            if x1 > x0:
                figure.add_shape(type="rect", x0=x0 / 50, x1=x1 / 50, y0=0, y1=1, yref="y6 domain",
                                 xref="x6", opacity=0.25 if solid else 1, line=dict(
                                     color=color, width=0 if solid else 2, dash="dot"),
                                 fillcolor=color if solid else "rgba(0,0,0,0)")
        figure.add_annotation(x=(start + 1) / 50, y=1, yref="y6 domain", xref="x6", xanchor="left",
                              yanchor="top", text="a chunk", showarrow=False, font_color=color)
    figure.add_annotation(x=(last + 1) / 50, y=0, yref="y6 domain", xref="x6", text="padding",
                          showarrow=False, xanchor="left", yanchor="bottom",
                          font_color=pictures.COLORS[5])
    figure.add_vline(x=last / 50, line=dict(color="#7a7a7a", width=2), row=2, col=1)
    figure.update_xaxes(title="seconds", range=[0, (last + 25) / 50], zeroline=False, row=2)
    figure.update_yaxes(zeroline=False, row=2)
    return figure.update_layout(**{**pictures.LAYOUT, "margin": dict(l=40, r=10, t=10, b=45)},
                                width=960, height=460)


def chapter_02():
    """The sequence of one made-up example, token by token, with a camera's picture of a home."""
    (seen, _), _ = played("mobile")
    small = fit(seen[-1], 64)
    cut = small.reshape(4, 16, 4, 16, 3).swapaxes(1, 2).reshape(16, 16, 16, 3)
    text = [("prompt", "<bos> Task : tidy the table"), ("state", ", State : 153 124 194 87 149 48"),
            ("prompt", "; ⏎ Sub task :"), ("subtask", "pick up the milk <eos>"),
            ("tokens", " ".join(f"<{i}>" for i in (2006, 1741, 1777, 1586, 2043)) + " <eos>")]
    parts = [blocks.Part("picture", [""] * 16, list(cut)),
             *(blocks.Part(name, words.split()) for name, words in text),
             blocks.Part("flow", [f"step {k}" for k in range(1, 9)])]
    figure = blocks.blocks_figure(parts, "").update_layout(
        width=860, margin=dict(l=100, r=5, t=5, b=5), height=46 * 7)
    return figure.add_layout_image(source=pictures.png(blocks.cut_apart(small, 16)), xref="paper",
                                   yref="paper", x=0.99, y=0.83, sizex=0.3, sizey=0.55,
                                   xanchor="right", yanchor="top")


def main():
    wanted = {name[8:]: draw for name, draw in globals().items() if name.startswith("chapter_")}
    names = {"01": "01_robot_data", "02": "02_tokens", "03": "03_transformer",
             "05": "05_action_tokens", "06": "06_flow_matching"}
    FOLDER.mkdir(exist_ok=True)
    with sync_playwright() as play, tempfile.TemporaryDirectory() as folder:
        browser = play.chromium.launch(executable_path=shutil.which("chromium"),
                                       args=["--no-sandbox", "--disable-gpu"])
        for number in sys.argv[1:] or wanted:
            figure, html = wanted[number](), Path(folder) / "figure.html"
            figure.write_html(html, include_plotlyjs=True, config={"staticPlot": True})
            page = browser.new_page(viewport={"width": 1000, "height": 700})
            page.goto(html.as_uri())
            page.locator(".main-svg").first.wait_for()
            page.locator(".svg-container").screenshot(
                path=FOLDER / f"{names[number]}.png", omit_background=True)
        browser.close()


if __name__ == "__main__":
    main()
