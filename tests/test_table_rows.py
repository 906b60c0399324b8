"""Tables: as rows, from files, in a Gaussian copula, through a study and on a page."""

import json

import numpy as np
import pandas as pd
import pytest

import entroloop as el
from entroloop.generators import draw
from entroloop.generators.gaussian_copula import GaussianCopula
from entroloop.modalities.table import Schema
from entroloop.plugins.settings import validate_settings
from entroloop.samples import SampleSet
from entroloop.store.stages import real_key
from entroloop.study.build import SOURCES

SIZES = {"n_train": 2, "n_reference": 2}


def people(n, seed=0):
    rng = np.random.default_rng(seed)
    age = rng.normal(40, 12, n).round(2)
    town = np.where(age > 45, "Oslo", np.where(rng.random(n) < 0.1, "Bergen", "Paris"))
    return pd.DataFrame({
        "age": age, "town": town, "weight": 30 + age / 2 + rng.normal(0, 3, n),
        "member": rng.random(n) < 0.3,
    })  # fmt: skip


def load(**raw):
    return validate_settings(SOURCES.find(raw["source"]), raw, "data").load()


def silent(done, total):
    pass


def copula_of(data, groups=()):
    rows = SampleSet(data, np.zeros(len(data), np.int32), np.arange(len(data)), None, groups)
    return GaussianCopula().fit(rows, seed=0, device="cpu", threads=1, progress=silent)


def test_a_table_comes_back_from_its_rows_by_csv_and_by_parquet(tmp_path):
    table = people(60)
    table.to_csv(tmp_path / "p.csv", index=False)
    table.to_parquet(tmp_path / "p.parquet")
    one, two = (load(source="table", path=str(tmp_path / f"p.{k}"), **SIZES)
                for k in ("csv", "parquet"))  # fmt: skip
    assert real_key(one) == real_key(two)
    back = one.schema.decoded(one.data)
    assert np.allclose(back["age"], table["age"], atol=1e-4)
    assert back["town"].tolist() == table["town"].tolist()
    assert back["member"].tolist() == table["member"].astype(str).tolist()
    assert one.groups == ((1, 4), (5, 7))
    assert Schema.from_json(json.loads(json.dumps(one.schema.as_json()))) == one.schema


def test_the_manhattan_distance_of_rows_is_gowers(tmp_path):
    table = people(50)
    table.to_csv(tmp_path / "p.csv", index=False)
    found = load(source="table", path=str(tmp_path / "p.csv"), **SIZES)
    a, b = table.iloc[3], table.iloc[17]
    expected = 0.0
    for name in table:
        if name in ("town", "member"):
            expected += a[name] != b[name]
        else:
            expected += abs(a[name] - b[name]) / np.ptp(np.quantile(table[name], [0.05, 0.95]))
    assert np.abs(found.data[3] - found.data[17]).sum() == pytest.approx(expected, rel=1e-5)
    picks = el.select(found.data, 5, metric="manhattan")
    distances = np.abs(found.data[:, None] - found.data[picks.indices]).sum(axis=2)
    assert picks.radii[4] == pytest.approx(distances[picks.indices[4], :4].min())


@pytest.mark.parametrize(
    ("column", "values", "message"),
    [
        ("x", [1, 2, None, 4, 5], r"column 'x' has no finite number in 1 rows \(row 2 first\)"),
        ("x", [1, 1, 1, 1, 1], "column 'x' has one value in all rows"),
        ("x", [f"name {i}" for i in range(5)] * 60, "too many for categories"),
    ],
)
def test_a_column_that_cannot_be_used_is_named_in_one_line(tmp_path, column, values, message):
    table = pd.DataFrame({column: values, "y": range(len(values))})
    if len(values) > 5:
        table["x"] = [f"name {i}" for i in range(len(values))]
    table.to_parquet(tmp_path / "t.parquet")
    with pytest.raises(el.InputError, match=message):
        load(source="table", path=str(tmp_path / "t.parquet"), **SIZES)


def test_a_missing_category_is_one_of_its_own_and_columns_can_be_chosen(tmp_path):
    pd.DataFrame({"x": ["a", None, "b", "a"], "n": [1, 2, 2, 1], "z": list("qqqq")}).to_parquet(
        tmp_path / "t.parquet"
    )
    raw = {"source": "table", "path": str(tmp_path / "t.parquet"), **SIZES}
    found = load(**raw, columns=["x", "n"], categorical=["n"])
    assert [c.categories for c in found.schema.columns] == [("(missing)", "a", "b"), ("1", "2")]
    with pytest.raises(el.InputError, match=r"unknown column 'zz'.*did you mean 'z'"):
        load(**raw, columns=["x", "zz"])


def test_known_tables_have_their_rows():
    found = load(source="known_table", name="breast_cancer", **SIZES)
    assert found.data.shape == (569, 32)
    assert found.schema.columns[-1].categories == ("benign", "malignant")
    pytest.importorskip("plotnine.data")
    found = load(source="known_table", name="diamonds", limit=500, **SIZES)
    assert found.data.shape == (500, 27)


def test_what_a_model_makes_becomes_one_category_of_each_group(rng):
    schema = Schema.of({"t": np.array(["a", "b", "c"]), "n": np.arange(3.0)}, ["t"])
    rows = rng.standard_normal((20, 4)).astype(np.float32)
    found = schema.valid(rows)
    assert np.array_equal(found[:, 3], rows[:, 3])
    assert np.array_equal(np.sort(found[:, :3], axis=1), np.tile([0, 0, 0.5], (20, 1)))
    assert np.array_equal(found[:, :3].argmax(axis=1), rows[:, :3].argmax(axis=1))
    assert np.array_equal(schema.valid(found), found)


def test_a_copula_recovers_the_correlation_of_normal_scores(rng):
    z = rng.multivariate_normal([0, 0, 0], [[1, 0.8, -0.5], [0.8, 1, 0], [-0.5, 0, 1]], 20_000)
    data = np.stack([np.exp(z[:, 0]), z[:, 1] > 0.5, z[:, 2]], axis=1).astype(np.float64)
    model = copula_of(data)
    found = model.factor @ model.factor.T
    assert found == pytest.approx(np.array([[1, 0.8, -0.5], [0.8, 1, 0], [-0.5, 0, 1]]), abs=0.03)
    made = draw(model, 0, 1, 0, 20_000, silent)
    assert made[:, 1].mean() == pytest.approx(data[:, 1].mean(), abs=0.01)
    assert np.quantile(made[:, 0], [0.1, 0.5, 0.9]) == pytest.approx(
        np.quantile(data[:, 0], [0.1, 0.5, 0.9]), rel=0.05
    )
    assert made.min(axis=0).tolist() >= data.min(axis=0).tolist()


def test_a_copula_makes_one_category_of_each_group_with_its_share(rng):
    number = rng.standard_normal(3000)
    category = np.digitize(number + 0.3 * rng.standard_normal(3000), [-1, 1.5])[:, None] == [
        2,
        0,
        1,
    ]
    data = np.concatenate([number[:, None], 0.5 * category], axis=1).astype(np.float32)
    made = draw(copula_of(data, ((1, 4),)), 0, 1, 0, 3000, silent)
    assert np.array_equal(np.unique(made[:, 1:].sum(axis=1)), [0.5])
    assert np.allclose(made[:, 1:].mean(axis=0), data[:, 1:].mean(axis=0), atol=0.01)
    for rows in (made, data):  # the categories are those of small, large, middling numbers
        means = [rows[rows[:, j] > 0, 0].mean() for j in (1, 2, 3)]
        assert means[0] > 1.2 > 0.4 > means[2] > -0.4 > -1.2 > means[1]


@pytest.mark.parametrize(
    "generator", ["gaussian_copula", pytest.param("mlp_diffusion", marks=pytest.mark.slow)]
)
def test_a_study_of_a_table_runs_from_a_file_to_its_page(tmp_path, entroloop_here, generator):
    people(200).to_csv(tmp_path / "p.csv", index=False)
    own = {"name": generator} | ({"steps": 20, "width": 16} if "mlp" in generator else {})
    extra = ["marginal_drift", "correlation_drift", "rare_categories"]
    study = {
        "name": "people",
        "data": {"source": "table", "path": "p.csv", "n_train": 64, "n_reference": 64},
        "generator": own, "generations": 3, "guard": 48, "metric": "manhattan",
        "metrics": {"extra": extra},
        "arms": [{"paradigm": "replace", "strategy": "random"}]
        + [{"paradigm": "accumulate_subsample", "strategy": s, "oversample": 2}
           for s in ("greedy", "guarded")],
    }  # fmt: skip
    (tmp_path / "p.yaml").write_text(json.dumps(study))
    answer = entroloop_here("run", "p.yaml", "--out", "out", "--workers", "1")
    assert answer.returncode == 0, answer.stderr
    found = el.load_study(tmp_path / "out")
    told = found.records[[*extra[:2], *(f"{name}_floor" for name in extra[:2])]].to_numpy(float)
    assert ((told >= 0) & (told <= 1)).all()
    made = found.run("replace-random")[3]
    for start, stop in found.real.groups:
        assert np.array_equal(np.unique(made.samples[:, start:stop]), [0, 0.5])
    assert np.array_equal(made.draw(9), made.samples[:9])
    page = (tmp_path / "out" / "report.html").read_text()
    assert page.split('id="samples-0"')[1].count("Oslo") > 1
    assert 'id="columns-0"' in page
