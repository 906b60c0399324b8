"""What an object is, told by the names of its type, so that no library is imported to ask."""

from __future__ import annotations

from typing import Any


def is_a(thing: Any, *names: str) -> bool:
    """Whether an object is of one of these types, or of one derived from it.

    names: LIBRARY.TYPE, such as "torch.Tensor", wherever in the library the type lives.

    >>> import numpy as np
    >>> is_a(np.float32(1), "numpy.floating"), is_a("x", "numpy.floating")
    (True, False)
    """
    own = {f"{t.__module__.partition('.')[0]}.{t.__name__}" for t in type(thing).__mro__}
    return not own.isdisjoint(names)
