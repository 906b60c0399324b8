"""The picks of every strategy on twelve seeded pools are those that were written down.

`picks.json` holds a hash of the indices of each case, the options in order. Greedy, threshold decay
and random are defined to the last index, so that their hashes hold on every machine but for the
Mahalanobis distance, whose whitening is rounded as the processor's LAPACK does; that and the other
strategies, which stand on scikit-learn and such sums, are held against the file where it was
written alone. `python tests/equivalence/test_same_picks.py` writes it anew.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sklearn

import entroloop as el

FILE = Path(__file__).with_name("picks.json")
DEFINED = ("greedy", "threshold_decay", "random", "composable_coreset")
OTHERS = ("kmeans", "center_matching", "covariance_matching", "ds3", "semdedup",
          "latent_space_filter", "top_quality")  # fmt: skip
METRICS = ("euclidean", "cosine", "manhattan", "mahalanobis")


@cache
def pools() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(12)
    normal = rng.standard_normal
    low_rank = normal((8500, 5)) @ normal((5, 80)) + 0.01 * normal((8500, 80))
    copies = np.repeat(normal((60, 6)), 2, axis=0)[rng.permutation(120)]
    outliers = normal((150, 5))
    outliers[::30] *= 1e6
    folder = Path(tempfile.mkdtemp())
    np.save(folder / "map.npy", normal((180, 7)).astype(np.float32))
    return {
        "isotropic": normal((200, 16)).astype(np.float32),
        "float64": normal((160, 9)),
        "pixels": rng.integers(0, 256, (150, 48)).astype(np.uint8),
        "float16": normal((140, 12)).astype(np.float16),
        "lattice": rng.integers(-2, 3, (160, 3)).astype(np.float32),
        "half copies": copies,
        "offset": (normal((150, 8)) + 1e6).astype(np.float32),
        "outliers": outliers,
        "line": normal((100, 1)),
        "few": normal((11, 4)),
        "map": np.load(folder / "map.npy", mmap_mode="r"),
        "low rank": low_rank.astype(np.float32),
    }


def options(strategy: str, x: np.ndarray) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield what is asked of a strategy on a pool, by name."""
    m = len(x)
    rng = np.random.default_rng(m)
    more = {
        "ds3": {"reference": np.asarray(x[: max(2, m // 4)], dtype=np.float64)},
        "latent_space_filter": {"real": np.arange(m) % 2 == 0},
        "top_quality": {"scores": rng.standard_normal(m)},
    }.get(strategy, {})
    yield "plain", more
    yield "seed", more | {"seed": 5}
    yield "candidates", more | {"candidates": np.arange(m) % 3 > 0}
    yield "equal groups", more | {"groups": np.arange(m) % 2, "quota": "equal"}
    yield "groups", more | {"groups": np.arange(m) // 7 % 3}
    if strategy not in DEFINED:
        return
    yield "initial", {"initial": np.arange(0, m, 5)}
    yield "outside", {"initial": np.asarray(x[:3], dtype=np.float64) + 0.5}
    yield "weights", {"weights": rng.uniform(0.5, 2, m)}
    if strategy == "greedy":
        yield "first", {"first": m // 2}
        together = {"weights": rng.uniform(0.5, 2, m), "initial": [1, 3]}
        yield (
            "all together",
            together | {"groups": np.arange(m) % 2, "candidates": np.arange(m - 1)},
        )
    if strategy == "threshold_decay":
        order = rng.permutation(m)
        yield "order", {"order": order}
        yield "threshold", {"threshold": 1.5, "decay": 0.8, "order": order}
        yield "decay 0", {"decay": 0.0}
        for strength in (0.0, 0.3, 0.7, 1.0):
            yield f"strength {strength}", {"strength": strength}
        yield "strength, groups", {"strength": 0.5, "groups": np.arange(m) % 2}


def picks_of(strategy: str, metrics: tuple[str, ...] = METRICS) -> dict[str, str]:
    """Return a hash of the picks of every case of a strategy, or that it is refused."""
    found: dict[str, list[str]] = {}
    for pool, x in pools().items():
        for metric in metrics:
            for option, arguments in options(strategy, x):
                if pool == "low rank" and option not in ("plain", "weights", "strength 0.7"):
                    continue
                n = max(2, len(x) // 4) if len(x) < 1000 else 60
                try:
                    selection = el.select(x, n, strategy, metric=metric, **arguments)
                    digest = hashlib.sha256(selection.indices.tobytes()).hexdigest()[:6]
                except el.InputError:
                    digest = "refused"
                found.setdefault(f"{pool} / {metric}", []).append(digest)
    return {case: " ".join(digests) for case, digests in found.items()}


def machine() -> str:
    """Return what the picks depend on of the other strategies, and by Mahalanobis distance."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    facts = {name.strip(): value.strip() for name, _, value in (x.partition(":") for x in lines)}
    processor, flags = facts.get("model name", ""), facts.get("flags", "")
    abilities = hashlib.sha256(flags.encode()).hexdigest()[:6]  # one name, many processors
    versions = f"numpy {np.__version__}, scikit-learn {sklearn.__version__}"
    return f"{processor} ({abilities}), {versions}"


CASES = [
    *((strategy, METRICS) for strategy in DEFINED),
    *((strategy, METRICS[:1]) for strategy in OTHERS),
    *(pytest.param(strategy, METRICS[1:], marks=pytest.mark.slow) for strategy in OTHERS),
]


@pytest.mark.parametrize(("strategy", "metrics"), CASES)
def test_picks_are_those_that_were_written_down(strategy, metrics):
    written = json.loads(FILE.read_text())
    if written["machine"] != machine():
        if strategy in OTHERS:
            pytest.skip(f"picks.json was written on {written['machine']}")
        metrics = tuple(metric for metric in metrics if metric != "mahalanobis")
    expected = written["picks"][strategy].items()
    assert picks_of(strategy, metrics) == {
        case: picks for case, picks in expected if case.endswith(metrics)
    }


if __name__ == "__main__":
    every = {strategy: picks_of(strategy) for strategy in [*DEFINED, *OTHERS]}
    FILE.write_text(json.dumps({"machine": machine(), "picks": every}, indent=1) + "\n")
