"""Real images as principal components, for loops that a CPU affords; and an independent judge.

    python benchmarks/latent.py prepare PARQUET-FOLDER OUT.npz [--components 64] [--rows 4000]
    python benchmarks/latent.py judge STUDY-FOLDER LATENT.npz NETWORK.pt [--out judged.csv]

`prepare` learns the components from the first rows and writes all the others in these coordinates
(float32; a study takes them as source `arrays`, key `data`), with what decodes them. `judge` decodes
samples of every run to images and takes the Fréchet distance of their features, by a network that
selected nothing and trained nothing, to those of the decoded held-out rows: generation 1 and the
last, beside that of decoded real training rows.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

from entroloop.data.images import Parquet
from entroloop.features import extractor_for
from entroloop.metrics.moments import frechet_distance
from entroloop.report.read import StudyView
from entroloop.study.build import build
from entroloop.study.config import StudyConfig
from entroloop.study.history import History
from entroloop.study.plan import plan


def prepare(folder: Path, out: Path, components: int, rows: int) -> None:
    """Write images as coordinates on the principal components of the first rows."""
    from sklearn.decomposition import PCA

    loaded = Parquet(path=str(folder), files="train*", label=None, n_train=2, n_reference=2).load()
    images = np.asarray(loaded.data)
    flat = images.reshape(len(images), -1).astype(np.float64)
    fitted = PCA(components, svd_solver="full").fit(flat[:rows])
    scale = float(np.sqrt(fitted.explained_variance_.mean()))
    np.savez(
        out,
        data=(fitted.transform(flat[rows:]) / scale).astype(np.float32),
        components=fitted.components_ * scale,
        mean=fitted.mean_,
        shape=np.array(images.shape[1:]),
    )
    kept = fitted.explained_variance_ratio_.sum()
    print(f"{len(flat) - rows:,} rows, {100 * kept:.1f} % of the variance kept")


def decoded(rows: np.ndarray, latent: dict[str, np.ndarray]) -> np.ndarray:
    """Return rows as uint8 images."""
    pixels = rows.astype(np.float64) @ latent["components"] + latent["mean"]
    images = np.rint(np.clip(pixels, 0, 255)).astype(np.uint8)
    return images.reshape(len(rows), *latent["shape"])


def judge(study: Path, latent: dict[str, np.ndarray], network: str) -> pd.DataFrame:
    """Return one line a run and generation: the judge's Fréchet distance."""
    view = StudyView.open(study)
    config = StudyConfig.model_validate(view.config)
    built = build(config, try_out=False)
    extractor = extractor_for(f"torchscript:{network}")
    last, lines = config.generations, []
    steps = [s for s in plan(built, "", "cpu") if s.generation in (1, last)]
    references = {}
    for step in steps:
        history = History(step, built, view.store)
        if step.seed not in references:
            references[step.seed] = extractor(decoded(history.reference().data, latent))
            real = extractor(decoded(history.real_train().data, latent))
            lines.append({
                "arm": "real training rows", "seed": step.seed, "generation": 0,
                "judge": frechet_distance(generated=real, reference=references[step.seed]),
            })  # fmt: skip
        arm = step.arm.name
        if len(view.keys(arm, step.seed)) < step.generation:
            continue
        rows = np.asarray(view.samples(arm, step.seed, step.generation))
        features = extractor(decoded(rows, latent))
        distance = frechet_distance(generated=features, reference=references[step.seed])
        lines.append({
            "arm": arm, "seed": step.seed, "generation": step.generation, "judge": distance,
        })  # fmt: skip
    return pd.DataFrame(lines)


def main() -> None:
    """Prepare a file of coordinates, or judge a study."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    first = commands.add_parser("prepare")
    first.add_argument("folder", type=Path)
    first.add_argument("out", type=Path)
    first.add_argument("--components", type=int, default=64)
    first.add_argument("--rows", type=int, default=4000)
    second = commands.add_parser("judge")
    second.add_argument("study", type=Path)
    second.add_argument("latent", type=Path)
    second.add_argument("network")
    second.add_argument("--out", type=Path)
    given = parser.parse_args()
    if given.command == "prepare":
        prepare(given.folder, given.out, given.components, given.rows)
        return
    with np.load(given.latent) as file:
        latent = {name: file[name] for name in file.files}
    found = judge(given.study, latent, given.network)
    print(found.pivot_table(index=["arm", "generation"], columns="seed", values="judge").round(3))
    if given.out:
        found.to_csv(given.out, index=False)


if __name__ == "__main__":
    main()
