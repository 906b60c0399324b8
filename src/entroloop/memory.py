"""How much memory and cache there is: work is refused before it dies, and cut to what is near."""

from __future__ import annotations

from pathlib import Path


def available_bytes() -> int | None:
    """Return the memory that can still be taken (control groups included), None if not known."""
    found = []
    try:
        text = Path("/proc/meminfo").read_text()
        found.append(int(text.split("MemAvailable:")[1].split()[0]) * 1024)
    except (OSError, IndexError, ValueError):
        pass
    try:
        limit = Path("/sys/fs/cgroup/memory.max").read_text().strip()
        used = int(Path("/sys/fs/cgroup/memory.current").read_text())
        if limit != "max":
            found.append(int(limit) - used)
    except (OSError, ValueError):
        pass
    return min(found) if found else None


def cache_bytes() -> int:
    """Return the size of the largest cache of a processor, 32 MiB where it is not known."""
    sizes = []
    for path in Path("/sys/devices/system/cpu/cpu0/cache").glob("index*/size"):
        try:
            sizes.append(int(path.read_text().strip().removesuffix("K")) * 1024)
        except (OSError, ValueError):
            continue
    return max(sizes, default=32 * 2**20)
