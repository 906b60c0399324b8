"""Watching a study on a terminal: a line for each record as it comes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from entroloop.live.state import State, read_state
from entroloop.system.numbers import number


def new_records(folder: Path, seconds: float = 1.0) -> Iterator[tuple[State, list[dict[str, Any]]]]:
    """Yield each state of a study folder with the records that are new in it, until it is complete.

    Raises InputError for a folder that is no study's.
    """
    known: set[tuple[str, int, int]] = set()
    while True:
        state = read_state(folder)
        new = [r for r in state.records if _identity(r) not in known]
        known |= {_identity(r) for r in new}
        if new or state.complete:
            yield state, new
        if state.complete:
            return
        time.sleep(seconds)


def _identity(record: dict[str, Any]) -> tuple[str, int, int]:
    return record["arm"], record["seed"], record["generation"]


def told(record: dict[str, Any]) -> str:
    """Return a record as one line."""
    return (
        f"{record['arm']} seed {record['seed']} generation {record['generation']}: entropy "
        f"{number(record['entropy_train'])} nats, GS {number(record['generalization_score'])} "
        f"(held-out real {number(record['generalization_score_reference'])}), Fréchet "
        f"{number(record['frechet_distance'])}"
    )
