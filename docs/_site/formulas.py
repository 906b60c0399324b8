"""Formulas as MathML, which browsers draw by themselves: no script and no fonts to bring along."""

from __future__ import annotations

import html as entities
import re

from latex2mathml.converter import convert

FORMULA = re.compile(r'<(span|div) class="arithmatex">\\([(\[])(.*?)\\[)\]]</\1>', re.S)


def as_mathml(html):
    """Return a page's HTML with MathML in place of what arithmatex marked as LaTeX."""
    return FORMULA.sub(_converted, html)


def _converted(found):
    tag, bracket, latex = found.groups()
    display = "inline" if bracket == "(" else "block"
    made = convert(entities.unescape(latex).strip(), display=display)
    label = entities.escape(" ".join(entities.unescape(latex).split()), quote=True)
    made = made.replace("<math ", f'<math aria-label="{label}" ', 1)
    return f'<{tag} class="formula">{made}</{tag}>'
