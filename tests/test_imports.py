"""Imports run one way: a module imports only from rooms below its own."""

import ast
import re
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import entroloop

ROOT = Path(entroloop.__file__).parent

# Each room may import from rooms above it in this list, and from itself: the order of the map in
# CONTRIBUTING.md. The first rows are the files at the root that all others stand on.
ROOMS = [
    ["errors", "seeding"],
    ["modalities"],
    ["plugins", "samples"],
    ["system"],
    ["distances"],
    ["pools"],
    ["data", "features", "generators", "metrics", "theory"],
    ["selection"],
    ["monitor"],
    ["cleaning"],
    ["store"],
    ["trackers"],
    ["study"],
    ["engines"],
    ["commands"],
    ["report"],
    ["live"],
    ["plot"],
    ["cli"],
    ["__main__"],
]
AT_THE_ROOT = {"errors", "seeding", "samples", "__main__", "__init__"}
HEAVY_ONLY_IN = {
    "torch": {"system", "distances", "engines", "generators", "features", "monitor", "trackers"},
    "diffusers": {"generators"},
    "accelerate": {"generators", "engines"},
    "transformers": {"features", "generators", "monitor"},
    "lightning": {"monitor"},
    "wandb": {"trackers"},
    "mlflow": {"trackers"},
    "datasets": {"data"},
    "ray": {"engines"},
    "matplotlib": {"plot", "selection"},
    "numba": {"pools", "system"},
}


def room(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def module(path: Path) -> str:
    return ".".join(["entroloop", *path.relative_to(ROOT).with_suffix("").parts])


def imports(path: Path) -> set[str]:
    """Return the modules that a file names, in functions and for type checkers, too."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            name = node.module or ""
            inside = {f"{name}.{alias.name}" for alias in node.names}
            files = {m for m in inside if m in MODULES}
            found |= files or {name}
    return found


FILES = sorted(p for p in ROOT.rglob("*.py") if p != ROOT / "__init__.py")
MODULES = {module(p).removesuffix(".__init__"): p for p in FILES}
RANK = {name: rank for rank, names in enumerate(ROOMS) for name in names}


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_every_file_is_in_a_room_and_imports_from_rooms_below(path):
    own = room(path)
    assert own in RANK, f"{own} is no room: see ROOMS"
    assert path.parent != ROOT or own in AT_THE_ROOT, f"{path.name} lies at the root"
    for name in imports(path):
        parts = name.split(".")
        if parts[0] != "entroloop" or len(parts) == 1 or parts[1] == own:
            continue
        assert RANK[parts[1]] < RANK[own], f"{path.name} imports {name}, which is no room below"


def test_there_is_no_circle_of_files():
    graph = {}
    for path in FILES:
        own = module(path).removesuffix(".__init__")
        # A package's own files stand on its __init__ by being in it: that is no import.
        graph[own] = {m for m in imports(path) if m in MODULES and not own.startswith(f"{m}.")}
    TopologicalSorter(graph).prepare()  # raises CycleError


def test_the_map_of_contributing_names_the_rooms_in_their_order():
    text = (Path(__file__).parents[1] / "CONTRIBUTING.md").read_text()
    shown = re.findall(r"^  (\w+)(?:/|\.py) ", text[text.index("src/entroloop/\n") :], re.M)
    rooms = [name for names in ROOMS for name in names if name != "__main__"]
    assert [name for name in shown if name in rooms] == rooms


@pytest.mark.parametrize("folder", sorted(p for p in ROOT.iterdir() if p.is_dir()), ids=str)
def test_every_room_begins_with_a_sentence_that_says_what_lives_there(folder):
    if folder.name in ("presets", "__pycache__"):
        return
    text = ast.get_docstring(ast.parse((folder / "__init__.py").read_text()))
    assert text, folder
    assert text.split("\n\n")[0].rstrip().endswith(".")


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_heavy_libraries_stay_in_their_rooms(path):
    for name in imports(path):
        library = name.split(".")[0]
        assert library not in {"torchvision", "pickle", "cloudpickle", "joblib"}
        assert room(path) in HEAVY_ONLY_IN.get(library, {room(path)}), f"{library} in {path}"


@pytest.mark.parametrize("module", ["entroloop", "entroloop.cli", "entroloop.study.config"])
def test_importing_the_package_loads_no_heavy_library(module):
    code = (
        f"import sys, {module}; heavy = {{'torch', 'sklearn', 'pandas', 'scipy', "
        "'diffusers', 'transformers', 'ray', 'matplotlib'}; print(sorted(heavy & set(sys.modules)))"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert answer.stdout.strip() == "[]", answer.stdout + answer.stderr


def test_every_public_name_resolves_and_has_a_docstring():
    for name in entroloop.__all__:
        assert getattr(entroloop, name).__doc__
    with pytest.raises(AttributeError, match="no attribute 'selct'"):
        entroloop.selct  # noqa: B018
