"""The pages in a real browser: a headless Chromium, driven by Playwright."""

import csv
import os
import shutil
import subprocess
import tarfile
import unicodedata

import numpy as np
import pytest

import entroloop as el
from entroloop.cli import main
from entroloop.commands.run import run_study
from entroloop.commands.theory import run_theory
from entroloop.report.theory import theory_page
from entroloop.system.numbers import number

pytestmark = [pytest.mark.browser, pytest.mark.timeout(900)]
AXE = "4.14.1"
GAUSSIAN = {
    "generations": 3, "seeds": [0, 1, 2], "generator": {"name": "gaussian"},
    "data": {"source": "digits", "n_train": 40, "n_reference": 200},
}  # fmt: skip
ARMS = [
    {"name": "replace", "paradigm": "replace", "strategy": "random"},
    {"name": "random", "paradigm": "accumulate_subsample", "strategy": "random"},
    {"name": "greedy", "paradigm": "accumulate_subsample", "strategy": "greedy", "oversample": 2},
]
NAMES = [  # that a browser, a spreadsheet or a narrow screen could stumble over
    {"name": "=1+2", "paradigm": "replace", "strategy": "random"},
    {"name": "-" + "long-" * 25, "paradigm": "accumulate_subsample", "strategy": "greedy"},
]
HOSTILE = '<img src=x onerror=alert(1)></script><script>alert(2)</script> "quoted" & =cmd'
MANY = [
    {"paradigm": paradigm, "strategy": strategy, "oversample": 2}
    for paradigm in ("accumulate_subsample", "replace")
    for strategy in ("greedy", "threshold_decay", "kmeans", "guarded", "composable_coreset",
                     "random")
]  # fmt: skip
STUDIES = ("default", "failed", "one seed", "twelve arms", "vectors", "names", "two studies")
COMMANDS = {  # pages of other commands: what is called, on files that `write_sets` writes
    "sets": ["measure", "--generated", "made.npy", "--train", "real.npy"],
    "selected": ["select", "--pool", "real.npy", "--pool", "made.npy", "-n", 30, "--out", "s"],
    "selected vectors": ["select", "--pool", "vectors.npy", "-n", 30, "--out", "v"],
    "duplicates": ["duplicates", "--pool", "real.npy", "--pool", "made.npy", "--threshold", 900,
                   "--out", "d"],
    "audit": ["audit", "real.npy", "made.npy", "--level", 0.1, "--out", "a"],
}  # fmt: skip
PAGES = (*STUDIES, *COMMANDS, "theory")


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """Return the files of pages by what they show."""
    root = tmp_path_factory.mktemp("pages")
    rng = np.random.default_rng(0)
    np.save(root / "x.npy", rng.standard_normal((400, 5)) * [3, 2, 1, 0.5, 0.2])
    vectors = {"source": "arrays", "path": str(root / "x.npy"), "n_train": 50, "n_reference": 200}
    failed = {"name": "mlp_diffusion", "steps": 1, "width": 8}
    studies = {
        "default": {"name": "default", "arms": ARMS, "metrics": {"extra": ["coverage"]}},
        "failed": {"name": "failed", "arms": ARMS, "seeds": [0, 1], "generator": failed},
        "one seed": {"name": "one", "arms": ARMS, "seeds": [0]},
        "twelve arms": {"name": "twelve", "arms": MANY, "seeds": [0, 1]},
        "vectors": {"name": "vectors", "arms": ARMS, "data": vectors},
        "names": {"name": HOSTILE, "arms": NAMES},
    }
    files = {}
    for shown, study in studies.items():
        folder = root / shown.replace(" ", "-")
        list(run_study({**GAUSSIAN, **study}, out=folder, workers=1))
        files[shown] = el.render_report([folder], root / f"{folder.name}.html")
    both = [root / "default", root / "one-seed"]
    files["two studies"] = el.render_report(both, root / "two.html")
    run_theory(root / "theory", 1000, page=theory_page)
    files["theory"] = root / "theory/report.html"
    write_sets(root, rng)
    for shown, arguments in COMMANDS.items():
        files[shown] = root / f"{shown.replace(' ', '-')}-page.html"
        with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit) as ended:
            patch.chdir(root)
            command = ["entroloop", *map(str, arguments), "--html", str(files[shown])]
            patch.setattr("sys.argv", command)
            main()
        assert not ended.value.code, shown
    return files


def write_sets(root, rng):
    """Write real images, made ones of which some are copies of them, and vectors."""
    real = rng.integers(0, 256, (120, 8, 8, 3), dtype=np.uint8)
    made = np.concatenate([real[:10], rng.integers(0, 256, (40, 8, 8, 3), dtype=np.uint8)])
    for name, rows in {"real": real, "made": made, "vectors": rng.random((200, 4))}.items():
        np.save(root / f"{name}.npy", rows)


@pytest.fixture(scope="module")
def chromium():
    """Return a headless Chromium, or skip."""
    playwright = pytest.importorskip(
        "playwright.sync_api", reason="no Playwright: pip install -e '.[browser]'"
    )
    path = next(
        filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
    )
    if path is None:
        pytest.skip("no Chromium on PATH: apt-get install chromium")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def visit(chromium, pages):
    """Open a page; what goes wrong in it, and what it asks for, ends up in `visit.wrong`."""
    contexts = []

    def opened(shown, width=1280, **options):
        context = chromium.new_context(
            viewport={"width": width, "height": 900}, accept_downloads=True, **options
        )
        contexts.append(context)
        tab = context.new_page()
        address = pages[shown].as_uri()

        def note(url):
            if url != address and not url.startswith(("data:", "blob:")):
                opened.wrong.append(url)

        tab.on("console", lambda message: opened.wrong.append(message.text)
               if message.type in ("error", "warning") else None)  # fmt: skip
        tab.on("pageerror", lambda error: opened.wrong.append(str(error)))
        tab.on("dialog", lambda dialog: opened.wrong.append(dialog.message))
        tab.on("request", lambda request: note(request.url))
        tab.goto(address)
        if options.get("java_script_enabled", True):
            tab.wait_for_selector("html[data-ready]")
        if tab.locator("#gallery").count() and options.get("java_script_enabled", True):
            tab.wait_for_selector("#gallery[data-shown]")
        return tab

    opened.wrong = []
    yield opened
    for context in contexts:
        context.close()


@pytest.fixture(scope="module")
def axe(tmp_path_factory):
    """Return the source of axe-core, from AXE_CORE or the npm registry, or skip."""
    if file := os.environ.get("AXE_CORE"):
        with open(file) as source:  # noqa: PTH123
            return source.read()
    if shutil.which("npm") is None:
        pytest.skip("no axe-core: set AXE_CORE to axe.min.js, or install npm")
    folder = tmp_path_factory.mktemp("axe")
    command = ["npm", "pack", "--silent", f"axe-core@{AXE}"]
    if subprocess.run(command, cwd=folder, capture_output=True, timeout=120).returncode:
        pytest.skip("axe-core cannot be fetched from the npm registry")
    with tarfile.open(folder / f"axe-core-{AXE}.tgz") as archive:
        return archive.extractfile("package/axe.min.js").read().decode()


@pytest.mark.parametrize("shown", PAGES)
def test_a_page_has_no_error_and_sends_no_request(visit, shown):
    tab = visit(shown)
    for slider in tab.locator("input[type=range]").all():
        slider.press("Home")
    for view in tab.locator("input[name=show]").all():
        view.check()
    tab.wait_for_timeout(300)
    assert visit.wrong == []


@pytest.mark.parametrize("shown", PAGES)
def test_a_narrow_screen_never_scrolls_sideways(visit, shown):
    tab = visit(shown, width=390)
    assert tab.evaluate("document.documentElement.scrollWidth") == 390
    tab.evaluate("document.querySelectorAll('details').forEach(details => details.open = true)")
    tab.wait_for_timeout(200)
    assert tab.evaluate("document.documentElement.scrollWidth") == 390


@pytest.mark.parametrize("shown", ["default", "twelve arms", "vectors", "failed", "one seed"])
def test_what_opens_a_page_fits_a_phone_and_names_break_between_their_words(visit, shown):
    tab = visit(shown, width=390)
    for sheet in ("#first-generation-0", "#arms-0"):
        box = tab.locator(f"{sheet} .scroll")
        assert box.evaluate("box => box.scrollWidth <= box.clientWidth"), sheet
    if shown == "twelve arms":
        name = tab.locator("#arms-0 tbody th").nth(1)
        assert name.inner_html().count("_<wbr>") == 2
        assert name.get_attribute("data-text") == "accumulate_subsample-threshold_decay"


def test_rows_of_a_wide_table_stay_low_on_a_phone_and_their_names_in_sight(visit):
    tab = visit("sets", width=390)
    rows = tab.locator("#metrics tbody tr")
    assert max(rows.evaluate_all("rows => rows.map(row => row.offsetHeight)")) < 200
    box = tab.locator("#metrics .scroll")
    box.evaluate("box => (box.scrollLeft = 200)")
    name = tab.locator("#metrics tbody th").first
    assert name.bounding_box()["x"] == box.bounding_box()["x"]


@pytest.mark.parametrize("shown", ["default", "twelve arms", "failed"])
def test_the_first_curve_stands_on_the_first_screens(visit, shown):
    tab = visit(shown)
    assert tab.locator("svg[role=img] .line").first.bounding_box()["y"] < 900
    chart = tab.locator("#frechet_distance")
    assert chart.bounding_box()["y"] < 900
    assert chart.locator(".beside").count() == 1  # what real rows have is the same for all arms
    assert (
        tab.evaluate(
            "getComputedStyle(document.querySelector('#frechet_distance .numbers')).fontWeight"
        )
        == "400"
    )


def test_scripts_write_numbers_as_python_does(visit):
    tab = visit("default")
    values = [0, 1, 11, 9.999, 100, 999.4, 999.6, 1234.6, 0.1, 0.00123, 1e-3, -1.62e-4, 2.5e9, -7.0]
    assert tab.evaluate("values => values.map(shown)", values) == list(map(number, values))
    assert tab.evaluate("[shown(null), shown(NaN), shown(-Infinity)]") == ["–", "–", "−∞"]
    marks = [-0.0, 0.5, 6, 330.5, 1000, -20, 2e-4]
    assert tab.evaluate("marks => marks.map(tick)", marks) == [
        "0", "0.5", "6", "330.5", "1,000", "−20", "2e−4"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("low", "high", "marks"),
    [
        (2, 500, [3, 10, 30, 100, 300]),
        (5, 200, [5, 10, 20, 50, 100, 200]),
        (1, 10_000, [1, 10, 100, 1_000, 10_000]),
        (110, 190, [120, 140, 160, 180]),
    ],
)
def test_a_logarithmic_axis_is_marked_along_all_of_it(visit, low, high, marks):
    tab = visit("default")
    found = tab.evaluate(f"logTicksBetween({low}, {high})")
    assert [round(value, 9) for value in found] == marks


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("shown", PAGES)
def test_axe_finds_no_serious_violation(visit, axe, shown, scheme):
    tab = visit(shown, color_scheme=scheme)
    tab.evaluate(axe)
    found = tab.evaluate("axe.run(document, { resultTypes: ['violations'] })")["violations"]
    bad = [
        (one["id"], [node["html"][:200] for node in one["nodes"]][:3])
        for one in found
        if one["impact"] in ("serious", "critical")
    ]
    assert bad == []


def test_the_legend_hides_and_shows_an_arm_everywhere(visit):
    tab = visit("default")
    lines = tab.locator("#frechet_distance .line")
    assert lines.count() == 3
    tab.click("#legend button[data-arm='2']")
    assert lines.count() == 2
    assert tab.locator("[data-arm='2']:visible").count() == 1  # the button itself
    assert tab.locator("#provenance-2").is_hidden()
    tab.click("#legend button[data-arm='2']")
    assert lines.count() == 3
    tab.click("#legend button[data-arm='0']", modifiers=["Shift"])
    assert lines.count() == 1
    assert tab.locator("#last-generation tbody tr:visible").count() == 1
    tab.click("#legend button:not([data-arm])")
    assert lines.count() == 3


def test_where_the_generator_failed_this_stands_first_and_its_arms_are_grey(visit):
    tab = visit("failed")
    places = tab.evaluate(
        "['.failed', '#first-generation-0', '.answer', '#arms-0'].map(place => "
        "document.querySelector(place).getBoundingClientRect().top)"
    )
    assert places == sorted(places)
    assert tab.locator("#frechet_distance .grey .line").count() == 3
    assert tab.locator("#claims-0 .supported, #claims-0 .against").count() == 0
    assert visit("default").locator(".grey").count() == 0


def test_an_axis_is_switched_to_logarithmic_and_back(visit):
    tab = visit("default")
    path = "document.querySelector('#frechet_distance .line').getAttribute('d')"
    linear = tab.evaluate(path)
    switch = tab.locator("#frechet_distance .tools button")
    switch.click()
    assert switch.get_attribute("aria-pressed") == "true"
    assert tab.evaluate(path) != linear
    switch.click()
    assert tab.evaluate(path) == linear
    assert tab.locator("#real_share .tools button").count() == 0  # it is 0 for an arm that replaces


def test_a_share_that_is_0_lies_on_an_axis_that_starts_at_0(visit):
    tab = visit("default")
    bottom = tab.evaluate(
        "Math.max(...[...document.querySelectorAll('#memorized_fraction .axis')].map("
        "path => Number(path.getAttribute('d').match(/ ([0-9.]+)H/)[1])))"
    )
    labels = tab.locator("#memorized_fraction text").all_text_contents()
    assert labels[0] == "0"
    assert bottom == pytest.approx(230 - 36)


def test_hover_and_arrow_keys_tell_the_full_name_and_the_value(visit, pages):
    tab = visit("default")
    chart = tab.locator("#frechet_distance > svg")
    tip = tab.locator("#frechet_distance .tip")
    table = el.load_records(pages["default"].parent / "default")
    rows = table[(table["arm"] == "replace") & (table["generation"] == 2)]["frechet_distance"]
    mean, low, high = map(number, (rows.mean(), rows.min(), rows.max()))
    chart.focus()
    chart.press("ArrowRight")
    chart.press("ArrowRight")
    text = tip.inner_text()
    assert text.startswith("replace")
    assert f"generation 2: {mean} ({low} … {high}, 3 seeds)" in text
    chart.press("ArrowDown")
    assert tip.inner_text().startswith("random")
    chart.press("Escape")
    assert tip.inner_text() == ""
    chart.hover()
    assert "generation 2" in tip.inner_text()


def test_the_slider_changes_the_pictures_of_every_arm(visit):
    tab = visit("default")
    pixels = (
        "[...document.querySelectorAll('.panel[data-arm] canvas')].map(canvas => "
        "canvas.toDataURL()).join()"
    )
    last = tab.evaluate(pixels)
    tab.locator("#generation").press("Home")
    tab.wait_for_selector("#gallery[data-shown='samples 1']")
    assert tab.evaluate(pixels) != last
    tab.locator("#generation").press("End")
    tab.wait_for_selector("#gallery[data-shown='samples 3']")
    assert tab.evaluate(pixels) == last
    tab.check("input[value=taken]")
    tab.wait_for_selector("#gallery[data-shown='taken 3']")
    assert tab.locator(".panel:visible").count() == 1  # greedy alone selects
    tab.locator(".panel:visible .tile").last.click()
    assert tab.locator("#zoom canvas").count() == 2
    assert "covers it, distance" in tab.locator("#zoom").inner_text()
    tab.keyboard.press("Escape")
    assert tab.locator("#zoom").is_hidden()


def test_the_slider_moves_the_points_of_vectors(visit):
    tab = visit("vectors")
    cloud = "document.querySelector('.axes svg').innerHTML"
    last = tab.evaluate(cloud)
    tab.locator(".axes input").press("Home")
    assert tab.evaluate(cloud) != last


def test_a_table_is_sorted_up_down_and_back(visit):
    tab = visit("twelve arms")
    heading = tab.locator("#last-generation th:has-text('Fréchet')")
    column = heading.evaluate("heading => heading.cellIndex")

    def values():
        cells = tab.locator("#last-generation tbody tr").all()
        return [
            float(row.locator("td, th").nth(column).get_attribute("data-value")) for row in cells
        ]

    before = values()
    assert before != sorted(before)
    heading.locator("button").click()
    assert values() == sorted(before)
    assert heading.get_attribute("aria-sort") == "ascending"
    heading.locator("button").click()
    assert values() == sorted(before, reverse=True)
    heading.locator("button").click()
    assert values() == before


def test_downloads_hold_full_numbers_and_no_formula(visit, pages, tmp_path):
    tab = visit("names")
    with tab.expect_download() as caught:
        tab.click("#last-generation .tools button:has-text('CSV')")
    caught.value.save_as(tmp_path / "t.csv")
    assert caught.value.suggested_filename == "last-generation.csv"
    lines = (tmp_path / "t.csv").read_text(encoding="utf-8").splitlines()
    [heading, *rows] = csv.reader(lines)
    assert [row[0][:3] for row in rows] == ["'=1", "'-l"]
    table = el.load_records(pages["names"].parent / "names")
    expected = table[(table["arm"] == "=1+2") & (table["generation"] == 3)]["frechet_distance"]
    assert float(rows[0][heading.index("Fréchet")]) == pytest.approx(expected.mean(), rel=1e-12)
    assert {"Fréchet: low", "Fréchet: high"} < set(heading)
    with tab.expect_download() as caught:
        tab.click("#profile .tools button:has-text('LaTeX')")
    caught.value.save_as(tmp_path / "t.tex")
    lines = (tmp_path / "t.tex").read_text().splitlines()
    assert lines[1] == "\\begin{tabular}{lrrr}"
    assert lines[-1] == "\\end{tabular}"
    body = lines[lines.index("\\midrule") + 1 : lines.index("\\bottomrule")]
    assert len(body) == 7
    assert all(line.count(" & ") == 3 and line.endswith("\\\\") for line in body)
    assert all(
        "%" not in line.replace("\\%", "") and "_" not in line.replace("$_", "") for line in body
    )


@pytest.mark.parametrize("shown", ["default", "twelve arms", "names", *COMMANDS])
def test_print_holds_every_column(visit, shown, tmp_path):
    pypdf = pytest.importorskip("pypdf", reason="no pypdf: pip install -e '.[browser]'")
    tab = visit(shown)
    headings = tab.evaluate(
        "[...document.querySelectorAll('thead th')].map(heading => heading.textContent.trim())"
    )
    text = "".join(page.extract_text() for page in pypdf.PdfReader(_pdf(tab, tmp_path)).pages)
    printed = bare(text)
    assert [one for one in headings if bare(one) not in printed] == []
    # And nothing is cut off: on paper (A4 across, 12 mm around) all cells lie within the width.
    tab.emulate_media(media="print")
    tab.set_viewport_size({"width": 1032, "height": 700})
    assert (
        tab.evaluate(
            "Math.max(...[...document.querySelectorAll('td, th')].map("
            "cell => cell.getBoundingClientRect().right))"
        )
        <= 1032 + 1
    )


def bare(text):
    """Return a text without spaces and ligatures, which a PDF has in places of its own."""
    return "".join(unicodedata.normalize("NFKC", text).split())


def _pdf(tab, tmp_path):
    tab.pdf(path=tmp_path / "page.pdf", prefer_css_page_size=True)
    return tmp_path / "page.pdf"


def test_without_scripts_the_answer_is_there_and_what_is_missing_is_told(visit):
    tab = visit("default", java_script_enabled=False)
    assert "Scripts are off" in tab.locator("noscript").inner_text()
    assert tab.locator(".answer").is_visible()
    assert tab.locator("#profile tbody tr").count() == 7


def test_headings_have_links_of_their_own(visit):
    tab = visit("two studies")
    ids = tab.evaluate("[...document.querySelectorAll('[id]')].map(element => element.id)")
    assert len(ids) == len(set(ids))
    links = tab.evaluate(
        "[...document.querySelectorAll('a[href]')].map(a => a.getAttribute('href'))"
    )
    assert {link.removeprefix("#") for link in links} <= set(ids)
    assert tab.locator("h2 .permalink").count() == tab.locator("h2").count()


def test_every_mean_of_the_theory_bench_is_drawn_over_its_form(visit):
    tab = visit("theory")
    chart = tab.locator("#regression-0")
    assert chart.locator(".fit").count() == 3
    assert chart.locator(".bar").count() == chart.locator(".mark.full").count() == 30
    assert tab.locator("details .sheet").count() == 8
