"""The sets that metrics compare, by role, with the neighbour searches that metrics share."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from entroloop.distances.neighbors import Neighbors, distinct_rows, nearest
from entroloop.distances.within import Pairs, count_within, pairs_within
from entroloop.errors import InputError
from entroloop.metrics.pair_means import Kernel, pair_means
from entroloop.modalities.table import Schema
from entroloop.modalities.text import is_text
from entroloop.samples import Array, Float64, as_vectors, check_rows
from entroloop.seeding import rng_for

NEIGHBOURS = 20  # within a set: the most that any metric needs
ROLES = ("generated", "train", "reference", "unselected", "real")
Found = TypeVar("Found")


@dataclass(frozen=True)
class Own:
    """The neighbours of a set's distinct rows among themselves.

    first: the index of each distinct row's first occurrence; inverse: for each row, the number of
    its distinct row.
    """

    first: NDArray[np.int64]
    inverse: NDArray[np.int64]
    neighbors: Neighbors

    @property
    def k(self) -> int:
        """The number of neighbours found for each row."""
        return int(self.neighbors.distances.shape[1])


class Sets:
    """Rows (n, d) of one feature space, by role; a role may be missing.

    The roles are generated, train, reference (held-out real rows) and, in a study, unselected (rows
    of the generations that the training set came from, which nothing was trained on) and real (the
    real training rows of generation 1); train_whole is the whole training set if `train` is only a
    draw from it. probabilities: class probabilities, one line per generated row. originals: the
    rows as they were before features were taken, by role, for metrics of texts, with their schema
    of tables, and of images, which `as_images` makes of them, (n, h, w[, c]). likelihood: what a
    model gives for reference texts, see `perplexity`. seed: determines every random draw in a
    metric.

    Raises InputError for invalid rows, rows of different width, and access to a missing role.
    """

    def __init__(
        self,
        *,
        generated: Any = None,
        train: Any = None,
        reference: Any = None,
        train_whole: Any = None,
        unselected: Any = None,
        real: Any = None,
        probabilities: Any = None,
        originals: Any = None,
        as_images: Any = None,
        likelihood: Any = None,
        schema: Any = None,
        seed: int = 0,
        device: str = "cpu",
    ) -> None:
        given = dict(zip(ROLES, (generated, train, reference, unselected, real), strict=True))
        self._rows: dict[str, Array] = {}
        for role, rows in (given | {"train_whole": train_whole}).items():
            if rows is not None:
                vectors = as_vectors(np.asarray(rows))
                check_rows(vectors, role, minimum=1)
                self._rows[role] = vectors
        if train is not None and (train_whole is None or train_whole is train):
            self._rows["train_whole"] = self._rows["train"]
        self._check_widths()
        self.probabilities = None if probabilities is None else _probabilities(probabilities)
        if self.probabilities is not None and len(self.probabilities) != len(self["generated"]):
            raise InputError(
                f"{len(self.probabilities)} lines of probabilities for {len(self['generated'])} "
                "generated rows; give one line a row"
            )
        self._originals: dict[str, Array] = dict(originals or {})
        self._as_images: Callable[[Array], Array] | None = as_images
        self._likelihood: Float64 | None = likelihood
        self._schema: Schema | None = schema
        self.seed, self.device = seed, device
        self._found: dict[tuple[Any, ...], Any] = {}
        self._found_before = self._found  # of the rows without the generated ones

    def joined_by(self, generated: Any) -> Sets:
        """Return these sets with generated rows, for sets that have none.

        What is found of the other rows by any sets that were joined so is found once for all.
        """
        assert not self.has("generated")
        vectors = as_vectors(np.asarray(generated))
        check_rows(vectors, "generated", minimum=1)
        joined = copy(self)
        joined._rows = self._rows | {"generated": vectors}
        joined._found = {}
        joined._check_widths()
        return joined

    def _check_widths(self) -> None:
        roles = list(self._rows)
        for role in roles[1:]:
            first, width = self._rows[roles[0]].shape[1], self._rows[role].shape[1]
            if width != first:
                raise InputError(
                    f"{roles[0]} has {first} values a row and {role} {width}; take both from one "
                    "feature space"
                )

    def has(self, role: str) -> bool:
        """Return whether a role is present; `generated text`, `… table`: whether it is one."""
        given = {"probabilities": self.probabilities, "likelihood": self._likelihood}
        if role in given:
            return given[role] is not None
        own, _, kind = role.partition(" ")
        if kind == "text":
            return own in self._originals and is_text(self._originals[own])
        if kind == "table":
            return own in self._originals and self._schema is not None
        return role in self._rows

    def original(self, role: str) -> Array:
        """Return the rows of a role as they were before features were taken."""
        if role not in self._originals:
            raise InputError(f"the set '{role}' is not given as it was before its features")
        return self._originals[role]

    @property
    def schema(self) -> Schema:
        """The columns of the rows as they were before features were taken."""
        if self._schema is None:
            raise InputError("these rows are no table of columns")
        return self._schema

    @property
    def likelihood(self) -> Float64:
        """What a model gives for reference texts."""
        if self._likelihood is None:
            raise InputError("no model's likelihood is given")
        return self._likelihood

    def __getitem__(self, role: str) -> Array:
        if role not in self._rows:
            raise InputError(f"the set '{role}' is not given")
        return self._rows[role]

    def sizes(self) -> dict[str, int]:
        """Return the number of rows in each role that is present."""
        return {role: len(rows) for role, rows in self._rows.items() if role != "train_whole"}

    def drawn(self, n: int, rng: np.random.Generator) -> Sets:
        """Return n rows of each role, drawn without replacement and kept in order."""
        some: dict[str, Any] = {}
        originals: dict[str, Array] = {}
        for role in ROLES:
            if role not in self._rows:
                continue
            rows = self._rows[role]
            index = drawn_of(len(rows), n, rng)
            some[role] = rows if len(rows) == n else rows[index]
            if role == "generated" and self.probabilities is not None:
                some["probabilities"] = self.probabilities[index]
            if role in self._originals:
                originals[role] = self._originals[role][index]
        return Sets(
            **some, originals=originals, as_images=self._as_images, schema=self._schema,
            seed=self.seed, device=self.device,
        )  # fmt: skip

    def once(self, key: tuple[Any, ...], make: Callable[[], Found]) -> Found:
        """Return what `make` finds, kept under a key: a name, ids of arrays of rows, numbers."""
        own = id(self._rows.get("generated")) in key
        kept = self._found if own else self._found_before
        if key not in kept:
            kept[key] = make()
        found: Found = kept[key]
        return found

    def per_image(self, role: str, name: str, make: Callable[[Array], Array]) -> Array:
        """Return what `make` says of each image of a role, a line an image, kept under a name.

        Raises InputError where the rows of the role are no images.
        """
        as_images = self._as_images
        if role not in self._originals or as_images is None:
            raise InputError(
                f"{role} rows are no images, which this metric is about; give images, or leave it "
                "out"
            )
        return self.once((name, id(self[role])), lambda: make(as_images(self._originals[role])))

    def in_order(self, role: str, name: str, make: Callable[[Array], Float64]) -> Float64:
        """Return each column of what `make` says of a role's rows, ascending, (columns, n)."""
        return self._ordered(role, name, make)[0]

    def _ordered(
        self, role: str, name: str, make: Callable[[Array], Float64]
    ) -> tuple[Float64, NDArray[np.int64]]:
        """Return the same, kept under a name, and which row each value is of."""

        def find() -> tuple[Float64, NDArray[np.int64]]:
            columns = np.ascontiguousarray(make(self[role]).T)
            order = np.argsort(columns, axis=1)
            return np.take_along_axis(columns, order, axis=1), order

        return self.once((name, id(self[role])), find)

    def given_train(self, name: str, make: Callable[[Sets], Float64]) -> Float64:
        """Return what `make` says of each generated row by the rows of train_whole alone."""
        key = (name, id(self["generated"]), id(self["train_whole"]))
        return self.once(key, lambda: make(self))

    def distinct(self, role: str) -> bool:
        """Return whether no two rows of a role are equal."""
        return len(self._distinct(role)[0]) == len(self[role])

    def nearest(self, queries: str, rows: str, k: int = 2) -> Neighbors:
        """Return the k nearest distinct rows to each query (fewer, if there are fewer).

        Indices refer to `rows`; equal rows are represented by their first.
        """
        a, b = self[queries], self[rows]

        def find() -> Neighbors:
            first, _ = self._distinct(rows)
            distinct = b if len(first) == len(b) else b[first]
            found = nearest(a, distinct, min(k, len(first)), device=self.device)
            return Neighbors(found.distances, first[found.indices])

        return self.once(("nearest", id(a), id(b), k), find)

    def own(self, role: str, k: int = NEIGHBOURS) -> Own:
        """Return the k nearest others of a set's distinct rows (fewer, if there are fewer).

        Raises InputError if fewer than two rows are distinct.
        """
        x = self[role]

        def find() -> Own:
            first, inverse = self._distinct(role)
            if len(first) < 2:
                raise InputError(f"all {len(x)} rows of {role} are equal: no distances among them")
            distinct = x if len(first) == len(x) else x[first]
            most = min(k, len(first) - 1)
            found = nearest(distinct, distinct, most, exclude_same_index=True, device=self.device)
            return Own(first, inverse, found)

        return self.once(("own", id(x), k), find)

    def within(self, queries: str, rows: str, radii: Float64) -> NDArray[np.int64]:
        """Return for each query the number of rows that have it within their radius: ≤."""
        return count_within(self[queries], self[rows], radii)

    def mean_over_pairs(self, a: str, b: str, kernel: Kernel, most: int) -> float:
        """Return the mean of a function over all pairs of a row of one role and a row of another,
        or of two rows of the same; of `most` rows of a role at most.
        """
        i, j = (self.some(role, most) for role in (a, b))
        x = self[a][i]
        y = x if a == b else self[b][j]
        return float(pair_means(x, y, kernel, np.ones((1, len(x))), np.ones((1, len(y))))[0])

    def some(self, role: str, most: int) -> NDArray[np.int64]:
        """Return the indices of at most so many rows of a role, ascending, which the seed draws."""
        n = len(self[role])
        if n <= most:
            return np.arange(n)
        return np.sort(rng_for(self.seed, 0, f"some/{role}").choice(n, most, replace=False))

    def pairs(self, queries: str, rows: str, radii: Float64, most: int) -> Pairs | None:
        """Return all pairs of query and row within the row's radius; None for over `most` a row."""
        a, b = self[queries], self[rows]
        limit = most * max(len(a), len(b))
        return self.once(("pairs", id(a), id(b), most), lambda: pairs_within(a, b, radii, limit))

    def _distinct(self, role: str) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        x = self[role]
        return self.once(("distinct", id(x)), lambda: distinct_rows(x))


def drawn_of(rows: int, n: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Return n of so many rows, ascending; all of them without a random number."""
    return np.arange(n) if rows == n else np.sort(rng.choice(rows, n, replace=False))


def _probabilities(given: Any) -> Array:
    p = np.asarray(given, dtype=np.float64)
    if p.ndim != 2 or not np.isfinite(p).all() or (p < 0).any():
        raise InputError("probabilities must be finite numbers ≥ 0 of shape (n, classes)")
    if not np.allclose(p.sum(axis=1), 1, atol=1e-3):
        raise InputError("probabilities must sum to 1 in each line")
    return p
