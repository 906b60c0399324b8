"""YAML as people write it in study files, and within limits: no bombs, no surprises."""

from __future__ import annotations

import math
from typing import Any

from entroloop.errors import InputError, one_line

LONGEST, DEEPEST, MOST_NODES = 1_000_000, 50, 20_000  # characters, levels, values with aliases


def parsed(text: str, what: str) -> Any:
    """Return the value of a YAML text.

    what: what the text is, as messages name it. Raises InputError for text that is no YAML, holds a
    value that is none (a 31st of June), or is longer, deeper or, with its aliases written out,
    larger than any study is.
    """
    import yaml

    if len(text) > LONGEST:
        raise InputError(f"{what} has {len(text):,} characters; at most {LONGEST:,} are read")
    try:
        depth = 0
        for event in yaml.parse(text, yaml.SafeLoader):
            depth += isinstance(event, yaml.CollectionStartEvent)
            depth -= isinstance(event, yaml.CollectionEndEvent)
            if depth > DEEPEST:
                raise InputError(f"{what} is nested more than {DEEPEST} deep")
        root = yaml.compose(text, yaml.SafeLoader)
        if root is not None and _size(root, {}) > MOST_NODES:
            raise InputError(f"{what} holds more than {MOST_NODES:,} values")
        value = yaml.safe_load(text)
    except InputError:
        raise
    except Exception as error:  # its constructors raise all kinds on values that are none
        raise InputError(f"{what} is not valid YAML: {one_line(error, 200)}") from None
    refuse_odd_values(value, what)
    return value


def _size(node: Any, known: dict[int, float]) -> float:
    """Return the number of values below a node, each alias counted as if it were written out."""
    import yaml

    if isinstance(node, yaml.ScalarNode):
        return 1
    if id(node) not in known:
        known[id(node)] = math.inf  # where a node holds itself
        pairs = isinstance(node, yaml.MappingNode)
        below = [child for pair in node.value for child in pair] if pairs else node.value
        known[id(node)] = 1 + sum(_size(child, known) for child in below)
    return known[id(node)]


def refuse_odd_values(value: Any, what: str) -> None:
    """Raise InputError for infinite numbers, and for dates and bytes, which no setting takes."""
    if isinstance(value, float) and not math.isfinite(value):
        raise InputError(f"{what} holds {value}, which is no number to work with")
    if isinstance(value, dict | list | tuple):
        for child in value.values() if isinstance(value, dict) else value:
            refuse_odd_values(child, what)
    elif value is not None and not isinstance(value, bool | int | float | str):
        text = one_line(value, 40)
        raise InputError(f"{what} holds {text}, a {type(value).__name__}: put it in quotes")
