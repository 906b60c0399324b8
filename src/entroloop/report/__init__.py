"""The report: one self-contained HTML page, built from study folders alone."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from entroloop.errors import InputError
from entroloop.system.files import write_atomically

MARKS = (b"entroloop-content", b" entroloop</title>")  # near the top of every page


def render_report(studies: Sequence[str | Path], html: str | Path) -> Path:
    """Write the report on one or more study folders to an HTML file; return its path.

    Raises InputError for a folder without records, or a file that cannot be written.
    """
    html = Path(html)
    refuse_foreign(html)
    page = _page([Path(study) for study in studies])
    try:
        html.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(html, page)
    except OSError as error:
        raise InputError(f"the report {html} cannot be written: {error.strerror}") from None
    return html


def refuse_foreign(html: Path) -> None:
    """Raise InputError where something else than a page of entroloop would be overwritten."""
    try:
        ours = html.is_file() and any(mark in html.read_bytes()[:4096] for mark in MARKS)
        if html.is_symlink() or (html.exists() and not ours):
            raise InputError(f"{html} is no page of entroloop; choose another name for the page")
    except OSError as error:
        raise InputError(f"{html} cannot be written: {error.strerror}") from None


def render_if_changed(studies: Sequence[Path], html: Path) -> Path:
    """Write the report unless the existing file was made from these records."""
    if html.is_file():
        with html.open(encoding="utf-8", errors="replace") as file:
            if _fingerprint(studies) in file.read(4096):
                return html
    return render_report(studies, html)


def _fingerprint(studies: Sequence[Path]) -> str:
    from entroloop.report.assembly import assets_digest

    digest = hashlib.sha256(version("entroloop").encode())
    digest.update(assets_digest().encode())
    for study in studies:
        for name in ("records.parquet", "config.json"):
            digest.update((study / name).read_bytes())
    return digest.hexdigest()


def _page(folders: list[Path]) -> str:
    from entroloop.report.assembly import page_from
    from entroloop.report.read import StudyView
    from entroloop.report.study_page import study_page

    content = study_page([StudyView.open(folder) for folder in folders])
    return page_from("study.html.j2", fingerprint=_fingerprint(folders), **content)
