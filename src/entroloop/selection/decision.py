"""What a guarded selection decided."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Decision:
    """What a guarded selection compared, and what it took.

    taken: the name of the inner strategy, or "random". compared: for each inner strategy (gain,
    error, z): by how much its choice is nearer to the guard than the random one, its standard
    error, and their ratio. threshold: the z that a choice had to exceed; threshold_widening: the
    same for choices that raise the spread. copying, straying: of the variety of rows that are not
    real (`Variety`), each with its error. guard: how many rows decided. discrepancy: what distance
    from the guard was taken. note: where the guard came from.
    """

    taken: str
    compared: dict[str, tuple[float, float, float]]
    threshold: float
    guard: int
    discrepancy: str
    note: str = ""
    threshold_widening: float = float("nan")
    copying: tuple[float, float] | None = None
    straying: tuple[float, float] | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the decision as JSON can hold it, each comparison with its names."""
        named = {
            name: dict(zip(("gain", "error", "z"), values, strict=True))
            for name, values in self.compared.items()
        }
        return asdict(self) | {"compared": named}
