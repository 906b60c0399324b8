"""One step of a study by several processes that train together; started by a launcher.

python -m torch.distributed.run --nproc-per-node K -m entroloop.engines.together STEP.json
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from entroloop.engines import Schedule, StageProgress
from entroloop.engines.ranks import follow, is_follower, run_steps_together
from entroloop.store.object_store import store_at
from entroloop.study.build import build
from entroloop.study.config import StudyConfig
from entroloop.study.plan import plan


def main(path: str) -> None:
    """Make the step that a file names."""
    told = json.loads(Path(path).read_text())
    built = build(StudyConfig.model_validate(told["config"]))
    store, device = store_at(told["store"]), told["device"]
    steps = plan(built, told["real"], device)
    if is_follower():
        follow(steps, built, store, device)
        return
    # The steps before it are complete: the schedule need not know of them.
    schedule = Schedule(steps, [told["step"]])
    for _ in run_steps_together(schedule, built, store, device, _say_nothing):
        pass


def _say_nothing(progress: StageProgress) -> None:  # noqa: ARG001
    return


if __name__ == "__main__":
    main(sys.argv[1])
