"""How plug-ins come to be known: registered, given by option, or planned with elsewhere."""

from __future__ import annotations

import re
import socket
import sys
from dataclasses import replace
from importlib import import_module
from pathlib import Path

from entroloop.errors import InputError, one_line, unknown_name
from entroloop.plugins.table import (
    GIVEN,
    KINDS,
    TABLES,
    Plugin,
    PluginError,
    described,
    installed,
    object_of,
    versioned,
)

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
_HOMES = {  # of the tables: rooms above this one, imported when they are needed
    "generators": "entroloop.generators.table",
    "sources": "entroloop.study.build",
    "paradigms": "entroloop.study.paradigms",
    "strategies": "entroloop.selection.strategies",
    "metrics": "entroloop.metrics.table",
    "extractors": "entroloop.features",
    "presets": "entroloop.study.config",
}


def register(
    kind: str, name: str, object: object, *, version: str = "", folder: str = ""
) -> Plugin:
    """Give a plug-in a name for this process, and for the workers of studies that it starts.

    kind: generators, metrics, extractors, strategies, sources, paradigms or presets. object: what
    stands under that name, or the text "module:object" of where it is; worker processes import it
    from there, so that it must lie in a module, not in the script that is run. version: part of the
    keys of what it makes (default: its attribute `version`, else that of its distribution, else a
    hash of its source file). folder: where to look for the module, beside where Python looks.

    Raises InputError for a kind that does not exist, or a name that is taken; PluginError for an
    object that cannot be imported or is not of that kind.
    """
    if kind not in KINDS:
        raise unknown_name("kind of plug-in", kind, KINDS)
    if not _NAME.fullmatch(name):
        raise InputError(f"{name!r} is no name for a plug-in: use letters, digits, _ and -")
    import_module(_HOMES[kind])
    if name in TABLES[kind].own:
        raise InputError(
            f"{KINDS[kind]} '{name}' is built in, and no plug-in replaces it; choose another name"
        )
    if isinstance(object, str):
        if folder and folder not in sys.path:
            sys.path.append(folder)  # at the end: it hides no module
        target, object = object, object_of(Plugin(kind, name, object))
    else:
        target = _target_of(object)
    for other in installed():
        if (other.kind, other.name) == (kind, name) and other.target != target:
            raise InputError(f"{other} has the name '{name}' already; choose another name")
    plugin = described(Plugin(kind, name, target), object)
    if version:
        plugin = replace(plugin, version=version, pinned=True)
    elif not plugin.version:
        raise InputError(f"nothing tells the version of {plugin}; give version=")
    GIVEN[kind, name] = plugin, TABLES[kind].adopt(plugin, object)
    return plugin


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
    table = TABLES[plugin.kind]
    if plugin.name not in table and plugin.folder not in sys.path:
        sys.path.append(plugin.folder)
    return table.plugin(plugin.name)


def examined() -> list[dict[str, str]]:
    """Return every plug-in that is installed, each with what is wrong with it, if anything is."""
    for kind in {plugin.kind for plugin in installed()}:
        import_module(_HOMES[kind])
    return [_examined(plugin) for plugin in installed()]


def _examined(plugin: Plugin) -> dict[str, str]:
    facts = {"kind": plugin.kind, "name": plugin.name, "from": plugin.distribution}
    if plugin.name in TABLES[plugin.kind].own:
        return facts | {"problem": "the name is built in, and no plug-in replaces it"}
    try:
        TABLES[plugin.kind][plugin.name]
    except PluginError as error:
        return facts | {"problem": str(error)}
    return facts | {"version": versioned(plugin).version}


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
            if value is object and not key.startswith("_"):
                return f"{module}:{key}"
    return ""
