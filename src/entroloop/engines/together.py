"""One step of a study by several processes that train together; started by a launcher.

python -m torch.distributed.run --nproc-per-node K -m entroloop.engines.together STEP.json
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from entroloop.engines.job import Assignment, Job
from entroloop.engines.ranks import RanksEngine, follow, is_follower
from entroloop.engines.schedule import Schedule, StageUpdate


def main(path: str) -> None:
    """Make the step that a file names."""
    told = json.loads(Path(path).read_text("utf-8"))
    here = Assignment.workplace(told["assignment"])
    if is_follower():
        follow(here.steps, here.built, here.store, here.device)
        return
    job = Job(
        # The steps before it are complete: the schedule need not know of them.
        schedule=Schedule(here.steps, [told["step"]]),
        built=here.built,
        store=here.store,
        real_key=here.real_key,
        device=here.device,
        listen=_ignore,
    )
    for _ in RanksEngine().run_steps(job):
        pass


def _ignore(update: StageUpdate) -> None:  # noqa: ARG001
    return


if __name__ == "__main__":
    main(sys.argv[1])
