"""A page of one template: figures, tables and pictures in a single file that opens offline."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from entroloop.errors import InputError
from entroloop.report import refuse_foreign
from entroloop.system.files import write_atomically


def write_plain_page(html: Path, template: str, figures: Mapping[str, Any], **content: Any) -> None:
    """Write a page; figures: of plotly, by the id of their place. All text is escaped.

    Raises InputError for a file that cannot be written, or is no page of entroloop.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from plotly.offline import get_plotlyjs

    refuse_foreign(html)
    pages = Environment(
        loader=PackageLoader("entroloop.report", "."), autoescape=True, undefined=StrictUndefined
    )
    page = pages.get_template(template).render(
        plotly_js=get_plotlyjs() if figures else "",
        version=version("entroloop"),
        figures={name: json.loads(figure.to_json()) for name, figure in figures.items()},
        **content,
    )
    try:
        write_atomically(html, page)
    except OSError as error:
        raise InputError(f"the page {html} cannot be written: {error.strerror}") from None
