"""Features: the space in which distances are taken. One file per extractor.

An extractor is named NAME or NAME:ARGUMENT, such as `torchscript:model.pt`. Features computed by
networks are cached by content, so that each set is embedded only once.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

from entroloop.errors import unknown_name
from entroloop.features.extractor import Extractor
from entroloop.system.devices import device_for

# NAME -> the function that makes the extractor from (argument or None, device). The first line of
# its docstring is its help text.
EXTRACTORS = {
    "raw": "entroloop.features.raw:raw",
    "pixels": "entroloop.features.pixels:pixels",
    "dinov2": "entroloop.features.dinov2:dinov2",
    "clip": "entroloop.features.clip:clip",
    "inception": "entroloop.features.inception:inception",
    "torchscript": "entroloop.features.torchscript:torchscript",
}

__all__ = ["EXTRACTORS", "Extractor", "extractor_for"]


def extractor_for(name: str, device: str = "cpu", where: str = "") -> Extractor:
    """Return the extractor of that name; its network is loaded on first use.

    Raises InputError for an unknown name or missing files. where: what an unknown name's message
    refers to.
    """
    kind, _, argument = name.partition(":")
    if kind not in EXTRACTORS:
        raise unknown_name("features", kind, EXTRACTORS, where)
    module, function = EXTRACTORS[kind].split(":")
    make: Callable[[str | None, str], Extractor] = getattr(import_module(module), function)
    return make(argument or None, device_for(device))
