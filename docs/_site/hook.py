"""MkDocs' hook: adds the pages and pictures that are made at build time, the order of pages, links
to files of the repository, formulas as MathML, and llms.txt.
"""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath

import formulas
import gallery
from mkdocs.structure.files import File

import pictures
import reference

ROOT = Path(__file__).parents[2]
# Files of the repository that become pages.
JOINED = {
    "CHANGELOG.md": "project/changelog.md",
    "CONTRIBUTING.md": "project/contributing.md",
    "benchmarks/RESULTS.md": "project/benchmarks.md",
    "dev/LOG.md": "project/log.md",
}
# The order of pages. Those that do not exist are left out; those not named here come last.
SECTIONS = {
    "Start": ["index.md", "tutorials/first-study.md", "tutorials/which-images.md", "notebooks.md"],
    "Guides": [
        "studies.md", "remedies.md", "text.md", "tables.md", "vectors-and-audio.md", "figures.md",
        "monitor.md", "selecting.md", "guarded.md", "loading.md",
        "measuring.md", "auditing.md", "duplicates.md", "cleaning.md", "extending.md", "scale.md",
    ],
    "Understand": ["concepts.md", "gallery.md", "results.md", "theory.md", "selection-engine.md"],
    "Look up": [
        "reference/strategies/index.md", "metrics.md", "reference/metrics/index.md",
        "reference/generators/index.md", "reference/commands.md", "api.md", "reliability.md",
    ],
    "Project": list(JOINED.values()),
}  # fmt: skip
REFERENCES = {
    "reference/strategies": "Strategies",
    "reference/metrics": "Metrics, one by one",
    "reference/generators": "Generators",
}
MARKER = re.compile(r"^<!-- (?:run|skip).*-->\n", re.M)  # for the tests that run these blocks
OF_SECTIONS = {uri for listed in SECTIONS.values() for uri in listed}  # those that may be missing
_pages: dict[str, tuple[str, str]] = {}  # address: title, Markdown


def on_files(files, config):
    """Add what is made at build time."""
    made = {**reference.pages(), **gallery.files(), **pictures.files()}
    for path, target in JOINED.items():
        made[target] = _relinked((ROOT / path).read_text(), path, target)
    for path, content in made.items():
        files.append(File.generated(config, path, content=content))
    config.nav = _nav({file.src_uri for file in files.documentation_pages()})
    return files


def _nav(uris):
    """Return the pages in the order of SECTIONS, as mkdocs.yml would list them."""
    nav = []
    for title, listed in SECTIONS.items():
        entries = []
        for uri in listed:
            folder, _, name = uri.rpartition("/")
            if uri not in uris:
                continue
            if folder.startswith("reference/") and name == "index.md":
                own = sorted(u for u in uris if u.startswith(f"{folder}/") and u != uri)
                entries.append({REFERENCES[folder]: [uri, *own]})
            else:
                entries.append(uri)
        if title == "Guides":
            entries += sorted(
                u for u in uris if u not in OF_SECTIONS and not u.startswith("reference/")
            )
        nav.append({title: entries})
    return nav


def on_page_markdown(markdown, page, config, files):
    """Drop the tests' markers, and make links to files of the repository work."""
    text = MARKER.sub("", markdown)
    if page.file.src_uri == "index.md":  # no line leads to a page that is not there
        text = "\n".join(line for line in text.split("\n") if not _leads_nowhere(line))
    if page.file.generated_by is None:
        text = _relinked(text, f"docs/{page.file.src_uri}", page.file.src_uri)
    _pages[page.file.url] = (page.title or page.file.src_uri, text)
    return text


def on_page_content(html, page, config, files):
    """Make MathML of formulas, and tables that scroll by themselves on a narrow screen."""
    html = html.replace("<table>", '<div class="scrolls" tabindex="0"><table>')
    html = html.replace("</table>", "</table></div>")
    return formulas.as_mathml(html)


def on_post_build(config):
    """Write llms.txt: what is where, for language models, and each page's Markdown."""
    site = Path(config.site_dir)
    lines = ["# entroloop", "", f"> {config.site_description}", ""]
    titles = dict(_pages)
    for address, (title, text) in sorted(titles.items()):
        target = address.removesuffix(".html") + ".md"
        (site / target).parent.mkdir(parents=True, exist_ok=True)
        (site / target).write_text(text)
        lines.append(f"- [{title}]({target}): {_first_sentence(text)}")
    (site / "llms.txt").write_text("\n".join(lines) + "\n")


def _relinked(text, source, target):
    """Return Markdown whose relative links lead to pages, or are plain text where there is none.

    source: the path of the file in the repository; target: that of the page within the site.
    """

    def link(found):
        words, address = found[1], found[2]
        if re.match(r"[a-z]+:|#", address):
            return found[0]
        path, _, anchor = address.partition("#")
        aim = _normal(PurePosixPath(source).parent / path)
        page = JOINED.get(aim) or (aim.removeprefix("docs/") if aim.startswith("docs/") else None)
        if page is None or (page in OF_SECTIONS and not _exists(page)):
            return words
        up = "../" * (len(PurePosixPath(target).parts) - 1)
        return f"[{words}]({up}{page}{'#' + anchor if anchor else ''})"

    return re.sub(r"(?<!!)\[([^\]]*)\]\(([^)\s]+)\)", link, text)


def _exists(page):
    made = page in JOINED.values() or page.startswith(("reference/", "gallery"))
    return made or (ROOT / "docs" / page).exists()


def _leads_nowhere(line):
    found = re.search(r"^\|.*\]\((\w+\.md)\) \|$", line)
    return found is not None and found[1] in OF_SECTIONS and not _exists(found[1])


def _normal(path):
    parts = []
    for part in path.parts:
        if part == "..":
            if parts:
                parts.pop()
        elif part != ".":
            parts.append(part)
    return "/".join(parts)


def _first_sentence(text):
    body = re.sub(r"^#.*$|^[|`<!].*$|^:::.*$", "", text, flags=re.M)
    body = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", body)
    words = " ".join(body.split())
    return re.split(r"(?<=[.:])\s", words, maxsplit=1)[0][:200]
