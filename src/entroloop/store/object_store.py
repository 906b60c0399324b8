"""A study folder in any object store that fsspec reaches, such as s3, with a mirror on this disk.

Stages are written and read in the mirror, which lies in the cache folder. A stage is uploaded to
the object store file by file, its stage.json last: only then does it exist there. Stages from
another machine are downloaded on first use, and their checksums are verified.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from entroloop.errors import InputError, one_line
from entroloop.samples import Array
from entroloop.store.folder import Store
from entroloop.store.stage_info import FILE, StageInfo
from entroloop.system.files import cache_folder, sha256
from entroloop.system.seal import lies_below

BEAT = 20.0  # seconds between two signs of life from the process that holds the lock
SETTLE = 0.5  # seconds between signing the lock and checking whether it held
PARTS = "parts"  # a folder for files that are not yet there as a whole
ABANDONED = 120.0  # seconds without a sign of life after which a lock is ignored


def store_at(address: str | Path) -> Store:
    """Return the study folder at a path or at a URL such as s3://bucket/study.

    Raises InputError for a URL that fsspec does not support, or whose package is missing.
    """
    text = str(address)
    if "://" not in text:
        return Store(address)
    if text.startswith("file://"):
        return Store(text.removeprefix("file://"))
    return ObjectStore(text)


class ObjectStore(Store):
    """A study folder in an object store (see the module); `root` is the mirror.

    read_only: what is damaged there stays there; only the mirror loses it.
    """

    read_only = False

    def __init__(self, url: str) -> None:
        import fsspec

        try:
            self._files, path = fsspec.core.url_to_fs(url)
        except (ImportError, ValueError) as error:
            raise InputError(
                f"{url} cannot be opened: {error} (for s3: python -m pip install 'entroloop[s3]')"
            ) from None
        self._url, self._there = url.rstrip("/"), path.rstrip("/")
        name = hashlib.sha256(self._url.encode()).hexdigest()[:16]
        super().__init__(cache_folder() / "stores" / name)
        self._known: set[tuple[str, str]] = set()  # stages known to be in the object store
        self._beat: threading.Event | None = None
        self._taken = False  # whether another process took the lock

    @property
    def url(self) -> str:
        """The address at which another process finds this store."""
        return self._url

    # -- the folder -----------------------------------------------------------------------------

    def open(self, name: str, real_key: str) -> None:
        """See `Store`; the lock is an object that its holder renews."""
        super().open(name, real_key)
        self._lock_there()
        if self._files.exists(self._at(PARTS)):  # of processes that were killed
            self._files.rm(self._at(PARTS), recursive=True)
        self._put_file("study.json")

    def check(self, name: str, real_key: str) -> None:
        """See `Store`; raises InputError if the object store does not answer."""
        try:
            self._fetch_file("study.json")
        except Exception as error:  # each store raises its own kinds of error
            told = one_line(error, 200)
            raise InputError(f"{self._url} cannot be reached: {told}") from None
        if not (self.root / "study.json").exists():
            shutil.rmtree(self.root, ignore_errors=True)  # its study no longer exists
            if others := self._others():
                raise InputError(
                    f"{self._url} holds something else than a study ({others[0]}); choose another "
                    "with --out"
                )
        super().check(name, real_key)

    def _others(self) -> list[str]:
        try:
            found = [
                str(p).rstrip("/").rpartition("/")[2] for p in self._files.ls(self._there, False)
            ]
        except FileNotFoundError:
            return []
        return [name for name in found if name not in ("", "lock.json", PARTS, self._there)]

    def identity(self) -> dict[str, Any] | None:
        """See `Store`."""
        if not (self.root / "study.json").exists():
            self._fetch_file("study.json")
        return super().identity()

    def close(self) -> None:
        """Release the lock."""
        if self._beat is not None:
            self._beat.set()
            self._keeper.join()
            self._beat = None
            with suppress(Exception):  # the work is done, and an old lock is ignored
                if (self._holder() or {}).get("token") == self._token:
                    self._files.rm_file(self._at("lock.json"))
        super().close()

    def write(self, name: str, content: str | bytes) -> None:
        """See `Store`."""
        super().write(name, content)
        self._put_file(name)

    def read(self, name: str) -> bytes | None:
        """See `Store`."""
        self._fetch_file(name)
        return super().read(name)

    def remove(self, name: str) -> None:
        """See `Store`."""
        super().remove(name)
        if self._files.exists(self._at(name)):
            self._files.rm_file(self._at(name))

    def fetch_run_lists(self) -> None:
        """See `Store`; copies them to the mirror."""
        for there in self._files.glob(self._at("arms", "*", "seed-*.json")):
            name = str(there).rpartition(f"{self._there}/")[2]
            if not lies_below(name):
                raise InputError(f"{self._url} holds {name!r}, which entroloop never writes")
            (self.root / name).parent.mkdir(parents=True, exist_ok=True)
            self._files.get_file(self._at(name), str(self.root / name))

    def publish(self, path: Path) -> str:
        """See `Store`."""
        if path.is_relative_to(self.root):
            self._put_file(str(path.relative_to(self.root)))
            return f"{self._url}/{path.relative_to(self.root)}"
        return str(path)

    # -- stages ---------------------------------------------------------------------------------

    def path(self, kind: str, key: str) -> Path:
        """Return the folder of a stage in the mirror, downloading the stage if necessary."""
        folder = self._folder(kind, key)
        if not folder.exists() and (info := self._info_there(kind, key)) is not None:
            self._fetch(kind, key, info)
        return folder

    def info(self, kind: str, key: str) -> StageInfo | None:
        """See `Store`; samples may have grown in the object store since they were downloaded."""
        here = super().info(kind, key)
        if here is not None and (kind, key) in self._known and kind != "samples":
            return here
        there = self._info_there(kind, key)
        if there is None:
            if here is not None and self._beat is not None:  # interrupted before the upload
                self._put(kind, key)
            return here
        if here is None or here.files == there.files:
            return there
        file = self._folder(kind, key) / "samples.npy"
        if self._files.size(self._at("stages", kind, key, file.name)) <= file.stat().st_size:
            return here  # extended here, not yet uploaded
        shutil.rmtree(self._folder(kind, key), ignore_errors=True)
        return there

    def intact(self, kind: str, key: str) -> bool:
        """See `Store`; stages not in the mirror are verified when they are downloaded."""
        if self.info(kind, key) is None:
            return False
        return super().intact(kind, key) if self._folder(kind, key).exists() else True

    def set_aside(self, kind: str, key: str) -> Path | None:
        """See `Store`; what is damaged in the object store is downloaded before it is removed."""
        there = self._at("stages", kind, key)
        folder = self._folder(kind, key)
        if not folder.exists() and self._files.exists(there):
            for name in self._files.find(there):
                inside = str(name).rpartition(f"{there}/")[2]
                if lies_below(inside):
                    (folder / inside).parent.mkdir(parents=True, exist_ok=True)
                    self._files.get_file(name, str(folder / inside))
        target = super().set_aside(kind, key)
        self.discard(kind, key)
        return target

    def discard(self, kind: str, key: str) -> None:
        """See `Store`."""
        super().discard(kind, key)
        self._known.discard((kind, key))
        if not self.read_only and self._files.exists(self._at("stages", kind, key)):
            self._files.rm(self._at("stages", kind, key), recursive=True)

    @contextmanager
    def commit(self, kind: str, key: str, **about: Any) -> Iterator[Path]:
        """See `Store`."""
        with super().commit(kind, key, **about) as folder:
            yield folder
        self._put(kind, key)

    def add_samples(self, key: str, make: Callable[[], Array], **about: Any) -> None:
        """See `Store`."""
        self.path("samples", key)
        before = self._info_there("samples", key)
        super().add_samples(key, make, **about)
        now = Store.info(self, "samples", key)
        if before is not None and now is not None:  # both are valid while the file is replaced
            both = {name: before.files.get(name, []) + sums for name, sums in now.files.items()}
            name = self._at("stages", "samples", key, FILE)
            self._files.pipe_file(name, replace(now, files=both).to_json().encode())
        self._put("samples", key)

    # -- transfers ------------------------------------------------------------------------------

    def _at(self, *parts: str) -> str:
        return "/".join((self._there, *parts))

    def _info_there(self, kind: str, key: str) -> StageInfo | None:
        at = self._at("stages", kind, key, FILE)
        try:
            text = self._files.cat_file(at)
        except FileNotFoundError:
            return None
        found = StageInfo.from_json(text, f"{self._url}/stages/{kind}/{key}")
        if found is not None:
            self._known.add((kind, key))
        return found

    def _put(self, kind: str, key: str) -> None:
        folder = self._folder(kind, key)
        files = sorted(p for p in folder.rglob("*") if p.is_file() and p != folder / FILE)
        for file in [*files, folder / FILE]:
            self._put_file(str(file.relative_to(self.root)))
        self._known.add((kind, key))

    def _fetch(self, kind: str, key: str, info: StageInfo, *, again: bool = True) -> None:
        """Download a stage to the mirror; if its checksums differ, remove it from both sides."""
        folder = self._temporary()
        try:
            for name, sums in info.files.items():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                self._files.get_file(self._at("stages", kind, key, name), str(folder / name))
                if sha256(folder / name) not in sums:
                    now = self._info_there(kind, key)
                    if again and now is not None and now != info:  # replaced in the meantime
                        self._fetch(kind, key, now, again=False)
                    else:
                        self.discard(kind, key)
                    return
            self._write_info(folder, info)
            target = self._folder(kind, key)
            target.parent.mkdir(parents=True, exist_ok=True)
            with suppress(OSError):  # another process on this machine was faster
                folder.rename(target)
        except (FileNotFoundError, NotADirectoryError, FileExistsError):
            self.discard(kind, key)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _put_file(self, name: str) -> None:
        if self._taken:
            raise InputError(
                f"{self._url} was taken over by another process while this one did not answer; "
                "start again once it has ended"
            )
        here, there = str(self.root / name), self._at(name)
        if self._files.async_impl:  # over HTTP: an object is there as a whole or not at all
            self._files.put_file(here, there)
            return
        part = self._at(PARTS, f"{os.getpid()}-{time.monotonic_ns()}")  # a store with real folders
        for folder in (part, there):
            self._files.makedirs(folder.rpartition("/")[0], exist_ok=True)
        self._files.put_file(here, part)
        self._files.mv(part, there)

    def _fetch_file(self, name: str) -> None:
        """Download a file to the mirror; if it no longer exists, remove it from the mirror, too."""
        self.root.mkdir(parents=True, exist_ok=True)
        self._files.invalidate_cache()
        if self._files.exists(self._at(name)):
            self._files.get_file(self._at(name), str(self.root / name))
        else:
            (self.root / name).unlink(missing_ok=True)

    # -- the lock -------------------------------------------------------------------------------

    def _lock_there(self) -> None:
        self._token, lock = uuid.uuid4().hex, self._at("lock.json")
        token = self._token
        holder = self._holder()
        if holder is not None and self._lives(holder):
            super().close()
            raise InputError(
                f"{self._url} is in use by process {holder['pid']} on {holder['host']}; wait for "
                f"it to end (after {ABANDONED:.0f} s without a sign of life it is taken over)"
            )

        def sign() -> None:
            content = {"token": token, "host": socket.gethostname(), "pid": os.getpid(),
                       "time": time.time()}  # fmt: skip
            self._files.pipe_file(lock, json.dumps(content).encode())

        sign()
        time.sleep(SETTLE)  # whoever looked before has signed by now: the last to sign holds it
        if (self._holder() or {}).get("token") != token:
            super().close()
            raise InputError(f"{self._url} was taken by another process at the same moment")
        beat = self._beat = threading.Event()

        def keep() -> None:
            while not beat.wait(BEAT):
                with suppress(Exception):  # the store may be unreachable for a moment: retry
                    holder = self._holder()
                    if holder is not None and holder["token"] != token:
                        self._taken = True
                        return
                    sign()

        self._keeper = threading.Thread(target=keep, daemon=True)
        self._keeper.start()

    def _lives(self, holder: dict[str, Any]) -> bool:
        """Whether the holder of the lock gave a sign of life.

        Its stamp is by its own clock, which may differ from ours: a stamp that looks old, or comes
        from the future, is watched for two beats, in which a process that lives signs again.
        """
        if 0 <= time.time() - float(holder["time"]) < ABANDONED:
            return True
        for _ in range(5):
            time.sleep(BEAT / 2)
            if (now := self._holder()) is not None and now != holder:
                return True
        return False

    def _holder(self) -> dict[str, Any] | None:
        self._files.invalidate_cache()
        try:
            found: dict[str, Any] = json.loads(self._files.cat_file(self._at("lock.json")))
            return found if {"token", "host", "pid", "time"} <= set(found) else None
        except (FileNotFoundError, ValueError):
            return None
