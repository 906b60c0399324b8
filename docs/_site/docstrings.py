"""Docstrings as Markdown: doctests as code, and what is said of each parameter as a list. It is used by
the pages of strategies and generators, and as an extension of mkdocstrings.
"""

from __future__ import annotations

import inspect
import re

import griffe

DOCTEST = re.compile(r"^>>> .*(?:\n(?!\s*$).*)*", re.M)


def as_markdown(text, names):
    """Return a docstring as Markdown; names: of the parameters that it may speak of."""
    text = inspect.cleandoc(text or "")
    paragraphs = re.split(r"\n\s*\n", text)
    return "\n\n".join(_paragraph(p, names) for p in paragraphs)


def _paragraph(text, names):
    if DOCTEST.match(text):
        return f"```pycon\n{text}\n```"
    if text.startswith((" ", "- ", "|")) or "\n- " in text:
        return text
    known = "|".join(map(re.escape, sorted(names, key=len, reverse=True))) or r"\b\B"
    group = rf"(?:{known})(?:, (?:{known}))*"
    joined = " ".join(text.split())
    head = rf"(?:^|(?<=[.;] ))({group})((?: \([^)]*\)[^.:;]{{0,45}})?): "
    parts = re.split(head, joined)
    before, rest = parts[0], parts[1:]
    if not rest:
        return text
    items = [
        f"- **{', '.join(f'`{n}`' for n in rest[i].split(', '))}**{rest[i + 1]}: {_escaped(rest[i + 2].strip())}"
        for i in range(0, len(rest), 3)
    ]
    return "\n".join([*([before.strip(), ""] if before else []), *items])


def _escaped(text):
    return re.sub(r"(?<!`)\*(?!`)", r"\\*", text)


class AsMarkdown(griffe.Extension):
    """Rewrites docstrings before mkdocstrings reads them."""

    def on_function(self, *, func, **kwargs):
        if func.docstring:
            names = [p.name.lstrip("*") for p in func.parameters]
            func.docstring.value = as_markdown(func.docstring.value, names)

    def on_class(self, *, cls, **kwargs):
        if cls.docstring:
            cls.docstring.value = as_markdown(cls.docstring.value, list(cls.members))
