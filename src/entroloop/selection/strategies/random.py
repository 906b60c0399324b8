"""Random selection: the baseline that every other strategy is measured against."""

from __future__ import annotations

import numpy as np

from entroloop.selection.state import Picks, Task


def random(task: Task) -> Picks:
    """Pick rows evenly at random, within the quotas of groups; radii are not known (NaN)."""
    return in_order(task, task.rng.permutation(task.open_rows))


def in_order(task: Task, order: np.ndarray) -> Picks:
    """Pick rows in the order given, as quotas allow."""
    picks = Picks(task.n)
    if task.groups is not None and task.quotas is not None:
        groups = task.groups[order]
        kept = [np.flatnonzero(groups == g)[:q] for g, q in enumerate(task.quotas)]
        order = order[np.sort(np.concatenate(kept))]
    picks.indices = order[: task.n].tolist()
    picks.values = [np.nan] * len(picks.indices)
    return picks
