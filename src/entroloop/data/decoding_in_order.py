"""Images decoded by all cores, and given back in their order: by threads, many small files by
processes.

Pillow releases the interpreter's lock while it decodes, so that threads share large images well. Of
small ones most of the time is Python's own, which threads take in turns: thousands of them go to
processes, paths or bytes there and pixels back. Only a few stretches are under way at a time.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, nullcontext
from itertools import islice
from pathlib import Path
from typing import Any

from entroloop.data.decoding import Change, Decoded, Item, Look, decoded_item
from entroloop.data.decoding_processes import DecodingProcesses
from entroloop.data.preparing import Preparation

AT_ONCE = 64  # images of one stretch, at most
STRETCH_BYTES = 2**23  # of pixels in a stretch, about
MANY = 4096  # images that are worth starting processes for
SMALL = 2**16  # bytes of pixels of an image that Python takes longer for than the decoder
MOST_WORKERS = 32


def decoded_in_order(
    items: Iterable[Item], change: Change | None, look: Look | None, total: int | None
) -> Iterator[tuple[Item, Decoded]]:
    """Yield every item with what became of it.

    Raises InputError for an image that cannot be changed as asked.
    """
    items = iter(items)
    first = next(items, None)
    if first is None:
        return
    found = decoded_item(first, change, look)
    yield first, found
    size = AT_ONCE
    if found.image is not None:
        size = max(1, min(AT_ONCE, STRETCH_BYTES // max(found.image.nbytes, 1)))
    with _crew(first, found, change, look, total) as processes:

        def stretch(some: list[Item]) -> list[Decoded]:
            answer = None if processes is None else processes.decoded(some)
            return answer or [decoded_item(item, change, look) for item in some]

        yield from _in_order(items, stretch, size)


def _crew(
    first: Item, found: Decoded, change: Change | None, look: Look | None, total: int | None
) -> Any:
    """Return processes to decode in, as a context; None where threads do as well."""
    small = found.image is not None and found.image.nbytes <= SMALL
    if not small or not isinstance(first[1], Path | bytes) or (total or 0) < MANY or cores() < 2:
        return nullcontext()
    if change is not None and not isinstance(change, Preparation):
        return nullcontext()
    workers = min(cores(), MOST_WORKERS, (total or 0) // (MANY // 4))
    return closing(DecodingProcesses(workers, change, look is not None))


def _in_order(
    items: Iterator[Item], stretch: Callable[[list[Item]], list[Decoded]], size: int
) -> Iterator[tuple[Item, Decoded]]:
    workers = min(cores(), MOST_WORKERS)
    waiting: deque[tuple[list[Item], Future[list[Decoded]]]] = deque()
    with ThreadPoolExecutor(workers) as threads:
        try:
            while True:
                some = list(islice(items, size))
                if some:
                    waiting.append((some, threads.submit(stretch, some)))
                if not some or len(waiting) > 2 * workers:
                    if not waiting:
                        return
                    done, future = waiting.popleft()
                    yield from zip(done, future.result(), strict=True)
        finally:
            threads.shutdown(wait=True, cancel_futures=True)


def cores() -> int:
    """Return how many cores this process may use: fewer than the machine has, in a container."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
