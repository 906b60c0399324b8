"""Random selection: the baseline that every other strategy is measured against."""

from __future__ import annotations

from entroloop.selection.state import Picks, SelectionState


def random(state: SelectionState) -> Picks:
    """Pick rows uniformly at random, within the quotas of groups; radii are not known (NaN)."""
    return state.picks_in_order(state.rng.permutation(state.selectable))
