"""Choosing the n most informative rows of a pool; where rows lie and what a distance is: below.

`select` in select.py is the way in, `strategies/` has one file per strategy, block.py and pool.py
are the engine (docs/selection-engine.md).
"""

from entroloop.selection.result import Selection
from entroloop.selection.select import select
from entroloop.selection.strategies import STRATEGIES

__all__ = ["STRATEGIES", "Selection", "select"]
