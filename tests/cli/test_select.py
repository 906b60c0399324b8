import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

import entroloop as el


def one_line(answer):
    assert answer.returncode == 2, answer.stderr
    assert answer.stdout == ""
    lines = answer.stderr.strip().splitlines()
    assert len(lines) == 1, answer.stderr
    return lines[0]


def png(pixels):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def images(tmp_path, rng):
    """Return a folder of 12 images in two subfolders, one of them corrupt."""
    folder = tmp_path / "images"
    for i in range(12):
        place = folder / ("cats" if i % 2 else "dogs") / f"{i:02d}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(png(rng.integers(0, 256, (6, 5, 3)).astype(np.uint8)))
    (folder / "dogs" / "04.png").write_bytes(b"\x89PNG but no more")
    return folder


def in_pick_order(folder):
    """Return the files and links below a folder by the rank in their names."""
    return sorted((p for p in folder.rglob("*") if not p.is_dir()), key=lambda p: p.name)


def test_an_array_is_selected_as_the_python_call_does(entroloop, tmp_path, rng):
    x = rng.standard_normal((60, 5)).astype(np.float32)
    np.save(tmp_path / "emb.npy", x)
    answer = entroloop("select", "--pool", "emb.npy", "-n", 20, "--out", "s", "--seed", 3)
    assert answer.returncode == 0, answer.stderr
    table = pd.read_parquet(tmp_path / "s/selection.parquet")
    assert list(table.columns) == ["pool", "index", "id", "rank", "radius", "group"]
    expected = el.select(x, 20, seed=3)
    assert table["index"].tolist() == expected.indices.tolist()
    assert np.array_equal(table["radius"], expected.radii)
    assert table["rank"].tolist() == list(range(20))
    assert set(table["pool"]) == {"emb"}
    summary = json.loads((tmp_path / "s/summary.json").read_text())
    assert json.loads(answer.stdout) == {"out": "s"} | summary
    assert "20 of 60 rows: 0.25 GiB beyond the pool, at most" in answer.stderr
    assert summary["entropy"]["nats"] > summary["entropy_random"]["nats"]
    assert summary["pools"] == {"emb": {"rows": 60, "chosen": 20}}


def test_a_folder_of_images_skips_and_lists_the_corrupt_one(entroloop_here, tmp_path, images):
    answer = entroloop_here(
        "select", "--pool", "images", "-n", 5, "--out", "s", "--group-by", "label",
        "--quota", "equal", "--materialize", "copy",
    )  # fmt: skip
    assert answer.returncode == 0, answer.stderr
    table = pd.read_parquet(tmp_path / "s/selection.parquet")
    assert table["group"].value_counts().to_dict() == {"cats": 3, "dogs": 2}
    assert all((images / i).is_file() for i in table["id"])
    assert "dogs/04.png" not in set(table["id"])
    summary = json.loads(answer.stdout)
    assert list(summary["skipped"]["images"]) == ["dogs/04.png"]
    assert sum(summary["skipped_by_reason"].values()) == 1
    copies = in_pick_order(tmp_path / "s/chosen")
    assert [c.read_bytes() for c in copies] == [(images / i).read_bytes() for i in table["id"]]
    assert "04.png" in one_line(
        entroloop_here("select", "--pool", "images", "-n", 5, "--out", "t", "--strict")
    )
    assert not (tmp_path / "t").exists()


def test_links_point_to_the_chosen_files(entroloop_here, tmp_path, images):
    entroloop_here("select", "--pool", "images", "-n", 3, "--out", "s", "--materialize", "link")
    table = pd.read_parquet(tmp_path / "s/selection.parquet")
    links = in_pick_order(tmp_path / "s/chosen")
    assert [p.resolve() for p in links] == [(images / i).resolve() for i in table["id"]]


def test_parquet_pools_give_columns_for_groups_and_weights(entroloop_here, tmp_path, rng):
    cells = [{"bytes": png(rng.integers(0, 256, (4, 4)).astype(np.uint8)), "path": None}
             for _ in range(20)]  # fmt: skip
    frame = pd.DataFrame({"image": cells, "label": np.arange(20) % 2})
    frame["quality"] = np.linspace(0.5, 2, 20)
    frame.to_parquet(tmp_path / "a.parquet", row_group_size=7)
    answer = entroloop_here(
        "select", "--pool", "real=a.parquet", "-n", 6, "--out", "s", "--group-by", "label",
        "--weights", "quality", "--materialize", "parquet",
    )  # fmt: skip
    assert answer.returncode == 0, answer.stderr
    table = pd.read_parquet(tmp_path / "s/selection.parquet")
    assert table["group"].value_counts().to_dict() == {"0": 3, "1": 3}
    chosen = pd.read_parquet(tmp_path / "s/chosen.parquet")
    pixels = [np.asarray(Image.open(io.BytesIO(c["bytes"]))) for c in chosen["image"]]
    original = [np.asarray(Image.open(io.BytesIO(cells[i]["bytes"]))) for i in table["index"]]
    assert np.array_equal(pixels, original)
    again = entroloop_here("select", "--pool", "s/chosen.parquet", "-n", 2, "--out", "t")
    assert again.returncode == 0, again.stderr  # what is written can be read


def test_several_pools_are_chosen_from_jointly_with_their_names_as_provenance(
    entroloop_here, tmp_path, rng
):
    real, made = rng.standard_normal((30, 4)) * 5, rng.standard_normal((50, 4))
    np.save(tmp_path / "r.npy", real)
    pd.DataFrame({"embedding": list(made)}).to_parquet(tmp_path / "m.parquet")
    answer = entroloop_here("select", "--pool", "real=r.npy", "--pool", "made=m.parquet", "-n", 20,
                       "--out", "s")  # fmt: skip
    assert answer.returncode == 0, answer.stderr
    table = pd.read_parquet(tmp_path / "s/selection.parquet")
    whole = el.select(np.concatenate([real, made]), 20)
    place = np.where(table["pool"] == "made", 30, 0) + table["index"]
    assert place.tolist() == whole.indices.tolist()
    counts = {n: p["chosen"] for n, p in json.loads(answer.stdout)["pools"].items()}
    assert counts == table["pool"].value_counts().to_dict()


def test_rows_with_nan_are_named_or_dropped(entroloop_here, tmp_path, rng):
    x = rng.standard_normal((20, 3))
    x[[4, 7]] = np.nan
    np.save(tmp_path / "x.npy", x)
    message = one_line(entroloop_here("select", "--pool", "x.npy", "-n", 5, "--out", "s"))
    assert "2 rows (rows 4, 7)" in message
    answer = entroloop_here(
        "select", "--pool", "x.npy", "-n", 18, "--out", "s", "--on-invalid", "drop"
    )
    assert answer.returncode == 0, answer.stderr
    table = pd.read_parquet(tmp_path / "s/selection.parquet")
    assert sorted(table["index"]) == [i for i in range(20) if i not in (4, 7)]


def test_a_strategys_parameters_and_a_warm_start(entroloop_here, tmp_path, rng):
    x = rng.standard_normal((40, 3))
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "have.npy", x[:5] + 0.01)
    pool = ["--pool", "x.npy", "-n", 7, "--out", "s", "--initial", "have.npy"]
    answer = entroloop_here(
        "select", *pool, "--strategy", "threshold_decay", "--param", "strength=0.5"
    )
    assert answer.returncode == 0, answer.stderr
    expected = el.select(x, 7, "threshold_decay", strength=0.5, initial=x[:5] + 0.01)
    table = pd.read_parquet(tmp_path / "s/selection.parquet")
    assert table["index"].tolist() == expected.indices.tolist()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--pool", "x.npy", "-n", "99"], "n must be a whole number in 1 … 10"),
        (["--pool", "x.npy", "-n", "0"], "n must be a whole number in 1 … 10"),
        (["--pool", "nowhere", "-n", "2"], "there is no file or folder nowhere"),
        (["--pool", "x.npy", "--pool", "x.npy", "-n", "2"], "two pools are called 'x'"),
        (["--pool", "x.npy", "--pool", "y.npy", "-n", "2"], "differ in shape: x 3, y 4"),
        (["--pool", "x.npy", "-n", "2", "--strategy", "gredy"], "did you mean 'greedy'"),
        (["--pool", "x.npy", "-n", "2", "--param", "strenth=1"], "strenth"),
        (["--pool", "x.npy", "-n", "2", "--metric", "cosine"], "zero vectors (row 0"),
        (["--pool", "x.npy", "-n", "2", "--features", "rwa"], "did you mean 'raw'"),
        (["--pool", "x.npy", "-n", "2", "--group-by", "label"], "has no column 'label'"),
        (["--pool", "x.npy", "-n", "2", "--materialize", "copy"], "--materialize parquet"),
        (
            ["--pool", "x.npy", "-n", "2", "--materialize", "move"],
            "Valid: copy, hub, link",
        ),
        (["--pool", "x.npy", "-n", "2", "--initial", "y.npy"], "initial has 4 values a row"),
        (["--pool", "cut.parquet", "-n", "2"], "not a readable parquet file"),
        (["--pool", "cut.npz", "-n", "2"], "not a readable"),
        (["--pool", "bomb", "-n", "1"], "looks like a bomb"),
        (["--pool", "mixed", "-n", "1"], "grey"),
        (["--pool", "empty", "-n", "1"], "neither images nor parquet"),
        (["--pool", "x.npy", "-n", "2", "--device", "cuda"], "device cuda"),
        (["--pool", "x.npy", "-n", "2", "--engine", "spark"], "--engine spark"),
        (["--pool", "x.npy", "-n", "2", "--workers", "0"], "--workers"),
        (["--pool", "x.npy", "-n", "2", "--param", "metric=cosine"], "has its own flag"),
        (["--pool", "x.npy", "-n", "2", "--param", "first=abc"], "first must be a whole number"),
        (["-n", "2"], "--pool"),
    ],
)
def test_bad_input_is_one_line_with_exit_code_2_and_nothing_written(
    entroloop_here, tmp_path, rng, arguments, message
):
    np.save(tmp_path / "x.npy", np.concatenate([np.zeros((1, 3)), rng.standard_normal((9, 3))]))
    np.save(tmp_path / "y.npy", rng.standard_normal((5, 4)))
    pd.DataFrame({"embedding": [[1.0]] * 9}).to_parquet(tmp_path / "whole.parquet")
    whole = (tmp_path / "whole.parquet").read_bytes()
    (tmp_path / "cut.parquet").write_bytes(whole[: len(whole) // 2])
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as z:
        z.writestr("a", "b" * 200)
    (tmp_path / "cut.npz").write_bytes(buffer.getvalue()[:50])
    for folder in ("bomb", "mixed", "empty"):
        (tmp_path / folder).mkdir()
    (tmp_path / "bomb/a.png").write_bytes(png(np.zeros((8000, 8000), np.uint8)))
    (tmp_path / "mixed/a.png").write_bytes(png(np.zeros((4, 4), np.uint8)))
    (tmp_path / "mixed/b.png").write_bytes(png(np.zeros((4, 4, 3), np.uint8)))
    answer = entroloop_here("select", *arguments, "--out", "s")
    assert message in one_line(answer)
    assert not (tmp_path / "s").exists()


def test_images_of_16_bits_and_of_grey_with_alpha_become_grey():
    from entroloop.data.decoding import decode

    deep = np.arange(0, 65536, 256, dtype=np.uint16).reshape(16, 16)
    assert np.array_equal(decode(png(deep))[0][..., 0].ravel(), np.arange(256))
    buffer = io.BytesIO()
    Image.new("LA", (3, 2), (7, 255)).save(buffer, "PNG")
    assert decode(buffer.getvalue())[0].shape == (2, 3, 1)


def test_a_folder_with_something_else_is_left_alone(entroloop_here, tmp_path, rng):
    np.save(tmp_path / "x.npy", rng.standard_normal((9, 3)))
    (tmp_path / "s").mkdir()
    (tmp_path / "s/notes.txt").write_text("mine")
    message = one_line(entroloop_here("select", "--pool", "x.npy", "-n", 2, "--out", "s"))
    assert "what entroloop did not write" in message


@pytest.fixture
def choose(tmp_path, monkeypatch):
    """Return a function that selects from files in this process, in a fresh folder."""
    from entroloop.commands.select import select_files
    from entroloop.commands.select_request import Request

    monkeypatch.chdir(tmp_path)

    def run(pool, n, out, materialize=None):
        request = Request(pools=[pool], n=n, out=Path(out), materialize=materialize)
        return select_files(request).summary

    return run


def folder_state(folder):
    """Return every file and link below a folder with its content."""
    return {
        p.relative_to(folder).as_posix(): p.readlink() if p.is_symlink() else p.read_bytes()
        for p in sorted(folder.rglob("*"))
        if p.is_symlink() or p.is_file()
    }


@pytest.mark.parametrize("how", ["copy", "link", "parquet"])
@pytest.mark.parametrize(
    ("pool", "out"),
    [("p/chosen", "p"), ("p", "p"), ("p/chosen", "p/chosen/s"), ("p", "link-to-p")],
)
def test_a_pool_inside_out_or_out_inside_a_pool_is_refused_and_kept(
    choose, tmp_path, rng, how, pool, out
):
    (tmp_path / "p/chosen").mkdir(parents=True)
    (tmp_path / "link-to-p").symlink_to("p")
    for i in range(6):
        image = png(rng.integers(0, 256, (4, 4, 3)).astype(np.uint8))
        (tmp_path / f"p/chosen/{i}.png").write_bytes(image)
    before = folder_state(tmp_path)
    with pytest.raises(el.InputError, match=r"lies in|did not write"):
        choose(pool, 2, out, how)
    assert folder_state(tmp_path) == before


def test_the_pool_of_the_report_survives_on_the_command_line(entroloop, tmp_path, rng):
    (tmp_path / "p/chosen").mkdir(parents=True)
    for i in range(6):
        image = png(rng.integers(0, 256, (4, 4, 3)).astype(np.uint8))
        (tmp_path / f"p/chosen/{i}.png").write_bytes(image)
    before = folder_state(tmp_path)
    one_line(entroloop("select", "--pool", "p/chosen", "-n", 2, "--out", "p", "--materialize",
                       "link"))  # fmt: skip
    assert folder_state(tmp_path) == before


def test_a_new_result_takes_the_place_of_the_old_one_whole(choose, tmp_path, images):
    choose("images", 5, "s", "copy")
    choose("images", 3, "s", "link")
    assert len(in_pick_order(tmp_path / "s/chosen")) == 3
    assert all(p.is_symlink() for p in in_pick_order(tmp_path / "s/chosen"))
    choose("images", 4, "s")
    assert sorted(p.name for p in (tmp_path / "s").iterdir()) == [
        ".entroloop-manifest.json", "selection.parquet", "summary.json"
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["chosen/mine.txt", ".notes", "chosen/sub/x", "selection.csv"])
def test_what_entroloop_did_not_write_is_never_removed(choose, tmp_path, images, name):
    choose("images", 3, "s", "copy")
    (tmp_path / "s" / name).parent.mkdir(exist_ok=True)
    (tmp_path / "s" / name).write_text("mine")
    before = folder_state(tmp_path / "s")
    with pytest.raises(el.InputError, match=name):
        choose("images", 3, "s", "copy")
    assert folder_state(tmp_path / "s") == before


def test_a_chosen_file_that_was_changed_is_never_overwritten(choose, tmp_path, images):
    choose("images", 3, "s", "copy")
    file = in_pick_order(tmp_path / "s/chosen")[0]
    file.write_bytes(b"retouched")
    with pytest.raises(el.InputError, match="was changed since"):
        choose("images", 3, "s", "copy")
    assert file.read_bytes() == b"retouched"


def test_a_folder_called_chosen_of_a_user_is_refused(choose, tmp_path, images):
    (tmp_path / "s/chosen").mkdir(parents=True)
    (tmp_path / "s/chosen/thesis.txt").write_text("mine")
    with pytest.raises(el.InputError, match=r"chosen/thesis\.txt"):
        choose("images", 3, "s", "link")
    assert (tmp_path / "s/chosen/thesis.txt").read_text() == "mine"


@pytest.mark.parametrize("name", ["../mine.txt", "/etc/hostname", "a/../../mine.txt", "./a", ""])
def test_a_manifest_that_names_files_outside_its_folder_is_refused(choose, tmp_path, images, name):
    (tmp_path / "mine.txt").write_text("mine")
    (tmp_path / "s").mkdir()
    content = json.dumps({"files": {name: ["x"]}})
    (tmp_path / "s/.entroloop-manifest.json").write_text(content)
    with pytest.raises(el.InputError, match="no manifest of entroloop"):
        choose("images", 3, "s", "copy")
    assert (tmp_path / "mine.txt").read_text() == "mine"


def test_a_failure_in_the_middle_leaves_the_result_of_before(tmp_path):
    from entroloop.system.output_folder import OutputFolder

    folder = OutputFolder(tmp_path / "s")
    with folder.replaced() as new:
        (new / "a").write_text("first")
    before = folder_state(tmp_path / "s")
    with pytest.raises(RuntimeError, match="boom"), folder.replaced() as new:
        (new / "a").write_text("second")
        raise RuntimeError("boom")
    assert folder_state(tmp_path / "s") == before


def test_a_stop_at_any_rename_leaves_a_folder_that_the_same_command_replaces(tmp_path, monkeypatch):
    from entroloop.system.output_folder import OutputFolder

    class Stop(BaseException):
        pass

    for stop_at in range(8):
        folder = OutputFolder(tmp_path / f"s{stop_at}")
        for content in ("first", "second", "third"):
            left = [stop_at]
            rename = type(tmp_path).rename

            def counted(self, target, left=left, rename=rename):
                if left[0] == 0:
                    raise Stop
                left[0] -= 1
                return rename(self, target)

            if content == "second":
                monkeypatch.setattr(type(tmp_path), "rename", counted)
            try:
                with folder.replaced() as new:
                    (new / "chosen").mkdir()
                    (new / "chosen" / content).write_text(content)
                    (new / "a").write_text(content)
            except Stop:
                assert content == "second"
            monkeypatch.undo()
        state = folder_state(folder.path)
        assert {k: v for k, v in state.items() if not k.startswith(".")} == {
            "a": b"third", "chosen/third": b"third"
        }  # fmt: skip
        assert sorted(p.name for p in folder.path.iterdir()) == [
            ".entroloop-manifest.json", "a", "chosen"
        ]  # fmt: skip


@pytest.mark.parametrize(
    ("strategy", "parameter", "message"),
    [
        ("top_quality", "scores=q", "one finite number a row"),
        ("ds3", "reference=q", "check the path of reference"),
        ("latent_space_filter", "real=q", "needs real="),
    ],
)
def test_a_parameter_of_the_wrong_kind_is_one_line(
    entroloop_here, tmp_path, rng, strategy, parameter, message
):
    np.save(tmp_path / "x.npy", rng.standard_normal((20, 3)))
    answer = entroloop_here(
        "select", "--pool", "x.npy", "-n", 2, "--out", "s", "--strategy", strategy,
        "--param", parameter,
    )  # fmt: skip
    assert message in one_line(answer)


def test_reasons_for_skipping_hold_no_memory_address(entroloop_here, tmp_path, images):
    one = entroloop_here("select", "--pool", "images", "-n", 3, "--out", "s")
    two = entroloop_here("select", "--pool", "images", "-n", 3, "--out", "s")
    assert "0x" not in one.stdout
    assert one.stdout == two.stdout


def test_real_images_are_selected_from_parquet(entroloop_here, tmp_path, real_data):
    images = pq.ParquetFile(real_data / "mnist/test-00000-of-00001.parquet")
    some = pa.Table.from_batches([next(images.iter_batches(2000))])
    pq.write_table(some, tmp_path / "some.parquet")
    answer = entroloop_here(
        "select", "--pool", "mnist=some.parquet", "-n", 200, "--out", "s", "--group-by", "label",
        "--quota", "equal",
    )  # fmt: skip
    assert answer.returncode == 0, answer.stderr
    table = pd.read_parquet(tmp_path / "s/selection.parquet")
    assert table["group"].value_counts().to_dict() == {str(d): 20 for d in range(10)}
    summary = json.loads(answer.stdout)
    assert summary["entropy"]["nats"] > summary["entropy_random"]["nats"]
    assert summary["entropy"]["d"] == 784
