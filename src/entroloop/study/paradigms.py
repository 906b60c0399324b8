"""Paradigms: which rows of the history may train the next generation, and how many."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from entroloop.errors import InputError


@dataclass(frozen=True)
class Composition:
    """What the training set of one generation is made of.

    previous: the training set of the generation before joins whole.
    real: the real training data joins whole.
    fresh: rows (start, stop) of the reserve join whole.
    candidates: generations whose rows are the candidates (0 is the real training data), in order.
    n_select: how many of the candidates are selected.
    """

    candidates: tuple[int, ...]
    n_select: int
    previous: bool = False
    real: bool = False
    fresh: tuple[int, int] = (0, 0)


Paradigm = Callable[..., Composition]


def replace(generation: int, n: int) -> Composition:
    """Samples of the generation before, and nothing else."""
    return Composition((generation - 1,), n)


def accumulate(generation: int, n: int) -> Composition:
    """The training set of before, and n more from the newest samples: it grows."""
    return Composition((generation - 1,), n, previous=True)


def accumulate_subsample(generation: int, n: int) -> Composition:
    """N of the real data and of all samples so far."""
    return Composition(tuple(range(generation)), n)


def fresh(generation: int, n: int, fraction: float = 0.1) -> Composition:
    """New real rows, `fraction` of n, never used before; the rest from the newest samples."""
    if not 0 <= fraction <= 1:
        raise InputError(f"paradigm_args.fraction must lie in [0, 1]; got {fraction}")
    new = round(fraction * n)
    first = (generation - 2) * new
    return Composition((generation - 1,), n - new, fresh=(first, first + new))


def synthetic_augmentation(generation: int, n: int) -> Composition:
    """The fixed real data, and n of the newest samples."""
    return Composition((generation - 1,), n, real=True)


PARADIGMS: dict[str, Paradigm] = {
    "replace": replace,
    "accumulate": accumulate,
    "accumulate_subsample": accumulate_subsample,
    "fresh": fresh,
    "synthetic_augmentation": synthetic_augmentation,
}
