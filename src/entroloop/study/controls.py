"""Control loops of a study: generators that cannot memorize, under the same data and seeds.

What shrinks or moves in them is what the loop does to any generator. They take seconds, are kept
beside the records (controls.parquet), and are made again where the study changes.
"""

from __future__ import annotations

import tempfile
from io import BytesIO
from typing import TYPE_CHECKING

from entroloop.store.folder import Store
from entroloop.store.records import frame, read_record
from entroloop.store.stages import read_real, real_key, write_real
from entroloop.study.build import build
from entroloop.study.config import ArmConfig, StudyConfig, fingerprint
from entroloop.study.loop import run_generation
from entroloop.study.plan import RECORD_FORMAT, plan
from entroloop.system.progress_line import Progress, no_progress, no_progress_of

if TYPE_CHECKING:
    import pandas as pd

CONTROLS = ("gaussian", "kde")
FILE = "controls.parquet"


def control_name(arm: str, generator: str) -> str:
    """Return what the control of an arm is called.

    >>> control_name("replace-random", "kde")
    'replace-random with kde'
    """
    return f"{arm} with {generator}"


def has_controls(arm: ArmConfig) -> bool:
    """Whether an arm's collapse is compared with controls: random samples replace the data.

    What a remedy does to its generator, a control does not do; a Gaussian of the bytes of texts
    would be no control of a language model.
    """
    plain = not arm.generator_args and arm.generator["name"] not in (*CONTROLS, "tiny_lm")
    return plain and (arm.paradigm, arm.strategy) == ("replace", "random")


def control_records(
    store: Store, config: StudyConfig, progress: Progress = no_progress
) -> pd.DataFrame:
    """Return the records of the controls of a study, made now or read from its folder.

    Empty where no arm has controls, or there are fewer than three generations to compare.
    """
    import pandas as pd

    content = [
        config.model_dump(mode="json", exclude={"trackers"}),
        store.identity(),
        RECORD_FORMAT,
    ]
    wanted = fingerprint(content)
    try:
        found = pd.read_parquet(store.root / FILE)
        if found.attrs.get("study") == wanted:
            return found
    except (OSError, ValueError):
        pass
    table = _made(store, config, progress)
    table.attrs["study"] = wanted
    buffer = BytesIO()
    table.to_parquet(buffer, index=False)
    store.write(FILE, buffer.getvalue())
    return table


def _made(store: Store, config: StudyConfig, progress: Progress) -> pd.DataFrame:
    """Run the control loops in a folder of their own, and return their records."""
    arms = [
        arm.model_copy(update={"name": control_name(arm.name, name), "generator": {"name": name}})
        for arm in config.arms
        for name in CONTROLS
        if has_controls(arm)
    ]
    if not arms or config.generations < 3:
        return frame([])
    metrics = config.metrics.model_copy(update={"extra": []})
    built = build(config.model_copy(update={"arms": arms, "metrics": metrics}), try_out=False)
    with tempfile.TemporaryDirectory(prefix="entroloop-controls-") as folder:
        own, real = Store(folder), read_real(store)
        key = real_key(real)
        own.open(config.name, key)
        try:
            write_real(own, key, real)
            steps, records = plan(built, key, "cpu"), []
            for done, step in enumerate(steps):
                progress(done, len(steps))
                run_generation(step, built, own, "cpu", no_progress_of)
                records.append(read_record(own, *step.identity, step.keys()))
        finally:
            own.close()
    progress(len(steps), len(steps))
    return frame(records)
