"""Features: the space in which distances are taken. One file per extractor."""

from __future__ import annotations

from collections.abc import Callable

from entroloop.features.raw import raw
from entroloop.samples import Array

Extractor = Callable[[Array], Array]

EXTRACTORS: dict[str, Extractor] = {"raw": raw}
