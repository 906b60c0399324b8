"""The site: every row of the tables has a page, nothing is fetched from elsewhere, it builds."""

import inspect
import re
import subprocess
import sys
from html.parser import HTMLParser
from importlib import import_module
from pathlib import Path

import pytest

pytest.importorskip("mkdocs", reason="mkdocs is not installed: entroloop[docs]")
pytest.importorskip("latex2mathml", reason="latex2mathml is not installed: entroloop[docs]")

from entroloop.cli.strategies import strategies
from entroloop.generators.table import GENERATORS
from entroloop.metrics import METRICS
from entroloop.selection.strategies import STRATEGIES

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def site():
    """Return the site's own modules."""
    sys.path.insert(0, str(ROOT / "docs/_site"))
    try:
        yield {
            name: import_module(name)
            for name in ("docstrings", "formulas", "gallery", "hook", "reference")
        }
    finally:
        sys.path.remove(str(ROOT / "docs/_site"))


@pytest.fixture(scope="module")
def pages(site):
    """Return the reference pages, without the figures of the gallery, which take long."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(site["gallery"], "values_of", lambda name: [])
        return site["reference"].pages()


def test_every_strategy_has_a_page_with_its_docstring_parameters_when_and_cost(pages):
    for name, row in STRATEGIES.items():
        page = pages[f"reference/strategies/{name}.md"]
        assert inspect.getdoc(row.pick).split("\n")[0] in page, name
        assert row.when in page
        assert row.when
        assert row.cost in page
        assert row.cost
        for parameter in list(inspect.signature(row.pick).parameters)[1:]:
            assert f"`{parameter}`" in page


def test_every_metric_has_a_page_with_what_it_says_and_costs(pages):
    for name, row in METRICS.items():
        page = pages[f"reference/metrics/{name}.md"]
        assert row.says.replace("|", "\\|") in page, name
        for other in row.beside:
            assert f"({other}.md)" in page
    assert sum("| cost |" in page for page in pages.values()) >= 35


def test_every_generator_has_a_page_with_its_settings(pages):
    for name in GENERATORS:
        page = pages[f"reference/generators/{name}.md"]
        assert "## Settings" in page
        assert "`name`" in page


def test_help_lists_the_strategies_and_parameters_of_the_table():
    told = strategies()
    assert list(told) == list(STRATEGIES)
    for name, row in STRATEGIES.items():
        signature = inspect.signature(row.pick).parameters
        for parameter, default in told[name].parameters.items():
            assert parameter in signature
            assert default in ("INNER", repr(signature[parameter].default))
        arrays = {p for p in signature if "Array" in str(signature[p].annotation)}
        assert set(signature) - {"state"} - arrays == set(told[name].parameters)
        assert told[name].guarded == ("guard" in row.needs)


def test_help_of_select_loads_no_heavy_library():
    code = (
        "import sys; sys.argv = ['entroloop', 'select', '--help']\n"
        "from entroloop.cli import app\n"
        "try: app()\n"
        "except SystemExit: pass\n"
        "print(sorted({'torch', 'numpy', 'scipy', 'pandas', 'matplotlib'} & set(sys.modules)))"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert answer.stdout.splitlines()[-1] == "[]"
    assert "strength" in answer.stdout


def test_pages_of_others_find_their_place_and_missing_ones_leave_none(site):
    nav = site["hook"]._nav({"index.md", "loading.md", "new.md", "concepts.md"})
    guides = next(section["Guides"] for section in nav if "Guides" in section)
    assert guides == ["loading.md", "new.md"]
    assert {"Start": ["index.md"]} in nav


def test_links_to_files_of_the_repository_become_pages_or_words(site):
    relinked = site["hook"]._relinked
    text = "[a](../benchmarks/RESULTS.md#x) [b](../src/x.py) [c](metrics.md) [d](https://a.b)"
    assert relinked(text, "docs/selecting.md", "selecting.md") == (
        "[a](project/benchmarks.md#x) b [c](metrics.md) [d](https://a.b)"
    )


def test_lines_of_the_front_page_that_lead_nowhere_are_left_out(site):
    leads_nowhere, exists = site["hook"]._leads_nowhere, site["hook"]._exists
    assert not leads_nowhere("| look | [studies](studies.md) |")
    for page in ("monitor.md", "extending.md", "duplicates.md"):
        assert leads_nowhere(f"| look | [x]({page}) |") != exists(page)
    assert not leads_nowhere("| look | [x](no-such-page.md) |")  # a mistake, which mkdocs tells


def test_parameters_of_a_docstring_become_a_list_and_doctests_code(site):
    text = "Do it.\n\nx (n, d), rows: what. n: how many;\nat least 1. Else: no.\n\n>>> 1 + 1\n2"
    assert site["docstrings"].as_markdown(text, ["x", "n"]) == (
        "Do it.\n\n- **`x`** (n, d), rows: what.\n- **`n`**: how many; at least 1. Else: no.\n\n"
        "```pycon\n>>> 1 + 1\n2\n```"
    )


def test_every_formula_is_mathml_that_says_what_it_is(site):
    text = (ROOT / "docs/concepts.md").read_text()
    formulas = re.findall(r"\$\$(.*?)\$\$|\$([^$\n]+)\$", text, re.S)
    assert len(formulas) > 20
    for block, inline in formulas:
        html = f'<span class="arithmatex">\\({block or inline}\\)</span>'
        made = site["formulas"].as_mathml(html)
        assert made.startswith('<span class="formula"><math aria-label=')
    with pytest.raises(ValueError, match="does not know"):
        site["formulas"].as_mathml('<span class="arithmatex">\\(\\nosuch\\)</span>')


class Addresses(HTMLParser):
    """What a page fetches by itself."""

    def __init__(self):
        super().__init__()
        self.fetched = []

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        if tag in ("script", "img", "iframe", "source", "video"):
            self.fetched.append(given.get("src"))
        if tag == "link" and given.get("rel") in ("stylesheet", "preload", "icon", "preconnect"):
            self.fetched.append(given.get("href"))


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Return the built site; a warning fails it."""
    out = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(out)],
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return out


@pytest.mark.slow
def test_the_site_builds_without_a_warning_and_fetches_nothing_from_elsewhere(built):
    pages = list(built.rglob("*.html"))
    assert len(pages) > 80
    for page in pages:
        found = Addresses()
        found.feed(page.read_text())
        assert not [a for a in found.fetched if a and re.match(r"(https?:)?//", a)], page
        assert 'class="arithmatex"' not in page.read_text(), page
    for style in built.rglob("*.css"):
        assert not re.search(r"url\((['\"]?)(https?:)?//", style.read_text()), style


@pytest.mark.slow
def test_llms_txt_lists_every_page_with_markdown_that_is_there(built):
    listed = re.findall(r"^- \[.+?\]\((.+?)\): .", (built / "llms.txt").read_text(), re.M)
    assert len(listed) > 80
    for address in listed:
        assert (built / address).is_file(), address
    assert "<!-- run" not in (built / "tutorials/first-study.md").read_text()


@pytest.mark.slow
@pytest.mark.browser
def test_in_a_browser_no_page_scrolls_sideways_and_nothing_leaves(built):
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    import functools
    import shutil
    import threading
    from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("chromium is not installed")

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *arguments):
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=built))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    home = f"http://127.0.0.1:{server.server_port}/"
    left, errors = set(), []
    try:
        with playwright.sync_playwright() as p:
            browser = p.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
            page = browser.new_page(viewport={"width": 390, "height": 800})
            page.on("request", lambda r: left.add(r.url))
            page.on("console", lambda m: errors.append(m.text) if m.type == "error" else None)
            for file in sorted(built.rglob("*.html")):
                page.goto(home + file.relative_to(built).as_posix())
                assert page.evaluate("document.documentElement.scrollWidth") <= 390, file
            browser.close()
    finally:
        server.shutdown()
        server.server_close()
    assert not [url for url in left if not url.startswith((home, "data:", "blob:"))]
    assert [e for e in errors if "404" not in e] == []
