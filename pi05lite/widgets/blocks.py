"""Pictures of the sequence: a picture cut into patches, and every token as a coloured block."""

from dataclasses import dataclass, field

import numpy as np
import plotly.graph_objects as go

from pi05lite.widgets.attention import PART_COLORS
from pi05lite.widgets.pictures import COLORS, LAYOUT, png

WIDE = 46  # units of a row of blocks
SQUARE = 2.6  # units of a block that shows a patch
HIGH = 46  # pixels of a row


@dataclass
class Part:
    """A run of tokens of one kind: a readable name each, patches if they are of a picture."""

    name: str
    labels: list
    patches: list = field(default_factory=list)  # uint8 (p, p, 3) each
    note: str = ""  # what it costs, at the right
    kind: str = ""  # one of PART_COLORS, or a picture

    @property
    def color(self):
        """The colour of its blocks, as in the attention widget."""
        return PART_COLORS.get(self.kind or self.name, COLORS[0])


def cut_apart(image, size, scale=4):
    """A picture uint8 (h, w, 3) with gaps between its patches of `size`: uint8 (h', w', 4)."""
    h, w = image.shape[:2]
    big = np.repeat(np.repeat(image, scale, axis=0), scale, axis=1)
    gap, side = scale * max(1, size // 6), scale * size
    out = np.zeros((h // size * (side + gap) - gap, w // size * (side + gap) - gap, 4), np.uint8)
    for r in range(h // size):
        for c in range(w // size):
            y, x = r * (side + gap), c * (side + gap)
            out[y:y + side, x:x + side, :3] = big[r * side:(r + 1) * side, c * side:(c + 1) * side]
            out[y:y + side, x:x + side, 3] = 255
    return out


def blocks_figure(parts, title="one example, token by token"):
    """The whole sequence as coloured blocks, a new row for each part; parts: a list of Part.

    Blocks of a picture show their patch. Hover a block for its place and its name.
    """
    figure, row, place, names = go.Figure(), 0, 0, {}
    for part in parts:
        starts, widths, rows = _lay_out(part, row)
        figure.add_bar(
            y=rows, base=starts, x=widths, orientation="h", width=0.78, name=part.name,
            text=["" if part.patches else shown(label) for label in part.labels],
            textposition="inside", insidetextanchor="middle", textangle=0, constraintext="none",
            textfont=dict(color=_readable(part.color), size=11), showlegend=False,
            marker=dict(color="rgba(0,0,0,0)" if part.patches else part.color, line=dict(
                color=part.color, width=2 if part.patches else 0)),
            customdata=[[place + k, repr(label)] for k, label in enumerate(part.labels)],
            hovertemplate=f"token %{{customdata[0]}}, {part.name}: %{{customdata[1]}}"
                          "<extra></extra>")
        for patch, x, y in zip(part.patches, starts, rows):
            figure.add_layout_image(source=png(patch), xref="x", yref="y", x=x + SQUARE / 2, y=y,
                                    sizex=SQUARE - 0.25, sizey=0.72, xanchor="center",
                                    yanchor="middle", sizing="stretch", layer="below")
        names[row] = f"{part.name} ({len(part.labels)})"
        if part.note:
            figure.add_annotation(x=WIDE + 0.6, y=row, text=part.note, showarrow=False,
                                  xanchor="left", font_color="#7a7a7a")
        row, place = max(rows) + 1, place + len(part.labels)
    figure.update_xaxes(range=[-0.3, WIDE + 9 * any(part.note for part in parts)], visible=False)
    figure.update_yaxes(range=[row - 0.4, -0.6], tickvals=list(names), ticktext=list(
        names.values()), showgrid=False, zeroline=False, automargin=True)
    return figure.update_layout(**{**LAYOUT, "margin": dict(l=90, r=10, t=60, b=10)}, barmode=
                                "overlay", height=70 + HIGH * row, title_text=title)


def shown(label):
    """A token's text as it stands in its block, never empty."""
    return label.strip(" ").replace("\n", "⏎") or "␣"


def _lay_out(part, row):
    """Start, width and row of each block of a part, like words on a page."""
    starts, widths, rows, x = [], [], [], 0.0
    for label in part.labels:
        width = SQUARE if part.patches else max(1.6, 0.62 * len(shown(label)) + 0.7)
        if x + width > WIDE:
            x, row = 0.0, row + 1
        starts.append(x)
        widths.append(width - 0.25)
        rows.append(row)
        x += width
    return starts, widths, rows


def _readable(color):
    """Black or white, whichever reads better on a colour "#rrggbb"."""
    r, g, b = (int(color[k:k + 2], 16) for k in (1, 3, 5))
    return "#000000" if 0.3 * r + 0.59 * g + 0.11 * b > 120 else "#ffffff"


def costs_figure(table, title=""):
    """Stacked shares, a bar each; table: bar -> {part: amount}, colours by part."""
    figure = go.Figure()
    for name in dict.fromkeys(n for row in table.values() for n in row):
        share = [row.get(name, 0) / sum(row.values()) for row in table.values()]
        color = PART_COLORS.get(name, COLORS[0])
        figure.add_bar(y=list(table), x=share, orientation="h", name=name, marker_color=color,
                       text=[f"{name} {s:.0%}" if s > 0.06 else "" for s in share], textangle=0,
                       textposition="inside", insidetextanchor="middle",
                       textfont=dict(color=_readable(color)), showlegend=False,
                       hovertemplate=f"{name}: %{{x:.1%}}<extra>%{{y}}</extra>")
    figure.update_xaxes(tickformat=".0%", range=[0, 1], zeroline=False)
    figure.update_yaxes(autorange="reversed", automargin=True)
    return figure.update_layout(**LAYOUT, barmode="stack", height=150 + 44 * len(table),
                                title_text=title)
