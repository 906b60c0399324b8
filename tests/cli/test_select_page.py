"""The page of `select --html`."""

import html
import json
import re

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from entroloop.selection.stopping import knee_of


def written(page):
    return html.unescape(page.read_text())


def section(page, start):
    """Return a section's text without its tags."""
    text = written(page)
    part = text[text.index(f'id="{start}"') :]
    return re.sub(r"\s+", " ", re.sub("<[^>]+>", " ", part[: part.index("</section>")]))


@pytest.fixture
def digits(tmp_path):
    """Write digits as folders of classes: real ones, and made ones of which half are noise."""
    rng, found = np.random.default_rng(0), load_digits()
    images = (found.images * 15.9).astype(np.uint8)
    images[400:500:2] = rng.integers(0, 256, (50, 8, 8))
    for i in range(500):
        place = tmp_path / ("real" if i < 400 else "made") / f"{found.target[i]}/{i:03d}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(images[i]).save(place)
    return tmp_path


def test_the_page_of_images_shows_counts_curves_and_both_sheets(entroloop_here, digits):
    answer = entroloop_here("select", "--pool", "real", "--pool", "made", "-n", 60, "--assign",
                            "--out", "s", "--html", "s.html")  # fmt: skip
    summary, page = json.loads(answer.stdout), written(digits / "s.html")
    assert summary["page"] == "s.html"
    assert "Content-Security-Policy" in page
    assert "<h1>Selection: 60 of 500 rows</h1>" in page
    pools = section(digits / "s.html", "of-pools")
    for name, counts in summary["pools"].items():
        assert f"{name} {counts['rows']} {counts['chosen']} " in pools
    assert "pool class rows chosen" in pools
    picks = pd.read_parquet(digits / "s/selection.parquet")
    shown = section(digits / "s.html", "taken-in-order")
    places = [shown.index(f"{one.pool}: {one.id}") for one in picks[:48].itertuples()]
    assert places == sorted(places)
    assert f"stands for {picks.weight[0]}" in shown
    curve = json.loads(page[page.index('id="data">') + 10 : page.rindex("</script>")])
    radius, entropy = curve["charts"]["curve"]
    assert radius["series"][0]["y"] == [pytest.approx(r, rel=1e-5) for r in picks.radius[1:]]
    assert radius["marks"] == [{"x": knee_of(picks.radius.to_numpy()),
                                "text": f"knee: {knee_of(picks.radius.to_numpy())}"}]  # fmt: skip
    assert entropy["series"][0]["x"] == summary["curve"]["n"]
    assert entropy["series"][1]["y"] == [
        pytest.approx(nats, rel=1e-5) for nats in summary["curve"]["entropy_random"]
    ]


def test_each_row_that_was_left_stands_beside_its_nearest_pick(entroloop_here, digits):
    entroloop_here("select", "--pool", "real", "-n", 60, "--assign", "--out", "s",
                   "--html", "s.html")  # fmt: skip
    picks = pd.read_parquet(digits / "s/selection.parquet")
    covered = pd.read_parquet(digits / "s/assignment.parquet")
    free = covered[~covered["index"].isin(picks["index"])].sort_values("distance")
    last, farthest = section(digits / "s.html", "left-and-covering"), free.iloc[-1]
    pick = picks.iloc[farthest["pick"]]
    assert f"distance {farthest.distance:.3g} to pick {pick['rank'] + 1}, real: {pick.id}" in last
    assert "32 of 340 rows that were left" in last
    assert written(digits / "s.html").count("<img src=") == 48 + 2 * 32


def test_planted_noise_is_told_as_outliers_of_the_pool_called_real(entroloop_here, digits):
    pools = ["--pool", "real", "--pool", "made", "-n", 60]
    entroloop_here("select", *pools, "--out", "s", "--html", "s.html")
    page = written(digits / "s.html")
    assert "Picks are outliers." in page
    share = float(re.search(r"outliers\.</strong> ([0-9.]+) %", page)[1])
    assert share > 60  # all 50 that are noise are taken, of 60
    assert "farther from pool 'real'" in page
    assert "--strategy guarded --guard" in re.sub("<[^>]*>", "", page)  # each word has its own tag
    entroloop_here("select", *pools, "--strategy", "random", "--guard", "real", "--weights",
                   "realism", "--out", "s", "--html", "s.html")  # fmt: skip
    assert "farther from the rows of --guard" in written(digits / "s.html")


def test_vectors_are_shown_on_principal_axes_and_in_tables(entroloop_here, tmp_path, rng):
    np.save(tmp_path / "v.npy", rng.standard_normal((300, 5)) * [5, 3, 1, 1, 1])
    answer = entroloop_here("select", "--pool", "v.npy", "-n", 40, "--metric", "mahalanobis",
                            "--strategy", "random", "--out", "s", "--html", "s.html")  # fmt: skip
    assert answer.returncode == 0, answer.stderr
    page = written(tmp_path / "s.html")
    assert "<img" not in page
    assert "Nothing says which rows are real" in page
    assert "No more than chance explains." in page
    axes = json.loads(page[page.index('id="data">') + 10 : page.rindex("</script>")])
    left, chosen = axes["charts"]["axes"][0]["series"]
    assert (len(left["x"]), len(chosen["x"])) == (260, 40)
    picks = pd.read_parquet(tmp_path / "s/selection.parquet")
    assert f"1 v: {picks.id[0]} " in section(tmp_path / "s.html", "taken-in-order")


def test_a_page_that_cannot_be_written_is_refused_before_anything_is(entroloop_here, tmp_path):
    np.save(tmp_path / "v.npy", np.eye(5))
    (tmp_path / "mine.html").write_text("mine")
    for name, message in (("mine.html", "is no page of entroloop"), ("no/s.html", "no folder")):
        answer = entroloop_here("select", "--pool", "v.npy", "-n", 2, "--out", "s", "--html", name)
        assert (answer.returncode, message in answer.stderr) == (2, True)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["mine.html", "v.npy"]
