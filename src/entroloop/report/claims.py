"""The paper's claims, checked against the records of a study: per seed and over seeds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from entroloop.metrics.correlation import Correlation, correlation


@dataclass(frozen=True)
class Claim:
    """A claim, and for each seed the number that must be positive for it to hold."""

    text: str
    quantity: str
    by_seed: dict[int, float]

    @property
    def mean(self) -> float:
        """The mean over seeds (paired: arms share their random numbers)."""
        return float(np.mean(list(self.by_seed.values())))

    @property
    def interval(self) -> tuple[float, float] | None:
        """The 95 % t-interval of the mean over seeds, or None for one seed."""
        values = np.array(list(self.by_seed.values()))
        if len(values) < 2:
            return None
        half = stats.t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values))
        return self.mean - float(half), self.mean + float(half)

    @property
    def holds(self) -> int:
        """The number of seeds for which the claim holds."""
        return sum(value > 0 for value in self.by_seed.values())

    @property
    def verdict(self) -> str:
        """`seen`, `not seen`, or `mixed`."""
        return {len(self.by_seed): "seen", 0: "not seen"}.get(self.holds, "mixed")


def entropy_and_score(records: pd.DataFrame) -> Correlation | None:
    """Return the correlation of the training set's entropy with ln GS over generations ≥ 2.

    Generation 1 is left out because all arms share it.
    """
    rows = records[(records["generation"] >= 2) & (records["generalization_score"] > 0)]
    if len(rows) < 3:
        return None
    return correlation(
        rows["entropy_train"],
        np.log(rows["generalization_score"]),
        run=rows["arm"] + "/" + rows["seed"].astype(str),
        seed_of_run=rows["seed"],
    )


def claims(records: pd.DataFrame, arms: list[dict[str, object]]) -> list[Claim]:
    """Return the claims that the arms of a study can test."""
    last = int(records["generation"].max())
    if last < 2:
        return []
    found = [*_collapse(records, arms, last), *_selection(records, arms, last)]
    return [claim for claim in found if claim.by_seed]


def _collapse(records: pd.DataFrame, arms: list[dict[str, object]], last: int) -> Iterator[Claim]:
    for arm in arms:
        if (arm["paradigm"], arm["strategy"]) != ("replace", "random") or last < 3:
            continue
        name = str(arm["name"])
        entropy = _by_generation(records, name, "entropy_train")
        score = _by_generation(records, name, "generalization_score")
        yield Claim(
            f"{name}: the entropy of the training set falls from generation 2 to {last}",
            "fall in nats",
            {seed: float(row[2] - row[last]) for seed, row in entropy.iterrows()},
        )
        yield Claim(
            f"{name}: the generalization score falls in every generation",
            "smallest fall",
            {seed: float(-np.diff(row.to_numpy()).max()) for seed, row in score.iterrows()},
        )


def _selection(records: pd.DataFrame, arms: list[dict[str, object]], last: int) -> Iterator[Claim]:
    """Compare each selecting arm with the random arm of the same paradigm, seed by seed."""
    alike = ("paradigm", "paradigm_args", "generator")
    random = {str([a[k] for k in alike]): str(a["name"]) for a in arms if a["strategy"] == "random"}
    final = records[records["generation"] == last].set_index(["arm", "seed"])
    for arm in arms:
        base, name = random.get(str([arm[k] for k in alike])), str(arm["name"])
        if base is None or arm["strategy"] == "random":
            continue
        comparisons = [("frechet_distance", -1, "a lower Fréchet distance")]
        if (records.loc[records["arm"] == base, "real_share"].iloc[-1]) > 0:
            comparisons.append(("real_share", 1, "a higher share of real data"))
        comparisons.append(("entropy_train", 1, "a higher entropy of the training set"))
        for column, sign, text in comparisons:
            ours, theirs = final[column].get(name), final[column].get(base)
            if ours is None or theirs is None:
                continue
            difference = (sign * (ours - theirs)).dropna()
            yield Claim(
                f"{name} has {text} than {base} at generation {last}",
                "difference",
                {int(str(seed)): float(value) for seed, value in difference.items()},
            )


def _by_generation(records: pd.DataFrame, arm: str, column: str) -> pd.DataFrame:
    rows = records[records["arm"] == arm]
    table = rows.pivot(index="seed", columns="generation", values=column)
    return table.dropna()


def verdict(records: pd.DataFrame, arms: list[dict[str, object]]) -> list[str]:
    """Return the outcome of a study in words, one sentence per item, from the records alone."""
    last = int(records["generation"].max())
    mean = records.groupby(["arm", "generation"]).mean(numeric_only=True)
    sentences = []
    for arm in arms:
        name = str(arm["name"])
        if (name, last) not in mean.index or last < 2:
            continue
        start, end = mean.loc[(name, 2)], mean.loc[(name, last)]
        change = end["entropy_train"] - start["entropy_train"]
        score, held_out = end["generalization_score"], end["generalization_score_reference"]
        side = "nearer to" if score < held_out else "farther from"
        sentences.append(
            f"{name}: from generation 2 to {last} the entropy of the training set "
            f"{'fell' if change < 0 else 'rose'} by {abs(change):.1f} nats; the Fréchet distance "
            f"went from {start['frechet_distance']:.2f} to {end['frechet_distance']:.2f}; the last "
            f"samples lie {side} their training set (GS {score:.2f}) than held-out real rows do "
            f"({held_out:.2f}); {100 * end['memorized_fraction']:.1f} % of them are memorized; "
            f"the last training set is {100 * end['real_share']:.0f} % real."
        )
    if last >= 2:
        final = mean.xs(last, level="generation")["frechet_distance"]
        sentences.append(
            f"At generation {last} the Fréchet distance to held-out real data is lowest under "
            f"{final.idxmin()} ({final.min():.2f}) and highest under {final.idxmax()} "
            f"({final.max():.2f})."
        )
    return sentences
