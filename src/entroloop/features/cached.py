"""A cache of features by content and extractor, on disk, shared by concurrent runs.

Each file is named by a hash of the images and of everything else that their features depend on, is
written under a temporary name before it is renamed, so that a reader sees a whole file or none, and
ends with its own checksum: what was changed is computed again.
The least recently used files are removed when the cache exceeds its limit. ENTROLOOP_CACHE sets the
folder (default ~/.cache/entroloop), ENTROLOOP_CACHE_MB the limit (default 4096; 0: no cache).
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from entroloop.errors import InputError
from entroloop.samples import Array, MixedImages
from entroloop.system.files import cache_folder
from entroloop.system.seal import sealed_bytes, unsealed_bytes

DEFAULT_MB = 4096


def through_cache(identity: str, data: Array | MixedImages, compute: Callable[[], Array]) -> Array:
    """Return the features of data from the cache, or compute and cache them."""
    bound = _bound()
    if bound == 0:
        return compute()
    path = cache_folder() / "features" / f"{_key(identity, data)}.npy"
    try:
        content = unsealed_bytes(path.read_bytes())
        if content is not None:
            with suppress(OSError):
                os.utime(path)  # the least recently used go first
            found: Array = np.load(BytesIO(content), allow_pickle=False)
            return found
    except (OSError, ValueError):  # missing, or of an earlier version
        pass
    features = compute()
    with suppress(OSError):  # a full or read-only disk costs time, not the result
        _keep(path, features, bound)
    return features


def examine_cache(*, clear: bool = False) -> dict[str, Any]:
    """Return the cache's folder, number of sets, size and limit; clear: empty it."""
    files = _files()
    facts = {
        "folder": str(cache_folder()),
        "sets": len(files),
        "mb": round(sum(size for _, size, _ in files) / 1e6, 1),
        "bound_mb": _bound() / 1e6,
        "cleared": clear,
    }
    for part in (cache_folder() / "features").glob("*.part"):  # left by a run that was killed
        with suppress(OSError):
            if clear or time.time() - part.stat().st_mtime > 86_400:
                part.unlink()
    if clear:
        for path, _, _ in files:
            path.unlink(missing_ok=True)
    return facts


def _bound() -> float:
    text = os.environ.get("ENTROLOOP_CACHE_MB", str(DEFAULT_MB))
    try:
        bound = float(text)
    except ValueError:
        bound = -1.0
    if not 0 <= bound < float("inf"):
        raise InputError(f"ENTROLOOP_CACHE_MB must be a number of megabytes ≥ 0; it is '{text}'")
    return bound * 1e6


def _key(identity: str, data: Array | MixedImages) -> str:
    if isinstance(data, MixedImages):
        return hashlib.sha256(f"1 mixed {identity} {data.identity()}".encode()).hexdigest()
    digest = hashlib.sha256(f"1 {identity} {data.shape} {data.dtype}".encode())
    for start in range(0, len(data), 1024):
        digest.update(np.ascontiguousarray(data[start : start + 1024]).tobytes())
    return digest.hexdigest()


def _keep(path: Path, features: Array, bound: float) -> None:
    if features.nbytes > bound:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, suffix=".part")
    try:
        content = BytesIO()
        np.save(content, features, allow_pickle=False)
        with os.fdopen(handle, "wb") as file:
            file.write(sealed_bytes(content.getvalue()))
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    files = sorted(_files(), key=lambda found: found[2])
    total = sum(size for _, size, _ in files)
    for old, size, _ in files:
        if total <= bound:
            break
        if old != path:
            old.unlink(missing_ok=True)  # another run may have removed it first
            total -= size


def _files() -> list[tuple[Path, int, float]]:
    """Return the path, size and last use of each cached file."""
    found = []
    for path in (cache_folder() / "features").glob("*.npy"):
        with suppress(OSError):
            status = path.stat()
            found.append((path, status.st_size, status.st_mtime))
    return found
