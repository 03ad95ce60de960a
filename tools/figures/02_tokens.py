"""The picture at the head of chapter 02."""

from figures.episode import played

from pi05lite.data.images import fit
from pi05lite.widgets import blocks, pictures


def draw():
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
