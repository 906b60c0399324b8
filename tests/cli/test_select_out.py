"""What `select` writes beside its picks: coverage maps, the rows themselves, rolling coresets."""

import io
import json
import shutil
from hashlib import sha256
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from PIL import Image
from scipy.spatial.distance import cdist

import entroloop as el
from entroloop.commands.select import select_files
from entroloop.commands.select_request import Request
from entroloop.system.numbers import number


def encoded(pixels, kind="PNG"):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind)
    return buffer.getvalue()


@pytest.fixture
def choose(tmp_path, monkeypatch):
    """Return a function that selects from files in this process, in a fresh folder."""
    monkeypatch.chdir(tmp_path)

    def run(*pools, out, **asked):
        return select_files(Request(pools=list(pools), out=Path(out), **asked)).summary

    return run


def folder_of(path, rng, n=12, labels=("cats", "dogs"), kind="png"):
    for i in range(n):
        place = path / labels[i % len(labels)] / f"{i:02d}.{kind}"
        place.parent.mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(0, 256, (6, 5, 3)).astype(np.uint8)
        place.write_bytes(encoded(pixels, "JPEG" if kind == "jpg" else "PNG"))
    return path


def chosen_table(out):
    return pd.read_parquet(Path(out) / "selection.parquet")


def test_a_share_and_the_curve_are_told(entroloop_here, tmp_path, rng):
    x = rng.standard_normal((200, 4))
    np.save(tmp_path / "x.npy", x)
    answer = entroloop_here("select", "--pool", "x.npy", "-n", "12.5%", "--out", "s")
    assert answer.returncode == 0, answer.stderr
    expected = el.select(x, 25)
    assert chosen_table(tmp_path / "s")["index"].tolist() == expected.indices.tolist()
    told = json.loads(answer.stdout)
    assert told["n"] == 25
    assert told["curve"] == expected.curve.to_dict()
    answer = entroloop_here("select", "--pool", "x.npy", "--min-distance", 1.5, "--until",
                            "coverage=0.9", "--out", "s")  # fmt: skip
    expected = el.select(x, min_distance=1.5, until="coverage=0.9")
    assert chosen_table(tmp_path / "s")["index"].tolist() == expected.indices.tolist()
    assert json.loads(answer.stdout)["stopped_by"] == "coverage"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "say how many"),
        (["-n", "0.1"], "a share such as '10%'"),
        (["--min-distance", "-1"], "above 0"),
        (["--until", "coverage=0.9"], "needs min_distance"),
        (["-n", "3", "--param", "min_distance=2"], "has its own flag"),
        (["-n", "3", "--update", "nowhere"], "nowhere holds no selection"),
    ],
)
def test_bad_numbers_are_one_line(entroloop_here, tmp_path, rng, arguments, message):
    np.save(tmp_path / "x.npy", rng.standard_normal((20, 3)))
    answer = entroloop_here("select", "--pool", "x.npy", "--out", "s", *arguments)
    assert answer.returncode == 2
    assert message in answer.stderr
    assert len(answer.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "s").exists()


def test_assign_writes_the_nearest_pick_of_every_row_and_weights(choose, tmp_path, rng):
    a, b = rng.integers(0, 9, (50, 3)).astype(float), rng.integers(0, 9, (30, 3)).astype(float)
    a[7] = np.nan
    np.save(tmp_path / "a.npy", a)
    np.save(tmp_path / "b.npy", b)
    told = choose("a.npy", "b.npy", n=9, out="s", assign=True, on_invalid="drop")
    picks = chosen_table("s")
    rows = pd.read_parquet("s/assignment.parquet")
    assert list(rows) == ["pool", "index", "pick", "distance"]
    pools = {"a": a, "b": b}
    x = np.stack([pools[p][i] for p, i in zip(rows["pool"], rows["index"], strict=True)])
    chosen = np.stack([pools[p][i] for p, i in zip(picks["pool"], picks["index"], strict=True)])
    distances = cdist(x, chosen)
    assert len(rows) == 79
    assert rows["pick"].tolist() == distances.argmin(axis=1).tolist()
    assert np.allclose(rows["distance"], distances.min(axis=1))
    assert picks["weight"].tolist() == rows["pick"].value_counts().reindex(range(9)).tolist()
    assert told["assignment"]["largest_distance"] == told["coverage_radius"]


@pytest.mark.parametrize("how", ["copy", "link"])
def test_files_keep_their_class_folders_and_datasets_reads_the_classes(
    choose, tmp_path, rng, how, monkeypatch
):
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    import datasets

    folder_of(tmp_path / "images", rng)
    choose("images", n=7, out="s", materialize=how)
    table = chosen_table("s")
    for rank, name in zip(table["rank"], table["id"], strict=True):
        label, file = name.split("/")
        copy = Path(f"s/chosen/{label}/{rank:07d}-images-{file}")
        assert copy.read_bytes() == (tmp_path / "images" / name).read_bytes()
    assert len([p for p in Path("s/chosen").rglob("*") if not p.is_dir()]) == 7
    read = datasets.load_dataset(
        "imagefolder", data_dir=str(tmp_path / "s/chosen"), split="train",
        cache_dir=str(tmp_path / "cache"),
    )  # fmt: skip
    names = read.features["label"].names
    assert sorted(names[i] for i in read["label"]) == sorted(i.split("/")[0] for i in table["id"])


def hub_file(path, rng, names, n=20, **more):
    """Write a parquet file as the Hub does: JPEG images and classes by number."""
    cells = [
        {"bytes": encoded(rng.integers(0, 256, (6, 5, 3)).astype(np.uint8), "JPEG"), "path": None}
        for _ in range(n)
    ]
    labels = np.arange(n) % len(names)
    table = pa.table({"image": cells, "label": labels, **{k: v[:n] for k, v in more.items()}})
    features = {"image": {"_type": "Image"}, "label": {"names": names, "_type": "ClassLabel"}}
    told = json.dumps({"info": {"features": features}})
    pq.write_table(table.replace_schema_metadata({"huggingface": told}), path, row_group_size=7)
    return cells, labels


def test_parquet_keeps_the_bytes_and_every_column_with_its_kind(choose, tmp_path, rng):
    captions = [f"caption {i}" for i in range(20)]
    cells, labels = hub_file(
        tmp_path / "a.parquet", rng, ["cat", "dog"], caption=captions, pool=list(range(20))
    )
    choose("a.parquet", n=6, out="s", materialize="parquet")
    index = chosen_table("s")["index"].tolist()
    table = pq.read_table("s/chosen.parquet")
    assert table.column_names == ["image", "pool", "id", "label", "caption", "source_pool"]
    assert [c["bytes"] for c in table["image"].to_pylist()] == [cells[i]["bytes"] for i in index]
    assert table["label"].to_pylist() == labels[index].tolist()
    assert table["caption"].to_pylist() == [captions[i] for i in index]
    assert table["source_pool"].to_pylist() == index
    kinds = json.loads(table.schema.metadata[b"huggingface"])["info"]["features"]
    assert kinds["label"]["names"] == ["cat", "dog"]
    assert table.schema.field("image").type.field("bytes").type == pa.binary()
    choose("s/chosen.parquet", n=2, out="t", materialize="parquet")  # what is written can be read
    assert pq.read_table("t/chosen.parquet")["source_id"].to_pylist()[0] in map(str, index)


def test_classes_of_pools_that_number_them_differently_become_names(choose, tmp_path, rng):
    hub_file(tmp_path / "a.parquet", rng, ["cat", "dog"])
    hub_file(tmp_path / "b.parquet", rng, ["dog", "cat"])
    folder_of(tmp_path / "c", rng, labels=("cat", "dog"))
    choose("a.parquet", "b.parquet", "c", n=40, out="s", materialize="parquet")
    names = {"a": ["cat", "dog"], "b": ["dog", "cat"]}
    table = pq.read_table("s/chosen.parquet").to_pandas()
    assert set(table["pool"]) == {"a", "b", "c"}
    for pool, name, label in zip(table["pool"], table["id"], table["label"], strict=True):
        expected = name.split("/")[0] if pool == "c" else names[pool][int(name) % 2]
        assert label == expected


def test_rows_of_several_files_and_row_groups_stay_in_pick_order(choose, tmp_path, rng):
    (tmp_path / "p").mkdir()
    parts = [hub_file(tmp_path / f"p/{i}.parquet", rng, ["cat", "dog"], n=11 + i) for i in range(3)]
    choose("p", n=30, out="s", strategy="random", materialize="parquet", seed=4)
    index = chosen_table("s")["index"].tolist()
    assert index != sorted(index)
    cells = [cell["bytes"] for cells, _ in parts for cell in cells]
    kept = pq.read_table("s/chosen.parquet")
    assert [c["bytes"] for c in kept["image"].to_pylist()] == [cells[i] for i in index]
    assert kept["id"].to_pylist() == [str(i) for i in index]


@pytest.mark.parametrize("how", ["parquet", "hub"])
def test_columns_that_do_not_go_together_are_refused_before_the_choice(choose, tmp_path, rng, how):
    hub_file(tmp_path / "a.parquet", rng, ["cat"], size=list(range(20)))
    hub_file(tmp_path / "b.parquet", rng, ["cat"], size=[{"w": 1}] * 20)
    with pytest.raises(el.InputError, match="do not go into one table"):
        choose("a.parquet", "b.parquet", n=3, out="s", materialize=how)
    assert not Path("s").exists()


def test_rows_of_embeddings_keep_their_type_and_columns(choose, tmp_path, rng):
    x = rng.standard_normal((30, 4)).astype(np.float32)
    pd.DataFrame({"emb": list(x), "url": [f"u{i}" for i in range(30)]}).to_parquet("e.parquet")
    np.save("y.npy", x + 5)
    choose("e.parquet", "y.npy", n=8, out="s", materialize="parquet")
    table = pq.read_table("s/chosen.parquet")
    assert table["embedding"].type.value_type == pa.float32()
    pools = {"e": x, "y": x + 5}
    rows = list(zip(table["pool"].to_pylist(), table["id"].to_pylist(), strict=True))
    expected = [pools[p][int(i)] for p, i in rows]
    assert np.array_equal(table["embedding"].to_pylist(), expected)
    assert table["url"].to_pylist() == [None if p == "y" else f"u{i}" for p, i in rows]


@pytest.fixture
def hub(choose, tmp_path, rng):
    """Return a Hub-ready folder of 7 images of two class folders, one with a hostile name."""
    folder_of(tmp_path / "images", rng, labels=("cats", "<b>|dogs"))
    choose("images", n=7, out="s", materialize="hub", assign=True,
           command="entroloop select --pool images -n 7")  # fmt: skip
    return tmp_path / "s/chosen"


def test_a_hub_folder_is_read_back_as_images_with_classes(hub, tmp_path):
    import datasets

    read = datasets.load_dataset(str(hub), split="train", cache_dir=str(tmp_path / "cache"))
    assert isinstance(read.features["image"], datasets.Image)
    assert read.features["label"].names == ["<b>|dogs", "cats"]
    table = chosen_table("s")
    assert [read.features["label"].int2str(i) for i in read["label"]] == [
        i.split("/")[0] for i in table["id"]
    ]
    original = [np.asarray(Image.open(tmp_path / "images" / i)) for i in table["id"]]
    assert np.array_equal([np.asarray(image) for image in read["image"]], original)


def test_two_hub_folders_of_one_name_are_not_taken_for_one_another(choose, tmp_path, rng):
    import datasets

    for n in (2, 3):
        folder_of(tmp_path / f"images{n}", rng, labels=("a", "b"))
        choose(f"images{n}", n=n, out=f"s{n}", materialize="hub")
    cache = str(tmp_path / "cache")  # shared, as a user's is: both folders are called chosen
    read = [datasets.load_dataset(f"s{n}/chosen", split="train", cache_dir=cache) for n in (2, 3)]
    assert [len(rows) for rows in read] == [2, 3]


def test_a_class_without_picks_keeps_its_number(choose, tmp_path, rng):
    import datasets

    folder_of(tmp_path / "images", rng, labels=("a", "b", "c"))
    choose("images", n=1, out="s", materialize="hub", parameters={"first": 10})
    read = datasets.load_dataset("s/chosen", split="train", cache_dir=str(tmp_path / "cache"))
    assert read.features["label"].names == ["a", "b", "c"]
    assert read.features["label"].int2str(read["label"][0]) == chosen_table("s")["id"][0][0]


def test_a_data_card_tells_provenance_entropy_coverage_and_the_command(hub, tmp_path):
    card = (hub / "README.md").read_text()
    header = yaml.safe_load(card.split("---")[1])
    assert header["size_categories"] == ["n<1K"]
    summary = json.loads((tmp_path / "s/summary.json").read_text())
    assert "| images | 12 | 7 |" in card
    assert f"{number(summary['entropy']['nats'])} nats" in card
    assert f"Coverage radius: {number(summary['coverage_radius'])}" in card
    assert "entroloop select --pool images -n 7" in card
    assert "<b>" not in card
    assert str(tmp_path) not in card


def test_croissant_metadata_has_what_is_required_and_describes_the_file(hub):
    found = json.loads((hub / "croissant.json").read_text())
    assert found["@type"] == "sc:Dataset"
    assert found["conformsTo"] == "http://mlcommons.org/croissant/1.0"
    for name in ("@context", "name", "description", "distribution", "recordSet"):
        assert found[name]
    [file] = found["distribution"]
    assert file["sha256"] == sha256((hub / file["contentUrl"]).read_bytes()).hexdigest()
    columns = {f["source"]["extract"]["column"]: f for f in found["recordSet"][0]["field"]}
    assert list(columns) == pq.read_schema(hub / file["contentUrl"]).names
    assert columns["image"]["dataType"] == "sc:ImageObject"


@pytest.mark.filterwarnings("ignore")  # of libraries that it stands on
def test_mlcroissant_reads_the_rows(hub):
    mlcroissant = pytest.importorskip("mlcroissant")
    found = mlcroissant.Dataset(str(hub / "croissant.json"))
    assert not found.metadata.issues.errors
    assert len(list(found.records("rows"))) == 7


# -- rolling coresets -------------------------------------------------------------------------


def test_an_update_is_the_choice_among_the_earlier_and_the_new_rows(choose, tmp_path, rng):
    x, y = rng.standard_normal((80, 4)), rng.standard_normal((60, 4)) * 1.5
    np.save("x.npy", x)
    np.save("y.npy", y)
    choose("x.npy", n=20, out="s0")
    told = choose("y.npy", update="s0", out="s1")
    before, after = chosen_table("s0"), chosen_table("s1")
    union = np.concatenate([x[before["index"]], y])
    expected = el.select(union, 20, first=0)
    rows = [x if p == "x" else y for p in after["pool"]]
    found = np.stack([r[i] for r, i in zip(rows, after["index"], strict=True)])
    assert np.array_equal(found, union[expected.indices])
    assert np.array_equal(after["radius"], expected.radii)
    left = pd.read_parquet("s1/left.parquet")
    stayed = after[after["pool"] == "x"]
    assert sorted([*left["index"], *stayed["index"]]) == sorted(before["index"])
    distances = cdist(x[left["index"]], found)
    assert left["pick"].tolist() == distances.argmin(axis=1).tolist()
    assert np.allclose(left["distance"], distances.min(axis=1))
    assert told["update"] == {"rows_seen": 140, "stayed": len(stayed), "left": len(left)}


def test_an_update_takes_features_and_metric_of_the_earlier_choice_unless_told(choose, rng):
    x, y = rng.standard_normal((2, 60, 6))
    np.save("x.npy", x)
    np.save("y.npy", y)
    choose("x.npy", n=15, out="s0", metric="cosine")
    told = choose("y.npy", update="s0", out="s1")
    assert told["metric"] == "cosine"
    assert told["features"] == "raw"
    assert told["radius_bound"] is not None
    again = choose("y.npy", update="s0", out="s2", metric="cosine")
    assert chosen_table("s2").equals(chosen_table("s1"))
    assert again["radius_bound"] == told["radius_bound"]
    other = choose("y.npy", update="s0", out="s3", metric="euclidean")
    assert other["metric"] == "euclidean"
    assert other["radius_bound"] is None


def test_an_update_loads_no_features_that_only_a_folder_names(choose, rng):
    for name in ("x.npy", "y.npy"):
        np.save(name, rng.integers(0, 256, (40, 8, 8, 3), dtype=np.uint8))
    choose("x.npy", n=10, out="s0", features="pixels:pca=3")
    with pytest.raises(el.InputError, match=r"'pixels:pca=3'; .* give --features again"):
        choose("y.npy", update="s0", out="s1")
    assert not Path("s1").exists()
    told = choose("y.npy", update="s0", out="s1", features="pixels:pca=3")
    assert told["features"] == "pixels:pca=3"


def test_an_update_is_the_choice_of_all_rows_where_that_takes_no_row_left_out(choose, rng):
    equal = 0
    for case in range(8):
        x, y = rng.standard_normal((30, 3)), rng.standard_normal((60, 3)) * 3
        np.save("x.npy", x)
        np.save("y.npy", y)
        choose("x.npy", n=12, out=f"s{case}")
        choose("y.npy", update=f"s{case}", out=f"t{case}")
        before, after = chosen_table(f"s{case}"), chosen_table(f"t{case}")
        whole = el.select(np.concatenate([x, y]), 12, first=int(before["index"][0])).indices
        if set(whole[whole < 30]) <= set(before["index"]):
            equal += 1
            found = after["index"] + np.where(after["pool"] == "y", 30, 0)
            assert found.tolist() == whole.tolist()
    assert equal >= 2


@pytest.mark.parametrize("metric", ["euclidean", "manhattan", "cosine"])
def test_no_row_ever_offered_is_farther_from_a_pick_than_the_bound(choose, rng, metric):
    kind = {"manhattan": "cityblock"}.get(metric, "euclidean")
    seen, radii = {}, []
    for day in range(4):
        seen[f"d{day}"] = rng.standard_normal((70, 3)) * (1 + day) + 1
        np.save(f"d{day}.npy", seen[f"d{day}"])
        earlier = {"update": f"s{day - 1}"} if day else {}
        told = choose(f"d{day}.npy", n=12, out=f"s{day}", metric=metric, assign=True, **earlier)
        radii.append(told["assignment"]["largest_distance"])
        table = chosen_table(f"s{day}")
        picks = np.stack([seen[p][i] for p, i in zip(table["pool"], table["index"], strict=True)])
        rows = np.concatenate(list(seen.values()))
        if metric == "cosine":
            rows, picks = (v / np.linalg.norm(v, axis=1, keepdims=True) for v in (rows, picks))
        reached = cdist(rows, picks, kind).min(axis=1).max()
        assert reached <= told["radius_bound"] * (1 + 1e-9)
        assert told["radius_bound"] <= sum(radii) * (1 + 1e-9)
    assert told["update"]["rows_seen"] == 280


def test_the_bound_is_not_claimed_where_distances_changed(choose, rng):
    np.save("x.npy", rng.standard_normal((50, 3)))
    np.save("y.npy", rng.standard_normal((50, 3)))
    choose("x.npy", n=9, out="s0")
    assert choose("y.npy", update="s0", out="s1", metric="cosine")["radius_bound"] is None
    assert choose("y.npy", update="s0", out="s2", metric="mahalanobis")["radius_bound"] is None


def test_the_same_rows_are_read_however_they_were_kept(choose, tmp_path, rng):
    folder_of(tmp_path / "a", rng, 30)
    folder_of(tmp_path / "b", rng, 30)
    folder_of(tmp_path / "c", rng, 30)
    tables = []
    for how in (None, "copy", "link", "parquet", "hub"):
        choose("a", n=10, out=f"{how}0", materialize=how)
        choose("b", update=f"{how}0", out=f"{how}1", materialize=how, n=12)
        choose("c", update=f"{how}1", out=f"{how}2", materialize=how, group_by="label")
        tables.append(chosen_table(f"{how}2"))
        assert len(tables[-1]) == 12
    for table in tables[1:]:
        pd.testing.assert_frame_equal(table, tables[0])
    assert list(pq.read_schema("parquet2/chosen.parquet").names) == ["image", "pool", "id", "label"]


def test_an_earlier_choice_that_was_changed_is_refused(choose, tmp_path, rng):
    folder_of(tmp_path / "a", rng, 30)
    folder_of(tmp_path / "b", rng, 30)
    choose("a", n=10, out="s", materialize="link")
    with pytest.raises(el.InputError, match="has rows of a pool 'a' already"):
        choose("a", update="s", out="t")
    with pytest.raises(el.InputError, match="lies in --out"):
        choose("b", update="s", out="s")
    target = next(p for p in Path("s/chosen").rglob("*") if p.is_symlink()).resolve()
    target.write_bytes(encoded(np.zeros((6, 5, 3), np.uint8)))
    with pytest.raises(el.InputError, match="are not those that were chosen"):
        choose("b", update="s", out="t")
    choose("b", n=10, out="u", materialize="copy")
    Path("u/notes.txt").write_text("mine")  # is nobody's business here
    choose("a", update="u", out="with-notes")
    extra = Path("u/chosen/9999999-b-more.png")
    extra.write_bytes(encoded(np.zeros((6, 5, 3), np.uint8)))
    with pytest.raises(el.InputError, match="holds 11 rows that can be read, 10 were chosen"):
        choose("a", update="u", out="t")
    extra.unlink()
    file = next(p for p in Path("u/chosen").rglob("*.png"))
    content = file.read_bytes()
    file.write_bytes(content + b"x")
    with pytest.raises(el.InputError, match="was changed since"):
        choose("a", update="u", out="t")
    file.unlink()
    with pytest.raises(el.InputError, match=r"lacks chosen/"):
        choose("a", update="u", out="t")
    shutil.rmtree(tmp_path / "u")
    with pytest.raises(el.InputError, match="u holds no selection"):
        choose("a", update="u", out="t")
    assert not Path("t").exists()


def test_names_in_an_earlier_choice_that_lead_elsewhere_are_refused(choose, tmp_path, rng):
    from entroloop.system.output_folder import OutputFolder

    folder_of(tmp_path / "a", rng, 30)
    folder_of(tmp_path / "b", rng, 30)
    choose("a", n=10, out="s", materialize="parquet")
    for column, name in (("id", "../../mine.png"), ("pool", "a/b"), ("id", "/etc/x")):
        table = chosen_table("s")
        table.loc[3, column] = name
        with OutputFolder(Path("hostile")).replaced() as new:
            for file in ("summary.json", "chosen.parquet"):
                shutil.copy(f"s/{file}", new / file)
            table.to_parquet(new / "selection.parquet", index=False)
        with pytest.raises(el.InputError, match="lead elsewhere"):
            choose("b", update="hostile", out="t", materialize="copy")


def test_real_images_roll_with_their_classes(choose, tmp_path, real_data):
    whole = pq.read_table(real_data / "mnist/test-00000-of-00001.parquet")
    for day in range(3):
        pq.write_table(whole.slice(300 * day, 300), f"day{day}.parquet")
    choose("day0.parquet", n=40, out="s0", materialize="parquet")
    choose("day1.parquet", update="s0", out="s1", materialize="parquet")
    told = choose("day2.parquet", update="s1", out="s2", materialize="hub")
    assert told["n"] == 40
    table = chosen_table("s2")
    kept = pq.read_table("s2/chosen/data/train-00000-of-00001.parquet")
    at = [300 * int(p[3:]) + i for p, i in zip(table["pool"], table["index"], strict=True)]
    assert kept["label"].to_pylist() == whole["label"].take(at).to_pylist()
    assert kept["image"].to_pylist() == whole["image"].take(at).to_pylist()
