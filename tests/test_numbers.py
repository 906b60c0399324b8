"""How numbers are written for people."""

import re
from pathlib import Path

import entroloop

ROOT = Path(entroloop.__file__).parent
SHAPED = re.compile(r":[+,]?\.\d+[efg%]\}|\.\d[efg]\b.* \| format")


def test_pages_and_terminals_shape_no_number_by_themselves():
    assert SHAPED.search('f"{share:.1%} of"')
    assert SHAPED.search('"%.0f" | format(100 * share)')
    found = [
        f"{path.relative_to(ROOT)}:{i}"
        for room in ("report", "live", "cli")
        for path in sorted((ROOT / room).rglob("*"))
        if path.suffix in (".py", ".j2")
        for i, line in enumerate(path.read_text("utf-8").splitlines(), 1)
        if SHAPED.search(line)
    ]
    assert found == []
