"""How the page writes numbers: one way, everywhere."""

from __future__ import annotations

import math

MISSING = "–"


def number(value: float) -> str:
    """Return a number with three significant digits, or – where there is none.

    >>> [number(x) for x in (12.345, -0.5, 1234.5, 1e-7, math.nan)]
    ['12.3', '−0.5', '1,234', '1.00e−7', '–']
    """
    if not math.isfinite(value):
        return MISSING if math.isnan(value) else "∞" if value > 0 else "−∞"
    if value == 0:
        return "0"
    if abs(value) >= 999.5:
        text = f"{value:,.0f}" if abs(value) < 1e9 else f"{value:.2e}"
    elif abs(value) >= 1e-3:
        text = f"{value:.3g}"
    else:
        text = f"{value:.2e}"
    return text.replace("e+0", "e").replace("e-0", "e-").replace("e+", "e").replace("-", "−")


def percent(share: float, *, sign: bool = False) -> str:
    """Return a share as a percentage.

    >>> percent(0.123), percent(-0.24, sign=True), percent(0.0)
    ('12.3 %', '−24 %', '0 %')
    """
    text = number(100 * share)
    plus = "+" if sign and share > 0 else ""
    return text if text == MISSING else f"{plus}{text} %"


def change_of(ln_ratio: float) -> str:
    """Return the change that a ratio's logarithm stands for, without its unit.

    >>> change_of(math.log(0.76)), change_of(math.log(2)), change_of(math.log(18.3))
    ('−24', '+100', '+1,730')
    """
    text = f"{100 * math.expm1(ln_ratio):+,.0f}"
    return "0" if text in ("-0", "+0") else text.replace("-", "−")


def rounded(value: float | None) -> float | None:
    """Return a number as charts get it: six significant digits, None where there is none."""
    if value is None or not math.isfinite(value):
        return None
    return float(f"{value:.6g}")
