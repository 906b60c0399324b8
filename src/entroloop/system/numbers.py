"""How numbers are written for people: one way, on pages, on a terminal and in notebooks.

- A number that was measured has three significant digits, zeros at its end included (11.0, 0.100).
  From 1,000 on it is whole; below 0.001, and from 1e9 on, it has a power of ten (1.62e−4).
- A number and its interval, and numbers that stand together, have the decimals of the largest.
- A share is a percentage (24.0 %). The change of a positive quantity is a whole one (−24 %), and
  from tenfold on a multiple.
- Counts are exact, with commas between thousands. What is 0 is 0, and what is not there is –.

Settings, and the marks of an axis, are written as they were chosen. JSON, CSV and parquet hold
numbers in full.
"""

from __future__ import annotations

import math

MISSING = "–"


def number(value: float | None) -> str:
    """Return a number with three significant digits, or – where there is none.

    >>> [number(x) for x in (12.345, 11, -0.5, 1234.5, 1e-7, math.nan)]
    ['12.3', '11.0', '−0.500', '1,234', '1.00e−7', '–']
    """
    if value is None or not math.isfinite(value):
        return MISSING if value is None or math.isnan(value) else "∞" if value > 0 else "−∞"
    if value == 0:
        return "0"
    if abs(value) >= 999.5:
        text = f"{value:,.0f}" if abs(value) < 1e9 else f"{value:.2e}"
    elif abs(value) >= 1e-3:
        text = f"{value:#.3g}".rstrip(".")
    else:
        text = f"{value:.2e}"
    return text.replace("e+0", "e").replace("e-0", "e-").replace("e+", "e").replace("-", "−")


def alike(*values: float) -> list[str]:
    """Return numbers that belong together with the same decimals: those of the largest of them.

    >>> alike(-1.17, -2.25, -0.0958), alike(6.2, 6.14), alike(4.88e-4, 0, 0.0216)
    (['−1.17', '−2.25', '−0.10'], ['6.20', '6.14'], ['0.0005', '0', '0.0216'])
    """
    largest = max(abs(value) for value in values)
    if not 1e-3 <= largest < 999.5 or not all(map(math.isfinite, values)):
        return [number(value) for value in values]
    decimals = max(0, 2 - math.floor(math.log10(largest)))
    return [_without_sign_of_0(f"{value:.{decimals}f}") if value else "0" for value in values]


def from_to(first: float, last: float, unit: str = "") -> str:
    """Return where a number went, each end with three significant digits.

    >>> from_to(6.14, 6.2), from_to(0.0233, 2.11), from_to(4.96, 25.4, " %")
    ('6.14 → 6.20', '0.0233 → 2.11', '4.96 → 25.4 %')
    """
    return f"{number(first)} → {number(last)}{unit}"


def with_interval(
    value: float, interval: tuple[float, float] | None, unit: str = "", plus: str = ""
) -> str:
    """Return a number with its unit and its interval, where there is one that is finite.

    plus: "+" where a sign is always written.

    >>> with_interval(0.5, (-1.25, 3)), with_interval(12.3, None, " %", "+")
    ('0.50 [−1.25, 3.00]', '+12.3 %')
    """
    low, high = interval or (math.nan, math.nan)
    if not (math.isfinite(low) and math.isfinite(high)):
        return f"{plus if value > 0 else ''}{number(value)}{unit}"
    signs = [plus if x > 0 else "" for x in (value, low, high)]
    told, *ends = (f"{a}{b}" for a, b in zip(signs, alike(value, low, high), strict=True))
    return f"{told}{unit} [{', '.join(ends)}]"


def ratio_with_interval(mean: float, low: float, high: float) -> str:
    """Return the change that a ratio's logarithm stands for; from tenfold on as a multiple.

    >>> ratio_with_interval(math.log(0.59), math.log(0.56), math.log(0.62))
    '−41 % [−44, −38]'
    >>> ratio_with_interval(math.log(126), math.log(66), math.log(244))
    '126 times [66, 244]'
    """
    if mean >= math.log(10):
        return with_interval(_exp(mean), (_exp(low), _exp(high)), " times")
    if not (math.isfinite(low) and math.isfinite(high)):
        return f"{change_of(mean)} %"
    return f"{change_of(mean)} % [{change_of(low)}, {change_of(high)}]"


def _exp(x: float) -> float:
    return math.exp(min(x, 700.0))


def percent(share: float, *, sign: bool = False) -> str:
    """Return a share as a percentage.

    >>> percent(0.123), percent(-0.24, sign=True), percent(0.0)
    ('12.3 %', '−24.0 %', '0 %')
    """
    text = number(100 * share)
    plus = "+" if sign and share > 0 else ""
    return text if text == MISSING else f"{plus}{text} %"


def percent_with_interval(share: float, interval: tuple[float, float] | None) -> str:
    """Return a share as a percentage, with its interval where there is one.

    >>> percent_with_interval(0.2, (0.1124, 0.33)), percent_with_interval(0.2, None)
    ('20.0 % [11.2, 33.0]', '20.0 %')
    """
    ends = None if interval is None else (100 * interval[0], 100 * interval[1])
    return with_interval(100 * share, ends, " %")


def change_of(ln_ratio: float) -> str:
    """Return the change that a ratio's logarithm stands for, without its unit.

    >>> change_of(math.log(0.76)), change_of(math.log(2)), change_of(math.log(18.3))
    ('−24', '+100', '+1,730')
    """
    text = f"{100 * math.expm1(ln_ratio):+,.0f}"
    return "0" if text in ("-0", "+0") else text.replace("-", "−")


def _without_sign_of_0(text: str) -> str:
    """Return a number with a minus, unless it is 0 once rounded."""
    return text.replace("-", "−" if float(text) else "")


def rounded(value: float | None) -> float | None:
    """Return a number as charts get it: six significant digits, None where there is none."""
    if value is None or not math.isfinite(value):
        return None
    return float(f"{value:.6g}")
