"""Paradigms: which rows of the history may train the next generation, and how many."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from entroloop.errors import InputError
from entroloop.plugins import Plugin, PluginError, Table


@dataclass(frozen=True)
class Composition:
    """The composition of one generation's training set.

    candidates: generations whose rows are the candidates, in order (0 is the real training data).
    n_select: the number of candidates to select.
    previous: include the whole training set of the previous generation.
    real: include all the real training data.
    fresh: include rows start … stop − 1 of the reserve, given as (start, stop).
    guard: include the guard, the rival of using it to choose.
    coupled: train each row with the noise that it was made of.
    """

    candidates: tuple[int, ...]
    n_select: int
    previous: bool = False
    real: bool = False
    fresh: tuple[int, int] = (0, 0)
    guard: int = 0
    coupled: bool = False


Paradigm = Callable[..., Composition]


def replace(generation: int, n: int, guard: int = 0) -> Composition:
    """Train on samples of the previous generation only; guard: so many guard rows among the n."""
    return Composition((generation - 1,), n - _guard(guard, n), guard=guard)


def accumulate(generation: int, n: int) -> Composition:
    """Train on the previous training set plus n of the newest samples, so that it grows."""
    return Composition((generation - 1,), n, previous=True)


def accumulate_subsample(generation: int, n: int, guard: int = 0) -> Composition:
    """Train on n rows selected from the real data and all samples so far; guard: as `replace`."""
    return Composition(tuple(range(generation)), n - _guard(guard, n), guard=guard)


def _guard(guard: int, n: int) -> int:
    if isinstance(guard, bool) or not isinstance(guard, int) or not 0 <= guard <= n:
        raise InputError(f"paradigm_args.guard must be a whole number in 0 … {n}; got {guard!r}")
    return guard


def fresh(generation: int, n: int, fraction: float = 0.1) -> Composition:
    """Train on `fraction` of n in real rows never used before; the rest from the newest samples."""
    if not 0 <= fraction <= 1:
        raise InputError(f"paradigm_args.fraction must lie in [0, 1]; got {fraction}")
    new = round(fraction * n)
    first = (generation - 2) * new
    return Composition((generation - 1,), n - new, fresh=(first, first + new))


def synthetic_augmentation(generation: int, n: int) -> Composition:
    """Train on the fixed real data plus n of the newest samples."""
    return Composition((generation - 1,), n, real=True)


def reflow(generation: int, n: int) -> Composition:
    """Train as `replace`, each sample with the noise that it was made of (Liu et al. 2023).

    The flow that maps noise to rows is learned anew from its own pairs: its paths become straight.
    The generator must be one that trains pairs: flow_matching or unet_flow_matching.
    """
    return Composition((generation - 1,), n, coupled=True)


def _adopted(plugin: Plugin, found: object) -> Paradigm:
    if not callable(found):
        raise PluginError(f"{plugin} is no function of (generation, n)")
    return found


PARADIGMS: Table[Paradigm] = Table(
    "paradigms",
    {
        "replace": replace,
        "accumulate": accumulate,
        "accumulate_subsample": accumulate_subsample,
        "fresh": fresh,
        "synthetic_augmentation": synthetic_augmentation,
        "reflow": reflow,
    },
    _adopted,
)
