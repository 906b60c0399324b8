"""stage.json: what a stage holds, with a checksum of every file and one of itself."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from entroloop.errors import InputError
from entroloop.system.files import sha256
from entroloop.system.seal import lies_below, sealed, unsealed

FILE = "stage.json"
KINDS = ("real", "training_set", "model", "samples", "record")
_KEY = re.compile(r"[0-9A-Za-z_-]{1,64}")  # a name of this form leads nowhere else
_OWN = re.compile(r"(?:stage\.json|\.stage\.json\.\d+)$")  # the latter a crash can leave


@dataclass(frozen=True)
class StageInfo:
    """The content of stage.json: file checksums, and the seconds and peak memory of the work."""

    files: dict[str, list[str]]  # SHA-256; two only while samples are being extended
    seconds: float
    peak_mb: float
    about: dict[str, Any]

    def to_json(self) -> str:
        """Return the text of stage.json."""
        return sealed(asdict(self))

    @classmethod
    def from_json(cls, text: str | bytes, where: str) -> StageInfo | None:
        """Return the content of a stage.json, or None if it is not what was written.

        where: the folder that it describes. Raises InputError for names that lie outside of that,
        which this program never writes.
        """
        content = unsealed(text, required=False)  # stages of before carry no checksum
        try:
            info = cls(**(content or {}))
            files = [(name, list(sums)) for name, sums in info.files.items()]
        except (ValueError, TypeError, AttributeError):
            return None
        outside = [name for name, _ in files if not _is_stage_file(name)]
        if outside:
            raise InputError(
                f"{where}/{FILE} lists {outside[0]!r}, which is no file of that folder; whoever "
                "wrote it was not entroloop: use no stage from there"
            )
        numbers = all(isinstance(value, int | float) for value in (info.seconds, info.peak_mb))
        sums = [sums for _, sums in files]
        valid = numbers and isinstance(info.about, dict) and sums and all(sums)
        return info if valid and all(_is_digest(one) for each in sums for one in each) else None

    def describes(self, folder: Path) -> bool:
        """Return whether a folder holds every file that is listed, unchanged, and none as a link.

        Files beside them are nobody's business here: `unlisted` tells them.
        """
        try:
            return all(
                not (folder / name).is_symlink() and sha256(folder / name) in sums
                for name, sums in self.files.items()
            )
        except OSError:
            return False

    def unlisted(self, folder: Path) -> list[str]:
        """Return the names of files and links in a folder that are not listed."""
        found = (p for p in sorted(folder.rglob("*")) if p.is_symlink() or not p.is_dir())
        names = [p.relative_to(folder).as_posix() for p in found]
        return [name for name in names if name not in self.files and not _OWN.match(name)]


def is_stage(kind: object, key: object) -> bool:
    """Return whether a kind and a key can be those of a stage."""
    return kind in KINDS and isinstance(key, str) and _KEY.fullmatch(key) is not None


def _is_stage_file(name: str) -> bool:
    """Whether a name lies below its folder on every system: no drives, backslashes, controls."""
    plain = name.isprintable() and not set(name) & set(":\\")
    return plain and lies_below(name) and name != FILE


def _is_digest(text: object) -> bool:
    return isinstance(text, str) and len(text) == 64 and set(text) <= set("0123456789abcdef")
