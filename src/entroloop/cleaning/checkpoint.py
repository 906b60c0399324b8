"""The checkpoint of a search for pairs: what finished stretches found, one record after another.

A record is its length, its content, and the SHA-256 of that (`system/seal.py`). What was cut off by
a stop, or changed since, is found again.
"""

from __future__ import annotations

import json
import os
import zipfile
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from entroloop.distances.within import Pairs
from entroloop.errors import InputError
from entroloop.system.files import flush, write_atomically
from entroloop.system.seal import DIGEST_BYTES, sealed_bytes, unsealed_bytes

MARK = b"entroloop pairs 1\n"
LENGTH = 8


class PairCheckpoint:
    """A file that grows by a record for each finished round of searches; path None keeps nothing.

    identity: says of which search; the records of another are removed. done: the numbers of the
    searches whose pairs were read back.
    """

    def __init__(self, path: Path | None, identity: dict[str, Any]) -> None:
        self._path = path
        self.done: set[int] = set()
        self.found: list[Pairs] = []
        if path is None:
            return
        facts = json.dumps(identity, sort_keys=True).encode()
        content = self._content(path)
        start = len(MARK)
        head, after = _record(content, start)
        if head != facts:
            write_atomically(_in_a_folder(path), MARK + _recorded(facts))
            return
        while after > start:
            start = after
            body, after = _record(content, start)
            if body is None or not self._take(body):
                break
        if start < len(content):
            os.truncate(path, start)

    @staticmethod
    def _content(path: Path) -> bytes:
        if not path.exists() and not path.is_symlink():
            return b""
        content = path.read_bytes() if path.is_file() and not path.is_symlink() else b"none"
        if not MARK.startswith(content[: len(MARK)]):
            raise InputError(f"{path} is no checkpoint of a search for pairs; move it away")
        return content

    def _take(self, body: bytes) -> bool:
        try:
            with np.load(BytesIO(body), allow_pickle=False) as file:
                pairs = Pairs(file["queries"], file["rows"], file["distances"])
                done = set(file["done"].tolist())
        except (OSError, ValueError, KeyError, zipfile.BadZipFile):
            return False
        self.found.append(pairs)
        self.done |= done
        return True

    def add(self, done: list[int], found: list[Pairs]) -> None:
        """Append what these searches found."""
        self.found += found
        self.done |= set(done)
        if self._path is None:
            return
        content = BytesIO()
        np.savez(
            content,
            done=np.array(done),
            queries=np.concatenate([f.queries for f in found]),
            rows=np.concatenate([f.rows for f in found]),
            distances=np.concatenate([f.distances for f in found]),
        )
        with self._path.open("ab") as file:
            file.write(_recorded(content.getvalue()))
        flush(self._path)


def _in_a_folder(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def _recorded(content: bytes) -> bytes:
    return len(content).to_bytes(LENGTH, "little") + sealed_bytes(content)


def _record(content: bytes, start: int) -> tuple[bytes | None, int]:
    """Return the record that starts there and where the next one does; None for none."""
    first = start + LENGTH
    stop = first + int.from_bytes(content[start:first], "little") + DIGEST_BYTES
    if len(content) < stop or len(content) < first:
        return None, start
    return unsealed_bytes(content[first:stop]), stop
