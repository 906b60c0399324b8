"""What ships the package says what pyproject.toml says: version, dependencies, commands, types."""

import re
import subprocess
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest
import yaml
from jinja2 import Template

import entroloop as el

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
CONDA_CALLS = {"torch": "pytorch"}


@pytest.fixture(scope="module")
def recipe():
    text = (ROOT / "packaging/conda/recipe.yaml").read_text()
    return yaml.safe_load(Template(text, variable_start_string="${{").render(PYTHON="python"))


def test_the_conda_recipe_has_the_version_and_dependencies_of_the_project(recipe):
    assert recipe["package"] == {"name": PROJECT["name"], "version": PROJECT["version"]}
    wanted = {re.sub(r"([\w-]+)(.*)", r"\1 \2", text) for text in PROJECT["dependencies"]}
    wanted = {f"{CONDA_CALLS.get(n, n)} {v}" for n, v in map(str.split, wanted)}
    assert set(recipe["requirements"]["run"]) == wanted | {f"python {PROJECT['requires-python']}"}
    assert "noarch" in recipe["build"]


def test_the_conda_recipe_installs_and_tests_the_command(recipe):
    [name, target] = next(iter(PROJECT["scripts"].items()))
    assert recipe["build"]["python"]["entry_points"] == [f"{name} = {target}"]
    assert recipe["build"]["script"].startswith("python -m pip install . --no-deps")
    assert recipe["about"]["license"] == PROJECT["license"]
    assert (ROOT / "packaging/conda" / recipe["source"]["path"]).resolve() == ROOT
    [script] = [test["script"] for test in recipe["tests"] if "script" in test]
    assert all(command.startswith(name) for command in script)


def test_the_conda_recipe_builds_with_what_the_project_builds_with(recipe):
    requires = tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"]["requires"]
    wanted = {re.sub(r"([\w-]+)(.*)", r"\1 \2", text) for text in requires}
    python = f"python {PROJECT['requires-python']}"
    assert set(recipe["requirements"]["host"]) == wanted | {python, "pip"}


def test_rattler_build_reads_the_conda_recipe_as_it_is_read_here(recipe):
    build = pytest.importorskip("rattler_build")
    stage = build.Stage0Recipe.from_file(ROOT / "packaging/conda/recipe.yaml")
    [variant] = stage.render()
    read = variant.recipe
    assert (str(read.package.name), str(read.package.version)) == ("entroloop", el.__version__)
    assert sorted(map(str, read.requirements.run)) == sorted(recipe["requirements"]["run"])
    assert "python" in str(read.build.noarch)


@pytest.fixture(scope="module")
def container():
    lines = (ROOT / "packaging/container/Containerfile").read_text().splitlines()
    told = [line.split(" ", 1) for line in lines if line and not line.startswith("#")]
    return [(instruction, rest) for instruction, rest in told]


def test_the_container_file_installs_as_the_readme_does(container):
    known = {"FROM", "ARG", "WORKDIR", "COPY", "RUN", "ENV", "ENTRYPOINT", "CMD"}
    assert {instruction for instruction, _ in container} <= known
    [run] = [rest for instruction, rest in container if instruction == "RUN"]
    command = run.replace(" --no-cache-dir", "").replace('".${EXTRAS}"', ".")
    assert f"{command} && entroloop run" in (ROOT / "README.md").read_text()
    [base] = [rest for instruction, rest in container if instruction == "FROM"]
    python = tuple(map(int, re.search(r"python:(\d+)\.(\d+)", base).groups()))
    assert python >= tuple(map(int, PROJECT["requires-python"].removeprefix(">=").split(".")))


def test_the_container_file_copies_all_that_the_installation_reads(container):
    copied = [name for i, rest in container if i == "COPY" for name in rest.split()[:-1]]
    assert all((ROOT / name).exists() for name in copied)
    read = {"pyproject.toml", "src", PROJECT["readme"], *PROJECT["license-files"]}
    assert read | {"constraints.txt"} == set(copied)


def test_the_version_is_that_of_the_installed_package():
    assert el.__version__ == version("entroloop") == PROJECT["version"]


def test_type_checkers_are_told_that_the_package_is_typed():
    assert (Path(el.__file__).parent / "py.typed").is_file()


@pytest.mark.slow
def test_a_type_checker_sees_the_types_of_public_names(tmp_path):
    pytest.importorskip("mypy")
    (tmp_path / "user.py").write_text(
        "import entroloop as el\n"
        "reveal_type(el.load_study('s').arms)\n"
        "reveal_type(el.__version__)\n"
        "el.register('metrics', 5, None)\n"
    )
    command = [sys.executable, "-m", "mypy", "--cache-dir", str(tmp_path / "cache"), "user.py"]
    command += ["--follow-imports", "silent", "--ignore-missing-imports"]
    told = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True).stdout
    told = told.replace("builtins.", "")
    assert 'user.py:2: note: Revealed type is "list[str]"' in told, told
    assert 'user.py:3: note: Revealed type is "str"' in told
    assert 'user.py:4: error: Argument 2 to "register" has incompatible type "int"' in told
    assert "missing library stubs or py.typed" not in told


def test_the_page_of_the_python_interface_has_every_public_name():
    page = (ROOT / "docs/api.md").read_text()
    named = re.findall(r"^::: entroloop\.(?:[\w.]+\.)?(\w+)$", page, re.MULTILINE)
    assert sorted(named) == sorted(set(el.__all__))
