"""Loops that numba compiles, where it is installed (`entroloop[fast]`), and kept on disk."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import cache
from importlib import import_module
from typing import Any


def compiled(*allowed: str) -> Callable[[Callable[..., Any]], Any]:
    """Return a decorator that compiles a function, with these of LLVM's liberties with floats.

    Two ways of writing take numba seconds to compile, and are left out of such functions: rows set
    to rows (it compiles the message of an error about their shapes, too), and integers written down
    as arguments or first values (it compiles once for each, and once for any): np.int64(0).
    """
    import numba

    options: dict[str, Any] = {
        "nogil": True, "error_model": "numpy", "fastmath": set(allowed),
    }  # fmt: skip

    def decorate(function: Callable[..., Any]) -> Any:
        try:
            return numba.njit(cache=True, **options)(function)
        except RuntimeError:  # nowhere to keep it: each process compiles for itself
            return numba.njit(**options)(function)

    return decorate


@cache
def _compiles(module: str) -> bool:
    try:
        import_module(module)
    except Exception:  # whatever it is, NumPy gives the same results
        return False
    return True


def loaded(module: str) -> Any | None:
    """Return a module of compiled loops if it is loaded."""
    return sys.modules.get(module)


def pays(module: str, work: float, worth: float, *, ready: bool = True) -> bool:
    """Whether a module of compiled loops can be imported, and is worth it for so much work.

    worth: the work for which loading numba and what it compiled is little; a hundredth of it once
    they are loaded. ready: whether this process has used them for data of this kind; others are
    compiled first. numba refuses versions of NumPy that it does not know.
    """
    return work >= (worth / 100 if ready and loaded(module) else worth) and _compiles(module)
