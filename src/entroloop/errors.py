"""Bad input, told in one line: what is wrong, where, and how to mend it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class InputError(ValueError):
    """Input or configuration that cannot be used; the command line exits with code 2 on it."""


def unknown_name(kind: str, name: object, valid: Iterable[str], where: str = "") -> InputError:
    """Return the error for a name that is in no table, with the nearest valid name.

    >>> print(unknown_name("strategy", "gredy", ["greedy", "random"]))
    unknown strategy 'gredy'; did you mean 'greedy'? Valid: greedy, random
    """
    names = sorted(valid)
    close = difflib.get_close_matches(str(name), names, n=1, cutoff=0.5)
    hint = f"; did you mean '{close[0]}'?" if close else ";"
    place = f" in {where}" if where else ""
    return InputError(f"unknown {kind} '{name}'{place}{hint} Valid: {', '.join(names)}")
