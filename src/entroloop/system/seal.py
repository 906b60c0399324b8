"""Seals: content that carries its own checksum, so that what was changed or cut is not believed."""

from __future__ import annotations

import hashlib
import json
from typing import Any

CHECKSUM = "checksum"
DIGEST_BYTES = 32


def sealed(content: dict[str, Any]) -> str:
    """Return JSON of a mapping with the SHA-256 of itself under `checksum`.

    >>> unsealed(sealed({"step": 3}))
    {'step': 3}
    >>> unsealed(sealed({"step": 3}).replace("3", "4", 1)) is None
    True
    """
    return json.dumps({**content, CHECKSUM: _digest(content)}, indent=1)


def unsealed(text: str | bytes, *, required: bool = True) -> dict[str, Any] | None:
    """Return the mapping that was sealed, or None if the text is not what was written.

    required: refuse text without a checksum, as it was written before there was one.
    """
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(content, dict) or (CHECKSUM not in content and required):
        return None
    found = content.pop(CHECKSUM, None)
    return content if found is None or found == _digest(content) else None


def sealed_bytes(content: bytes) -> bytes:
    """Return bytes with their SHA-256 after them."""
    return content + hashlib.sha256(content).digest()


def unsealed_bytes(content: bytes) -> bytes | None:
    """Return the bytes before a checksum that fits them, or None."""
    body, digest = content[:-DIGEST_BYTES], content[-DIGEST_BYTES:]
    return body if hashlib.sha256(body).digest() == digest else None


def _digest(content: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def lies_below(name: str) -> bool:
    """Return whether a relative file name, its parts divided by /, stays inside its folder.

    >>> [lies_below(name) for name in ("a/b.npy", "../b", "/b", "a//b", "a/./b")]
    [True, False, False, False, False]
    """
    return all(part not in ("", ".", "..") for part in name.split("/"))
