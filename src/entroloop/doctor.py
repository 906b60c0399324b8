"""A check-up of a study folder: every stage against its checksums, and what is listed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from entroloop.errors import InputError
from entroloop.store import KINDS, Store


def examine(folder: Path, *, clear: bool = False) -> dict[str, Any]:
    """Return how many stages there are, which are damaged, and how many are no longer listed.

    clear: remove the damaged ones, and those that no complete generation of the current
    configuration uses (the parts of an interrupted generation among them: they are made again).
    Raises InputError where the folder is no study.
    """
    store = Store(folder)
    identity = store.identity()
    if identity is None:
        raise InputError(f"{folder} is no study folder; give the folder that `run` wrote")
    if clear:
        store.open(identity["study"], identity["real"])
    listed = {identity["real"]}
    for path in folder.glob("arms/*/seed-*.json"):
        for keys in json.loads(path.read_text())["generations"]:
            listed |= set(keys.values())
    stages = [
        (kind, p.name) for kind in KINDS for p in sorted(store.path(kind, "x").parent.glob("*"))
    ]
    damaged = [stage for stage in stages if not store.intact(*stage)]
    unlisted = [(kind, key) for kind, key in stages if key not in listed]
    if clear:
        for kind, key in {*damaged, *unlisted}:
            store.discard(kind, key)
        store.close()
    size = sum(p.stat().st_size for kind, key in unlisted for p in store.path(kind, key).glob("*"))
    return {
        "study": identity["study"],
        "stages": {kind: sum(k == kind for k, _ in stages) for kind in KINDS},
        "damaged": [f"{kind}/{key}" for kind, key in damaged],
        "not_listed": len(unlisted),
        "not_listed_mb": round(size / 1e6, 1),
        "cleared": clear,
    }
