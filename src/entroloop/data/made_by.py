"""What the metadata of an image file says of its origin: who or what made it.

Three witnesses, the strongest first: a C2PA manifest whose hashes and signature match the file
(c2pa-python, an extra), the text that generators write into PNG files, and IPTC's digital source
type in XMP. Metadata can be removed, and all but C2PA can be written by anyone: what is not said is
`unknown`, and nothing is guessed from pixels.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from entroloop.data.decoding import opened
from entroloop.data.names import printable
from entroloop.data.plain_png import PlainPng
from entroloop.errors import one_line

UNKNOWN = "unknown"
SOURCE_TYPES = "cv.iptc.org/newscodes/digitalsourcetype/"
_SOURCE_TYPE = re.compile(rf"{re.escape(SOURCE_TYPES)}(\w+)")
_XMP_SOURCE_TYPE = re.compile(rf"DigitalSourceType\W[^<>]{{0,200}}?{re.escape(SOURCE_TYPES)}(\w+)")
_BELIEVED = ("Valid", "Trusted")  # states of validation: hashes and signature match

# What tells the program that wrote the text chunks of a PNG file, the most special first.
_WRITERS: dict[str, Callable[[Mapping[str, str]], bool]] = {
    "InvokeAI": lambda text: not {"invokeai_metadata", "sd-metadata", "Dream"}.isdisjoint(text),
    "NovelAI": lambda text: text.get("Software") == "NovelAI",
    "Fooocus": lambda text: "fooocus_scheme" in text,
    "SwarmUI": lambda text: "sui_image_params" in text.get("parameters", ""),
    "ComfyUI": lambda text: (
        '"class_type"' in text.get("prompt", "") or '"nodes"' in text.get("workflow", "")
    ),
    # AUTOMATIC1111's format, which several other programs write, too
    "webui parameters": lambda text: (
        "Steps: " in text.get("parameters", "") and "Sampler: " in text.get("parameters", "")
    ),
}


def look_for_maker(content: bytes) -> tuple[str, list[str]]:
    """Return what an image file says made it, with remarks on what was not believed or read.

    "c2pa: NAME (SOURCE TYPE)", "png: PROGRAM", "iptc: SOURCE TYPE", or "unknown".
    """
    if PlainPng.of(content) is not None:
        return UNKNOWN, []
    remarks: list[str] = []
    try:
        told, remarks = _by_manifest(content)
        if told is None:
            with opened(content) as image:
                image.load()  # text may follow the pixels
                info = dict(image.info)
            told = _by_text(info) or _by_xmp(info)
    except Exception:  # of any decoder, on bytes that somebody changed
        return UNKNOWN, [*remarks, "metadata could not be read"]
    return told or UNKNOWN, remarks


def _by_text(info: Mapping[str, Any]) -> str | None:
    text = {key: str(value) for key, value in info.items() if isinstance(value, str)}
    return next((f"png: {name}" for name, wrote in _WRITERS.items() if wrote(text)), None)


def _by_xmp(info: Mapping[str, Any]) -> str | None:
    packet = info.get("xmp") or info.get("XML:com.adobe.xmp") or ""
    if isinstance(packet, bytes):
        packet = packet.decode("utf-8", "replace")
    found = _XMP_SOURCE_TYPE.search(str(packet))
    return None if found is None else f"iptc: {found[1]}"


def _by_manifest(content: bytes) -> tuple[str | None, list[str]]:
    """Return what a C2PA manifest within the file says; those elsewhere are never fetched."""
    if b"jumb" not in content or b"c2pa" not in content:
        return None, []
    read = _reader()
    if read is None:
        return None, ["C2PA manifest not read: pip install 'entroloop[provenance]'"]
    with opened(content) as image:
        kind = f"image/{(image.format or '').lower()}"
    try:
        manifest = json.loads(read(kind, content))
    except Exception as error:  # of the library: its types are private
        if "ManifestNotFound" in f"{type(error).__name__} {error}":
            return None, []
        return None, ["C2PA manifest that is broken: not believed"]
    if manifest.get("validation_state") not in _BELIEVED:
        return None, ["C2PA manifest that does not match its file: not believed"]
    return _named_in(manifest), []


@cache
def _reader() -> Callable[[str, bytes], str] | None:
    """Return a function of (type, content) that gives a manifest as JSON; None without c2pa."""
    try:
        import c2pa
    except ImportError:
        return None
    from io import BytesIO

    offline = {"verify": {"remote_manifest_fetch": False, "ocsp_fetch": False}}
    context = c2pa.Context(c2pa.Settings.from_dict(offline))

    def read(kind: str, content: bytes) -> str:
        with c2pa.Reader(kind, BytesIO(content), context=context) as reader:
            return str(reader.json())

    return read


def _named_in(store: Mapping[str, Any]) -> str:
    """Return the program that created the image, or that wrote the manifest, and the source."""
    active = store["manifests"][store["active_manifest"]]
    created = None
    for manifest in (active, *store["manifests"].values()):
        for assertion in manifest.get("assertions", []):
            if str(assertion.get("label", "")).startswith("c2pa.actions"):
                for action in assertion["data"].get("actions", []):
                    if action.get("action") == "c2pa.created":
                        created = created or (manifest, action)
    manifest, action = created or (active, {})
    writer = (manifest.get("claim_generator_info") or [{}])[0].get("name")
    agent = action.get("softwareAgent")
    name = agent.get("name") if isinstance(agent, dict) else agent
    told = printable(one_line(name or writer or manifest.get("claim_generator") or "no name", 60))
    kind = _SOURCE_TYPE.search(str(action.get("digitalSourceType", "")))
    return f"c2pa: {told}" + (f" ({kind[1]})" if kind else "")
