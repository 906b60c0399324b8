"""Formulas as MathML, which browsers draw by themselves: no script and no fonts to bring along."""

from __future__ import annotations

import html as entities
import re

from latex2mathml.converter import convert

FORMULA = re.compile(r'<(span|div) class="arithmatex">\\([(\[])(.*?)\\[)\]]</\1>', re.S)

WORDS = re.compile("<mi>ln</mi>")  # which are set without the space of an operator


def as_mathml(html):
    """Return a page's HTML with MathML in place of what arithmatex marked as LaTeX."""
    return FORMULA.sub(_converted, html)


def _converted(found):
    tag, bracket, latex = found.groups()
    display = "inline" if bracket == "(" else "block"
    made = convert(entities.unescape(latex).strip(), display=display)
    if "\\" in made:  # what the converter does not know, it leaves as it is
        raise ValueError(f"formula {latex!r} has a command that latex2mathml does not know")
    made = WORDS.sub(r'\g<0><mspace width="0.17em"/>', made)
    label = entities.escape(" ".join(entities.unescape(latex).split()), quote=True)
    made = made.replace("<math ", f'<math aria-label="{label}" ', 1)
    return f'<{tag} class="formula">{made}</{tag}>'
