"""Notebooks: small tables as HTML, and whether this is one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any


def writes_to_notebook(stream: Any) -> bool:
    """Whether what is written to a stream is shown in a notebook."""
    return type(stream).__module__.startswith("ipykernel")


def facts_table(caption: str, facts: Mapping[str, str]) -> str:
    """Return a table of one fact a row; every text is escaped."""
    rows = "".join(
        f"<tr><th scope='row'>{escape(name)}</th><td>{escape(text)}</td></tr>"
        for name, text in facts.items()
    )
    return f"<table><caption>{escape(caption)}</caption>{rows}</table>"


def rows_table(caption: str, headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table with headings, the first cell of a row heading it; every text is escaped."""
    head = "".join(f"<th scope='col'>{escape(text)}</th>" for text in headings)
    body = "".join(
        f"<tr><th scope='row'>{escape(first)}</th>"
        + "".join(f"<td>{escape(text)}</td>" for text in rest)
        + "</tr>"
        for first, *rest in rows
    )
    return (
        f"<table><caption>{escape(caption)}</caption><thead><tr>{head}</tr></thead>"
        f"<tbody>{body}</tbody></table>"
    )
