"""How a widget is shown and kept: live in a notebook, as a still without kernel, as one HTML file.

A saved notebook holds no kernel and no widget. So a widget is followed by its still: a plain plotly
Figure with frames, which hides as long as the widget lives (`HIDE`, called by each script).
"""

import base64
import json
from pathlib import Path

import numpy as np
from IPython.display import display

from pi05lite.tokens.actions import write_atomic

FOLDER = Path(__file__).parent
HIDE = FOLDER.joinpath("still.js").read_text()
PLOTLY = "application/vnd.plotly.v1+json"
WITHOUT = "(moves with a kernel: run this cell; without one, its frames are below)"

PAGE = """<!doctype html>
<html><head><meta charset="utf-8"><title>{title}</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>:root {{ color-scheme: light dark; }}
body {{ font: 15px/1.5 system-ui, sans-serif; margin: 16px; background: Canvas;
  color: CanvasText; }}
{css}</style></head>
<body><h1 style="font-size: 1.15em">{title}</h1><div id="widget"></div>
{library}<script type="module">
{script}
const state = {state};
for (const [k, text] of Object.entries({buffers})) {{
  const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  state[k] = new DataView(bytes.buffer);
}}
const heard = {{}};
const model = {{
  get: (k) => state[k],
  set: (k, v) => {{ state[k] = v; (heard["change:" + k] || []).forEach((f) => f()); }},
  on: (k, f) => (heard[k] = heard[k] || []).push(f), off() {{}}, save_changes() {{}}, send() {{}},
}};
widget.render({{ model, el: document.getElementById("widget") }});
</script></body></html>
"""


def script(name):
    """The source of a widget's script, able to hide the still that follows it."""
    return HIDE + FOLDER.joinpath(name).read_text()


def show(widget, figure):
    """Show a widget in a notebook, followed by its still; returns the still's display handle."""
    live = widget._repr_mimebundle_()
    data, notes = live if isinstance(live, tuple) else (live, {})  # anywidget adds notes
    display({**data, "text/plain": WITHOUT}, metadata=notes, raw=True)
    return display(bundle(figure), raw=True, display_id=True)


def bundle(figure):
    """A plain Figure as a notebook keeps it."""
    return {PLOTLY: json.loads(figure.to_json())}


def write(path, widget, title, library=""):
    """Write an anywidget with the state that it has now as one HTML file that asks no host.

    library: a script that it needs (plotly). Returns the path.
    """
    plain, buffers = {}, {}
    for name in widget.traits(sync=True):
        value = getattr(widget, name)
        if isinstance(value, bytes):
            buffers[name] = base64.b64encode(value).decode()
        elif name in widget.exported:
            plain[name] = value
    safe = lambda x: json.dumps(x, default=_number).replace("</", "<\\/")  # noqa: E731
    text = PAGE.format(
        title=title.replace("<", "&lt;"), css=widget._css,
        script=widget._esm.replace("export default", "const widget ="),
        library=f"<script>{library}</script>\n" if library else "",
        state=safe(plain), buffers=safe(buffers))
    path = Path(path)
    write_atomic(path, text.encode())
    return path


def _number(x):
    return x.tolist() if isinstance(x, (np.ndarray, np.generic)) else str(x)
