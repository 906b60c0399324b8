"""What a guarded selection decided."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from entroloop.selection.variety import Variety
from entroloop.system.numbers import alike, number

BASELINE, WITHOUT_STRAYS = "random", "random without strays"


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

    @property
    def reason(self) -> str:
        """Why this was taken, and what the rows have lost, in words; "" where nothing decided."""
        inner = {name: told for name, told in self.compared.items() if name != WITHOUT_STRAYS}
        if not inner:
            return ""
        name = self.taken if self.taken in inner else max(inner, key=lambda one: inner[one][2])
        gain, error = alike(*inner[name][:2])
        nearest = f"its choice is nearer to real rows than a random one by {gain} ± {error}"
        if self.taken != name:
            nearest = (
                "no choice is nearer to real rows than a random one by more than chance explains: "
                f"of {name} the gain is {gain} ± {error}"
            )
        z = number(inner[name][2])
        return "; ".join([f"{nearest} ({z} of its errors)", *self._variety()])

    def _variety(self) -> list[str]:
        if self.copying is None or self.straying is None or not math.isfinite(self.copying[0]):
            return []
        copying, straying = math.exp(self.copying[0]), math.exp(self.straying[0])
        lost = Variety(*self.copying, *self.straying).lost
        return [
            f"generated rows lie {number(copying)} times as far from the rest of the pool, and "
            f"{number(straying)} times as far from real rows, as real rows do: "
            + ("variety was lost" if lost else "no loss of variety is seen")
        ]

    def to_dict(self) -> dict[str, Any]:
        """Return the decision as JSON can hold it, each comparison with its names."""
        named = {
            name: dict(zip(("gain", "error", "z"), values, strict=True))
            for name, values in self.compared.items()
        }
        return asdict(self) | {"compared": named, "reason": self.reason}
