"""Many images to one array: sizes are compared, broken ones listed, each goes to its place."""

from __future__ import annotations

import hashlib
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from entroloop.data.decoding import (
    Change,
    Content,
    Decoded,
    Item,
    Look,
    decode,
    size_in_words,
)
from entroloop.data.decoding_in_order import decoded_in_order
from entroloop.data.reading import refuse_larger_than_memory
from entroloop.errors import InputError, one_line
from entroloop.samples import Array, MixedImages
from entroloop.system.progress_line import Progress, no_progress

SHOWN = 8  # sizes that a message lists


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


def read_images(
    items: Iterable[Item],
    strict: bool,
    where: str,
    change: Change | None,
    *,
    total: int | None = None,
    mixed: bool = False,
    look: Look | None = None,
    progress: Progress = no_progress,
) -> DecodedImages:
    """Decode items to images of one size and number of channels.

    total: how many items there are, where that is known: no memory is taken twice. mixed: images
    may differ in size; then they come as `MixedImages`. look: taken of each file's content.
    progress: called where `total` is known.

    Raises InputError for images that differ, counting every size, for no readable image or, with
    `strict`, for any corrupt image.
    """
    stack = _Stack(total, where)
    kept: list[int] = []
    shapes: list[tuple[int, ...]] = []
    contents: list[Content] = []
    seen: list[str] = []
    skipped: dict[str, str] = {}
    remarks: Counter[str] = Counter()
    with warnings.catch_warnings():
        _ignore_warnings()
        for i, (item, found) in enumerate(_told(items, where, change, look, total)):
            name, content = item
            if total is not None:
                progress(i + 1, total)
            if found.image is None:
                if strict:
                    reason = f"{name} cannot be read: {found.reason}"
                    raise InputError(f"{where}: image {reason}")
                skipped[name] = found.reason
                continue
            remarks.update(found.remarks)
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


def _told(
    items: Iterable[Item], where: str, change: Change | None, look: Look | None, total: int | None
) -> Iterator[tuple[Item, Decoded]]:
    """Yield what becomes of each item; an error tells where it was met."""
    try:
        yield from decoded_in_order(items, change, look, total)
    except InputError as error:
        raise InputError(f"{where}, {error}") from None


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

    def __init__(self, total: int | None, where: str) -> None:
        self._total, self._count, self._where = total, 0, where
        self._rows: Array | None = None
        self._differ = False

    def add(self, image: Array) -> None:
        if self._differ:
            return
        if self._rows is None:
            refuse_larger_than_memory(self._where, (self._total or 1) * image.nbytes)
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

    def identity(rows: Sequence[int]) -> str:
        digest = hashlib.sha256(repr(change).encode())
        for i in rows:
            content = contents[i]
            if isinstance(content, Path):
                content = content.read_bytes()
            if not isinstance(content, bytes):
                content = f"{shapes[i]}".encode() + np.ascontiguousarray(decoded(i)).tobytes()
            digest.update(hashlib.sha256(content).digest())
        return digest.hexdigest()

    return MixedImages(shapes, decoded, identity)


def _ignore_warnings() -> None:
    """Ignore what Pillow warns of: images that are too large or damaged are refused by `decode`."""
    from PIL import Image

    warnings.simplefilter("ignore", Image.DecompressionBombWarning)
    warnings.filterwarnings("ignore", module=r"PIL\.")
