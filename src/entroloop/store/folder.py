"""The study folder: content-addressed stages, committed atomically, and the files listing them."""

from __future__ import annotations

import json
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from entroloop.errors import InputError
from entroloop.samples import Array
from entroloop.seeding import class_labels
from entroloop.store.stage_info import FILE, StageInfo, is_stage
from entroloop.system.files import flocked, flush, sha256, write_atomically
from entroloop.system.usage import Usage, measured

QUARANTINE = "quarantine"  # a folder for damaged stages
FORMAT = 1  # stage format; part of every key
# Temporary files that an interrupted run can leave at the root: exactly this program's own names.
_FILES = (
    r"study\.json|config\.json|environment\.json|records\.parquet|controls\.parquet|report\.html"
)
_TEMPORARY = re.compile(rf"\.tmp-\d+-\d+|\.(?:{_FILES})\.\d+")


class Store:
    """A study folder.

    stages/<kind>/<key>/ holds one stage and its stage.json; a stage is present as a whole or not at
    all. study.json names the study and the real data that the folder belongs to.
    """

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root)
        self._lock: Any = None

    @property
    def url(self) -> str:
        """The address at which another process finds this store."""
        return str(self.root.resolve())

    # -- the folder ---------------------------------------------------------------------------

    def open(self, name: str, real_key: str) -> None:
        """Create the folder or check that it belongs to this study, and lock it for this run.

        Raises InputError for a folder that cannot be written, holds something else, belongs to a
        study with another name or other real data, or is in use.
        """
        self.check(name, real_key)
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            self._lock = _locked(self.root / ".lock")
            if not (self.root / "study.json").exists():
                self.write_identity(name, real_key)
            for left in self.root.iterdir():
                if _TEMPORARY.fullmatch(left.name):
                    shutil.rmtree(left) if left.is_dir() else left.unlink()
        except OSError as error:
            raise InputError(
                f"the output folder {self.root} cannot be written: {error.strerror}; "
                "choose another with --out"
            ) from None

    def check(self, name: str, real_key: str) -> None:
        """Reject a folder that does not belong to this study; write nothing."""
        if not self.root.exists():
            return
        if not self.root.is_dir():
            raise InputError(f"{self.root} is a file, not a folder; choose another with --out")
        identity = self.identity()
        if identity is None:
            # A run killed in its first moments leaves names of these forms, and no study.
            left = [p.name for p in self.root.iterdir()]
            if not all(name == ".lock" or _TEMPORARY.fullmatch(name) for name in left):
                mend = "; study.json is lost or damaged: entroloop doctor DIR --repair"
                raise InputError(
                    f"{self.root} holds something else than a study; choose another with --out"
                    + (mend if (self.root / "stages").is_dir() else "")
                )
        elif identity["study"] != name:
            raise InputError(
                f"{self.root} holds the study '{identity['study']}', not '{name}'; "
                "choose another folder with --out"
            )
        elif identity["real"] != real_key:
            raise InputError(
                f"{self.root} holds the study '{name}' on other real data; "
                "choose another folder with --out"
            )
        elif identity["format"] != FORMAT:
            raise InputError(
                f"{self.root} was written in format {identity['format']}, not {FORMAT}; "
                "choose another folder with --out"
            )

    def identity(self) -> dict[str, Any] | None:
        """Return the content of study.json, or None if it is missing or invalid."""
        try:
            identity = json.loads((self.root / "study.json").read_text("utf-8"))
            return identity if {"study", "real", "format"} <= set(identity) else None
        except (OSError, ValueError, TypeError):
            return None

    def write_identity(self, name: str, real_key: str) -> None:
        """Write study.json."""
        content = {"study": name, "real": real_key, "format": FORMAT}
        self.write("study.json", json.dumps(content, indent=1))

    def close(self) -> None:
        """Release the lock."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def write(self, name: str, content: str | bytes) -> None:
        """Write a file in the folder atomically."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, content)

    def read(self, name: str) -> bytes | None:
        """Return the content of a file in the folder as it is now, or None if there is none."""
        try:
            return (self.root / name).read_bytes()
        except OSError:
            return None

    def remove(self, name: str) -> None:
        """Remove a file from the folder, if it exists."""
        (self.root / name).unlink(missing_ok=True)

    def publish(self, path: Path) -> str:
        """Return the address at which others find a file written beside the stages."""
        return str(path)

    # -- stages -------------------------------------------------------------------------------

    def path(self, kind: str, key: str) -> Path:
        """Return the folder of a stage."""
        return self._folder(kind, key)

    def _folder(self, kind: str, key: str) -> Path:
        if not is_stage(kind, key):
            raise InputError(f"{self.root}: {kind!r}, {key!r} names no stage")
        return self.root / "stages" / kind / key

    def info(self, kind: str, key: str) -> StageInfo | None:
        """Return the information on a committed stage, or None.

        Raises InputError for a stage.json that lists files outside its folder.
        """
        folder = self._folder(kind, key)
        try:
            return StageInfo.from_json((folder / FILE).read_bytes(), str(folder))
        except OSError:
            return None

    def intact(self, kind: str, key: str) -> bool:
        """Return whether the stage exists and is what was committed."""
        info = self.info(kind, key)
        return info is not None and info.describes(self._folder(kind, key))

    def set_aside(self, kind: str, key: str) -> Path | None:
        """Move a stage to the folder `quarantine`, and return its path there, or None for none.

        What is damaged may still be of use to somebody, and may hold files that are not ours.
        """
        return self._moved_aside(self._folder(kind, key), f"{kind}-{key}")

    def set_file_aside(self, name: str) -> Path | None:
        """Move a file beside the stages to the folder `quarantine`, as `set_aside` does."""
        return self._moved_aside(self.root / name, name)

    def _moved_aside(self, path: Path, name: str) -> Path | None:
        if not os.path.lexists(path):
            return None
        away = self.root / QUARANTINE
        away.mkdir(exist_ok=True)
        target = away / f"{name}-{time.time_ns()}"
        path.rename(target)
        return target

    def discard(self, kind: str, key: str) -> None:
        """Remove a stage, if it exists."""
        folder = self._folder(kind, key)
        if folder.exists():
            away = self._temporary()
            folder.rename(away)
            shutil.rmtree(away, ignore_errors=True)

    @contextmanager
    def commit(self, kind: str, key: str, **about: Any) -> Iterator[Path]:
        """Yield an empty folder, whose files become the stage if the block succeeds."""
        folder = self._temporary()
        folder.mkdir()
        try:
            with measured() as usage:
                yield folder
            files = {p.relative_to(folder).as_posix(): [sha256(p)] for p in _files(folder)}
            info = StageInfo(files, usage.seconds, usage.peak_mb, about)
            for file in _files(folder):
                flush(file)
            self._write_info(folder, info)
            target = self._folder(kind, key)
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                folder.rename(target)
            except OSError:
                if Store.info(self, kind, key) is None:
                    raise
            flush(target.parent)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _temporary(self) -> Path:
        return self.root / f".tmp-{os.getpid()}-{time.monotonic_ns()}"

    def scratch(self, key: str) -> Path:
        """Return the checkpoint folder of an unfinished stage."""
        return self.root / "scratch" / key

    # -- samples: can be extended -------------------------------------------------------------

    def samples(self, key: str) -> Array:
        """Return the samples of a stage, memory-mapped; an empty array if there are none."""
        if self.info("samples", key) is None:
            return np.empty(0)
        path = self.path("samples", key) / "samples.npy"
        array: Array = np.load(path, mmap_mode="r", allow_pickle=False)
        return array

    def sample_labels(self, key: str) -> NDArray[np.int64] | None:
        """Return the classes requested for the samples of a stage, or None without classes."""
        info = self.info("samples", key)
        if info is None or not info.about.get("class_shares"):
            return None
        about, n = info.about, len(self.samples(key))
        return class_labels(about["seed"], about["generation"], 0, n, about["class_shares"])

    def add_samples(self, key: str, make: Callable[[], Array], **about: Any) -> None:
        """Commit the rows that `make` returns as a samples stage, or append them to it."""
        info = self.info("samples", key)
        if info is None:
            with self.commit("samples", key, **about) as folder:
                np.save(folder / "samples.npy", make())
            return
        with measured() as usage:
            rows = np.concatenate([self.samples(key), make()])
        self._replace_samples(key, rows, info, usage)

    def _replace_samples(self, key: str, rows: Array, info: StageInfo, usage: Usage) -> None:
        """Replace the file of a samples stage.

        The new checksum is first listed beside the old one, so that the stage is intact at every
        moment.
        """
        file = self.path("samples", key) / "samples.npy"
        new = self._temporary()
        try:
            with new.open("wb") as stream:
                np.save(stream, rows)
            flush(new)
            seconds, peak = info.seconds + usage.seconds, max(info.peak_mb, usage.peak_mb)
            both, after = [sha256(file), sha256(new)], [sha256(new)]
            self._write_info(file.parent, StageInfo({file.name: both}, seconds, peak, info.about))
            new.replace(file)
            self._write_info(file.parent, StageInfo({file.name: after}, seconds, peak, info.about))
        finally:
            new.unlink(missing_ok=True)

    @staticmethod
    def _write_info(folder: Path, info: StageInfo) -> None:
        write_atomically(folder / FILE, info.to_json())

    def fetch_run_lists(self) -> None:
        """Make the lists of all runs readable under `root`; a local folder needs nothing."""


def _files(folder: Path) -> list[Path]:
    return sorted(p for p in folder.rglob("*") if p.is_file())


def _locked(path: Path) -> Any:
    """Return the open lock file; the system releases the lock however the process ends."""
    file = path.open("a+")
    if not flocked(file.fileno()):
        file.close()
        raise InputError(
            f"{path.parent} is in use by another entroloop process; wait for it to end"
        )
    return file
