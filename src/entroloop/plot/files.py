"""Every chart of a study as files for a paper, with captions."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from entroloop.errors import InputError, unknown_name
from entroloop.plot.charts import CHARTS, curve
from entroloop.plot.style import WIDTH, rendered, styled
from entroloop.report.figures import CURVES
from entroloop.store.records import COLUMNS, SETTINGS, load_records
from entroloop.system.output_folder import OutputFolder

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

FORMATS = ("svg", "pdf", "png")
INCHES = {"in": 1.0, "cm": 1 / 2.54, "mm": 1 / 25.4, "pt": 1 / 72.27}  # TeX's point
NARROWEST, WIDEST = 1.0, 40.0


def write_figures(
    study: str | Path,
    out: str | Path,
    *,
    formats: Sequence[str] = FORMATS,
    width: float = WIDTH,
) -> dict[str, Any]:
    """Write every chart of a study folder into a folder, with captions.md; width in inches.

    The same records give the same bytes. Returns the names of the figures, and why others are left
    out. Raises InputError where the folder holds what this program did not write.
    """
    for form in formats:
        if form not in FORMATS:
            raise unknown_name("format", form, FORMATS)
    if not NARROWEST <= width <= WIDEST:
        raise InputError(f"a figure is {NARROWEST:g} to {WIDEST:g} inches wide; got {width:g}")
    with styled():  # without matplotlib: say so before anything is read
        records = load_records(study)
    folder = OutputFolder(Path(out))
    folder.check()
    made: list[str] = []
    left_out: dict[str, str] = {}
    with folder.locked(), folder.replaced() as new:
        captions = []
        for name, chart, caption in _charts(records):
            try:
                figure = chart(records, width=width)
            except InputError as error:
                left_out[name] = str(error)
                continue
            for form in formats:
                (new / f"{name}.{form}").write_bytes(rendered(figure, form))
            made.append(name)
            captions.append(f"**{name}**: {caption}. {_spread(records)}\n")
        (new / "captions.md").write_text("\n".join(captions), "utf-8")
    return {"out": str(out), "figures": made, "left_out": left_out}


def inches(text: str) -> float:
    """Return a width in inches; raises InputError for anything but a number with a unit.

    >>> inches("3.25in"), round(inches("82.55mm"), 6)
    (3.25, 3.25)
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(in|cm|mm|pt)", text.strip())
    if found is None:
        raise InputError(f"--width {text!r}: give a number with in, cm, mm or pt, such as 3.25in")
    return float(found[1]) * INCHES[found[2]]


def _charts(records: pd.DataFrame) -> Iterator[tuple[str, Callable[..., Figure], str]]:
    """Yield name, chart and caption: those of the table, the page's other curves, extra metrics."""
    for name, (chart, caption) in CHARTS.items():
        yield name, chart, caption
    for column, title in CURVES.items():
        if column != "entropy_train" and column not in CHARTS:
            yield column, partial(_curve_of, column=column), title
    drawn = {*COLUMNS, *SETTINGS, "precision", "coverage", "coverage_floor"}
    for column in records.columns:
        if column not in drawn and records[column].dtype.kind == "f":
            yield column, partial(_curve_of, column=column), f"{column} of the samples"


def _curve_of(records: pd.DataFrame, *, column: str, width: float) -> Figure:
    return curve(records, column, width=width)


def _spread(records: pd.DataFrame) -> str:
    seeds = records["seed"].nunique()
    if seeds == 1:
        return "One seed, no interval."
    return f"Means over {seeds} seeds; bands, where there are any: 95 % t-intervals."
