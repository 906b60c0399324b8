"""A folder that a command writes and replaces as a whole; its manifest lists what it wrote."""

from __future__ import annotations

import json
import os
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from entroloop.errors import InputError
from entroloop.system.files import flocked, sha256, write_atomically
from entroloop.system.seal import lies_below

MANIFEST = ".entroloop-manifest.json"
_STAGING = re.compile(r"\.entroloop-\d+-\d+")


class OutputFolder:
    """A folder of results with a manifest: the relative path and checksum of every file.

    Only what the manifest lists is ever replaced or removed. scratch: names of files that the
    command keeps in the folder while it works, and checks itself.
    """

    def __init__(self, path: Path, scratch: tuple[str, ...] = ()) -> None:
        self.path, self._scratch = path, scratch

    def check(self) -> None:
        """Refuse a file, and a folder in which anything was not written by this program.

        Raises InputError that names the first such file; changes nothing.
        """
        if not self.path.exists():
            return
        if not self.path.is_dir():
            raise InputError(f"{self.path} is a file, not a folder; choose another with --out")
        try:
            listed = self._listed()
            for file in sorted(_files(self.path)):
                name = file.relative_to(self.path).as_posix()
                if name.split("/")[0] == MANIFEST or self._is_scratch(name):
                    continue
                if name not in listed:
                    raise InputError(
                        f"{self.path} holds what entroloop did not write ({name}); "
                        "choose another folder with --out"
                    )
                if _checksum(file) not in listed[name]:
                    raise InputError(
                        f"{file} was changed since entroloop wrote it; move it away, or choose "
                        "another folder with --out"
                    )
        except OSError as error:
            raise InputError(f"{self.path} cannot be read: {error.strerror or error}") from None

    def verify(self) -> None:
        """Refuse to read a folder of which anything that the manifest lists is gone or changed.

        Raises InputError that names the first such file.
        """
        listed = self._listed() if self.path.is_dir() else {}
        if not listed:
            raise InputError(f"{self.path} holds no selection of entroloop")
        for name, sums in sorted(listed.items()):
            file = self.path / name
            if not os.path.lexists(file):
                raise InputError(f"{self.path} lacks {name}, which its manifest lists; select anew")
            if _checksum(file) not in sums:
                raise InputError(f"{file} was changed since entroloop wrote it; select anew")

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes out of the folder; a folder made for that goes if it stays empty.

        Raises InputError where one is at work.
        """
        made = not self.path.exists()
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self.path, os.O_RDONLY)
        except OSError as error:
            raise InputError(f"{self.path} cannot be written: {error.strerror}") from None
        try:
            if not flocked(descriptor):
                raise InputError(
                    f"{self.path} is in use by another entroloop process; wait for it to end"
                )
            for entry in list(self.path.iterdir()):  # half-written by processes that were killed
                if self._is_temporary(entry.name) and entry.is_file() and not entry.is_symlink():
                    entry.unlink()
            yield
        finally:
            os.close(descriptor)
            if made:
                with suppress(OSError):
                    self.path.rmdir()

    @contextmanager
    def replaced(self) -> Iterator[Path]:
        """Yield an empty folder whose content replaces the old one as a whole.

        Nothing changes if the block fails. Killed at any moment, the folder holds only files that
        the manifest lists, so that the same command can run again.
        """
        self.check()
        self.path.mkdir(parents=True, exist_ok=True)
        self._clear_staging()
        staging = self.path / f".entroloop-{os.getpid()}-{time.monotonic_ns()}"
        new, old = staging / "new", staging / "old"
        new.mkdir(parents=True)
        try:
            yield new
            before = self._listed()
            after = {
                file.relative_to(new).as_posix(): [_checksum(file)] for file in sorted(_files(new))
            }
            both = {
                name: before.get(name, []) + after.get(name, []) for name in before.keys() | after
            }
            self._write_manifest(both)  # whichever of the two a stop leaves is known to be ours
            for name in sorted({name.split("/")[0] for name in before}):
                if os.path.lexists(self.path / name):
                    old.mkdir(exist_ok=True)
                    (self.path / name).rename(old / name)
            for entry in sorted(new.iterdir()):
                entry.rename(self.path / entry.name)
            _remove_listed(old, before)
            self._write_manifest(after)
        finally:
            shutil.rmtree(new, ignore_errors=True)
            with suppress(OSError):
                staging.rmdir()  # stays where something is left in `old`

    def _is_scratch(self, name: str) -> bool:
        if _STAGING.fullmatch(name.split("/")[0]):
            return True
        return name in self._scratch or self._is_temporary(name)

    def _is_temporary(self, name: str) -> bool:
        own = "|".join(map(re.escape, (MANIFEST, *self._scratch)))
        return re.fullmatch(rf"\.(?:{own})\.\d+", name) is not None

    def _clear_staging(self) -> None:
        """Remove what a killed command left behind, and nothing else."""
        listed = self._listed()
        for entry in list(self.path.iterdir()):
            if _STAGING.fullmatch(entry.name) and entry.is_dir():
                shutil.rmtree(entry / "new", ignore_errors=True)
                _remove_listed(entry / "old", listed)
                with suppress(OSError):
                    entry.rmdir()

    def _listed(self) -> dict[str, list[str]]:
        file = self.path / MANIFEST
        if not file.exists():
            return {}
        try:
            files: dict[str, list[str]] = json.loads(file.read_text("utf-8"))["files"]
            if not all(isinstance(sums, list) and lies_below(name) for name, sums in files.items()):
                raise ValueError
            return files
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            raise InputError(
                f"{file} is no manifest of entroloop; choose another folder with --out"
            ) from None

    def _write_manifest(self, files: dict[str, list[str]]) -> None:
        write_atomically(self.path / MANIFEST, json.dumps({"files": files}, indent=1))


def refuse_overlap(out: Path, sources: dict[str, Path]) -> None:
    """Refuse an output folder that holds a source, or lies in one.

    sources: what is read, by the name that a message gives it.
    """
    own = out.resolve()
    for name, path in sources.items():
        source = path.resolve()
        if own == source or own in source.parents:
            raise InputError(f"{name} ({path}) lies in --out {out}; choose another folder")
        if source in own.parents:
            raise InputError(f"--out {out} lies in {name} ({path}); choose another folder")


def _files(folder: Path) -> list[Path]:
    """Return all files and links below a folder; links to folders are not followed."""
    found = []
    for root, folders, files in os.walk(folder):
        here = Path(root)
        found += [here / name for name in files]
        found += [here / name for name in folders if (here / name).is_symlink()]
    return found


def _checksum(file: Path) -> str:
    """Return the SHA-256 of a file, or the target of a link."""
    if file.is_symlink():
        return f"link {file.readlink()}"
    return sha256(file) if file.is_file() else "neither file nor link"


def _remove_listed(folder: Path, listed: dict[str, list[str]]) -> None:
    """Remove the files of a manifest, then empty folders."""
    for name in listed:
        (folder / name).unlink(missing_ok=True)
    for root, _, _ in os.walk(folder, topdown=False):
        with suppress(OSError):
            Path(root).rmdir()
