"""What a plug-in is, and the tables of names in which it stands beside what is built in."""

from __future__ import annotations

import hashlib
import inspect
import re
import sys
import sysconfig
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from importlib import import_module, metadata
from pathlib import Path
from typing import Any, TypeVar

from entroloop.errors import InputError, one_line, unknown_name, with_kind

KINDS = {
    "generators": "generator",
    "metrics": "metric",
    "extractors": "features",
    "strategies": "strategy",
    "sources": "source",
    "paradigms": "paradigm",
    "presets": "preset",
}

T = TypeVar("T")


class PluginError(InputError):
    """A plug-in that cannot be loaded, is not what it says, or fails; the message names it."""


@dataclass(frozen=True)
class Plugin:
    """An object of another package, and where it comes from.

    target: MODULE:OBJECT; empty for an object that no other process could import. version: of its
    distribution or its own attribute `version`, else a hash of its source file; part of the keys of
    what it makes. distribution: what declares it as an entry point; empty if it was given. folder:
    where its module was found, for processes that start elsewhere. pinned: the version was given.
    """

    kind: str
    name: str
    target: str
    version: str = ""
    distribution: str = ""
    folder: str = ""
    pinned: bool = False

    def __str__(self) -> str:
        origin = f"of {self.distribution}" if self.distribution else self.target or "given"
        return f"the plug-in {KINDS[self.kind]} '{self.name}' ({origin})"


TABLES: dict[str, Table[Any]] = {}  # by kind
GIVEN: dict[tuple[str, str], tuple[Plugin, Any]] = {}  # with its row, by kind and name


class Table(Mapping[str, T]):
    """The names of one kind and what they stand for: its own rows first, then plug-ins.

    own: the rows that are built in; a text MODULE:OBJECT is imported when it is asked for. adopt:
    makes a row of a plug-in's object, and raises PluginError if it is not one.
    """

    def __init__(
        self, kind: str, own: Mapping[str, T | str], adopt: Callable[[Plugin, Any], T]
    ) -> None:
        self.kind, self.own, self.adopt = kind, own, adopt
        self._loaded: dict[Plugin, T] = {}
        TABLES[kind] = self

    def __getitem__(self, name: str) -> T:
        if name in self.own:
            own = self.own[name]
            return imported(own) if isinstance(own, str) else own
        plugin = self.plugin(name)
        if plugin is None:
            raise KeyError(name)
        if (self.kind, name) in GIVEN:
            row: T = GIVEN[self.kind, name][1]
            return row
        if plugin not in self._loaded:
            self._loaded[plugin] = self.adopt(plugin, object_of(plugin))
        return self._loaded[plugin]

    def __contains__(self, name: object) -> bool:
        return name in self.own or (isinstance(name, str) and name in self._names())

    def __iter__(self) -> Iterator[str]:
        yield from self.own
        yield from (name for name in self._names() if name not in self.own)

    def __len__(self) -> int:
        return len(list(iter(self)))

    def find(self, name: object, where: str = "") -> T:
        """Return what a name stands for.

        Raises InputError for a name that is in no table, with those that are, and for a class named
        in a file; PluginError for a plug-in that cannot be used.
        """
        if isinstance(name, str) and name in self:
            return self[name]
        kind = KINDS[self.kind]
        if isinstance(name, str) and re.fullmatch(r"[\w.]*\w[:.][A-Za-z_]\w*", name):
            there = f" in {where}" if where else ""
            raise InputError(
                f"{kind} '{one_line(name, 80)}'{there} names an object of a module, which only you "
                f"can give: --plugin {self.kind}:NAME=MODULE:OBJECT, and use NAME there"
            )
        raise unknown_name(kind, name, self, where)

    def plugin(self, name: str) -> Plugin | None:
        """Return the plug-in of that name, with its version; None for what is built in, or nothing.

        Raises PluginError where two packages declare the name.
        """
        if name in self.own:
            return None
        if (self.kind, name) in GIVEN:
            return GIVEN[self.kind, name][0]
        found = [p for p in installed() if (p.kind, p.name) == (self.kind, name)]
        if len(found) > 1:
            raise PluginError(f"{' and '.join(map(str, found))} have one name; uninstall one")
        return versioned(found[0]) if found else None

    def _names(self) -> list[str]:
        given = [name for kind, name in GIVEN if kind == self.kind]
        return sorted({*given, *(p.name for p in installed() if p.kind == self.kind)})


def installed() -> tuple[Plugin, ...]:
    """Return the plug-ins that packages on Python's path declare as entry points."""
    return _installed(tuple(sys.path))


@cache
def _installed(path: tuple[str, ...]) -> tuple[Plugin, ...]:  # noqa: ARG001  # what it depends on
    found = {
        Plugin(kind, point.name, point.value.split("[")[0].strip(), "", _told(point.dist))
        for kind in KINDS
        for point in metadata.entry_points(group=f"entroloop.{kind}")
    }
    return tuple(sorted(found, key=lambda p: (p.kind, p.name, p.distribution)))


def _told(distribution: Any) -> str:
    return "" if distribution is None else f"{distribution.name} {distribution.version}"


@contextmanager
def blamed(plugin: Plugin | None) -> Iterator[None]:
    """Turn what goes wrong in a plug-in's code into one line that names it; None: nothing is."""
    try:
        yield
    except Exception as error:
        if plugin is None or isinstance(error, (InputError, MemoryError)):
            raise
        last = traceback.extract_tb(error.__traceback__)[-1]
        raise PluginError(
            f"{plugin} failed: {with_kind(error, 200)} "
            f"({Path(last.filename).name}, line {last.lineno})"
        ) from error


def imported(target: str) -> Any:
    """Return the object at MODULE:OBJECT."""
    module, _, path = target.partition(":")
    found: Any = import_module(module)
    for part in path.split("."):
        found = getattr(found, part)
    return found


def object_of(plugin: Plugin) -> Any:
    """Return a plug-in's object; raises PluginError where it cannot be imported."""
    try:
        return imported(plugin.target)
    except (Exception, SystemExit) as error:
        raise PluginError(f"{plugin} cannot be loaded: {with_kind(error, 200)}") from error


@cache
def versioned(plugin: Plugin) -> Plugin:
    """Return an installed plug-in with its version, for which it is imported."""
    return described(plugin, object_of(plugin))


def described(plugin: Plugin, object: object) -> Plugin:
    """Return a plug-in with the version of its object, and the folder of its module."""
    module = sys.modules.get(plugin.target.partition(":")[0])
    folder = ""
    if module is not None and (top := sys.modules.get(module.__name__.partition(".")[0])):
        file = Path(getattr(top, "__file__", None) or ".")
        folder = str((file.parent.parent if hasattr(top, "__path__") else file.parent).resolve())
    own = getattr(object, "version", None)
    if not isinstance(own, str) or not own:
        own = plugin.distribution.rpartition(" ")[2] or _version_of_module(module)
    return replace(plugin, version=own, folder=folder)


def _version_of_module(module: Any) -> str:
    """Return the version of a module's distribution, else a hash of its source, else nothing."""
    if module is None:
        return ""
    try:
        file = Path(inspect.getsourcefile(module) or "").resolve()
        source = file.read_bytes()
    except (TypeError, OSError):
        return ""
    sites = {Path(sysconfig.get_path(name)).resolve() for name in ("purelib", "platlib")}
    if sites & set(file.parents):  # to look for its owner takes a second
        top = module.__name__.partition(".")[0]
        for owner in metadata.packages_distributions().get(top, []):
            return metadata.version(owner)
    return f"source {hashlib.sha256(source).hexdigest()[:12]}"
