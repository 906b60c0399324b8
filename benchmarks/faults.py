"""What becomes of a study that is killed at random moments: counts, as docs/reliability.md states them.

    python benchmarks/faults.py --kills 100

A small study on the local engine with two workers is killed by SIGKILL at a moment drawn from its
whole duration: the whole group, the parent alone, or one worker alone (in turns). The same command
then runs to its end; its records must be those of a run that nothing disturbed, `doctor` must find
nothing, and no process may be left over.
"""

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import psutil

import entroloop as el
from entroloop.commands.doctor import examine
from entroloop.commands.run import run_study

STUDY = {
    "name": "tiny", "generations": 4, "seeds": [0, 1], "generator": "gaussian",
    "data": {"source": "digits", "n_train": 60, "n_reference": 60}, "metrics": {"unselected": 8},
    "arms": [{"paradigm": "replace"}, {"paradigm": "accumulate_subsample", "strategy": "greedy"}],
}  # fmt: skip
WHO = ("the whole group", "the parent alone", "one worker alone")


def command(folder: Path) -> list[str]:
    study = folder.parent / "study.yaml"
    study.write_text(json.dumps(STUDY))
    return [
        sys.executable,
        "-m",
        "entroloop",
        "run",
        str(study),
        "--out",
        str(folder),
        "--workers",
        "2",
    ]


def records(folder: Path) -> list[str]:
    table = el.load_records(folder)
    plain = table[[c for c in table if "seconds" not in c and "peak" not in c]]
    return sorted(plain.to_json(orient="records", lines=True, double_precision=15).splitlines())


def killed(folder: Path, who: str, after: float, chance: random.Random) -> bool:
    """Start a study, kill what is asked for; return whether it was still there to be killed."""
    process = subprocess.Popen(
        command(folder),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    time.sleep(after)
    try:
        tree = psutil.Process(process.pid).children(recursive=True)
        if who == "one worker alone":
            victims = [chance.choice(tree)] if tree else []
        else:
            victims = [psutil.Process(process.pid), *(tree if who == "the whole group" else [])]
        for victim in victims:
            victim.send_signal(signal.SIGKILL)
    except psutil.NoSuchProcess:
        victims = []
    process.wait()
    limit = time.monotonic() + 20
    while any(
        p.is_running() and p.status() != psutil.STATUS_ZOMBIE for p in tree_of(process.pid, victims)
    ):
        if time.monotonic() > limit:
            sys.exit(f"killed {who} after {after:.2f} s: a process is left over")
        time.sleep(0.02)
    return bool(victims)


def tree_of(group: int, victims: list[psutil.Process]) -> list[psutil.Process]:
    """Return the processes that are still there of a session that was started."""
    found = list(victims)
    for process in psutil.process_iter():
        try:
            if os.getsid(process.pid) == group:
                found.append(process)
        except (OSError, psutil.Error):
            continue
    return found


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    chance, counts = random.Random(asked.seed), Counter[str]()
    with tempfile.TemporaryDirectory(prefix="entroloop-faults-") as name:
        root = Path(name)
        began = time.monotonic()
        subprocess.run(command(root / "whole"), check=True, capture_output=True)
        duration, whole = time.monotonic() - began, records(root / "whole")
        print(f"undisturbed: {duration:.1f} s, {len(whole)} records", flush=True)
        for k in range(asked.kills):
            folder, who = root / f"s{k}", WHO[k % len(WHO)]
            hit = killed(folder, who, chance.uniform(0.2, duration), chance)
            list(run_study(STUDY, out=folder, workers=2))  # as the same command does
            equal, sound = records(folder) == whole, examine(folder).is_whole
            counts[f"{who}: {'killed' if hit else 'had ended, or had no worker yet'}"] += 1
            counts["resumed to equal records"] += equal
            counts["found whole by doctor"] += sound
            shutil.rmtree(folder)
            if not (equal and sound):
                print(f"{who}, kill {k}: equal {equal}, whole {sound}", flush=True)
    for told, count in sorted(counts.items()):
        print(f"{count:4} {told}")
    if counts["resumed to equal records"] != asked.kills:
        sys.exit(1)


if __name__ == "__main__":
    main()
