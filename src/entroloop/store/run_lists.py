"""Which stages each run has: under the present configuration of a study, and under earlier ones.

arms/<arm>/seed-<seed>.json lists the keys of the complete generations, of all that are planned, and
of those that were complete under other configurations. Stages are found by their keys alone, so
that a run whose list is lost is still re-used; but only a list can tell whose a stage is.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from itertools import takewhile

from entroloop.errors import InputError
from entroloop.store.folder import Store

Keys = dict[str, str]  # of the four stages of a generation, by kind
Run = tuple[str, int]  # arm and seed


@dataclass(frozen=True)
class RunList:
    """The keys of each generation of a run: complete, planned, and of other configurations."""

    generations: list[Keys] = field(default_factory=list)
    planned: list[Keys] = field(default_factory=list)
    others: list[list[Keys]] = field(default_factory=list)

    def under(self, planned: list[Keys], complete: Callable[[Keys], bool]) -> RunList:
        """Return the list once the configuration plans something else, nothing for no run at all.

        complete: whether all stages of a generation are there. What was complete before is kept.
        """
        done = list(takewhile(complete, planned))
        before = list(takewhile(complete, self.planned or self.generations))
        others: list[list[Keys]] = []
        for chain in sorted([*self.others, before], key=len, reverse=True):
            if not any(chain == known[: len(chain)] for known in (done, *others)):
                others.append(chain)
        return RunList(done, planned, others)

    def keys(self, *, present: bool = False) -> set[str]:
        """Return all keys, or those of the present configuration."""
        chains = [self.generations, self.planned, *([] if present else self.others)]
        return {key for chain in chains for keys in chain for key in keys.values()}


@dataclass(frozen=True)
class OtherRun:
    """A run, or its generations, of another configuration than the present one."""

    arm: str
    seed: int
    generations: list[int]
    keys: list[Keys]  # of each of these generations


def read_run_lists(store: Store) -> dict[Run, RunList]:
    """Return all lists of a study folder.

    Raises InputError for a list that cannot be read.
    """
    store.fetch_run_lists()
    found = {}
    for path in sorted(store.root.glob("arms/*/seed-*.json")):
        try:
            content = json.loads(path.read_text())
            run = path.parent.name, int(path.stem.removeprefix("seed-"))
            found[run] = RunList(**content)
            found[run].keys()
        except (OSError, ValueError, TypeError, AttributeError):
            raise InputError(
                f"{path} cannot be read as a list of stages; move it away (its stages stay, and "
                "are found again by the same command)"
            ) from None
    return found


def write_run_list(store: Store, run: Run, runs: RunList) -> None:
    """Write the list of a run."""
    arm, seed = run
    store.write(f"arms/{arm}/seed-{seed}.json", json.dumps(asdict(runs), indent=1))


def remove_run_list(store: Store, run: Run) -> None:
    """Remove the list of a run."""
    arm, seed = run
    store.remove(f"arms/{arm}/seed-{seed}.json")
    folder = store.root / "arms" / arm
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()


def other_runs(lists: dict[Run, RunList]) -> list[OtherRun]:
    """Return what the lists hold beside the present configuration, each generation once."""
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
    """Return other runs in words: arms with their seeds and numbers of generations.

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
    """Tell whether all stages of a generation are in a store."""
    return all(store.info(kind, key) is not None for kind, key in keys.items())
