"""What a study folder holds by now, and a thread that notices when there is more."""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from entroloop.errors import InputError

# The columns that are shown live, with their headings.
SHOWN = {
    "frechet_distance": "Fréchet distance",
    "entropy_train": "entropy of the training set (nats)",
    "generalization_score": "generalization score",
    "generalization_score_reference": "score of held-out real rows",
    "memorized_fraction": "memorized fraction",
    "real_share": "real share",
}


@dataclass(frozen=True)
class State:
    """The records of a study so far; total: how many it will have, 0 if that is not known."""

    study: str
    total: int
    records: list[dict[str, Any]]

    @property
    def complete(self) -> bool:
        """Whether every record is there."""
        return self.total > 0 and len(self.records) >= self.total

    def to_json(self) -> str:
        """Return the state as one line of JSON; numbers that are not finite are null."""
        told = {
            "study": self.study, "total": self.total, "complete": self.complete, "shown": SHOWN,
            "records": self.records,
        }  # fmt: skip
        return json.dumps(told, allow_nan=False)


def read_state(folder: Path) -> State:
    """Return the state of a study folder, which may hold no records yet.

    Raises InputError for a folder that is no study's.
    """
    from entroloop.store.records import load_records

    try:
        config = json.loads((folder / "config.json").read_text("utf-8"))
        name, arms = str(config["name"]), [arm["name"] for arm in config["arms"]]
        total = len(arms) * len(config["seeds"]) * int(config["generations"])
    except (OSError, ValueError, KeyError, TypeError):
        raise InputError(f"{folder} is no study folder, or its run has not begun") from None
    try:
        table = load_records(folder)
    except InputError:
        return State(name, total, [])
    columns = ["arm", "seed", "generation", *SHOWN]
    place = {arm: i for i, arm in enumerate(arms)}  # as on the report, which colours by it
    order = table["arm"].map(place).fillna(len(arms)).argsort(kind="stable")
    rows = table.iloc[order][columns].to_dict("records")
    return State(name, total, [{k: _plain(v) for k, v in row.items()} for row in rows])


def _plain(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


class Follower:
    """A thread that reads a study folder whenever its records change.

    changed: called with each new state. Use it as a context; leaving it looks once more.
    """

    def __init__(
        self, folder: Path, changed: Callable[[State], None], seconds: float = 1.0
    ) -> None:
        self._folder, self._changed, self._seconds = folder, changed, seconds
        self._seen: object = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Follower:
        self._look()
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        self._thread.join()
        self._look()

    def _run(self) -> None:
        while not self._stop.wait(self._seconds):
            self._look()

    def _look(self) -> None:
        """Read the folder if one of its files is another than before."""
        marks = []
        for name in ("config.json", "records.parquet"):
            with suppress(OSError):
                status = (self._folder / name).stat()
                marks.append((name, status.st_mtime_ns, status.st_ino, status.st_size))
        if marks and marks != self._seen:
            with suppress(InputError):  # it is being written: the next look sees it
                self._changed(read_state(self._folder))
                self._seen = marks
