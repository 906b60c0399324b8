"""What a running study tells of its records: the lists of its runs, and the table."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import replace
from io import BytesIO
from itertools import takewhile

from entroloop.store.folder import Store
from entroloop.store.records import GenerationRecord, frame
from entroloop.store.run_lists import Run, RunList, write_run_list
from entroloop.study.plan import Step

SHARE = 0.05  # of the time, at most, goes into writing the table while the study runs
Identity = tuple[str, int, int]  # arm, seed, generation


class Collected:
    """The records that are known, and the files of the folder that tell of them.

    Run lists are always up to date. The table is written as a whole, which takes the longer the
    more records there are: of thousands of runs it may be some records behind, until `close`.
    """

    def __init__(self, store: Store, steps: Iterable[Step], lists: dict[Run, RunList]) -> None:
        self._store, self._lists = store, lists
        self._records: dict[Identity, GenerationRecord] = {}
        self._steps: dict[Run, list[Step]] = {}
        for step in steps:
            self._steps.setdefault(step.run, []).append(step)
        self._is_behind, self._rest_until = False, 0.0

    def add(self, records: Mapping[Identity, GenerationRecord], changed: Iterable[Run]) -> None:
        """Take in new records, and write the lists of changed runs, up to their first gap."""
        self._records |= records
        for run in changed:
            complete = takewhile(lambda step: step.identity in self._records, self._steps[run])
            listed = replace(self._lists[run], generations=[step.keys() for step in complete])
            self._lists[run] = listed
            write_run_list(self._store, run, listed)
        self._is_behind = True
        start = time.monotonic()
        if start >= self._rest_until:
            self._write()
            now = time.monotonic()
            self._rest_until = now + (now - start) / SHARE

    def close(self) -> None:
        """Write the table, if it is behind."""
        if self._is_behind:
            self._write()

    def _write(self) -> None:
        if not self._records:
            self._store.remove("records.parquet")  # of another configuration
        else:
            buffer = BytesIO()
            frame(list(self._records.values())).to_parquet(buffer, index=False)
            self._store.write("records.parquet", buffer.getvalue())
        self._is_behind = False
