"""Time and peak memory of a piece of work."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path


@dataclass
class Usage:
    """Wall-clock seconds and the peak resident memory of the process in MB (10⁶ bytes)."""

    seconds: float = 0.0
    peak_mb: float = 0.0


@contextmanager
def measured() -> Iterator[Usage]:
    """Measure a block; on Linux the peak is that of the block, elsewhere that of the process."""
    usage = Usage()
    _reset_peak()
    start = time.perf_counter()
    yield usage
    usage.seconds = time.perf_counter() - start
    usage.peak_mb = _peak_bytes() / 1e6


def _reset_peak() -> None:
    # Not Linux, or not allowed: then the peak since the process began is reported.
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def _peak_bytes() -> int:
    try:
        status = Path("/proc/self/status").read_text("utf-8")
        return int(status.split("VmHWM:")[1].split()[0]) * 1024
    except (OSError, IndexError):
        import resource

        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024
