"""Verification: rows that are accepted by a judge who knows some real rows, and only those."""

from __future__ import annotations

from entroloop.errors import InputError
from entroloop.samples import Array
from entroloop.selection.realism import conformal_p
from entroloop.selection.state import Picks, SelectionState
from entroloop.selection.strategies.clusters import reference_rows


def verifier(
    state: SelectionState,
    *,
    reference: Array | None = None,
    known: int | None = 128,
    level: float = 0.2,
    reliability: float = 1.0,
) -> Picks:
    """Pick at random among the rows that a verifier accepts, and only then among the others.

    It knows the first `known` rows of the reference (null: all), and accepts a row unless it is
    further from them than all but a share `level` of their own (`conformal_p`; a level below
    1/(known + 1) refuses nothing). `reliability`: the share of rows that it judges so; the others
    it accepts unseen, so that 0 is a random choice. A verifier keeps failed samples out; in the
    long run it draws the loop to what it knows (the setting is that of arXiv 2510.16657; this rule
    is ours).

    Raises InputError without a reference, for fewer than 2 known rows, and for a level or a
    reliability outside [0, 1].
    """
    if reference is None:
        raise InputError("verifier needs reference=: real rows, the first of which it knows")
    for name, value in (("level", level), ("reliability", reliability)):
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
            raise InputError(f"{name} must lie in [0, 1]; got {value!r}")
    rows = state.selectable
    x = state.features(rows)
    goal = reference_rows(reference, x)[: known_rows(known)]
    order, judged = state.rng.permutation(len(rows)), state.rng.random(len(rows)) < reliability
    refused = judged & (conformal_p(x, goal) <= level)
    accepted_first = [*order[~refused[order]], *order[refused[order]]]
    return state.picks_in_order(rows[accepted_first])


def known_rows(known: int | None) -> int | None:
    """Return the number of known rows; raises InputError for what is no number of them."""
    if known is not None and (isinstance(known, bool) or not isinstance(known, int) or known < 2):
        raise InputError(f"known must be a whole number ≥ 2, or null for all; got {known!r}")
    return known
