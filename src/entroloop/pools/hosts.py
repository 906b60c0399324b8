"""Places: who holds the parts of a pool, and one way to talk to all of them.

A place may be lost at any moment (a killed process, a machine that goes). What a part was told is
its whole state, so it is made again from its rows and told the same; the answer does not change.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, is_dataclass
from typing import Any, Protocol

import numpy as np

from entroloop.pools.rows import Rows
from entroloop.pools.shard import Call, Part

ATTEMPTS = 4  # at one question to a place that keeps being lost
LOST = object()


class Places(Protocol):
    """Parts of a pool, each in a place; part i holds the rows bounds[i] … bounds[i + 1]."""

    bounds: Sequence[int]

    def ask(self, requests: dict[int, list[Call]]) -> dict[int, Any]:
        """Return each part's answer to its calls, `LOST` for a place that died over them."""

    def rebuild(self, i: int) -> None:
        """Open part i again, as it was before anything was said to it."""

    def close(self) -> None:
        """Let go of all parts."""


class Engine(Protocol):
    """Who has places: this process, or a cluster."""

    name: str

    def hold(self, rows: Rows) -> Places:
        """Spread rows over places."""


def cut(m: int, parts: int) -> list[int]:
    """Return bounds of so many parts of m rows, as equal as can be.

    >>> cut(7, 3)
    [0, 3, 5, 7]
    """
    return [-(-m * i // parts) for i in range(parts + 1)]


class InProcess:
    """Parts in this process, asked one after the other."""

    def __init__(self, rows: Rows, bounds: Sequence[int]) -> None:
        self.bounds = bounds
        self._rows = rows
        self._parts = [self._open(i) for i in range(len(bounds) - 1)]

    def _open(self, i: int) -> Part:
        if len(self.bounds) == 2:
            return Part(self._rows)
        return Part(self._rows.part(self.bounds[i], self.bounds[i + 1]), self.bounds[i])

    def part(self, i: int) -> Part:
        """Return a part itself."""
        return self._parts[i]

    def ask(self, requests: dict[int, list[Call]]) -> dict[int, Any]:
        """See `Places`."""
        return {i: self._parts[i].answer(calls) for i, calls in requests.items()}

    def rebuild(self, i: int) -> None:
        """See `Places`."""
        self._parts[i] = self._open(i)

    def close(self) -> None:
        """See `Places`: nothing is to be done."""


def array_bytes(x: Any) -> int:
    """Return the bytes of all arrays in nested lists, tuples, dicts and dataclasses."""
    if isinstance(x, np.ndarray):
        return x.nbytes
    if isinstance(x, dict):
        return sum(map(array_bytes, x.values()))
    if isinstance(x, list | tuple):
        return sum(map(array_bytes, x))
    if is_dataclass(x) and not isinstance(x, type):
        return sum(array_bytes(getattr(x, f.name)) for f in fields(x))
    return 0


class Parts:
    """All parts of a pool: told things, and asked questions.

    What is told is sent along with the next question, so that a round is one message each way.
    """

    def __init__(self, places: Places) -> None:
        self.bounds = places.bounds
        self._places = places
        self._told: list[list[Call]] = [[("open", ())] for _ in range(len(self))]
        self._sent = [0] * len(self)
        self.rounds = 0
        self.bytes_moved = 0  # of arrays, where there are several places

    def __len__(self) -> int:
        return len(self.bounds) - 1

    def tell(self, name: str, *arguments: Any) -> None:
        """Tell all parts the same."""
        self.tell_each(name, [arguments] * len(self))

    def tell_each(self, name: str, arguments: Sequence[tuple[Any, ...]]) -> None:
        """Tell each part its own."""
        for told, own in zip(self._told, arguments, strict=True):
            told.append((name, own))

    def ask(self, name: str, *arguments: Any) -> list[Any]:
        """Ask all parts the same; return the answers in the order of the parts."""
        return self.ask_each(name, [arguments] * len(self))

    def ask_each(self, name: str, arguments: Sequence[tuple[Any, ...]]) -> list[Any]:
        """Ask each part its own.

        Raises RuntimeError where a place is lost again and again over one question.
        """
        self.rounds += 1
        answers: dict[int, Any] = {}
        waiting = list(range(len(self)))
        for _ in range(ATTEMPTS):
            requests = {i: [*self._told[i][self._sent[i] :], (name, arguments[i])] for i in waiting}
            found = self._places.ask(requests)
            if len(self) > 1:
                self.bytes_moved += array_bytes(requests) + array_bytes(found)
            waiting = [i for i in waiting if found[i] is LOST]
            answers |= {i: answer for i, answer in found.items() if answer is not LOST}
            for i in found:
                self._sent[i] = 0 if i in waiting else len(self._told[i])
            if not waiting:
                return [answers[i] for i in range(len(self))]
            for i in waiting:
                self._places.rebuild(i)
        raise RuntimeError(
            f"the place of part {waiting[0]} was lost {ATTEMPTS} times over '{name}': it may need "
            "more memory than there is"
        )

    def take(self, index: Any) -> Any:
        """Return rows of the pool (n, d), in the order given."""
        index = np.asarray(index, dtype=np.int64)
        place = np.searchsorted(np.asarray(self.bounds), index, side="right") - 1
        order = np.argsort(place, kind="stable")
        answers = self.ask_each("take", [(index[place == i],) for i in range(len(self))])
        rows = np.concatenate(answers)
        out = np.empty_like(rows)
        out[order] = rows
        return out

    def close(self) -> None:
        """Let go of the parts."""
        self._places.close()
