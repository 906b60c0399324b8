"""A metric: the median distance of a generated row to its nearest training row."""

import numpy as np

from entroloop.metrics import Metric, Sets


def median_distance(sets: Sets) -> float:
    """Return the median; the search for neighbours is shared with other metrics."""
    return float(np.median(sets.nearest("generated", "train_whole").distances[:, 0]))


MEDIAN_DISTANCE = Metric(
    ("generated", "train"),
    median_distance,
    "median distance to the nearest training row",
    every_row=True,  # else as many rows of each set as the smallest has
)
