"""Tables of names: what is built in, and the plug-ins that are installed or given beside it.

A plug-in is an object of another package under a name of one kind. It counts only if a package
declares it as an entry point (group `entroloop.<kind>`), or the user gives it: no data file can
name a class. It is imported when its name is first asked for.
"""

from __future__ import annotations

import hashlib
import inspect
import re
import socket
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

from entroloop.errors import InputError, one_line, unknown_name

KINDS = {
    "generators": "generator",
    "metrics": "metric",
    "extractors": "features",
    "strategies": "strategy",
    "sources": "source",
    "paradigms": "paradigm",
}
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")

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


_TABLES: dict[str, Table[Any]] = {}  # by kind
_GIVEN: dict[tuple[str, str], tuple[Plugin, Any]] = {}  # with its row, by kind and name


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
        _TABLES[kind] = self

    def __getitem__(self, name: str) -> T:
        if name in self.own:
            own = self.own[name]
            return imported(own) if isinstance(own, str) else own
        plugin = self.plugin(name)
        if plugin is None:
            raise KeyError(name)
        if (self.kind, name) in _GIVEN:
            row: T = _GIVEN[self.kind, name][1]
            return row
        if plugin not in self._loaded:
            self._loaded[plugin] = self.adopt(plugin, _imported(plugin))
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
        if (self.kind, name) in _GIVEN:
            return _GIVEN[self.kind, name][0]
        found = [p for p in installed() if (p.kind, p.name) == (self.kind, name)]
        if len(found) > 1:
            raise PluginError(f"{' and '.join(map(str, found))} have one name; uninstall one")
        return _versioned(found[0]) if found else None

    def _names(self) -> list[str]:
        given = [name for kind, name in _GIVEN if kind == self.kind]
        return sorted({*given, *(p.name for p in installed() if p.kind == self.kind)})


def register(
    kind: str, name: str, object: object, *, version: str = "", folder: str = ""
) -> Plugin:
    """Give a plug-in a name for this process, and for the workers of studies that it starts.

    kind: generators, metrics, extractors, strategies, sources or paradigms. object: what stands
    under that name, or the text "module:object" of where it is; worker processes import it from
    there, so that it must lie in a module, not in the script that is run. version: part of the keys
    of what it makes (default: its attribute `version`, else that of its distribution, else a hash
    of its source file). folder: where to look for the module, beside where Python looks.

    Raises InputError for a kind that does not exist, or a name that is taken; PluginError for an
    object that cannot be imported or is not of that kind.
    """
    if kind not in KINDS:
        raise unknown_name("kind of plug-in", kind, KINDS)
    if not _NAME.fullmatch(name):
        raise InputError(f"{name!r} is no name for a plug-in: use letters, digits, _ and -")
    import_module(_HOMES[kind])
    if name in _TABLES[kind].own:
        raise InputError(
            f"{KINDS[kind]} '{name}' is built in, and no plug-in replaces it; choose another name"
        )
    if isinstance(object, str):
        if folder and folder not in sys.path:
            sys.path.append(folder)  # at the end: it hides no module
        target, object = object, _imported(Plugin(kind, name, object))
    else:
        target = _target_of(object)
    for other in installed():
        if (other.kind, other.name) == (kind, name) and other.target != target:
            raise InputError(f"{other} has the name '{name}' already; choose another name")
    plugin = _described(Plugin(kind, name, target), object)
    if version:
        plugin = replace(plugin, version=version, pinned=True)
    elif not plugin.version:
        raise InputError(f"nothing tells the version of {plugin}; give version=")
    _GIVEN[kind, name] = plugin, _TABLES[kind].adopt(plugin, object)
    return plugin


_HOMES = {
    "generators": "entroloop.study.build",
    "sources": "entroloop.study.build",
    "paradigms": "entroloop.study.paradigms",
    "strategies": "entroloop.selection.strategies",
    "metrics": "entroloop.metrics.table",
    "extractors": "entroloop.features",
}


def register_option(text: str) -> Plugin:
    """Register what `--plugin KIND:NAME=MODULE:OBJECT` gives; modules may lie in this folder.

    >>> register_option("generators=my.module")
    Traceback (most recent call last):
    ...
    entroloop.errors.InputError: --plugin generators=my.module is not KIND:NAME=MODULE:OBJECT, such\
 as generators:mine=my.module:MyGenerator
    """
    found = re.fullmatch(r"(\w+):([^:=]+)=([\w.]+:[\w.]+)", text)
    if found is None:
        raise InputError(
            f"--plugin {one_line(text, 80)} is not KIND:NAME=MODULE:OBJECT, such as "
            "generators:mine=my.module:MyGenerator"
        )
    kind, name, target = found.groups()
    return register(kind, name, target, folder=str(Path.cwd()))


def adopt_here(plugin: Plugin) -> None:
    """Make a plug-in known that another process planned with.

    Raises PluginError where it is missing, or has another version.
    """
    here = _found_here(plugin)
    if here is None or here.version != plugin.version:
        has = "is not installed" if here is None else f"has version {here.version}"
        raise PluginError(
            f"{plugin} {has} on {socket.gethostname()}, and the study was planned with version "
            f"{plugin.version}: install one version everywhere"
        )


def _found_here(plugin: Plugin) -> Plugin | None:
    if not plugin.distribution:
        version = plugin.version if plugin.pinned else ""
        return register(
            plugin.kind, plugin.name, plugin.target, version=version, folder=plugin.folder
        )
    import_module(_HOMES[plugin.kind])
    table = _TABLES[plugin.kind]
    if plugin.name not in table and plugin.folder not in sys.path:
        sys.path.append(plugin.folder)
    return table.plugin(plugin.name)


def examined() -> list[dict[str, str]]:
    """Return every plug-in that is installed, each with what is wrong with it, if anything is."""
    for home in _HOMES.values():
        import_module(home)
    return [_examined(plugin) for plugin in installed()]


def _examined(plugin: Plugin) -> dict[str, str]:
    facts = {"kind": plugin.kind, "name": plugin.name, "from": plugin.distribution}
    if plugin.name in _TABLES[plugin.kind].own:
        return facts | {"problem": "the name is built in, and no plug-in replaces it"}
    try:
        _TABLES[plugin.kind][plugin.name]
    except PluginError as error:
        return facts | {"problem": str(error)}
    return facts | {"version": _versioned(plugin).version}


def installed() -> tuple[Plugin, ...]:
    """Return the plug-ins that packages on Python's path declare as entry points."""
    return _installed(tuple(sys.path))


@cache
def _installed(path: tuple[str, ...]) -> tuple[Plugin, ...]:  # noqa: ARG001  # what it depends on
    found = {
        Plugin(kind, point.name, point.value.split("[")[0].strip(), "", _told(point.dist))
        for kind in KINDS
        for point in metadata.entry_points(group=f"entroloop.{kind}")
        if _NAME.fullmatch(point.name)
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
            f"{plugin} failed: {type(error).__name__}: {one_line(error, 200)} "
            f"({Path(last.filename).name}, line {last.lineno})"
        ) from error


def imported(target: str) -> Any:
    """Return the object at MODULE:OBJECT."""
    module, _, path = target.partition(":")
    found: Any = import_module(module)
    for part in path.split("."):
        found = getattr(found, part)
    return found


def _imported(plugin: Plugin) -> Any:
    try:
        return imported(plugin.target)
    except (Exception, SystemExit) as error:
        told = one_line(error, 200)
        raise PluginError(f"{plugin} cannot be loaded: {type(error).__name__}: {told}") from error


@cache
def _versioned(plugin: Plugin) -> Plugin:
    """Return an installed plug-in with its version, for which it is imported."""
    return _described(plugin, _imported(plugin))


def _described(plugin: Plugin, object: object) -> Plugin:
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


def _target_of(object: object) -> str:
    """Return MODULE:OBJECT of an object that other processes can import; empty for none."""
    name = getattr(object, "__qualname__", "")
    module = getattr(object, "__module__", "") if name else ""
    if module and module != "__main__" and "<" not in name:
        return f"{module}:{name}"
    for module, loaded in list(sys.modules.items()):
        if module == "__main__":
            continue
        for key, value in list(getattr(loaded, "__dict__", {}).items()):
            if value is object:
                return f"{module}:{key}"
    return ""
