"""A study in words: its outcome, and how its entropy and generalization score go together."""

from __future__ import annotations

import numpy as np
import pandas as pd

from entroloop.metrics.correlation import (
    Correlation,
    correlation,
    partial_correlation,
    pearson,
)
from entroloop.system.numbers import alike, from_to, number, percent


def entropy_and_score(
    records: pd.DataFrame, column: str = "generalization_score"
) -> Correlation | None:
    """Return the correlation of the training set's entropy with ln GS over generations ≥ 2.

    Generation 1 is left out because all arms share it. column: `generalization_ratio` takes the
    scale of the data out of the score.
    """
    rows = records[(records["generation"] >= 2) & (records[column] > 0)]
    if len(rows) < 3:
        return None
    return correlation(
        rows["entropy_train"],
        np.log(rows[column]),
        run=rows["arm"] + "/" + rows["seed"].astype(str),
        seed_of_run=rows["seed"],
    )


def geometry(records: pd.DataFrame, controls: pd.DataFrame) -> str:
    """Return in words how much of that correlation is there without memorization, too."""
    words = []
    rows = records[(records["generation"] >= 2) & (records["generalization_ratio"] > 0)]
    rows = rows[rows["generalization_score"] > 0]
    if len(rows) >= 3:
        score = np.log(rows["generalization_score"])
        own = score - np.log(rows["generalization_ratio"])
        words.append(
            "The training sets' own leave-one-out distances, no generator involved, have "
            f"r = {number(pearson(rows['entropy_train'], own))} with the entropy; with these held "
            "fixed, entropy and ln GS have the partial correlation "
            f"{number(partial_correlation(rows['entropy_train'], score, given=own))}"
        )
    without_scale = entropy_and_score(records, "generalization_ratio")
    if without_scale is not None:
        words.append(
            "with ln GS/LOO, which does not follow the scale of the data, "
            f"r = {number(without_scale.r)}"
        )
    for name, own in controls.groupby("arm"):
        found = entropy_and_score(own)
        if found is not None:
            words.append(
                f"the control loop {name}, which cannot memorize, has r = {number(found.r)}"
            )
    return "; ".join(words) + ("." if words else "")


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
        ours, theirs = alike(float(score), float(held_out))
        distances = from_to(float(start["frechet_distance"]), float(end["frechet_distance"]))
        sentences.append(
            f"{name}: from generation 2 to {last} the entropy of the training set "
            f"{'fell' if change < 0 else 'rose'} by {number(abs(change))} nats; the Fréchet "
            f"distance went {distances}; the last samples lie {side} their training set "
            f"(GS {ours}) than held-out real rows do ({theirs}), at "
            f"{number(end['generalization_ratio'])} of that set's own spacing; "
            f"{percent(end['memorized_fraction'])} of them are memorized; "
            f"{percent(end['real_share'])} of the last training set is real."
        )
    if last >= 2:
        final = mean.xs(last, level="generation")["frechet_distance"]
        sentences.append(
            f"At generation {last} the Fréchet distance to held-out real data is lowest under "
            f"{final.idxmin()} ({number(final.min())}) and highest under {final.idxmax()} "
            f"({number(final.max())})."
        )
    return sentences
