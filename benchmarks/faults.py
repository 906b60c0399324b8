"""What becomes of work that is killed at random moments: counts, as docs/reliability.md states them.

    python benchmarks/faults.py study select measure --kills 100

Each is killed by SIGKILL at a moment drawn from its whole duration. study: a small one on the local
engine with two workers; the whole group, the parent alone, or one worker alone (in turns). select:
greedy from 50,000 images by the features of a network, with its cache and its checkpoint. measure:
two sets of images by the same features. The same call then runs to its end, a study without workers;
its result must be that of a run that nothing disturbed, what lies on the disk must be sound, and no
process may be left over.
"""

import argparse
import json
import multiprocessing
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from multiprocessing.context import ForkProcess
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import psutil
import torch

import entroloop as el
from entroloop.__main__ import main as entroloop
from entroloop.commands.doctor import examine
from entroloop.commands.measure import measure_files
from entroloop.commands.run import run_study
from entroloop.commands.select import CHECKPOINT, Request, select_files
from entroloop.engines.job import Job
from entroloop.study.loop import run_generation
from entroloop.study.plan import Step
from entroloop.system.progress_line import no_progress_of
from entroloop.system.seal import unsealed_bytes

STUDY = {
    "name": "tiny", "generations": 6, "seeds": [0, 1], "generator": "gaussian",
    "data": {"source": "digits", "n_train": 60, "n_reference": 60}, "metrics": {"unselected": 8},
    "arms": [{"paradigm": "replace"}, {"paradigm": "accumulate_subsample", "strategy": "greedy"}],
}  # fmt: skip
FORK = multiprocessing.get_context("fork")
GROUP, PARENT, WORKER = "the whole group", "the parent alone", "one worker alone"


class Study:
    """A small study; what it leaves is the study folder."""

    victims = (GROUP, PARENT, WORKER)

    def __init__(self, root: Path) -> None:
        self._file = root / "study.yaml"
        self._file.write_text(json.dumps(STUDY))

    def command(self, folder: Path) -> list[str]:
        return ["run", str(self._file), "--out", str(folder), "--workers", "2"]

    def again(self, folder: Path) -> Any:
        """Run the same in this process, and return its result."""
        list(run_study(STUDY, out=folder, engine=Here()))
        table = el.load_records(folder)
        plain = table[[c for c in table if "seconds" not in c and "peak" not in c]]
        lines = plain.to_json(orient="records", lines=True, double_precision=15)
        return sorted(lines.splitlines())

    def left(self, folder: Path) -> str:
        """Return what the killed process left from which the next one goes on."""
        stages = len(list(folder.glob("stages/*/*/stage.json")))
        return f"{'some' if stages else 'no'} stages"

    def is_sound(self, folder: Path) -> bool:
        return examine(folder).is_whole


class Here:
    """An engine within this process."""

    def run_steps(self, job: Job) -> Iterator[list[Step]]:
        schedule = job.schedule
        while len(schedule):
            number = next(schedule.ready())
            schedule.start(number)
            run_generation(schedule.steps[number], job.built, job.store, job.device, no_progress_of)
            yield schedule.done(number)


class OfFeatures:
    """What select and measure share: images, a network, and a cache in the folder."""

    victims = (GROUP,)

    def __init__(self, root: Path) -> None:
        rng = np.random.default_rng(0)
        self.pool, self.few, self.network = root / "pool.npy", root / "few.npy", root / "net.pt"
        np.save(self.pool, rng.integers(0, 256, (50_000, 12, 12, 1), dtype=np.uint8))
        np.save(self.few, rng.integers(0, 256, (20_000, 12, 12, 1), dtype=np.uint8))
        torch.manual_seed(0)
        torch.jit.script(Network()).save(str(self.network))

    @property
    def features(self) -> str:
        return f"torchscript:{self.network}"

    def left(self, folder: Path) -> str:
        """Return what the killed process left from which the next one goes on."""
        cached = len(list((folder / "cache").rglob("*.npy")))
        return f"{'some' if cached else 'no'} features"

    def is_sound(self, folder: Path) -> bool:
        cached = (path.read_bytes() for path in (folder / "cache").rglob("*.npy"))
        return all(unsealed_bytes(content) is not None for content in cached)


class Network(torch.nn.Module):
    """A small network of fixed random weights."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = torch.nn.Conv2d(1, 8, 5, padding=2)
        self.outer = torch.nn.Conv2d(8, 8, 5, padding=2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.outer(torch.relu(self.inner(x.float() / 255)))).mean((2, 3))


class Select(OfFeatures):
    """A greedy selection of images; its result are the picks."""

    def _request(self, folder: Path) -> Request:
        pools = [f"pool={self.pool}"]
        return Request(
            pools=pools, n=2000, features=self.features, out=folder / "out", device="cpu"
        )

    def command(self, folder: Path) -> list[str]:
        asked = self._request(folder)
        named = ["--features", asked.features or "raw", "--device", "cpu"]
        return [
            "select",
            "--pool",
            *asked.pools,
            "-n",
            str(asked.n),
            *named,
            "--out",
            str(asked.out),
        ]

    def again(self, folder: Path) -> Any:
        select_files(self._request(folder))
        return pd.read_parquet(folder / "out/selection.parquet").to_json(double_precision=15)

    def left(self, folder: Path) -> str:
        if (folder / "out/selection.parquet").exists():
            return "the result"
        picks = (folder / "out" / CHECKPOINT).exists()
        return "a checkpoint" if picks else super().left(folder)

    def is_sound(self, folder: Path) -> bool:
        names = {path.name for path in (folder / "out").iterdir()}
        whole = {"selection.parquet", "summary.json", ".entroloop-manifest.json"}
        return names == whole and super().is_sound(folder)


class Measure(OfFeatures):
    """Metrics of two sets; their result are the values."""

    METRICS = ("generalization_score", "memorized_fraction", "auth_pct")

    def command(self, folder: Path) -> list[str]:
        sets = ["--generated", str(self.pool), "--train", str(self.few)]
        named = [
            "--features",
            self.features,
            "--device",
            "cpu",
            "--metrics",
            ",".join(self.METRICS),
        ]
        return ["measure", *sets, *named]

    def again(self, folder: Path) -> Any:
        sets = {"generated": self.pool, "train": self.few}
        found = measure_files(sets, self.features, self.METRICS).as_json()["metrics"]
        return {
            name: {k: v for k, v in told.items() if k != "seconds"} for name, told in found.items()
        }


SUBJECTS = {"study": Study, "select": Select, "measure": Measure}


def killed(command: list[str], who: str, after: float, chance: random.Random) -> bool:
    """Start a command, kill what is asked for; return whether it was still there to be killed.

    after: seconds after the start, or, to kill a worker, after the first worker has started.
    """
    process = started(command)
    while who == WORKER and not workers(process) and process.is_alive():
        time.sleep(0.01)
    time.sleep(after)
    try:
        if who == WORKER:
            found = workers(process)
            victims = [chance.choice(found)] if found else []
        else:
            parent = psutil.Process(process.pid)
            victims = [parent, *(parent.children(recursive=True) if who == GROUP else [])]
        for victim in victims:
            victim.send_signal(signal.SIGKILL)
    except psutil.NoSuchProcess:
        victims = []
    process.join()
    limit = time.monotonic() + 20
    while any(
        p.is_running() and p.status() != psutil.STATUS_ZOMBIE for p in tree_of(process.pid, victims)
    ):
        if time.monotonic() > limit:
            sys.exit(f"killed {who} after {after:.2f} s: a process is left over")
        time.sleep(0.02)
    return bool(victims)


def started(command: list[str]) -> ForkProcess:
    """Start a command in a session of its own; what Python imports, this process has imported."""
    process = FORK.Process(target=as_command, args=(command,))
    process.start()
    return process


def as_command(command: list[str]) -> None:
    os.setsid()
    for stream in (1, 2):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream)
    sys.argv[1:] = command
    entroloop()


def workers(process: ForkProcess) -> list[psutil.Process]:
    """Return the workers of a study that runs."""
    try:
        children = psutil.Process(process.pid).children(recursive=True)
        return [child for child in children if "entroloop.engines.worker" in child.cmdline()]
    except psutil.NoSuchProcess:
        return []


def durations(command: list[str]) -> tuple[float, float]:
    """Return how long a command takes, and for how much of that it has workers."""
    began, process, working = time.monotonic(), started(command), 0.0
    last = began
    while process.is_alive():
        time.sleep(0.02)
        now = time.monotonic()
        working += (now - last) * bool(workers(process))
        last = now
    if process.exitcode:
        sys.exit(f"exit code {process.exitcode}: entroloop {' '.join(command)}")
    return last - began, working


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


def count(name: str, kills: int, chance: random.Random, root: Path) -> bool:
    """Kill one command again and again, print what became of it; return whether all went on."""
    subject, counts = SUBJECTS[name](root), Counter[str]()
    times = []
    for i in range(3):  # the machine may be busy meanwhile
        folder = root / f"{name}-whole-{i}"
        os.environ["ENTROLOOP_CACHE"] = str(folder / "cache")
        times.append(durations(subject.command(folder)))
    duration, working = min(times)
    whole = subject.again(folder)
    print(f"{name}, undisturbed: {duration:.1f} s, {working:.1f} s with workers", flush=True)
    for k in range(kills):
        folder, who = root / f"{name}-{k}", subject.victims[k % len(subject.victims)]
        os.environ["ENTROLOOP_CACHE"] = str(folder / "cache")
        after = chance.uniform(0, working) if who == WORKER else chance.uniform(0.2, duration)
        hit = killed(subject.command(folder), who, after, chance)
        told = f"killed, {subject.left(folder)} made" if hit else "had ended, or had no worker yet"
        equal, sound = subject.again(folder) == whole, subject.is_sound(folder)
        counts[f"{who}: {told}"] += 1
        counts["gave an equal result"] += equal
        counts["left everything sound"] += sound
        shutil.rmtree(folder)
        if not (equal and sound):
            print(f"{who}, kill {k}: equal {equal}, sound {sound}", flush=True)
    for told, times in sorted(counts.items()):
        print(f"{times:4} {told}", flush=True)
    return counts["gave an equal result"] == counts["left everything sound"] == kills


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("subjects", nargs="*", default=["study"], help=" ".join(SUBJECTS))
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="entroloop-faults-") as name:
        made = [
            count(subject, asked.kills, random.Random(asked.seed), Path(name))
            for subject in asked.subjects
        ]
    if not all(made):
        sys.exit(1)


if __name__ == "__main__":
    main()
