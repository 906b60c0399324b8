"""Available memory, cache size, malloc tuning."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# Of glibc's mallopt(3), and the values that its own adjustment ends with after large blocks.
TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3
USUAL = {TRIM_THRESHOLD: 64 * 2**20, MMAP_THRESHOLD: 32 * 2**20}


def available_bytes() -> int | None:
    """Return the available memory in bytes, within control groups; None if unknown."""
    found = []
    try:
        text = Path("/proc/meminfo").read_text("utf-8")
        found.append(int(text.split("MemAvailable:")[1].split()[0]) * 1024)
    except (OSError, IndexError, ValueError):
        pass
    try:
        limit = Path("/sys/fs/cgroup/memory.max").read_text("utf-8").strip()
        used = int(Path("/sys/fs/cgroup/memory.current").read_text("utf-8"))
        if limit != "max":
            found.append(int(limit) - used)
    except (OSError, ValueError):
        pass
    return min(found) if found else None


def blocks(rows: int, each: int, at_once: int) -> list[slice]:
    """Return parts of so many rows that take `at_once` at most, or hold a single row.

    each: what a row takes, in the same unit.

    >>> blocks(5, each=30, at_once=64)
    [slice(0, 2, None), slice(2, 4, None), slice(4, 5, None)]
    """
    size = max(1, at_once // max(1, each))
    return [slice(start, min(start + size, rows)) for start in range(0, rows, size)]


def cache_bytes() -> int:
    """Return the size of the largest processor cache in bytes, 32 MiB if unknown."""
    sizes = []
    for path in Path("/sys/devices/system/cpu/cpu0/cache").glob("index*/size"):
        try:
            sizes.append(int(path.read_text("utf-8").strip().removesuffix("K")) * 1024)
        except (OSError, ValueError):
            continue
    return max(sizes, default=32 * 2**20)


@contextmanager
def freed_memory_kept() -> Iterator[None]:
    """Keep memory freed inside the block for later allocations; return it to the system at the end.

    Otherwise glibc returns each large array to the kernel, and every new one costs a page fault
    per 4 KiB: a quarter of the training time of a small U-Net. Does nothing without glibc.
    """
    try:
        library = ctypes.CDLL("libc.so.6")
        mallopt, malloc_trim = library.mallopt, library.malloc_trim
    except (OSError, AttributeError):
        yield
        return
    for option in USUAL:
        mallopt(option, 2**31 - 1)
    try:
        yield
    finally:
        for option, value in USUAL.items():
            mallopt(option, value)
        malloc_trim(0)
