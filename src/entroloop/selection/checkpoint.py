"""The checkpoint of a selection: its picks so far, from which it resumes."""

from __future__ import annotations

import json
import time
import zipfile
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from entroloop.errors import InputError
from entroloop.system.files import write_atomically
from entroloop.system.seal import sealed_bytes, unsealed_bytes

SHARE = 0.05  # of the time, at most, goes into writing


class Checkpoint:
    """A file of picks, replaced atomically after a block; `identity` says of which selection.

    Picks that were not yet written are made again, and come out the same.
    """

    def __init__(self, path: Path, identity: dict[str, Any]) -> None:
        self._path = path
        self._identity = json.dumps(identity, sort_keys=True)
        self.indices: list[int] = []
        self.values: list[float] = []
        self.duplicates = 0
        self.state: dict[str, float] = {}  # what the strategy needs beside its picks
        self._rest_until = 0.0
        if path.exists():
            self._read()

    def _read(self) -> None:
        try:
            content = unsealed_bytes(self._path.read_bytes())
            if content is None:
                raise ValueError("changed or cut")
            with np.load(BytesIO(content), allow_pickle=False) as file:
                facts = json.loads(str(file["facts"]))
                indices, values = file["indices"].tolist(), file["values"].tolist()
                same = facts["identity"] == self._identity
                duplicates, state = facts["duplicates"], facts["state"]
        except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
            raise InputError(
                f"{self._path} is no checkpoint of a selection ({error}); move it away"
            ) from None
        if same:  # else it is of another selection: this one starts anew
            self.indices, self.values = indices, values
            self.duplicates, self.state = duplicates, state

    def update(
        self, indices: list[int], values: list[float], duplicates: int, state: dict[str, float]
    ) -> None:
        """Write the picks so far, unless the last write was recent and slow."""
        start = time.monotonic()
        if start >= self._rest_until:
            self._write(indices, values, duplicates, state)
            now = time.monotonic()
            self._rest_until = now + (now - start) / SHARE

    def finish(self, indices: list[int], values: list[float], duplicates: int) -> None:
        """Write all picks: the same call now returns at once."""
        self._write(indices, values, duplicates, {})

    def _write(
        self, indices: list[int], values: list[float], duplicates: int, state: dict[str, float]
    ) -> None:
        facts = {"identity": self._identity, "duplicates": duplicates, "state": state}
        text = np.array(json.dumps(facts))
        content = BytesIO()
        np.savez(content, facts=text, indices=indices, values=values)
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(self._path, sealed_bytes(content.getvalue()))
        except OSError as error:
            raise InputError(
                f"the checkpoint {self._path} cannot be written: {error.strerror or error}"
            ) from None
