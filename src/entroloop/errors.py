"""Bad input, told in one line: what is wrong, where, and how to mend it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

MANY = 40  # names, beyond which an error does not list them all


class InputError(ValueError):
    """Input or configuration that cannot be used; the command line exits with code 2 on it."""


class Notice(UserWarning):
    """What went wrong without ending the work; the command line prints it as one line."""


def one_line(error: object, length: int | None = None) -> str:
    r"""Return the text of an error in one line, cut to a length.

    >>> one_line("two\n  lines", 6)
    'two li'
    """
    return " ".join(str(error).split())[:length]


def with_kind(error: BaseException, length: int | None = None) -> str:
    """Return the kind and the text of an error in one line, the text cut to a length.

    >>> with_kind(KeyError("row"))
    "KeyError: 'row'"
    """
    return f"{type(error).__name__}: {one_line(error, length)}"


def unknown_name(kind: str, name: object, valid: Iterable[str], where: str = "") -> InputError:
    """Return the error for a name that is in no table, with the nearest valid name, and all valid
    ones, or where they are many the nearest of them.

    >>> print(unknown_name("strategy", "gredy", ["greedy", "random"]))
    unknown strategy 'gredy'; did you mean 'greedy'? Valid: greedy, random
    """
    names = sorted(valid)
    name = one_line(name, 80)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f"; did you mean '{close[0]}'?" if close else ";"
    there = f" in {where}" if where else ""
    shown = names
    if len(names) > MANY:
        shown = sorted(difflib.get_close_matches(name, names, n=MANY // 4, cutoff=0.3)) or names[:5]
    more = f", and {len(names) - len(shown)} more" if len(shown) < len(names) else ""
    return InputError(f"unknown {kind} '{name}'{there}{hint} Valid: {', '.join(shown)}{more}")
