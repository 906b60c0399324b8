"""Names of files as text that can be shown."""

from __future__ import annotations


def printable(name: str) -> str:
    """Return a file's name as text that every file and terminal can hold: bytes that are not UTF-8,
    and control characters, escaped.
    """
    if name.isprintable():
        return name
    text = name.encode("utf-8", "backslashreplace").decode()
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
