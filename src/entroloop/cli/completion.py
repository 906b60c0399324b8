"""Names that a shell completes: what the tables hold, installed plug-ins among them."""

from __future__ import annotations

from collections.abc import Iterable


def presets(incomplete: str) -> list[str]:
    """Return the presets that begin so."""
    from entroloop.study.config import PRESETS

    return _beginning(incomplete, PRESETS)


def strategies(incomplete: str) -> list[str]:
    """Return the strategies that begin so."""
    from entroloop.selection import STRATEGIES

    return _beginning(incomplete, STRATEGIES)


def extractors(incomplete: str) -> list[str]:
    """Return the feature spaces that begin so."""
    from entroloop.features import EXTRACTORS

    return _beginning(incomplete, EXTRACTORS)


def distances(incomplete: str) -> list[str]:
    """Return the metrics of distance that begin so."""
    from entroloop.distances.table import DISTANCES

    return _beginning(incomplete, DISTANCES)


def _beginning(incomplete: str, names: Iterable[str]) -> list[str]:
    return [name for name in names if name.startswith(incomplete)]
