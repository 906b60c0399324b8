"""Center matching: the rows nearest to a mean, a baseline that narrows the choice."""

from __future__ import annotations

import numpy as np

from entroloop.samples import Array
from entroloop.selection.state import Picks, SelectionState
from entroloop.selection.strategies.clusters import ascending, reference_rows


def center_matching(state: SelectionState, *, reference: Array | None = None) -> Picks:
    """Pick the rows nearest to the mean of `reference` rows, or of the pool (He et al. 2023)."""
    rows = state.selectable
    x = state.features(rows)
    centre = (x if reference is None else reference_rows(reference, x)).mean(axis=0)
    return state.picks_in_order(rows[ascending(np.square(x - centre).sum(axis=1))])
