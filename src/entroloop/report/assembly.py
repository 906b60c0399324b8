"""Pages put together: template, style, scripts and data in one file that asks nothing of a net.

Its content security policy names the one style and the one script by their hashes: nothing else
runs, whatever names and texts a study holds.
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
from importlib import resources
from importlib.metadata import version
from pathlib import Path
from typing import Any

from markupsafe import Markup, escape

from entroloop.errors import InputError
from entroloop.report import refuse_foreign
from entroloop.report.figures import COLOURS
from entroloop.system.files import write_atomically

SCRIPTS = ("numbers.js", "arms.js", "charts.js", "hover.js", "tables.js", "pictures.js", "start.js")
STYLES = ("page.css", "tables.css", "charts.css", "pictures.css")


def page_from(template: str, **content: Any) -> str:
    """Return a page made from a template of assets/ and its content; `data` is for the scripts."""
    from jinja2 import Environment, FunctionLoader, StrictUndefined

    environment = Environment(
        loader=FunctionLoader(asset), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    environment.filters["breakable"] = _breakable
    style = "\n".join([*map(asset, STYLES), _colours()])
    script = '"use strict";\n' + "\n".join(map(asset, SCRIPTS))
    return environment.get_template(template).render(
        style=style, script=script, style_hash=_hash(style), script_hash=_hash(script),
        version=version("entroloop"), **content | {"data": json_for_html(content["data"])},
    )  # fmt: skip


def write_page_from(template: str, html: Path, **content: Any) -> None:
    """Write a page to a single HTML file that opens offline; see `page_from`.

    Raises InputError for a file that cannot be written, or is no page of entroloop.
    """
    refuse_foreign(html)
    page = page_from(template, **content)
    try:
        write_atomically(html, page)
    except OSError as error:
        raise InputError(f"the page {html} cannot be written: {error.strerror}") from None


def asset(name: str) -> str:
    """Return the text of a file of assets/."""
    return (resources.files("entroloop.report") / "assets" / name).read_text("utf-8")


def assets_digest() -> str:
    """Return a hash of all that pages are made from besides their data."""
    folder = resources.files("entroloop.report") / "assets"
    texts = [file.read_text("utf-8") for file in sorted(folder.iterdir(), key=lambda f: f.name)]
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()


def json_for_html(value: Any) -> str:
    """Return JSON that can stand within a script element: no <, > or &, and null for NaN.

    >>> json_for_html({"a": float("nan"), "</b>": 1}).count("<")
    0
    """
    text = json.dumps(_finite(value), ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for sign in "<>&\u2028\u2029":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(own) for key, own in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(own) for own in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _breakable(text: str) -> Markup:
    """Return a text as HTML that may break after an underscore, where names of arms are long."""
    return Markup("_<wbr>").join(map(escape, text.split("_")))


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _colours() -> str:
    """Return the colours of arms as style, black for a dark page made white."""
    return "\n".join(
        f".c{i} {{ --own: {'light-dark(#000000, #f0f0f0)' if c == '#000000' else c}; }}"
        for i, c in enumerate(COLOURS)
    )
