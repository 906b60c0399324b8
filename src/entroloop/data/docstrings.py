"""Real prose that is always there: the paragraphs of the docstrings of installed packages."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from entroloop.data.reading import reading
from entroloop.data.texts import Cut, paragraphs
from entroloop.errors import InputError
from entroloop.samples import RealData

# What tells code, tables, formulas and lists of parameters from prose.
NO_PROSE = re.compile(r">>>|---|===|::|``|:\w+:|\.\. |\[\d+\]|[|{}\\]|https?:")
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


class Docstrings(Cut):
    """Settings: whose docstrings.

    packages: names of installed packages; their files are parsed, and nothing of them is run.
    """

    source: Literal["docstrings"] = "docstrings"
    packages: tuple[str, ...] = ("numpy", "sklearn")
    shortest: int = 60

    def load(self) -> RealData:
        """Return paragraphs that read as prose as uint8 rows (n, length), files in name order."""
        folders = [_folder(name) for name in self.packages]
        return self.real((p for f in folders for p in _prose(f)), " and ".join(self.packages))


def _folder(package: str) -> Path:
    found = find_spec(package) if package.isidentifier() else None
    if found is None or not found.submodule_search_locations:
        raise InputError(f"data.packages: there is no installed package '{package}'")
    return Path(found.submodule_search_locations[0])


def _prose(folder: Path) -> Iterator[str]:
    """Yield paragraphs of whole sentences, beginning with a capital letter."""
    for path in sorted(folder.rglob("*.py")):
        if "tests" in path.parts:
            continue
        with reading(path, "Python file"):
            tree = ast.parse(path.read_bytes())
        for node in ast.walk(tree):
            text = ast.get_docstring(node) if isinstance(node, DOCUMENTED) else None
            for one in paragraphs(text or ""):
                if one[0].isupper() and one.endswith(".") and not NO_PROSE.search(one):
                    yield one
