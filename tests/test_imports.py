"""Imports run one way: a module imports only from rooms below its own."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import entroloop

ROOT = Path(entroloop.__file__).parent

# Each row may import from rows above it, and from its own room.
LAYERS = [
    ["errors", "usage"],
    ["seeding"],
    ["samples", "environment", "memory"],
    ["multiply"],
    ["files", "spaces", "transforms", "rows"],
    ["sketches"],
    ["neighbors", "shards"],
    ["part"],
    ["places"],
    ["data", "features", "metrics", "paradigms", "generators", "records", "store", "config"],
    ["object_store"],
    ["selection"],
    ["stages", "build"],
    ["plan"],
    ["history"],
    ["loop"],
    ["engines"],
    ["study", "choose", "measuring", "estimators"],
    ["report", "progress", "doctor"],
    ["cli"],
    ["__main__"],
]  # fmt: skip
PEERS = {"data", "features", "metrics", "paradigms", "generators", "store"}
HEAVY_ONLY_IN = {
    "torch": {"engines", "generators", "study", "features", "multiply"},
    "diffusers": {"generators"},
    "accelerate": {"generators", "engines"},
    "transformers": {"features"},
    "datasets": {"data"},
    "ray": {"engines"},
    "plotly": {"report"},
}


def room(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module or "")
    return found


FILES = sorted(p for p in ROOT.rglob("*.py") if p != ROOT / "__init__.py")
RANK = {name: rank for rank, names in enumerate(LAYERS) for name in names}


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_run_one_way(path):
    own = room(path)
    assert own in RANK, f"{own} has no row in LAYERS"
    for name in imports(path):
        parts = name.split(".")
        if parts[0] != "entroloop" or len(parts) == 1:
            continue
        other = parts[1]
        if other == own:
            continue
        assert RANK[other] <= RANK[own], f"{path.name} imports {name} from above"
        if own in PEERS and other in PEERS:
            raise AssertionError(f"{own} and {other} are peers and must not know each other")


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_heavy_libraries_stay_in_their_rooms(path):
    for name in imports(path):
        library = name.split(".")[0]
        assert library not in {"torchvision", "pickle", "cloudpickle", "joblib"}
        assert room(path) in HEAVY_ONLY_IN.get(library, {room(path)}), f"{library} in {path}"


@pytest.mark.parametrize("module", ["entroloop", "entroloop.cli", "entroloop.study.config"])
def test_importing_the_package_loads_no_heavy_library(module):
    code = (
        f"import sys, {module}; heavy = {{'torch', 'sklearn', 'plotly', 'pandas', 'scipy', "
        "'diffusers', 'transformers', 'ray'}; print(sorted(heavy & set(sys.modules)))"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert answer.stdout.strip() == "[]", answer.stdout + answer.stderr


def test_every_public_name_resolves_and_has_a_docstring():
    for name in entroloop.__all__:
        assert getattr(entroloop, name).__doc__
    with pytest.raises(AttributeError, match="no attribute 'selct'"):
        entroloop.selct  # noqa: B018
