"""Run lists: the stages of each run, under the present configuration of a study and earlier ones.

arms/<arm>/seed-<seed>.json lists the keys of the complete generations, of all planned generations,
and of those that were complete under other configurations. Stages are found by key alone, so a run
whose list is lost is still re-used; but only a list records which run a stage belongs to.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from itertools import takewhile

from entroloop.errors import InputError
from entroloop.store.folder import Store
from entroloop.store.stage_info import is_stage

Keys = dict[str, str]  # key of each of the four stages of a generation, by kind
Run = tuple[str, int]  # arm and seed


@dataclass(frozen=True)
class RunList:
    """The stage keys of a run's generations: complete, planned, and of other configurations."""

    generations: list[Keys] = field(default_factory=list)
    planned: list[Keys] = field(default_factory=list)
    others: list[list[Keys]] = field(default_factory=list)

    def under(self, planned: list[Keys], complete: Callable[[Keys], bool]) -> RunList:
        """Return the list under a configuration that plans this; [] if it lacks the run.

        complete: returns whether all stages of a generation exist. Keeps those complete before.
        """
        done = list(takewhile(complete, planned))
        before = list(takewhile(complete, self.planned or self.generations))
        others: list[list[Keys]] = []
        for chain in sorted([*self.others, before], key=len, reverse=True):
            if not any(chain == known[: len(chain)] for known in (done, *others)):
                others.append(chain)
        return RunList(done, planned, others)

    def stages(self, *, present: bool = False) -> Iterator[tuple[str, str]]:
        """Yield kind and key of all stages, or only of those of the present configuration."""
        for chain in (self.generations, self.planned, *(() if present else self.others)):
            for keys in chain:
                yield from keys.items()

    def keys(self, *, present: bool = False) -> set[str]:
        """Return all keys, or only those of the present configuration."""
        return {key for _, key in self.stages(present=present)}


@dataclass(frozen=True)
class OtherRun:
    """Generations of a run under a configuration other than the present one."""

    arm: str
    seed: int
    generations: list[int]
    keys: list[Keys]  # of each of these generations


def read_run_lists(store: Store) -> dict[Run, RunList]:
    """Return all run lists of a study folder.

    Raises InputError for a list that cannot be read.
    """
    store.fetch_run_lists()
    found = {}
    for path in sorted(store.root.glob("arms/*/seed-*.json")):
        try:
            content = json.loads(path.read_text("utf-8"))
            run = path.parent.name, int(path.stem.removeprefix("seed-"))
            found[run] = RunList(**content)
            if not all(is_stage(*stage) for stage in found[run].stages()):
                raise ValueError
        except (OSError, ValueError, TypeError, AttributeError):
            raise InputError(
                f"{path} cannot be read as a list of stages; move it away (its stages stay, and "
                "the same command finds them again)"
            ) from None
    return found


def write_run_list(store: Store, run: Run, runs: RunList) -> None:
    """Write the list of a run, unless the folder holds it already: of many runs, few change."""
    name, content = f"arms/{run[0]}/seed-{run[1]}.json", json.dumps(asdict(runs), indent=1).encode()
    if store.read(name) != content:
        store.write(name, content)


def remove_run_list(store: Store, run: Run) -> None:
    """Remove the list of a run."""
    arm, seed = run
    store.remove(f"arms/{arm}/seed-{seed}.json")
    folder = store.root / "arms" / arm
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()


def other_runs(lists: dict[Run, RunList]) -> list[OtherRun]:
    """Return the runs of other configurations in the lists, each generation once."""
    found = []
    for (arm, seed), runs in sorted(lists.items()):
        seen = {keys["record"] for keys in runs.generations}
        for chain in runs.others:
            new = [(g, keys) for g, keys in enumerate(chain, 1) if keys["record"] not in seen]
            seen |= {keys["record"] for _, keys in new}
            if new:
                found.append(OtherRun(arm, seed, [g for g, _ in new], [k for _, k in new]))
    return found


def told(others: Iterable[OtherRun]) -> str:
    """Describe other runs in words: arms with their seeds and generations.

    >>> told([OtherRun("a", 1, [1, 2], []), OtherRun("a", 2, [1, 2], [])])
    'a (seeds 1, 2; generations 1–2)'
    """
    by_arm: dict[str, list[OtherRun]] = {}
    for other in others:
        by_arm.setdefault(other.arm, []).append(other)
    words = []
    for arm, runs in by_arm.items():
        seeds = ", ".join(map(str, sorted({run.seed for run in runs})))
        every = [g for run in runs for g in run.generations]
        span = f"{min(every)}–{max(every)}" if len(set(every)) > 1 else f"{every[0]}"
        plural = "s" if "," in seeds else ""
        words.append(f"{arm} (seed{plural} {seeds}; generation{'s' if '–' in span else ''} {span})")
    return ", ".join(words)


def is_complete(store: Store, keys: Keys) -> bool:
    """Return whether a store holds all stages of a generation."""
    return all(store.info(kind, key) is not None for kind, key in keys.items())
