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
from entroloop.selection.strategies.low_likelihood import low_likelihood
from entroloop.selection.strategies.random import random
from entroloop.selection.strategies.random_matched import random_matched
from entroloop.selection.strategies.semdedup import semdedup
from entroloop.selection.strategies.silo import silo
from entroloop.selection.strategies.threshold_decay import threshold_decay
from entroloop.selection.strategies.top_quality import top_quality
from entroloop.selection.strategies.verifier import verifier


@dataclass(frozen=True, kw_only=True)
class Strategy:
    """What is known of a strategy before it runs.

    pick: makes the picks of a `SelectionState`; its keyword arguments are the strategy's. sharded:
    its pool can lie in several shards. needs: arguments that a study supplies: `reference` rows,
    which rows are `real`, `scores`, `guard` rows, `generations`, `joined` rows, the `baseline`.
    reserved: arguments that a study does not take, since they belong to one pool. copies: float64
    arrays of the pool's size that it holds at its peak. checkpointed: it keeps its picks in a
    checkpoint, and resumes from it. equal_generations: from several generations a study has it take
    equal shares. version: of its rule, part of a training set's key: raised where the same
    arguments choose other rows.
    when, cost: for whom it is, and what it takes for n of m rows with d values, in words.
    """

    pick: Callable[..., Picks]
    sharded: bool = False
    needs: tuple[str, ...] = ()
    reserved: tuple[str, ...] = ()
    copies: int = 0
    checkpointed: bool = False
    equal_generations: bool = False
    version: int = 1
    when: str = ""
    cost: str = ""


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
    "random": Strategy(
        pick=random,
        sharded=True,
        equal_generations=True,
        when="The baseline, and the choice where samples vary as much as real rows do and no real "
        "rows are at hand to decide. In a study it takes equal shares of the generations.",
        cost="One permutation of the m rows.",
    ),
    "uniform": Strategy(
        pick=random,
        sharded=True,
        when="`random` without equal shares of the generations: to tell the two apart in a study.",
        cost="One permutation of the m rows.",
    ),
    "random_matched": Strategy(
        pick=random_matched,
        needs=("real",),
        copies=2,
        when="A control in studies: what greedy gains beyond it, it does not gain by keeping more "
        "real rows.",
        cost="That of greedy, whose share of real rows it takes.",
    ),
    "greedy": Strategy(
        pick=greedy,
        sharded=True,
        checkpointed=True,
        when="For redundant pools, and for loops whose samples have lost variety. Failed samples "
        "and outliers lie far from everything and are taken first: where a pool may hold them, let "
        "`guarded` decide or weigh by realism.",
        cost="At most m · n distances of d values, by matrix multiplies; bounds spare most of "
        "them.",
    ),
    "threshold_decay": Strategy(
        pick=threshold_decay,
        sharded=True,
        checkpointed=True,
        reserved=("order",),
        when="Where greedy goes too far: `strength` sets how far, from the order given (0) to "
        "greedy (1).",
        cost="That of greedy; less where the threshold is low.",
    ),
    "guarded": Strategy(
        pick=guarded,
        sharded=True,
        needs=("guard", "reference", "generations", "joined", "baseline"),
        copies=3,
        version=3,
        when="Where a few hundred real rows can be spared and nobody knows whether selection by "
        "entropy helps in this pool: it takes it only if it is nearer to them than a random "
        "choice.",
        cost="That of its inner strategies (five, and the steps of one bisection), and n · (n + "
        "guard) distances for each choice.",
    ),
    "composable_coreset": Strategy(
        pick=composable_coreset,
        sharded=True,
        when="Pools over many machines, where two rounds of messages matter more than greedy's "
        "exact picks.",
        cost="Greedy within each shard, then greedy among all that they picked.",
    ),
    "kmeans": Strategy(
        pick=kmeans,
        copies=3,
        when="A baseline that keeps what is typical: few outliers, and less spread than greedy.",
        cost="Mini-batch k-means with n centres: m · n · d a pass.",
    ),
    "center_matching": Strategy(
        pick=center_matching,
        copies=3,
        when="A baseline that narrows the choice to what is nearest to the mean.",
        cost="One pass: m · d, and a sort.",
    ),
    "covariance_matching": Strategy(
        pick=covariance_matching,
        copies=7,
        when="To keep means and variances near those of given rows while choosing few.",
        cost="n passes over m rows of 2 d moments, and one decomposition, d³.",
    ),
    "ds3": Strategy(
        pick=ds3,
        needs=("reference",),
        copies=3,
        when="To specialize a choice to a target of which examples are at hand.",
        cost="k-means of the reference with √n centres, and √n sorts of the pool.",
    ),
    "semdedup": Strategy(
        pick=semdedup,
        copies=3,
        when="To thin out near-copies of embeddings, by cosine similarity.",
        cost="k-means with √m centres, and all pairs within each cluster.",
    ),
    "latent_space_filter": Strategy(
        pick=latent_space_filter,
        needs=("real",),
        copies=4,
        when="To drop samples that a linear probe tells from real rows.",
        cost="Five logistic regressions on the pool.",
    ),
    "low_likelihood": Strategy(
        pick=low_likelihood,
        copies=3,
        when="To keep the tails that a loop loses first. It knows no redundancy among its picks, "
        "and failed samples are as unlikely as rare ones: greedy spreads, `guarded` decides.",
        cost="The k nearest of m rows among themselves: m² · d.",
    ),
    "verifier": Strategy(
        pick=verifier,
        needs=("reference",),
        copies=3,
        when="To keep failed samples out in the first generations, where some real rows are at "
        "hand. What it does not know it refuses: later it draws a loop to its own centre.",
        cost="m · known distances of d values.",
    ),
    "silo": Strategy(
        pick=silo,
        needs=("reference",),
        copies=3,
        when="As a negative control only: choosing by a corner of the data speeds collapse up.",
        cost="m · known distances of d values, and a sort.",
    ),
    "top_quality": Strategy(
        pick=top_quality,
        needs=("scores",),
        when="As a negative control only: choosing by quality alone speeds collapse up.",
        cost="One sort of m scores.",
    ),
}
STRATEGIES: Table[Strategy] = Table("strategies", _OWN, _adopted)
