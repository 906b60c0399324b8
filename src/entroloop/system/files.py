"""Atomic files, checksums, and the cache folder."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import IO


def write_atomically(path: Path, content: str | bytes | Callable[[IO[bytes]], object]) -> None:
    """Write a file atomically: a reader or a crash sees the old content or the new, never half.

    content: text, bytes, or a function that writes to an open file.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.unlink(missing_ok=True)  # of a process that had this number and was killed
    try:
        with temporary.open("xb") as file:  # a link that somebody planted there is not followed
            if callable(content):
                content(file)
            else:
                file.write(content.encode() if isinstance(content, str) else content)
        flush(temporary)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def cache_folder() -> Path:
    """Return the folder of what can be recomputed; it need not exist."""
    named = os.environ.get("ENTROLOOP_CACHE")
    if named:
        return Path(named)
    try:
        return Path.home() / ".cache" / "entroloop"
    except RuntimeError:  # a user without a home
        return Path(tempfile.gettempdir()) / f"entroloop-{os.getuid()}"


def flocked(descriptor: int) -> bool:
    """Lock an open file or folder until it is closed, however the process ends; False if another
    process holds it. True without a lock on systems that know no advisory locks.
    """
    try:
        import fcntl
    except ImportError:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def flush(path: Path) -> None:
    """Flush a file, or a folder's list of files, to disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
