"""Texts in files: lines, paragraphs or whole files, and a column of parquet files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from entroloop.data.parquet import opened_parquet
from entroloop.data.reading import reading
from entroloop.errors import InputError
from entroloop.modalities.text import rows_of, rows_of_bytes, texts_of
from entroloop.samples import RealData


class Cut(BaseModel):
    """Settings of all sources of texts: how long a row is, and which texts become rows.

    length: bytes of a row; longer texts are cut. shortest: texts of fewer bytes are left out.
    limit: use only so many texts, from the first.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    n_train: int = Field(ge=2)
    n_reference: int = Field(ge=2)
    length: int = Field(default=160, ge=8, le=4096)
    shortest: int = Field(default=1, ge=1)
    limit: int | None = Field(default=None, ge=4)

    def real(self, texts: Iterable[str], where: str) -> RealData:
        """Return texts as rows, each once: a repeated one could be held out and trained on.

        White space within a text becomes single spaces; texts that are equal once they are cut are
        one. Raises InputError for fewer than 4 texts.
        """
        kept: dict[bytes, None] = {}
        for text in texts:
            one = " ".join(text.replace("\0", " ").split())
            if len(one.encode()) >= self.shortest:
                kept[texts_of(rows_of([one], self.length))[0]] = None
            if len(kept) == self.limit:
                break
        if len(kept) < 4:
            raise InputError(
                f"{where} holds {len(kept)} different texts of at least {self.shortest} bytes; "
                "lower data.shortest, or give more"
            )
        return RealData(rows_of_bytes(list(kept), self.length))


class Texts(Cut):
    """Settings: where the texts lie.

    path: a file, or a folder whose files match the pattern `files`. unit: what of a text file is
    one text; paragraphs end at blank lines. column: of parquet files, the one that holds a text in
    each row.
    """

    source: Literal["text"] = "text"
    path: str
    files: str = "*"
    unit: Literal["line", "paragraph", "file"] = "line"
    column: str | None = None

    def load(self) -> RealData:
        """Return the texts as uint8 rows (n, length), in the order of the files' names."""
        root = Path(self.path).expanduser()
        paths = (
            sorted(p for p in root.rglob(self.files) if p.is_file()) if root.is_dir() else [root]
        )
        if not paths:
            raise InputError(f"no file of {root} matches '{self.files}' (data.files)")
        return self.real((text for path in paths for text in self._of(path)), self.path)

    def _of(self, path: Path) -> Iterator[str]:
        if path.suffix == ".parquet":
            yield from column_of(path, self.column)
            return
        with reading(path, "text file in UTF-8"):
            whole = path.read_text(encoding="utf-8-sig")
        if self.unit == "file":
            yield whole
        elif self.unit == "line":
            yield from whole.splitlines()
        else:
            yield from paragraphs(whole)


def column_of(path: Path, column: str | None) -> list[str]:
    """Return the texts of a column of a parquet file; nulls are left out.

    Raises InputError for a column that is missing or holds no texts.
    """
    import pyarrow as pa

    with reading(path, "parquet file"), opened_parquet(path) as table:
        kinds = {field.name: field.type for field in table.schema_arrow}
        able = [n for n, k in kinds.items() if pa.types.is_string(k) or pa.types.is_large_string(k)]
        wanted = able[0] if column is None and len(able) == 1 else column
        if wanted not in able:
            asked = (
                "has no one column of texts" if column is None else f"has no texts in '{column}'"
            )
            raise InputError(
                f"{path} {asked}; name one by data.column: {', '.join(able) or 'none'}"
            )
        cells = table.read(columns=[wanted]).column(wanted).drop_null()
        return [str(text) for text in cells.to_pylist()]


def paragraphs(text: str) -> Iterator[str]:
    """Yield what stands between blank lines."""
    lines: list[str] = []
    for line in [*text.splitlines(), ""]:
        if line.strip():
            lines.append(line)
        elif lines:
            yield "\n".join(lines)
            lines = []
