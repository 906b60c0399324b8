"""How many threads torch takes on a CPU: a setting, since it changes the last bits of a result."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def intra_op_threads(threads: int) -> Iterator[None]:
    """Set torch's thread count inside the block."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)
