"""Plug-ins: installed, registered or given; in workers; their versions in keys; broken ones."""

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import yaml

import entroloop as el
from entroloop.commands.prepare import prepare
from entroloop.engines.job import Assignment
from entroloop.features import extractor_for
from entroloop.generators.table import GENERATORS
from entroloop.metrics import METRICS, Metric
from entroloop.plugins import PluginError, adopt_here, table
from entroloop.selection.strategies import STRATEGIES, Strategy

EXAMPLE = Path(__file__).parents[1] / "examples/plugin"
STUDY = EXAMPLE / "entroloop_example/copies.yaml"

MINE = """
from typing import ClassVar, Literal
import numpy as np
from entroloop.data.digits import Digits
from entroloop.features import Extractor
from entroloop.generators.gaussian import Gaussian
from entroloop.metrics import Metric
from entroloop.samples import RealData
from entroloop.selection.strategies import Strategy
from entroloop.study.paradigms import Composition

class Mine(Gaussian):
    name: Literal["mine"] = "mine"

class Failing(Mine):
    def fit(self, training_set, **_):
        return {}["lost"]

class Halves(Digits):
    source: Literal["halves"] = "halves"
    def load(self):
        real = super().load()
        return RealData(np.ascontiguousarray(real.data[:, :32]), real.labels)

def newest(generation, n):
    return Composition((generation - 1,), n)

def first(state):
    return state.picks_in_order(state.selectable)

def half(argument, device):
    return Extractor("half", f"half {argument}", whole=lambda rows: rows[:, ::2])

def failing_features(argument, device):
    return Extractor("bad", "bad", whole=lambda rows: rows[0] / [])

FIRST = Strategy(pick=first)
COUNT = Metric(("generated",), lambda sets: float(len(sets["generated"])), "how many rows")
ZERO = Metric(("generated",), lambda sets: 1 / 0, "nothing")
def nothing(generation, n): return None
"""


@pytest.fixture(autouse=True)
def nothing_stays_registered():
    before = dict(table.GIVEN)
    yield
    table.GIVEN.clear()
    table.GIVEN.update(before)


@pytest.fixture
def mine(tmp_path, monkeypatch):
    """A module of plug-ins in a folder of its own, under a name that no other test has."""
    name = f"mine_{abs(hash(tmp_path)):x}"
    folder = tmp_path / "modules"
    folder.mkdir()
    (folder / f"{name}.py").write_text(MINE)
    monkeypatch.syspath_prepend(str(folder))
    yield name
    sys.modules.pop(name, None)


@pytest.fixture(scope="session")
def installed_example(tmp_path_factory):
    """The folder into which pip installed the example package."""
    if find_spec("setuptools") is None:
        pytest.skip("setuptools, which builds the example, is not installed")
    folder = tmp_path_factory.mktemp("example")
    shutil.copytree(EXAMPLE, folder / "source")  # a build leaves files beside its source
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
    command += ["--no-build-isolation", "--target", str(folder / "site"), str(folder / "source")]
    subprocess.run(command, check=True, capture_output=True)
    return folder / "site"


def declare(folder, kind, name, target, version="1.0", distribution="other"):
    """Write what an installed package leaves of its entry points."""
    info = folder / f"{distribution}-{version}.dist-info"
    info.mkdir(parents=True, exist_ok=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\n"
                                   f"Version: {version}\n")  # fmt: skip
    (info / "entry_points.txt").write_text(f"[entroloop.{kind}]\n{name} = {target}\n")
    table._installed.cache_clear()


def one_line(answer):
    assert answer.returncode == 2, answer.stderr
    lines = answer.stderr.strip().splitlines()
    assert len(lines) == 1, answer.stderr
    return lines[0]


# -- the example package -----------------------------------------------------------------------


def test_the_example_package_runs_in_two_workers_once_it_is_installed(
    entroloop, installed_example, tmp_path, monkeypatch
):
    package = str(Path(el.__file__).parents[1])
    monkeypatch.setenv("PYTHONPATH", f"{package}:{installed_example}")
    command = ["run", STUDY, "--set", "generations=2", "--workers", 2]
    answer = entroloop(*command)
    assert answer.returncode == 0, answer.stderr
    records = el.load_records(tmp_path / "runs/copies")
    assert (records["memorized_fraction"] == 1).all()  # bootstrap copies its training rows
    assert (records["median_distance"] == 0).all()
    told = json.loads((tmp_path / "runs/copies/environment.json").read_text())
    assert told["generators bootstrap"] == told["strategies outermost"] == "1.0"
    monkeypatch.syspath_prepend(str(installed_example))
    again = prepare(STUDY, tmp_path / "runs/copies", device="cpu", overrides={"generations": 2})
    assert not again.todo


def test_the_documentation_shows_the_generator_of_the_example_whole():
    text = (EXAMPLE.parents[1] / "docs/extending.md").read_text()
    blocks = [block.split("```")[0] for block in text.split("```python\n")[1:]]
    [shown] = [block for block in blocks if block.startswith("class Bootstrap")]
    assert (EXAMPLE / "entroloop_example/bootstrap.py").read_text().endswith(shown)
    assert len([line for line in shown.splitlines() if line.strip()]) <= 30


def test_doctor_lists_what_is_installed_and_what_is_wrong_with_it(
    entroloop_here, installed_example, tmp_path, monkeypatch
):
    declare(tmp_path / "site", "metrics", "broken", "nowhere_to_be_found:M", distribution="bad")
    declare(tmp_path / "more", "generators", "kde", "collections:OrderedDict", distribution="big")
    for folder in (installed_example, tmp_path / "site", tmp_path / "more"):
        monkeypatch.syspath_prepend(str(folder))
    found = {p["name"]: p for p in json.loads(entroloop_here("doctor").stdout)["plugins"]}
    assert set(found) == {
        "bootstrap", "median_distance", "spectrum", "outermost", "copies", "broken", "kde"
    }  # fmt: skip
    assert found["bootstrap"]["version"] == "1.0"
    assert found["bootstrap"]["from"] == "entroloop-example 1.0"
    assert "No module named 'nowhere_to_be_found'" in found["broken"]["problem"]
    assert "built in" in found["kde"]["problem"]
    assert GENERATORS["kde"].__name__ == "KDE"  # what is built in stays


def test_an_unknown_name_lists_what_is_installed(entroloop_here, installed_example, monkeypatch):
    monkeypatch.syspath_prepend(str(installed_example))
    told = one_line(entroloop_here("run", "--dry-run", "--set", "generator=bootstrp"))
    assert "did you mean 'bootstrap'" in told
    with pytest.raises(el.InputError, match=r"Valid: .*median_distance"):
        el.measure(generated=np.eye(9), metrics=["median"])
    with pytest.raises(el.InputError, match="did you mean 'outermost'"):
        el.select(np.eye(9), 2, "outermst")


def test_installed_metrics_are_taken_when_asked_for_and_only_then(installed_example, monkeypatch):
    monkeypatch.syspath_prepend(str(installed_example))
    rng = np.random.default_rng(0)
    sets = {"generated": rng.standard_normal((40, 3)), "train": rng.standard_normal((50, 3))}
    found = el.measure(**sets, metrics=["median_distance"])["median_distance"]
    distances = np.linalg.norm(sets["generated"][:, None] - sets["train"], axis=2).min(axis=1)
    assert found.value == pytest.approx(np.median(distances))
    assert found.interval is not None
    assert "median_distance" not in el.measure(**sets)


# -- given by the user -------------------------------------------------------------------------


def test_plugins_of_every_kind_are_given_by_option_and_found_by_the_workers(
    entroloop, tmp_path, tiny, mine
):
    shutil.copy(tmp_path / f"modules/{mine}.py", tmp_path)  # found in the folder of the command
    tiny |= {"seeds": [0], "generations": 2, "metrics": {"features": "half", "extra": ["count"]}}
    tiny |= {"data": {**tiny["data"], "source": "halves"}, "generator": {"name": "mine"}}
    tiny["arms"] = [{"paradigm": "newest", "strategy": "first", "features": "half"}]
    (tmp_path / "my.yaml").write_text(yaml.safe_dump(tiny))
    given = [
        "generators:mine=M:Mine",
        "sources:halves=M:Halves",
        "paradigms:newest=M:newest",
        "strategies:first=M:FIRST",
        "extractors:half=M:half",
        "metrics:count=M:COUNT",
    ]
    options = [text for item in given for text in ("--plugin", item.replace("M:", f"{mine}:"))]
    answer = entroloop("run", "my.yaml", "--workers", 1, *options)
    assert answer.returncode == 0, answer.stderr
    records = el.load_records(tmp_path / "runs/tiny")
    assert list(records["count"]) == [24, 24]


def test_a_preset_is_given_listed_printed_and_run(entroloop_here, tmp_path, tiny, mine):
    text = "# Mine, in few words.\n" + yaml.safe_dump(tiny)
    (tmp_path / "modules/studies").mkdir()
    (tmp_path / "modules/studies/mine.yaml").write_text(text)
    (tmp_path / "modules" / f"{mine}.py").write_text(
        "from importlib.resources import files\n"
        "STUDY = files('studies') / 'mine.yaml'\n"
        "TEXT, GONE = 'generations: 3', files('studies') / 'gone.yaml'\n"
    )
    given = ["--plugin", f"presets:my-own={mine}:STUDY"]
    listed = entroloop_here("presets", *given).stdout.splitlines()
    assert f"{'my-own':16} Mine, in few words." in listed
    assert any(line.startswith("digits ") for line in listed)
    assert entroloop_here("presets", "my-own", *given).stdout == text
    plan = json.loads(entroloop_here("run", "my-own", "--dry-run", *given).stdout)
    assert (plan["study"], plan["generations"]) == (tiny["name"], tiny["generations"])
    for name, told in (("TEXT", "is no path of a study file"), ("GONE", "which is no file")):
        answer = entroloop_here("presets", "--plugin", f"presets:other={mine}:{name}")
        assert told in one_line(answer)
    told = one_line(entroloop_here("presets", "--plugin", f"presets:digits={mine}:STUDY"))
    assert "preset 'digits' is built in" in told


def test_presets_of_a_package_that_is_installed_stand_beside_one_that_is_broken(
    entroloop_here, installed_example, tmp_path, monkeypatch
):
    declare(tmp_path / "site", "presets", "broken", "nowhere_to_be_found:S", distribution="bad")
    for folder in (installed_example, tmp_path / "site"):
        monkeypatch.syspath_prepend(str(folder))
    listed = entroloop_here("presets").stdout
    assert "copies           Copies of copies, measured by plug-ins alone." in listed
    assert "No module named 'nowhere_to_be_found'" in listed
    plan = json.loads(entroloop_here("run", "copies", "--dry-run").stdout)
    assert plan["config"]["arms"][0]["generator"] == {"name": "bootstrap"}
    assert "cannot be loaded" in one_line(entroloop_here("run", "broken", "--dry-run"))
    assert "Valid: " in one_line(entroloop_here("presets", "copes"))


def test_a_study_in_python_uses_what_is_registered(tmp_path, tiny, mine):
    el.register("generators", "mine", f"{mine}:Mine")
    tiny["arms"] = [{"name": name, "generator": name} for name in ("mine", "gaussian")]
    study = tiny | {"generations": 1, "seeds": [0]}
    records = el.run_study(study, tmp_path / "s", workers=1)
    mine_has, gaussian_has = (r.entropy_samples for r in records)
    assert mine_has == gaussian_has


def test_a_plugin_may_be_a_member_of_an_ecosystem_and_its_version_is_in_the_keys(
    tmp_path, tiny, mine
):
    keys = []
    for version in ("1", "2"):
        el.register("generators", "mine", f"{mine}:Mine", version=version)
        of = {"name": "mine"}
        tiny["arms"] = [{"generator": {"name": "ecosystem", "members": 2, "of": of}}]
        study = prepare(tiny, tmp_path / "s")
        assert [plugin.name for plugin in study.built.plugins] == ["mine"]
        keys.append({step.model for step in study.steps})
    assert not keys[0] & keys[1]
    for of, told in (("gausian", "did you mean 'gaussian'"), ("ecosystem", "no member of another")):
        tiny["arms"][0]["generator"]["of"] = {"name": of}
        with pytest.raises(el.InputError, match=told):
            prepare(tiny, tmp_path / "s")
    tiny["arms"][0]["generator"]["of"] = 3
    with pytest.raises(el.InputError, match="takes the settings of a generator"):
        prepare(tiny, tmp_path / "s")
    tiny["arms"][0]["generator"]["of"] = {"name": "kde", "bandwidth": -1}
    with pytest.raises(el.InputError, match="greater than or equal to 0"):
        prepare(tiny, tmp_path / "s")


def test_commands_take_plugins(entroloop_here, tmp_path, mine):
    np.save(tmp_path / "x.npy", np.random.default_rng(0).standard_normal((30, 4)))
    options = ["--plugin", f"extractors:half={mine}:half", "--features", "half"]
    answer = entroloop_here("measure", "--generated", "x.npy", "--metrics", "count",
                            "--plugin", f"metrics:count={mine}:COUNT", *options)  # fmt: skip
    printed = json.loads(answer.stdout)
    assert printed["metrics"]["count"]["value"] == 30
    assert printed["generated"]["d"] == 2
    answer = entroloop_here("select", "--pool", "x.npy", "-n", 3, "--out", "chosen",
                            "--strategy", "first",
                            "--plugin", f"strategies:first={mine}:FIRST", *options)  # fmt: skip
    assert answer.returncode == 0, answer.stderr
    chosen = (tmp_path / "chosen/selection.parquet").read_bytes()
    assert chosen.startswith(b"PAR1")
    answer = entroloop_here("duplicates", "--pool", "x.npy", "--threshold", 0.1, "--out", "d",
                            *options)  # fmt: skip
    assert answer.returncode == 0, answer.stderr
    assert json.loads(answer.stdout)["features"] == "half"
    answer = entroloop_here("audit", "x.npy", "x.npy", "--out", "a", *options)
    assert "level 0.01 needs 400 distinct real rows" in answer.stderr  # the extractor was found


@pytest.mark.slow
def test_plugins_are_found_by_workers_on_ray(entroloop, tmp_path, tiny, mine):
    pytest.importorskip("ray")
    shutil.copy(tmp_path / f"modules/{mine}.py", tmp_path)
    tiny |= {"seeds": [0], "generations": 2, "generator": {"name": "mine"}}
    (tmp_path / "my.yaml").write_text(yaml.safe_dump(tiny))
    answer = entroloop("run", "my.yaml", "--engine", "ray", "--workers", 1,
                       "--plugin", f"generators:mine={mine}:Mine")  # fmt: skip
    assert answer.returncode == 0, answer.stderr
    assert len(el.load_records(tmp_path / "runs/tiny")) == 4


# -- names -------------------------------------------------------------------------------------


def test_a_builtin_name_cannot_be_replaced_and_a_taken_one_not_taken(tmp_path, mine, monkeypatch):
    with pytest.raises(el.InputError, match="'gaussian' is built in"):
        el.register("generators", "gaussian", f"{mine}:Mine")
    declare(tmp_path / "site", "generators", "taken", f"{mine}:Mine")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    with pytest.raises(el.InputError, match=r"of other 1.0.* has the name 'taken' already"):
        el.register("generators", "taken", f"{mine}:Failing")
    assert GENERATORS["taken"].__name__ == "Mine"
    declare(tmp_path / "two", "generators", "taken", f"{mine}:Failing", distribution="third")
    monkeypatch.syspath_prepend(str(tmp_path / "two"))
    with pytest.raises(PluginError, match=r"other 1.0.*third 1.0.* have one name"):
        GENERATORS.find("taken")


@pytest.mark.parametrize(
    ("kind", "name", "message"),
    [("generator", "x", "did you mean 'generators'"), ("metrics", "a:b", "no name for a plug-in")],
)
def test_kinds_and_names_are_checked(kind, name, message):
    with pytest.raises(el.InputError, match=message):
        el.register(kind, name, "json:dumps")


@pytest.mark.parametrize(
    ("change", "option"),
    [
        ({"generator": "M:Mine"}, "--plugin generators:NAME"),
        ({"data": {"source": "M:Halves", "n_train": 24, "n_reference": 30}}, "--plugin sources:"),
        ({"strategy": "M:FIRST"}, "--plugin strategies:"),
        ({"paradigm": "M:newest"}, "--plugin paradigms:"),
        ({"metrics": {"extra": ["M.COUNT"]}}, "--plugin metrics:"),
        ({"features": "my.M:half"}, "--plugin extractors:"),
    ],
)
def test_a_study_file_that_names_a_class_is_refused(tiny, tmp_path, mine, change, option):
    text = yaml.safe_dump(tiny | {"arms": [{"name": "a"}]} | change).replace("M", mine)
    (tmp_path / "my.yaml").write_text(text)
    with pytest.raises(el.InputError, match=option):
        prepare(tmp_path / "my.yaml", tmp_path / "s")
    assert mine not in sys.modules


# -- keys --------------------------------------------------------------------------------------


def keys_of(study, tmp_path):
    steps = prepare(study, tmp_path / "s", device="cpu").steps
    return [{k: getattr(step, k) for k in ("training_set", "model", "record")} for step in steps]


@pytest.mark.parametrize(
    ("kind", "target", "change", "changed"),
    [
        ("generators", "Mine", {"generator": "mine"}, [{"model", "record"}]),
        ("strategies", "FIRST", {"strategy": "mine"}, [set()]),
        ("extractors", "half", {"metrics": {"features": "mine"}}, [{"record"}]),
        ("metrics", "COUNT", {"metrics": {"extra": ["mine"]}}, [{"record"}]),
        ("paradigms", "newest", {"paradigm": "mine"}, [set()]),
    ],
)
def test_a_version_changes_the_keys_of_what_it_makes(
    tmp_path, tiny, mine, monkeypatch, kind, target, change, changed
):
    study = tiny | {"arms": [{"name": "a"}], "seeds": [0], "generations": 2} | change
    found = []
    for version in ("1.0", "1.0", "2.0"):
        declare(tmp_path / version, kind, "mine", f"{mine}:{target}", version)
        with monkeypatch.context() as here:
            here.syspath_prepend(str(tmp_path / version))
            found.append(keys_of(study, tmp_path))
    before, same, after = found
    assert before == same
    first, second = ({k for k in b if b[k] != a[k]} for b, a in zip(before, after, strict=True))
    assert [first] == changed
    if kind in ("generators", "strategies"):
        assert second == {"training_set", "model", "record"}  # made from what changed
    if kind == "paradigms":
        assert second == set()  # what it returns is in the keys


def test_the_version_of_a_loose_file_is_its_content_unless_it_is_given(tmp_path, mine):
    one = el.register("metrics", "count", f"{mine}:COUNT").version
    assert one.startswith("source ")
    assert el.register("metrics", "count", f"{mine}:COUNT", version="3").version == "3"
    del sys.modules[mine]
    file = tmp_path / f"modules/{mine}.py"
    file.write_text(MINE + "\n\n# changed\n")
    assert el.register("metrics", "count", f"{mine}:COUNT").version != one


def test_an_attribute_is_the_version_before_that_of_the_distribution(tmp_path, mine, monkeypatch):
    head = "class Mine(Gaussian):"
    content = MINE.replace(head, head + '\n    version: ClassVar[str] = "7"')
    (tmp_path / f"modules/{mine}.py").write_text(content)
    declare(tmp_path / "site", "generators", "mine", f"{mine}:Mine")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    assert GENERATORS.plugin("mine").version == "7"


# -- broken ones -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "target", "message"),
    [
        ("generators", "json:dumps", "no class of settings"),
        ("generators", "M:Halves", "lacks `fit`"),
        ("sources", "M:Mine", "lacks `source`"),
        ("metrics", "M:newest", "no entroloop.metrics.Metric"),
        ("strategies", "M:first", "Strategy"),
        ("paradigms", "M:FIRST", "no function"),
        ("extractors", "M:COUNT", "no function"),
        ("metrics", "M:MISSING", "has no attribute 'MISSING'"),
        ("metrics", "no_such_module_at_all:X", "No module named"),
    ],
)
def test_what_is_not_of_its_kind_is_told_with_its_name(mine, kind, target, message):
    with pytest.raises(PluginError, match=f"'wrong'.*{message}"):
        el.register(kind, "wrong", target.replace("M:", f"{mine}:"))
    with pytest.raises(el.InputError, match="unknown"):
        table.TABLES[kind].find("wrong")


def test_rows_that_no_study_supplies_are_refused():
    with pytest.raises(PluginError, match="needs 'labels', which no study supplies"):
        el.register("strategies", "odd", Strategy(pick=print, needs=("labels",)), version="1")
    with pytest.raises(PluginError, match="needs 'captions', which is no role"):
        el.register("metrics", "odd", Metric(("captions",), len, ""), version="1")


def test_a_failure_in_a_worker_is_one_line_that_names_the_plugin(entroloop, tmp_path, tiny, mine):
    shutil.copy(tmp_path / f"modules/{mine}.py", tmp_path)
    tiny |= {"generator": "mine", "generations": 1, "seeds": [0], "arms": tiny["arms"][:1]}
    (tmp_path / "my.yaml").write_text(yaml.safe_dump(tiny))
    answer = entroloop("run", "my.yaml", "--plugin", f"generators:mine={mine}:Failing")
    assert answer.returncode == 2
    last = answer.stderr.strip().splitlines()[-1]
    assert f"the plug-in generator 'mine' ({mine}:Failing) failed: KeyError: 'lost'" in last
    assert f"{mine}.py, line" in last
    assert "Traceback" not in answer.stderr
    assert 'in fit\n    return {}["lost"]' in (tmp_path / "runs/tiny/logs/worker-0.log").read_text()


def test_failures_of_metrics_extractors_and_paradigms_name_them(tmp_path, tiny, mine):
    x = np.random.default_rng(0).standard_normal((20, 4))
    el.register("metrics", "zero", f"{mine}:ZERO")
    with pytest.raises(PluginError, match=r"metric 'zero'.*ZeroDivisionError"):
        el.measure(generated=x, metrics=["zero"])
    with pytest.raises(el.InputError, match=r"metric 'zero'.*ZeroDivisionError"):  # not NaN
        list(el.run_study(tiny | {"metrics": {"extra": ["zero"]}, "seeds": [0], "generations": 1},
                          tmp_path / "s", workers=1))  # fmt: skip
    el.register("extractors", "bad", f"{mine}:failing_features")
    with pytest.raises(PluginError, match=r"features 'bad'.*failed"):
        extractor_for("bad")(x)
    el.register("paradigms", "nothing", f"{mine}:nothing")
    with pytest.raises(el.InputError, match="paradigm nothing returned no Composition"):
        prepare(tiny | {"arms": [{"paradigm": "nothing"}]}, tmp_path / "t")


def test_an_object_that_no_worker_can_import_is_refused_before_anything_is_written(tmp_path, tiny):
    def last(state):
        return state.picks_in_order(state.selectable[::-1])

    el.register("strategies", "last", Strategy(pick=last), version="1")
    assert list(el.select(np.eye(5), 2, "last").indices) == [4, 3]  # in this process it works
    tiny["arms"] = [{"paradigm": "replace", "strategy": "last"}]
    with pytest.raises(el.InputError, match="lies in no module that worker processes can import"):
        list(el.run_study(tiny, tmp_path / "s", workers=1))


def test_nothing_that_tells_a_version_is_asked_for_one():
    with pytest.raises(el.InputError, match="give version="):
        el.register("strategies", "last", Strategy(pick=print))


def test_a_worker_that_finds_another_version_says_so(tmp_path, mine, monkeypatch):
    given = el.register("metrics", "count", f"{mine}:COUNT")
    adopt_here(given)
    with pytest.raises(PluginError, match=r"has version source .* planned with version 0"):
        adopt_here(replace(given, version="0"))
    declare(tmp_path / "site", "metrics", "other", f"{mine}:COUNT")
    with monkeypatch.context() as here:
        here.syspath_prepend(str(tmp_path / "site"))
        there = METRICS.plugin("other")
    assert there.version == "1.0"
    with pytest.raises(PluginError, match=r"is not installed on .* planned with version 1.0"):
        adopt_here(there)


def test_an_assignment_of_before_there_were_plugins_is_still_read():
    told = Assignment(config={}, store="s", real_key="k", device="cpu")
    content = json.loads(told.to_json())
    del content["plugins"]
    assert Assignment(**content) == told


def test_the_plugins_of_guarded_selection_are_part_of_its_keys(tmp_path, tiny, mine):
    el.register("strategies", "first", f"{mine}:FIRST", version="1")
    tiny["arms"] = [{"paradigm": "accumulate_subsample", "strategy": "guarded",
                     "strategy_args": {"inner": ["first"]}}]  # fmt: skip
    before = keys_of(tiny, tmp_path)
    el.register("strategies", "first", f"{mine}:FIRST", version="2")
    assert STRATEGIES.plugin("first").version == "2"
    assert before[-1]["training_set"] != keys_of(tiny, tmp_path)[-1]["training_set"]
