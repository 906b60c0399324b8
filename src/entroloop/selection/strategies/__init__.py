"""One file per strategy of selection, and the table of them; what a selection is lies outside."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from entroloop.plugins import Plugin, PluginError, Table
from entroloop.selection.state import Picks
from entroloop.selection.strategies.center_matching import center_matching
from entroloop.selection.strategies.coreset import composable_coreset
from entroloop.selection.strategies.covariance_matching import covariance_matching
from entroloop.selection.strategies.ds3 import ds3
from entroloop.selection.strategies.greedy import greedy
from entroloop.selection.strategies.guarded import guarded
from entroloop.selection.strategies.kmeans import kmeans
from entroloop.selection.strategies.latent_space_filter import latent_space_filter
from entroloop.selection.strategies.random import random
from entroloop.selection.strategies.random_matched import random_matched
from entroloop.selection.strategies.semdedup import semdedup
from entroloop.selection.strategies.threshold_decay import threshold_decay
from entroloop.selection.strategies.top_quality import top_quality


@dataclass(frozen=True, kw_only=True)
class Strategy:
    """What is known of a strategy before it runs.

    pick: makes the picks of a `SelectionState`; its keyword arguments are the strategy's. sharded:
    its pool can lie in several shards. needs: arguments that a study supplies: `reference` rows,
    which rows are `real`, `scores`, `guard` rows, `generations`,
    `joined` rows, the `baseline`. reserved: arguments that
    a study does not take, since they belong to one pool. copies: float64 arrays of the pool's size
    that it holds at its peak. checkpointed: it keeps its picks in a checkpoint, and resumes from
    it. equal_generations: from several generations a study has it take equal shares. version: of
    its rule, part of a training set's key: raised where the same arguments choose other rows.
    """

    pick: Callable[..., Picks]
    sharded: bool = False
    needs: tuple[str, ...] = ()
    reserved: tuple[str, ...] = ()
    copies: int = 0
    checkpointed: bool = False
    equal_generations: bool = False
    version: int = 1


NEEDS = {"real", "generations", "baseline", "joined", "guard", "reference", "scores"}


def _adopted(plugin: Plugin, found: object) -> Strategy:
    if not isinstance(found, Strategy):
        raise PluginError(f"{plugin} is no entroloop.selection.strategies.Strategy")
    if unknown := set(found.needs) - NEEDS:
        raise PluginError(
            f"{plugin} needs '{min(unknown)}', which no study supplies; valid: "
            f"{', '.join(sorted(NEEDS))}"
        )
    return found


_OWN: dict[str, Strategy] = {
    "random": Strategy(pick=random, sharded=True, equal_generations=True),
    "uniform": Strategy(pick=random, sharded=True),
    "random_matched": Strategy(pick=random_matched, needs=("real",), copies=2),
    "greedy": Strategy(pick=greedy, sharded=True, checkpointed=True),
    "threshold_decay": Strategy(
        pick=threshold_decay, sharded=True, checkpointed=True, reserved=("order",)
    ),
    "guarded": Strategy(
        pick=guarded,
        sharded=True,
        needs=("guard", "reference", "generations", "joined", "baseline"),
        copies=3,
        version=2,
    ),
    "composable_coreset": Strategy(pick=composable_coreset, sharded=True),
    "kmeans": Strategy(pick=kmeans, copies=3),
    "center_matching": Strategy(pick=center_matching, copies=3),
    "covariance_matching": Strategy(pick=covariance_matching, copies=7),
    "ds3": Strategy(pick=ds3, needs=("reference",), copies=3),
    "semdedup": Strategy(pick=semdedup, copies=3),
    "latent_space_filter": Strategy(pick=latent_space_filter, needs=("real",), copies=4),
    "top_quality": Strategy(pick=top_quality, needs=("scores",)),
}
STRATEGIES: Table[Strategy] = Table("strategies", _OWN, _adopted)
