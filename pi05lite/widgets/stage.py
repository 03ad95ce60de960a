"""A stage: plain figures with frames, pictures and words side by side, moved by one slider."""

from functools import cache

import anywidget
import ipywidgets as ui
import traitlets
from plotly.offline import get_plotlyjs

from pi05lite.widgets import page


class Library(anywidget.AnyWidget):
    """Plotly's script, sent to the browser once for all stages."""

    _esm = "export default { render() {} };"
    source = traitlets.Bytes().tag(sync=True)


@cache
def library():
    """The one Library of this kernel."""
    return Library(source=get_plotlyjs().encode())


class Stage(anywidget.AnyWidget):
    """Panes with the same number of frames; `at` is the one that is shown, from Python as well.

    panes: from `figure_pane`, `pictures_pane`, `text_pane`; labels: a word for each frame; beat:
    milliseconds a frame when played; clicked: the last point of a figure that was clicked.
    """

    _esm, _css = page.script("stage.js"), page.FOLDER.joinpath("stage.css").read_text()
    exported = ("panes", "at", "count", "labels", "beat", "caption", "clicked")
    panes = traitlets.List().tag(sync=True)
    at = traitlets.Int(0).tag(sync=True)
    count = traitlets.Int(1).tag(sync=True)
    labels = traitlets.List().tag(sync=True)
    beat = traitlets.Int(100).tag(sync=True)
    caption = traitlets.Unicode("frame").tag(sync=True)
    clicked = traitlets.Dict().tag(sync=True)
    library = traitlets.Unicode().tag(sync=True)

    def __init__(self, panes=(), labels=("",), **options):
        super().__init__(panes=list(panes), labels=list(labels), count=max(1, len(labels)),
                         library=f"IPY_MODEL_{library().model_id}", **options)

    def put(self, panes, labels):
        """Show other panes; `at` stays where it is, if there is such a frame."""
        with self.hold_sync():
            self.panes, self.labels, self.count = list(panes), list(labels), max(1, len(labels))
            self.at = min(self.at, self.count - 1)


def figure_pane(figure, redraw=False, flex=None):
    """A pane of a plain Figure with a frame for each place of the slider (or none).

    redraw: needed where anything but flat lines and points changes; flex: CSS, how wide.
    """
    return {"kind": "figure", "json": figure.to_json(), "redraw": redraw, "flex": flex}


def pictures_pane(pictures, size=160, flex=None):
    """A pane of films; pictures: name -> addresses of the pictures of all frames."""
    return {"kind": "pictures", "names": list(pictures), "size": size, "flex": flex,
            "frames": [list(frame) for frame in zip(*pictures.values())]}


def text_pane(texts, flex=None):
    """A pane of words, one text a frame."""
    return {"kind": "text", "frames": list(texts), "flex": flex}


class Staged(ui.VBox):
    """Controls above a Stage; `figure()` is its still, `save_html` writes what is shown now."""

    title = "pi05lite"
    still = None  # where the still was displayed

    def __init__(self, controls, stage):
        self.stage = stage
        super().__init__([*controls, stage])

    def figure(self):
        """The plain Figure that a saved notebook shows without a kernel."""
        raise NotImplementedError

    def put(self, panes, labels):
        """Show other panes on the stage, and in a notebook another still."""
        self.stage.put(panes, labels)
        self.renew()

    def renew(self):
        """Show what is shown now in the still too, wherever it was displayed."""
        if self.still:
            self.still.update(page.bundle(self.figure()), raw=True)

    def _ipython_display_(self, **_):
        self.still = page.show(self, self.figure())

    def save_html(self, path):
        """Write the stage as it is now as one HTML file, plotly included; returns the path."""
        return page.write(path, self.stage, self.title, get_plotlyjs())
