"""A monitor in a notebook: its verdict, a table and a small curve for each metric."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from entroloop.monitor.update import Status, Update
from entroloop.system.numbers import number, percent

WIDTH, HEIGHT = 160, 28


def html(history: Sequence[Update], status: Status) -> str:
    """Return HTML without scripts; every text is escaped."""
    rows = "".join(
        f"<tr><th scope='row'>{escape(name)}</th><td>{escape(value)}</td><td>{escape(real)}</td>"
        f"<td>{_curve([update.found[name].value for update in history], name)}</td></tr>"
        for name, value, real in status.lines()
    )
    head = "".join(
        f"<th scope='col'>{text}</th>"
        for text in ("metric", f"samples, step {status.step}", "held-out real rows", "so far")
    )
    note = f"<p>{escape(status.note)}</p>" if status.note else ""
    return (
        f"<p>{escape(status.verdict())} ({status.updates} updates of {status.last.n} samples, "
        f"{percent(status.share)} of the time)</p>{note}"
        f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
    )


def _curve(values: Sequence[float], name: str) -> str:
    """Return finite values as a line in SVG."""
    points = [(i, v) for i, v in enumerate(values) if math.isfinite(v)]
    if len(points) < 2:
        return ""
    low, high = min(v for _, v in points), max(v for _, v in points)
    x = (WIDTH - 4) / (len(values) - 1)
    y = (HEIGHT - 4) / ((high - low) or 1.0)
    line = " ".join(f"{2 + i * x:.1f},{HEIGHT - 2 - (v - low) * y:.1f}" for i, v in points)
    label = f"{name} from {number(points[0][1])} to {number(points[-1][1])}"
    return (
        f"<svg width='{WIDTH}' height='{HEIGHT}' role='img' aria-label='{escape(label)}'>"
        f"<polyline points='{line}' fill='none' stroke='currentColor'/></svg>"
    )
