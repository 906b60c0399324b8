"""An independent judge of studies on images, or on principal components of images.

    python benchmarks/judge.py STUDY-FOLDER NETWORK.pt [--resize PIXELS] [--out judged.csv]

Takes the Fréchet distance of the features of every run's samples, by a network that selected nothing
and trained nothing, to those of the held-out rows: generation 1 and the last, beside that of real
training rows. Rows that stand for images are decoded first; --resize brings images to the size that
the network takes, with Pillow's bicubic filter.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

from entroloop.data.preparing import cropped_and_resized
from entroloop.features import extractor_for
from entroloop.metrics.moments import frechet_distance
from entroloop.report.read import StudyView
from entroloop.study.build import build
from entroloop.study.config import StudyConfig
from entroloop.study.history import History
from entroloop.study.plan import plan


def judge(study: Path, network: str, resize: int | None) -> pd.DataFrame:
    """Return one line a run and generation: the judge's Fréchet distance."""
    view = StudyView.open(study)
    config = StudyConfig.model_validate(view.config)
    built = build(config, try_out=False)
    decoder = view.real.decoder

    def seen(rows: np.ndarray) -> np.ndarray:
        images = rows if decoder is None else decoder(rows)
        if resize is None:
            return images
        return np.stack([cropped_and_resized(image, resize, "bicubic") for image in images])

    extractor = extractor_for(f"torchscript:{network}").seeing(seen)

    last, lines = config.generations, []
    steps = [s for s in plan(built, "", "cpu") if s.generation in (1, last)]
    references, judged = {}, {}  # of each seed, and of each stage: arms share some
    for step in steps:
        history = History(step, built, view.store)
        if step.seed not in references:
            references[step.seed] = extractor(history.reference().data)
            real = extractor(history.real_train().data)
            lines.append({
                "arm": "real training rows", "seed": step.seed, "generation": 0,
                "judge": frechet_distance(generated=real, reference=references[step.seed]),
            })  # fmt: skip
        arm = step.arm.name
        keys = view.keys(arm, step.seed)
        if len(keys) < step.generation:
            continue
        stage = keys[step.generation - 1]["samples"]
        if stage not in judged:
            features = extractor(np.asarray(view.samples(arm, step.seed, step.generation)))
            judged[stage] = frechet_distance(generated=features, reference=references[step.seed])
        lines.append({
            "arm": arm, "seed": step.seed, "generation": step.generation, "judge": judged[stage],
        })  # fmt: skip
    return pd.DataFrame(lines)


def main() -> None:
    """Judge a study."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("study", type=Path)
    parser.add_argument("network")
    parser.add_argument("--resize", type=int)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    found = judge(given.study, given.network, given.resize)
    if given.out:
        found.to_csv(given.out, index=False)
    print(found.pivot_table(index=["arm", "generation"], columns="seed", values="judge").round(1))


if __name__ == "__main__":
    main()
