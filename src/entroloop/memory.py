"""How much memory there is, so that work can be refused before it dies of too little."""

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
