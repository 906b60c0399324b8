"""The strategies and their parameters for `select --help`, read from the table's source.

Importing the table takes SciPy, and with it half a second; help must not. A test holds what is read
here to the table itself.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

TABLE = "entroloop.selection.strategies"
FROM_A_STUDY = {"generations", "joined", "baseline"}  # that guarded does without elsewhere


@dataclass(frozen=True)
class Told:
    """What help tells of a strategy.

    parameters: what --param can set, with the default as it is written. arrays: arguments that only
    Python and studies can give. guarded: it takes --guard.
    """

    parameters: dict[str, str]
    arrays: tuple[str, ...]
    guarded: bool

    def in_words(self) -> str:
        """Return the parameters and what else the strategy needs, in a line."""
        words = [
            key if value in ("None", "INNER") else f"{key}={value}"
            for key, value in self.parameters.items()
        ]
        if self.guarded:
            words.append("goes with --guard")
        if self.arrays:
            words.append(f"needs `{'`, `'.join(self.arrays)}`, from Python or in a study")
        return ", ".join(words)


def strategies_help() -> str:
    """Return a line a strategy: its name, its parameters with their defaults."""
    width = max(map(len, strategies()))
    lines = [f"  {name:{width}}  {told.in_words()}" for name, told in strategies().items()]
    return "\n".join(["Strategies, and what --param sets:", *map(str.rstrip, lines), ""])


@cache
def strategies() -> dict[str, Told]:
    """Return what is told of each strategy, in the order of the table."""
    folder = _folder()
    tree = ast.parse((folder / "__init__.py").read_text("utf-8"))
    home = {
        alias.asname or alias.name: (node.module or "", alias.name)
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    found = {}
    for name, row in _rows(tree):
        module, function = home[row["pick"]]
        source = ast.parse((folder / f"{module.rpartition('.')[2]}.py").read_text("utf-8"))
        needs = row.get("needs", ())
        found[name] = Told(
            {key: value for key, kind, value in _keywords(source, function) if "Array" not in kind},
            tuple(need for need in needs if need not in FROM_A_STUDY and "guard" not in needs),
            "guard" in needs,
        )
    return found


def _folder() -> Path:
    package, _, name = TABLE.rpartition(".")
    spec = find_spec("entroloop")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent.joinpath(*package.split(".")[1:], name)


def _rows(tree: ast.Module) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the name and what was written in each row of the table of built-in strategies."""
    for node in tree.body:
        if isinstance(node, ast.AnnAssign) and ast.unparse(node.target) == "_OWN":
            assert isinstance(node.value, ast.Dict)
            for key, call in zip(node.value.keys, node.value.values, strict=True):
                assert isinstance(key, ast.Constant)
                assert isinstance(call, ast.Call)
                yield str(key.value), {k.arg or "": _value(k.value) for k in call.keywords}


def _value(node: ast.expr) -> Any:
    return node.id if isinstance(node, ast.Name) else ast.literal_eval(node)


def _keywords(source: ast.Module, function: str) -> Iterator[tuple[str, str, str]]:
    """Yield the keyword arguments of a function with their types and defaults, as written."""
    for node in source.body:
        if isinstance(node, ast.FunctionDef) and node.name == function:
            for argument, default in zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True):
                kind = "" if argument.annotation is None else ast.unparse(argument.annotation)
                yield argument.arg, kind, "" if default is None else ast.unparse(default)
