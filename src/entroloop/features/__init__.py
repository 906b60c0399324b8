"""Features: the space in which distances are taken. One file per extractor.

An extractor is named NAME or NAME:ARGUMENT, such as `torchscript:model.pt`. Features computed by
networks are cached by content, so that each set is embedded only once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from entroloop.features.extractor import Extractor
from entroloop.plugins import Plugin, PluginError, Table, blamed
from entroloop.samples import Array
from entroloop.system.devices import device_for

# NAME -> the function that makes the extractor from (argument or None, device). The first line of
# its docstring is its help text.
_OWN = {
    "raw": "entroloop.features.raw:raw",
    "pixels": "entroloop.features.pixels:pixels",
    "dinov2": "entroloop.features.dinov2:dinov2",
    "clip": "entroloop.features.clip:clip",
    "inception": "entroloop.features.inception:inception",
    "ngrams": "entroloop.features.ngrams:ngrams",
    "sentence": "entroloop.features.sentence:sentence",
    "torchscript": "entroloop.features.torchscript:torchscript",
}

MakeExtractor = Callable[[str | None, str], Extractor]

__all__ = ["EXTRACTORS", "Extractor", "extractor_for"]


def _adopted(plugin: Plugin, make: Any) -> MakeExtractor:
    if not callable(make):
        raise PluginError(f"{plugin} is no function of (argument, device)")

    def made(argument: str | None, device: str) -> Extractor:
        with blamed(plugin):
            found = make(argument, device)
        if not isinstance(found, Extractor):
            raise PluginError(f"{plugin} returned no entroloop.features.Extractor")
        identity = f"{found.identity} ({plugin.name} {plugin.version})"
        return _guarded(replace(found, identity=identity), plugin)

    return made


def _guarded(extractor: Extractor, plugin: Plugin) -> Extractor:
    """Return an extractor whose failures name the plug-in that it comes from."""

    def guarded(function: Callable[[Array], Any] | None) -> Callable[[Array], Any] | None:
        def call(rows: Array) -> Any:
            with blamed(plugin):
                return function(rows)  # type: ignore[misc]

        return None if function is None else call

    fit = guarded(extractor.fit)
    return replace(
        extractor,
        network=guarded(extractor.network),
        probabilities_network=guarded(extractor.probabilities_network),
        whole=guarded(extractor.whole),
        fit=None if fit is None else lambda rows: _guarded(fit(rows), plugin),
    )


EXTRACTORS: Table[MakeExtractor] = Table("extractors", _OWN, _adopted)


def extractor_for(name: str, device: str = "cpu", where: str = "") -> Extractor:
    """Return the extractor of that name; its network is loaded on first use.

    Raises InputError for an unknown name or missing files. where: what an unknown name's message
    refers to.
    """
    kind, _, argument = name.partition(":")
    make = EXTRACTORS.find(kind, where)
    return make(argument or None, device_for(device))
