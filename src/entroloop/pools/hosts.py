"""The hosts of a pool's shards, and one way to query all of them.

A host may be lost at any moment (a killed process, a machine that goes). What a shard was told is
its whole state, so that it is made again from its rows and told the same; no answer changes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields, is_dataclass
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

import numpy as np

from entroloop.pools.rows import Rows
from entroloop.pools.shard import Call, Shard
from entroloop.samples import Array

ATTEMPTS = 4  # at one question to a host that keeps being lost
LOST = object()
P = ParamSpec("P")
T = TypeVar("T")


class Hosts(Protocol):
    """The hosts of a pool's shards; shard i holds the rows bounds[i] … bounds[i + 1] − 1."""

    bounds: Sequence[int]

    def ask(self, requests: dict[int, list[Call]]) -> dict[int, Any]:
        """Return each shard's answer to its calls, `LOST` for a host that died over them."""

    def rebuild(self, i: int) -> None:
        """Make shard i again, as it was before its first call."""

    def close(self) -> None:
        """Release all shards."""


class PoolEngine(Protocol):
    """What distributes the rows of a pool: a cluster, or this process."""

    name: str
    workers: int  # how many shards there are at most

    def distribute(self, rows: Rows) -> Hosts:
        """Cut rows into shards, and give each to a host."""


def cut(m: int, shards: int) -> list[int]:
    """Return the bounds of shards of m rows, as equal in size as possible.

    >>> cut(7, 3)
    [0, 3, 5, 7]
    """
    return [-(-m * i // shards) for i in range(shards + 1)]


class InProcess:
    """Shards in this process, asked one after the other."""

    def __init__(self, rows: Rows, bounds: Sequence[int]) -> None:
        self.bounds = bounds
        self._rows = rows
        self._shards = [self._made(i) for i in range(len(bounds) - 1)]

    def _made(self, i: int) -> Shard:
        if len(self.bounds) == 2:
            return Shard(self._rows)
        return Shard(self._rows.between(self.bounds[i], self.bounds[i + 1]), self.bounds[i])

    def shard(self, i: int) -> Shard:
        """Return a shard itself."""
        return self._shards[i]

    def ask(self, requests: dict[int, list[Call]]) -> dict[int, Any]:
        """See `Hosts`."""
        return {i: self._shards[i].answer(calls) for i, calls in requests.items()}

    def rebuild(self, i: int) -> None:
        """See `Hosts`."""
        self._shards[i] = self._made(i)

    def close(self) -> None:
        """See `Hosts`: nothing to release."""


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


class ShardedRows:
    """All shards of a pool: told things, and asked questions, by methods of `Shard`.

    Calls without an answer travel with the next question: a round is one message each way.
    """

    def __init__(self, hosts: Hosts) -> None:
        self.bounds = hosts.bounds
        self._hosts = hosts
        self._told: list[list[Call]] = [[(Shard.load, ())] for _ in range(len(self))]
        self._sent = [0] * len(self)  # how much of it each host has heard
        self.rounds = 0
        self.bytes_moved = 0  # of arrays, where there are several shards

    def __len__(self) -> int:
        return len(self.bounds) - 1

    def tell(
        self,
        method: Callable[Concatenate[Shard, P], None],
        *arguments: P.args,
        **none: P.kwargs,  # ParamSpec asks for both; calls travel by position
    ) -> None:
        """Tell all shards the same."""
        self.tell_each(method, [arguments] * len(self))

    def tell_each(self, method: Callable[..., None], arguments: Sequence[tuple[Any, ...]]) -> None:
        """Tell each shard its own."""
        for told, own in zip(self._told, arguments, strict=True):
            told.append((method, own))

    def ask(
        self,
        method: Callable[Concatenate[Shard, P], T],
        *arguments: P.args,
        **none: P.kwargs,
    ) -> list[T]:
        """Ask all shards the same; return the answers in the order of the shards."""
        return self.ask_each(method, [arguments] * len(self))

    def ask_each(self, method: Callable[..., T], arguments: Sequence[tuple[Any, ...]]) -> list[T]:
        """Ask each shard its own.

        Raises RuntimeError where a host is lost again and again over one question.
        """
        self.rounds += 1
        answers: dict[int, T] = {}
        waiting = list(range(len(self)))
        for _ in range(ATTEMPTS):
            requests = {
                i: [*self._told[i][self._sent[i] :], (method, arguments[i])] for i in waiting
            }
            found = self._hosts.ask(requests)
            if len(self) > 1:
                self.bytes_moved += array_bytes(requests) + array_bytes(found)
            waiting = [i for i in waiting if found[i] is LOST]
            answers |= {i: answer for i, answer in found.items() if answer is not LOST}
            for i in found:
                self._sent[i] = 0 if i in waiting else len(self._told[i])
            if not waiting:
                return [answers[i] for i in range(len(self))]
            for i in waiting:
                self._hosts.rebuild(i)
        raise RuntimeError(
            f"the host of shard {waiting[0]} was lost {ATTEMPTS} times over '{method.__name__}': "
            "it may need more memory than there is"
        )

    def take(self, index: Any) -> Array:
        """Return rows of the pool (n, d), in the order given."""
        index = np.asarray(index, dtype=np.int64)
        shard = np.searchsorted(np.asarray(self.bounds), index, side="right") - 1
        order = np.argsort(shard, kind="stable")
        answers = self.ask_each(Shard.take, [(index[shard == i],) for i in range(len(self))])
        rows = np.concatenate(answers)
        out = np.empty_like(rows)
        out[order] = rows
        return out

    def close(self) -> None:
        """Release the shards."""
        self._hosts.close()
