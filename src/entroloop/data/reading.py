"""The boundary to file formats: whatever a decoder raises on broken content becomes one line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from entroloop.errors import InputError, one_line
from entroloop.system.memory import available_bytes


@contextmanager
def reading(path: str | Path, kind: str) -> Iterator[None]:
    """Turn any error within the block into an InputError that names the file.

    Decoders raise what their authors did not think of (tokenize.TokenError, struct.error, KeyError,
    RecursionError) on bytes that somebody changed; none of these is worth a traceback. A pipe or a
    device is refused: to read it may never end.
    """
    place = Path(path)
    if place.exists() and not (place.is_file() or place.is_dir()):
        raise InputError(f"{path} is neither a file nor a folder; give one of them")
    try:
        yield
    except InputError:
        raise
    except FileNotFoundError:
        raise InputError(f"there is no file {path}; check the path") from None
    except MemoryError:
        raise InputError(f"{path} takes more memory than there is") from None
    except Exception as error:
        reason = one_line(error, 160) or type(error).__name__
        raise InputError(f"{path} is not a readable {kind}: {reason}") from None


def refuse_larger_than_memory(path: str | Path, size: int) -> None:
    """Raise InputError for content of more bytes than are available, before it is read."""
    free = available_bytes()
    if free is not None and size > free:
        raise InputError(
            f"{path} holds {size / 1e9:.1f} GB once it is read, and {free / 1e9:.1f} GB of memory "
            "are available; give it as a memory-mapped .npy file, or in parts"
        )
