"""Parts of one computation in threads, each of which multiplies matrices by itself.

A matrix library that splits each product among its own threads makes them wait for each other at
every product, spinning, and what lies between products runs in one of them: beside other programs
such a computation all but stops. Here each thread takes the next part when it is ready.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from entroloop.system.compiled import loaded

COMPILED = "scipy.linalg.cython_blas"  # what compiled loops multiply by
T = TypeVar("T")
_threads: ContextVar[int] = ContextVar("threads", default=1)
# Whether products run in one thread here: those of compiled loops, too (True), or NumPy's (False).
_limited: ContextVar[bool | None] = ContextVar("limited", default=None)


@contextmanager
def products_in_one_thread() -> Iterator[None]:
    """Let matrix products run in the thread that asks for them, and `in_threads` in as many threads
    as a product could use before.
    """
    compiled = loaded(COMPILED) is not None
    if _limited.get() in (compiled, True):  # already, one call within another
        yield
        return
    libraries = _libraries(compiled)
    before = max((library.num_threads for library in libraries.lib_controllers), default=1)
    token, limited = _threads.set(max(before, _threads.get())), _limited.set(compiled)
    try:
        with libraries.limit(limits=1):
            yield
    finally:
        _limited.reset(limited)
        _threads.reset(token)


def threads_here() -> int:
    """Return in how many threads products may run side by side here: 1 outside of
    `products_in_one_thread`.
    """
    return _threads.get()


def in_threads(function: Callable[[T], None], parts: Sequence[T], threads: int) -> None:
    """Call a function with each part, in so many threads (see `threads_here`), this one included.

    Which thread takes which part is left to chance: parts must not depend on each other.
    """
    threads = min(threads, len(parts))
    left = iter(parts)

    def work() -> None:
        try:
            for part in left:
                function(part)
        finally:  # after an error there is no use in the others
            for _ in left:
                pass

    if threads < 2:
        work()
        return
    others = [_pool(threads - 1).submit(work) for _ in range(threads - 1)]
    token = _threads.set(1)  # as in the other threads
    try:
        work()
    finally:
        _threads.reset(token)
        wait(other for other in others if not other.cancel())
    for other in others:
        if not other.cancelled():
            other.result()


@contextmanager
def intra_op_threads(threads: int) -> Iterator[None]:
    """Set torch's thread count inside the block, also that of threads which meet torch there first.

    It is a setting because it changes the last bits of a result.
    """
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@cache
def _libraries(compiled: bool) -> Any:
    """Return NumPy's library and, with compiled loops, SciPy's, by which those multiply."""
    from threadpoolctl import ThreadpoolController

    found = ThreadpoolController().select(user_api="blas")
    # Those alone, where they bring their own: those of other packages are none of ours.
    names = ("numpy", "scipy") if compiled else ("numpy",)
    own = [
        library.filepath
        for library in found.lib_controllers
        if Path(library.filepath).parent.name.startswith(names)
    ]
    return found.select(filepath=own) if own else found


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="entroloop")


if hasattr(os, "register_at_fork"):  # threads do not outlive a fork
    os.register_at_fork(after_in_child=_pool.cache_clear)
