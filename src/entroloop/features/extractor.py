"""The extractor type: images or rows in, feature vectors out, batched and cached."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import numpy as np

from entroloop.errors import InputError
from entroloop.features.cached import through_cache
from entroloop.samples import Array, MixedImages, nonfinite_rows
from entroloop.system.memory import freed_memory_kept
from entroloop.system.progress_line import Progress
from entroloop.system.threads import intra_op_threads

BATCHES = 4  # side by side, at most: each takes memory for all that a network finds on its way
STRETCH = 64  # batches whose features are cached together: at most so many are taken again
Batched = Callable[[Any], Array]  # uint8 (batch, h, w, c), or a list of images, -> (batch, d)


@dataclass(frozen=True)
class Extractor:
    """A named feature space.

    name: as requested. identity: what results depend on besides the images; part of the keys of
    studies and of the cache. resize: how images are resized for the network, with filter and size;
    None if they are not. comparable: the figures that figures on these features can be compared
    with. network: maps batches of one shape (the last is padded) to features, so that a row's
    features do not depend on other rows; probabilities_network: likewise, to class probabilities.
    whole: maps all rows at once. fit: returns the extractor fitted to given rows (PCA); None if no
    fitting is needed. lists: the network takes lists of images of different sizes, too.
    side_by_side: the network leaves Python's lock while it computes, on a CPU: batches at once,
    which torch's threads share, wait less for each other than threads within each operation.
    """

    name: str
    identity: str
    resize: str | None = None
    comparable: str = "with no published figure"
    network: Batched | None = None
    probabilities_network: Batched | None = None
    whole: Callable[[Array], Array] | None = None
    fit: Callable[[Array], Extractor] | None = None
    batch: int = 32  # what it computes then stays in a processor's cache; a GPU wants more
    lists: bool = False
    side_by_side: bool = False

    @property
    def mixed(self) -> bool:
        """Whether images may differ in size: a network brings each to its own."""
        return self.network is not None

    def __call__(self, data: Array | MixedImages, progress: Progress | None = None) -> Array:
        """Return the features (n, d) of rows or images (n, …).

        Raises InputError for data that this extractor does not accept, and for features that are
        not finite, naming the row.
        """
        if self.network is None:
            assert self.whole is not None
            return self.whole(self._of_one_size(data))
        return self._run(self.network, self.identity, data, progress)

    def probabilities(
        self, data: Array | MixedImages, progress: Progress | None = None
    ) -> Array | None:
        """Return class probabilities (n, classes), or None if the extractor provides none."""
        if self.probabilities_network is None:
            return None
        return self._run(
            self.probabilities_network, f"{self.identity} probabilities", data, progress
        )

    def fitted_to(self, data: Array | MixedImages) -> Extractor:
        """Return the extractor fitted to rows, or itself if there is nothing to fit."""
        return self if self.fit is None else self.fit(self._of_one_size(data))

    def _of_one_size(self, data: Array | MixedImages) -> Array:
        if isinstance(data, MixedImages):
            raise InputError(
                f"features {self.name} take images of one size and mode; load them with resize= "
                "and mode=, or take the features of a network"
            )
        return data

    def seeing(self, decode: Callable[[Array], Array] | None) -> Extractor:
        """Return the extractor that sees what `decode` makes of rows; raw features see the rows."""
        fit = self.fit
        if decode is None or self.name == "raw":
            return self
        return replace(
            self,
            network=None,
            whole=lambda data: self(decode(data)),
            fit=None if fit is None else lambda data: fit(decode(data)).seeing(decode),
        )

    def _run(
        self,
        network: Batched,
        identity: str,
        data: Array | MixedImages,
        progress: Progress | None,
    ) -> Array:
        if not isinstance(data, MixedImages):
            data = channels_last(data)
            check_images(data, self.name)
        size = STRETCH * self.batch
        parts = [
            self._stretch(network, identity, data, slice(start, start + size), progress)
            for start in range(0, max(len(data), 1), size)
        ]
        return self._joined(parts)

    def _stretch(
        self,
        network: Batched,
        identity: str,
        data: Array | MixedImages,
        rows: slice,
        progress: Progress | None,
    ) -> Array:
        """Return the features of a stretch of rows, which are cached by themselves."""
        start, total = rows.start, len(data)
        some = data.take(range(total)[rows]) if isinstance(data, MixedImages) else data[rows]

        def told(done: int, _: int) -> None:
            if progress is not None:
                progress(start + done, total)

        def compute() -> Array:
            if isinstance(some, MixedImages):
                found = self._of_mixed(network, some, told)
            else:
                run = _side_by_side if self.side_by_side else map
                found = in_batches(run, network, some, self.batch, told)
            if found.ndim != 2 or len(found) != len(some):
                raise InputError(
                    f"features {self.name}: the network must return (n, d) for n images; it "
                    f"returned {found.shape} for {len(some)}"
                )
            bad = nonfinite_rows(found)
            if len(bad):
                raise InputError(
                    f"features {self.name}: {len(bad)} rows came out NaN or infinite (row "
                    f"{start + bad[0]} first); check the network and its input range"
                )
            return found

        return through_cache(identity, some, compute)

    def _of_mixed(self, network: Batched, images: MixedImages, progress: Progress | None) -> Array:
        """Take images in lists where the network takes these, else one by one."""
        batch = self.batch if self.lists else 1
        parts = []
        for start in range(0, len(images), batch):
            some = [images[i] for i in range(start, min(start + batch, len(images)))]
            padded = some + [some[-1]] * (batch - len(some))
            given: Any = padded if self.lists else padded[0][None]
            parts.append(np.asarray(network(given), dtype=np.float32)[: len(some)])
            if progress is not None:
                progress(start + len(some), len(images))
        return self._joined(parts)

    def _joined(self, parts: list[Array]) -> Array:
        """Return features of several images, or stretches of them, as one array."""
        widths = {part.shape[1:] for part in parts}
        if len(widths) > 1:
            raise InputError(
                f"features {self.name}: the network returns {len(widths)} lengths for images of "
                "different sizes; bring them to one with --resize"
            )
        return parts[0] if len(parts) == 1 else np.concatenate(parts)


def channels_last(data: Array) -> Array:
    """Return uint8 images (n, c, h, w), torch's order, as (n, h, w, c); others as they are."""
    if data.ndim == 4 and data.shape[1] in (1, 3) and data.shape[3] not in (1, 3):
        return np.moveaxis(data, 1, 3)
    return data


def check_images(data: Array, name: str) -> None:
    """Reject data that is not uint8 images (n, h, w, 1 or 3)."""
    if data.ndim != 4 or data.dtype != np.uint8 or data.shape[3] not in (1, 3):
        raise InputError(
            f"features {name} take images, uint8 (n, height, width, 1 or 3); these rows are "
            f"{data.dtype} of shape {data.shape[1:]}: take features raw"
        )


def in_batches(
    run: Callable[[Batched, Iterable[Array]], Iterable[Array]],
    network: Batched,
    data: Array,
    batch: int,
    progress: Progress | None,
) -> Array:
    """Return network(data), in batches of one shape: the last is padded with its last row.

    run: `map`, or what gives the same.
    """

    def of_one_shape() -> Iterator[Array]:
        for start in range(0, len(data), batch):
            rows = np.asarray(data[start : start + batch])
            padding = np.repeat(rows[-1:], batch - len(rows), axis=0)
            yield np.concatenate([rows, padding]) if len(padding) else rows

    parts: list[Array] = []
    for found in run(network, of_one_shape()):
        parts.append(np.asarray(found, dtype=np.float32)[: len(data) - len(parts) * batch])
        if progress is not None:
            progress(min(len(parts) * batch, len(data)), len(data))
    return np.concatenate(parts)


def _side_by_side(network: Batched, batches: Iterable[Array]) -> Iterator[Array]:
    """Yield what a network makes of each batch, in order; the first, which loads it, by itself."""
    import torch

    rest, threads = iter(batches), torch.get_num_threads()
    yield from map(network, islice(rest, 1))
    at_once = min(threads, BATCHES)
    share = intra_op_threads(threads // at_once)  # which new threads take over
    with share, freed_memory_kept(), ThreadPoolExecutor(at_once) as pool:
        yield from pool.map(network, rest)
