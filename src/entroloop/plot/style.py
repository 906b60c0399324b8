"""How every figure looks: sizes for print, and arms that are told apart in grey, too."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from entroloop.errors import InputError
from entroloop.report.figures import colour

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH = 3.25  # inches: one column of most two-column papers
ASPECT = 0.72  # height of a panel over its width
LOWEST = 1.7  # inches of height of a panel with its labels
DOTS = 300  # an inch, of PNG
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
DASHES: tuple[Any, ...] = (
    "-", (0, (4, 1.5)), (0, (1, 1)), (0, (4, 1, 1, 1)),
    (0, (7, 1.5)), (0, (2, 1)), (0, (4, 1, 1, 1, 1, 1)), (0, (1, 2)),
)  # fmt: skip
HATCHES = ("", "////", "....", "\\\\\\\\", "xxxx", "----", "++++", "oooo")
RC = {
    "font.family": "DejaVu Sans",  # which matplotlib brings along: the same on every machine
    "font.size": 8,
    "axes.labelsize": 8,
    "axes.titlesize": 8,
    "legend.fontsize": 7,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "lines.linewidth": 1.2,
    "lines.markersize": 3.5,
    "hatch.linewidth": 0.5,
    "legend.frameon": False,
    "text.parse_math": False,  # names of arms are data
    "pdf.fonttype": 42,  # TrueType, embedded: publishers refuse Type 3
    "svg.fonttype": "path",  # letters as shapes: no font is needed to show them
    "svg.hashsalt": "entroloop",
    "savefig.dpi": DOTS,
}


@contextmanager
def styled() -> Iterator[None]:
    """Draw in our style, whatever the session's is; raises InputError without matplotlib."""
    try:
        from matplotlib import style
    except ImportError:
        raise InputError(
            "figures need matplotlib; install it: python -m pip install 'entroloop[figures]'"
        ) from None
    with style.context(RC, after_reset=True):
        yield


def new_figure(width: float, panels: int = 1, columns: int = 1) -> tuple[Figure, list[Axes]]:
    """Return a figure of so many panels that a notebook shows without any backend set."""
    from matplotlib.figure import Figure

    class Shown(Figure):
        def _repr_png_(self) -> bytes:
            return rendered(self, "png")

    rows = -(-panels // columns)
    panel = max(ASPECT * width / columns, LOWEST)
    figure = Shown(figsize=(width, panel * rows + 0.35), layout="constrained")
    axes = figure.subplots(rows, columns, sharex=True, sharey=columns > 1, squeeze=False).ravel()
    for spare in axes[panels:]:
        spare.set_visible(False)
    return figure, list(axes[:panels])


def rendered(figure: Figure, form: str) -> bytes:
    """Return a figure as svg, pdf or png: the same bytes each time, without a date."""
    stampless: dict[str, dict[str, Any]] = {
        "svg": {"Date": None},
        "pdf": {"CreationDate": None},
        "png": {"Software": None},
    }
    file = io.BytesIO()
    with styled():
        figure.savefig(file, format=form, metadata=stampless[form])
    return file.getvalue()


def line_style(index: int) -> dict[str, Any]:
    """Return how the line of an arm is drawn: colour, marker and dashes all differ."""
    return {
        "color": colour(index),
        "marker": MARKERS[index % len(MARKERS)],
        "linestyle": DASHES[index % len(DASHES)],
    }


def add_legend(figure: Figure, axes: Axes, width: float, count: int) -> None:
    """Put one legend below all panels."""
    handles, labels = axes.get_legend_handles_labels()
    letters = max((len(text) for text in labels), default=1)
    columns = max(1, min(count, int(width * 14 / (letters + 6))))
    figure.legend(handles, labels, loc="outside lower center", ncols=columns)
