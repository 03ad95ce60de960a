"""Pictures of the action tokenizers, from the rows of data/results/tokens.json."""

from itertools import cycle

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from pi05lite.widgets.pictures import COLORS, LAYOUT, TRUTH, bars, grid

# One robot's name in the table -> what it is, for the titles.
ROBOTS = {"cr5": "CR5 arm", "droid": "DROID", "droid_new": "DROID, new set-up",
          "g1": "G1 humanoid", "bridge": "Bridge (octo)", "bridge_vpp": "Bridge (vpp)",
          "smooth": "smooth waves"}


def rate_distortion_figure(table, robots=None, title="what is lost at how many tokens"):
    """Tokens a chunk against the error of the decoded chunk, a line for each family.

    table: rows of `pi05lite.evaluate.tokens.rate_distortion`; robots: names (None: all).
    Lower left is better. Each point tells its setting.
    """
    robots = list(dict.fromkeys(row["robot"] for row in table)) if robots is None else robots
    families = list(dict.fromkeys(row["family"] for row in table))
    rows, columns = grid(len(robots))
    titles = [ROBOTS.get(name, name) for name in robots]
    figure = make_subplots(rows, columns, subplot_titles=titles,
                           vertical_spacing=0.22 / rows, horizontal_spacing=0.05)
    for k, name in enumerate(robots):
        place = dict(row=k // columns + 1, col=k % columns + 1)
        for color, family in zip(cycle(COLORS), families):
            points = sorted((r for r in table if (r["robot"], r["family"]) == (name, family)),
                            key=lambda r: (r["tokens"], -r["rmse"]))
            main = [r for r in points if "vocabulary" not in r["setting"]
                    and "byte" not in r["setting"]]
            figure.add_scatter(
                x=[r["tokens"] for r in main], y=[r["rmse"] for r in main], name=family,
                mode="lines+markers", line=dict(color=color), legendgroup=family,
                showlegend=k == 0, text=[r["setting"] for r in main],
                hovertemplate="%{text}: %{x:.1f} tokens, RMSE %{y:.4f}", **place)
            rest = [r for r in points if r not in main]
            if rest:  # other vocabularies and the byte-level form of FAST
                figure.add_scatter(
                    x=[r["tokens"] for r in rest], y=[r["rmse"] for r in rest], mode="markers",
                    marker=dict(color=color, symbol="circle-open"), legendgroup=family,
                    name=family, showlegend=False, text=[r["setting"] for r in rest],
                    hovertemplate="%{text}: %{x:.1f} tokens, RMSE %{y:.4f}", **place)
    figure.update_xaxes(type="log", tickvals=[5, 20, 100, 500], tickangle=0, zeroline=False)
    figure.update_yaxes(type="log", dtick=1, zeroline=False)
    figure.update_xaxes(title="tokens a chunk", row=rows)
    figure.update_yaxes(title="RMSE (normalised)", col=1)
    figure.update_layout(**{**LAYOUT, "margin": dict(l=60, r=20, t=100, b=50)}, title_text=title,
                         height=240 * rows + 130,
                         legend=dict(orientation="h", x=1, xanchor="right", y=0.99, yanchor="top",
                                     yref="container"))
    return figure


def control_rate_figure(rates, paper, title="one second of motion in tokens"):
    """Left: tokens of one second as bins and as FAST by control rate. Right: how many times fewer.

    rates: rows of `control_rates`; paper: name -> (Hz, bins, FAST), the published points.
    """
    figure = make_subplots(1, 2, horizontal_spacing=0.1,
                           subplot_titles=["tokens a second (dashed: bins)", "bins / FAST"])
    for color, name in zip(cycle(COLORS), dict.fromkeys(row["robot"] for row in rates)):
        mine = [row for row in rates if row["robot"] == name]
        hz, label = [row["rate"] for row in mine], ROBOTS.get(name, name)
        symbols = ["circle" if row["rate"] <= row["recorded"] else "circle-open" for row in mine]
        for column, key, dash in ((1, "bins", "dash"), (1, "fast", "solid"), (2, "ratio", "solid")):
            figure.add_scatter(
                x=hz, y=[row[key] for row in mine], name=label, legendgroup=name, row=1, col=column,
                mode="lines+markers", showlegend=column == 2, line=dict(color=color, dash=dash),
                marker=dict(symbol=symbols if key != "bins" else "circle", size=7),
                hovertemplate=f"{label}, {key}: %{{y:.1f}} at %{{x}} Hz<extra></extra>")
    hz, bins, fast = zip(*sorted(paper.values()))
    text = sorted(paper, key=lambda name: paper[name])
    for column, values, dash in ((1, bins, "dash"), (1, fast, "solid"),
                                 (2, [b / f for b, f in zip(bins, fast)], "solid")):
        figure.add_scatter(x=hz, y=values, name="FAST paper", legendgroup="paper", row=1,
                           col=column, mode="lines+markers", showlegend=column == 2, text=text,
                           line=dict(color=TRUTH, width=3, dash=dash),
                           hovertemplate="%{text}: %{y:.1f} at %{x} Hz<extra></extra>")
    figure.update_xaxes(title="control rate, Hz (open: above the recorded rate, interpolated)",
                        zeroline=False)
    figure.update_yaxes(zeroline=False)
    figure.update_yaxes(type="log", dtick=1, col=1)
    figure.update_layout(**LAYOUT, title_text=title, height=420,
                         legend=dict(orientation="h", x=1, xanchor="right", y=0.99, yanchor="top",
                                     yref="container"))
    return figure


def learning_figure(rows, title="the same policy, the same training time, other tokens"):
    """Held-out error of the chunks a policy writes, by horizon and tokenizer, 95 % intervals."""
    table, order = {}, ("bins", "FAST", "VQ")  # the colours of the other figures
    for row in sorted(rows, key=lambda row: (row["horizon"], order.index(row["tokenizer"]))):
        table.setdefault(f"{row['horizon']} steps", {})[row["tokenizer"]] = row["error"]
    figure = bars(table, title, "error, 1 = the mean action")
    figure.add_hline(y=1, line=dict(color=TRUTH, dash="dot"))
    return figure


def damage_figure(table, robot="cr5", title="one token in a chunk is wrong"):
    """What one random token flip does: share of chunks that no longer decode, and the error."""
    rows = [row for row in table if row["robot"] == robot]
    figure = go.Figure()
    for color, family in zip(cycle(COLORS), dict.fromkeys(row["family"] for row in rows)):
        mine = [row for row in rows if row["family"] == family]
        figure.add_scatter(x=[row["flip_failures"] for row in mine],
                           y=[row["flip_rmse"] for row in mine], name=family, mode="markers",
                           marker=dict(color=color, size=9), text=[row["setting"] for row in mine],
                           hovertemplate="%{text}: %{x:.0%} fail, RMSE %{y:.3f}")
    figure.update_xaxes(title="share of chunks that no longer decode", tickformat=".0%",
                        range=[-0.03, 1.03], zeroline=False)
    figure.update_yaxes(title="RMSE after the flip", rangemode="tozero", zeroline=False)
    figure.update_layout(**LAYOUT, title_text=f"{title}: {ROBOTS.get(robot, robot)}", height=360)
    return figure
