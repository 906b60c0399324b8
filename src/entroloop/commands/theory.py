"""`entroloop run theory`: every case of the theory bench, written to a folder."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from entroloop.data.reading import reading
from entroloop.system.output_folder import OutputFolder
from entroloop.system.progress_line import ProgressOf, no_progress_of
from entroloop.theory.bench import COLUMNS, LIMIT, SEEDS, measure_case, verdict
from entroloop.theory.table import CASES

if TYPE_CHECKING:
    import pandas as pd

Page = Callable[["pd.DataFrame"], str]


def run_theory(
    out: str | Path = "runs/theory",
    seeds: int = SEEDS,
    *,
    page: Page,
    progress_of: ProgressOf = no_progress_of,
) -> dict[str, Any]:
    """Write records.parquet, summary.json and report.html; return the summary.

    seeds: loops of each case. page: what makes the page of the records. Each case is kept as it is
    done, so that the same call goes on after a stop; cases that the folder holds, of this code and
    as many seeds, are not measured again.

    Raises InputError for a folder that holds what entroloop did not write, or too few seeds.
    """
    import pandas as pd

    out = Path(out)
    folder, identity = OutputFolder(out), _identity(seeds)
    folder.check()
    with folder.locked():
        done = _known(out, identity)
        for name, case in CASES.items():
            if name not in done:
                done[name] = measure_case(case, seeds, progress_of(name))
                _write(folder, done, identity)
        records = pd.concat([done[name] for name in CASES], ignore_index=True)
        summary = _summary(out, records)
        _write(folder, done, identity, page(records), summary)
    return summary


def _identity(seeds: int) -> str:
    """Return what tells these records from those of other code or another number of loops."""
    digest = hashlib.sha256(str(seeds).encode())
    for file in sorted(resources.files("entroloop.theory").iterdir(), key=lambda file: file.name):
        if file.name.endswith(".py"):
            digest.update(file.read_bytes())
    return digest.hexdigest()


def _known(out: Path, identity: str) -> dict[str, pd.DataFrame]:
    """Return the cases that the folder holds, whose files were checked."""
    import pandas as pd

    if not (out / "summary.json").exists():
        return {}
    with reading(out / "summary.json", "summary of the theory bench"):
        if json.loads((out / "summary.json").read_text("utf-8")).get("identity") != identity:
            return {}
    with reading(out / "records.parquet", "parquet file"):
        records = pd.read_parquet(out / "records.parquet", columns=list(COLUMNS))
    return {str(name): rows for name, rows in records.groupby("case", sort=False)}


def _summary(out: Path, records: pd.DataFrame) -> dict[str, Any]:
    found = verdict(records)
    return {
        "study": "theory",
        "out": str(out),
        "report": str(out / "report.html"),
        "complete": True,
        "cases": list(CASES),
        "seeds": int(records["seeds"].iloc[0]),
        "comparisons": found.comparisons,
        "limit": LIMIT,
        "deviating": found.deviating,
        "largest_deviation": found.largest,
        "by_chance_at_most": found.by_chance,
    }


def _write(
    folder: OutputFolder,
    done: dict[str, pd.DataFrame],
    identity: str,
    page: str | None = None,
    summary: dict[str, Any] | None = None,
) -> None:
    import pandas as pd

    told = summary or {"study": "theory", "complete": False, "cases": list(done)}
    with folder.replaced() as new:
        pd.concat(done.values(), ignore_index=True).to_parquet(new / "records.parquet", index=False)
        if page is not None:
            (new / "report.html").write_text(page, "utf-8")
        (new / "summary.json").write_text(
            json.dumps(told | {"identity": identity}, indent=1), "utf-8"
        )
