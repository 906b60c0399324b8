"""Many images, decoded by all cores in order, to one array: sizes are compared, broken ones listed.

Pillow releases the interpreter's lock while it reads and decodes. Only a few stretches of images
are under way at a time, and rows go straight to their place, so that memory stays that of the
result.
"""

from __future__ import annotations

import hashlib
import os
import warnings
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np

from entroloop.data.decoding import Content, decode, size_in_words
from entroloop.errors import InputError, one_line
from entroloop.samples import Array, MixedImages

AT_ONCE = 64  # images of one stretch, at most
STRETCH_BYTES = 2**23  # of pixels in a stretch, about
SHOWN = 8  # sizes that a message lists

Item = tuple[str, Content]  # name and content
Change = Callable[[Array], Array]  # of one image (h, w, c) uint8
Look = Callable[[bytes], tuple[str, list[str]]]  # what a file says of itself, and remarks


@dataclass
class DecodedImages:
    """Images, the indices of their items, and why the others were skipped, by name.

    remarks: what a reader may not expect of those that were kept, with how many. seen: what the
    look at each kept file told.
    """

    data: Array | MixedImages
    kept: list[int]
    skipped: dict[str, str]
    remarks: dict[str, int]
    seen: list[str]


class _Decoded(NamedTuple):
    image: Array | None  # None: skipped
    remarks: list[str]
    seen: str = ""


def read_images(
    items: Iterable[Item],
    strict: bool,
    where: str,
    change: Change | None,
    *,
    total: int | None = None,
    mixed: bool = False,
    look: Look | None = None,
) -> DecodedImages:
    """Decode items to images of one size and number of channels.

    total: how many items there are, where that is known: no memory is taken twice. mixed: images
    may differ in size; then they come as `MixedImages`. look: taken of each file's content.

    Raises InputError for images that differ, counting every size, for no readable image or, with
    `strict`, for any corrupt image.
    """
    stack = _Stack(total)
    kept: list[int] = []
    shapes: list[tuple[int, ...]] = []
    contents: list[Content] = []
    seen: list[str] = []
    skipped: dict[str, str] = {}
    remarks: Counter[str] = Counter()
    with warnings.catch_warnings():
        _ignore_bombs()
        for i, (name, content, found) in enumerate(_decoded(items, where, strict, change, look)):
            remarks.update(found.remarks)
            if found.image is None:
                skipped[name] = found.seen
                continue
            kept.append(i)
            shapes.append(found.image.shape)
            stack.add(found.image)
            if mixed:
                contents.append(content)
            if look is not None:
                seen.append(found.seen)
    if not kept:
        name, reason = next(iter(skipped.items()), ("", "there are none"))
        raise InputError(
            f"{where}: none of the images could be read ({len(skipped)} are corrupt); the first: "
            f"{one_line(name, 80)}, {reason}"
        )
    sizes = Counter(shapes)
    if len(sizes) > 1 and not mixed:
        raise differ(where, sizes)
    data = stack.whole() if len(sizes) == 1 else _mixed(shapes, contents, change)
    return DecodedImages(data, kept, skipped, dict(remarks), seen)


def differ(where: str, sizes: Counter[tuple[int, ...]]) -> InputError:
    """Return the error for images of several sizes or modes: each with its count, and the mend."""
    common = sizes.most_common()
    shown = ", ".join(f"{n:,} of {size_in_words(shape)}" for shape, n in common[:SHOWN])
    more = f", and {len(common) - SHOWN} sizes more" if len(common) > SHOWN else ""
    side = min(common[0][0][:2])
    flags, arguments = [], []
    if len({shape[:2] for shape in sizes}) > 1:
        flags.append(f"--resize {side}")
        arguments.append(f"resize={side}")
    if len({shape[2] for shape in sizes}) > 1:
        flags.append("--mode rgb")
        arguments.append('mode="rgb"')
    return InputError(
        f"{where}: the images differ: {shown}{more}; add {' '.join(flags)} (in Python "
        f"{', '.join(arguments)}; in a study data.resize, data.mode), or take the features of a "
        "network, which resizes each itself"
    )


class _Stack:
    """Images of one size in an array that grows in place; dropped once a size differs."""

    def __init__(self, total: int | None) -> None:
        self._total, self._count = total, 0
        self._rows: Array | None = None
        self._differ = False

    def add(self, image: Array) -> None:
        if self._differ:
            return
        if self._rows is None:
            self._rows = np.empty((self._total or 256, *image.shape), dtype=np.uint8)
        if image.shape != self._rows.shape[1:]:
            self._rows, self._differ = None, True
            return
        if self._count == len(self._rows):
            more = (self._count + self._count // 4 + 64, *image.shape)
            self._rows.resize(more, refcheck=False)  # by the system, without a second copy
        self._rows[self._count] = image
        self._count += 1

    def whole(self) -> Array:
        assert self._rows is not None
        if self._count < len(self._rows):
            self._rows.resize((self._count, *self._rows.shape[1:]), refcheck=False)
        return self._rows


def _mixed(
    shapes: list[tuple[int, ...]], contents: list[Content], change: Change | None
) -> MixedImages:
    def decoded(i: int) -> Array:
        image = decode(contents[i])[0]
        return image if change is None else change(image)

    def identity() -> str:
        digest = hashlib.sha256(repr(change).encode())
        for i, content in enumerate(contents):
            if isinstance(content, Path):
                content = content.read_bytes()
            if not isinstance(content, bytes):
                content = f"{shapes[i]}".encode() + np.ascontiguousarray(decoded(i)).tobytes()
            digest.update(hashlib.sha256(content).digest())
        return digest.hexdigest()

    return MixedImages(shapes, decoded, identity)


def _decoded(
    items: Iterable[Item], where: str, strict: bool, change: Change | None, look: Look | None
) -> Iterator[tuple[str, Content, _Decoded]]:
    """Yield name, content and what became of each item, in order."""

    def one(item: Item) -> _Decoded:
        name, content = item
        try:
            if isinstance(content, Path):
                content = content.read_bytes()
            image, remarks = decode(content)
            seen = ""
            if look is not None and isinstance(content, bytes):
                seen, more = look(content)
                remarks = remarks + more
            return _Decoded(image if change is None else change(image), remarks, seen)
        except InputError as error:
            raise InputError(f"{where}, image {name}: {error}") from None
        except Exception as error:  # decoders raise all kinds on bytes that somebody changed
            reason = one_line(error, 160) or type(error).__name__
            if strict:
                raise InputError(f"{where}: image {name} cannot be read: {reason}") from None
            return _Decoded(None, [], reason)

    items = iter(items)
    for first in islice(items, 1):
        found = one(first)
        yield *first, found
        size = AT_ONCE
        if found.image is not None:
            size = max(1, min(AT_ONCE, STRETCH_BYTES // max(found.image.nbytes, 1)))
        yield from _in_stretches(items, one, size)


def _in_stretches(
    items: Iterator[Item], one: Callable[[Item], _Decoded], size: int
) -> Iterator[tuple[str, Content, _Decoded]]:
    workers = min(_cores(), 32)
    waiting: deque[tuple[list[Item], Future[list[_Decoded]]]] = deque()
    with ThreadPoolExecutor(workers) as threads:
        try:
            while True:
                stretch = list(islice(items, size))
                if stretch:
                    waiting.append(
                        (stretch, threads.submit(lambda s: [one(i) for i in s], stretch))
                    )
                if not stretch or len(waiting) > 2 * workers:
                    if not waiting:
                        return
                    done, future = waiting.popleft()
                    for (name, content), found in zip(done, future.result(), strict=True):
                        yield name, content, found
        finally:
            threads.shutdown(wait=True, cancel_futures=True)


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):  # fewer than the machine has, in a container
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _each(one: Callable[[Item], _Decoded], stretch: list[Item]) -> list[_Decoded]:
    return [one(item) for item in stretch]


def _ignore_bombs() -> None:
    """Ignore Pillow's warning of large images: those that are too large are refused by `decode`."""
    from PIL import Image

    warnings.simplefilter("ignore", Image.DecompressionBombWarning)
