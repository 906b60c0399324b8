"""The report: one self-contained HTML page, built from study folders alone."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from importlib import resources
from importlib.metadata import version
from pathlib import Path
from typing import Any

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
        head = html.read_bytes()[:4096] if html.exists() else MARKS[0]
        if html.is_symlink() or not any(mark in head for mark in MARKS):
            raise InputError(f"{html} is no page of entroloop; choose another name for the page")
    except OSError as error:
        raise InputError(f"{html} cannot be written: {error.strerror}") from None


def render_if_changed(studies: Sequence[Path], html: Path) -> Path:
    """Write the report unless the existing file was made from these records."""
    if html.is_file():
        with html.open() as file:
            if _fingerprint(studies) in file.read(4096):
                return html
    return render_report(studies, html)


def _fingerprint(studies: Sequence[Path]) -> str:
    digest = hashlib.sha256(version("entroloop").encode())
    digest.update(_template().encode())
    for study in studies:
        for name in ("records.parquet", "config.json"):
            digest.update((study / name).read_bytes())
    return digest.hexdigest()


def _template() -> str:
    return (resources.files("entroloop.report") / "page.html.j2").read_text()


def _page(folders: list[Path]) -> str:
    from jinja2 import Environment, StrictUndefined
    from plotly.offline import get_plotlyjs

    from entroloop.report.read import StudyView

    views = [StudyView.open(folder) for folder in folders]
    template = Environment(autoescape=True, undefined=StrictUndefined).from_string(_template())
    return template.render(
        plotly_js=get_plotlyjs(),
        fingerprint=_fingerprint(folders),
        version=version("entroloop"),
        studies=[_section(view, number) for number, view in enumerate(views)],
    )


def _section(view: Any, number: int) -> dict[str, Any]:
    import yaml

    from entroloop.report.answer import answer
    from entroloop.report.attenuation import attenuations
    from entroloop.report.claims import findings, geometry, verdict
    from entroloop.report.decisions import decisions
    from entroloop.report.figures import curves, entropy_against_score, projection
    from entroloop.report.images import nearest_pairs, real_grid, sample_grids
    from entroloop.report.memorization import memorization
    from entroloop.report.table import COLUMNS, cells

    figures = {f"{name}-{number}": figure for name, figure in curves(view).items()}
    relation = entropy_against_score(view)
    grids = sample_grids(view)
    if relation:
        figures[f"relation-{number}"] = relation[0]
    if not grids:
        figures[f"projection-{number}"] = projection(view)
    generations = max((len(row) for row in grids.values()), default=0)
    return {
        "name": view.config["name"],
        "seeds": view.config["seeds"],
        "generator": ", ".join(sorted({arm["generator"]["name"] for arm in view.arms})),
        "n_train": view.n_train,
        "features": view.config["metrics"]["features"],
        "answer": answer(view),
        "verdict": verdict(view.records, view.arms),
        "claims": findings(view.records, view.arms, view.controls),
        "decisions": decisions(view),
        "headings": ["arm", *(heading for heading, _ in COLUMNS.values())],
        "rows": cells(view.records),
        "last": int(view.records["generation"].max()),
        "figures": {name: json.loads(figure.to_json()) for name, figure in figures.items()},
        "relation": relation[1] if relation else None,
        "geometry": geometry(view.records, view.controls),
        "attenuations": attenuations(view),
        "memorization": memorization(view.records, view.arms),
        "real": real_grid(view),
        "grids": grids,
        "generations": range(1, generations + 1),
        "pairs": nearest_pairs(view),
        "config": yaml.safe_dump(view.config, sort_keys=False, allow_unicode=True),
        "environment": view.environment,
    }
