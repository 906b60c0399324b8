"""The rows of the table of metrics that compare with held-out real rows: quality and variety."""

from __future__ import annotations

from entroloop.metrics.frequencies import high_frequency_loss_of
from entroloop.metrics.kernels import inception_score_of, kernel_distance_of
from entroloop.metrics.manifold import K, balls, coverage_rows_of
from entroloop.metrics.metric import ANY, G, Metric, R, floor_of, mean_of
from entroloop.metrics.moments import (
    frechet_distance_infinity_of,
    frechet_distance_of,
    rank_note,
)
from entroloop.metrics.neighbourhood import nearest_distances_of
from entroloop.metrics.sets import Sets
from entroloop.metrics.sliced import sliced_wasserstein_of
from entroloop.metrics.tails import tail_coverage_rows_of, tail_share_of

FID = "with FID libraries on the same features and numbers of rows"
PRDC = "with prdc (k = 5) if no rows are equal"


def _coverage(sets: Sets) -> float:
    return float(coverage_rows_of(sets).mean())


BESIDE_REFERENCE: dict[str, Metric] = {
    "frechet_distance": Metric(
        (G, R), frechet_distance_of,
        "distance between the sets as Gaussians: quality and variety in one",
        wide="no interval", comparable=FID, note=rank_note, smooth=1.0,
        beside=("frechet_distance_floor",),
    ),
    "frechet_distance_floor": floor_of(frechet_distance_of, "its bias at these numbers"),
    "frechet_distance_infinity": Metric(
        (G, R), frechet_distance_infinity_of,
        "the same, extrapolated to infinitely many generated rows",
        wide="on request", comparable=FID, note=rank_note, smooth=1.0,
        bounds=ANY,
        fewest=500,
    ),
    "kernel_distance": Metric(
        (G, R), kernel_distance_of,
        "KID: like the Fréchet distance, but unbiased at any number of rows",
        comparable="with KID libraries (third-degree kernel), up to the chance of their subsets",
        bounds=ANY, smooth=1.0, beside=("kernel_distance_floor",), version=2,
    ),
    "kernel_distance_floor": floor_of(kernel_distance_of, "0 up to chance"),
    "inception_score": Metric(
        (G, "probabilities"), inception_score_of,
        "is each row's class certain, and do the rows cover many classes?",
        comparable="with one-split inception scores of the same network",
    ),
    "sliced_wasserstein": Metric(
        (G, R), sliced_wasserstein_of, "transport distance along 256 random lines",
    ),
    "precision": Metric(
        (G, R), lambda s: float((balls(s) > 0).mean()),
        "share of generated rows within a real neighbourhood",
        comparable=PRDC, bounds=(0.0, 1.0),
    ),
    "recall": Metric(
        (G, R), lambda s: float((balls(s, of=R, around=G) > 0).mean()),
        "share of real rows within a generated neighbourhood",
        comparable=PRDC, bounds=(0.0, 1.0),
    ),
    "density": Metric(
        (G, R), lambda s: float(balls(s).mean() / K),
        "how many real neighbourhoods contain a generated row, over k", comparable=PRDC,
    ),
    "coverage": Metric(
        (G, R), _coverage, "share of real rows with a generated row in their neighbourhood",
        comparable=PRDC, bounds=(0.0, 1.0), beside=("coverage_floor",),
    ),
    "coverage_floor": floor_of(_coverage, "the most to hope for"),
    "coverage_distance": Metric(
        (G, R), lambda s: float(nearest_distances_of(s, R, G).mean()),
        "mean distance from a real row to its nearest generated row",
    ),
    "tail_share": Metric(
        (G, R), tail_share_of,
        "share of rows beyond the 95 % quantile of real distances to the mean; 0.05 is right",
        bounds=(0.0, 1.0), on_request=True,
    ),
    "tail_coverage": mean_of(
        (G, R), R, tail_coverage_rows_of,
        "share of real rows in the tails with a generated row in their neighbourhood",
        every_row=False, bounds=(0.0, 1.0), on_request=True, beside=("tail_coverage_floor",),
    ),
    "tail_coverage_floor": floor_of(
        lambda s: float(tail_coverage_rows_of(s).mean()), "the most to hope for"
    ),
    "high_frequency_loss": Metric(
        (G, R, "images"), high_frequency_loss_of,
        "by how much the share of power in fine detail is below that of real images, in nats",
        bounds=ANY, on_request=True, smooth=1.0,
    ),
}  # fmt: skip
