"""Parts in threads, batches in parts, and memory that is kept."""

import ctypes.util
import resource
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from entroloop.generators.batch_in_parts import BatchInParts
from entroloop.system.memory import freed_memory_kept
from entroloop.system.threads import (
    in_threads,
    intra_op_threads,
    products_in_one_thread,
    threads_here,
)


@given(n=st.integers(1, 20), parts=st.integers(1, 5), share=st.floats(0.1, 1))
@settings(max_examples=25, deadline=None)
def test_the_gradient_of_parts_is_that_of_the_batch(n, parts, share):
    generator = torch.Generator().manual_seed(n)
    x, y = (torch.randn(n, 3, generator=generator, dtype=torch.float64) for _ in range(2))
    layer = torch.nn.Linear(3, 3, dtype=torch.float64)
    parameters = list(layer.parameters())

    def loss(x, y, classes):
        assert classes is None
        return (layer(x).tanh() - y).square().mean()

    with intra_op_threads(1):
        in_parts = BatchInParts(parameters, min(parts, n))
        found = [in_parts.backward(loss, (x, y, None), share) for _ in range(2)]
        in_parts.close()
    whole = loss(x, y, None)
    expected = torch.autograd.grad(whole, parameters)
    assert found[0].item() == pytest.approx(whole.item(), rel=1e-12)
    for parameter, own in zip(parameters, expected, strict=True):
        np.testing.assert_allclose(parameter.grad, 2 * share * own, rtol=1e-9, atol=1e-12)


@pytest.mark.skipif(ctypes.util.find_library("c") != "libc.so.6", reason="needs glibc")
def test_memory_that_is_freed_is_kept_for_the_next_array_and_given_back_at_the_end():
    def faults():
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        for _ in range(10):
            torch.ones(12 * 2**20)  # 48 MiB, 12,288 pages
        return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

    def resident():
        return int(Path("/proc/self/statm").read_text().split()[1])

    with freed_memory_kept():
        faults()
        assert faults() < 12_288
        inside = resident()
    assert resident() < inside - 10_000


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_every_part_is_done_once_in_so_many_threads_of_which_one_is_the_callers(threads):
    done, seen, together = [], set(), threading.Barrier(min(threads, 3), timeout=30)

    def part(i):
        if i < together.parties:  # the first parts wait for each other: each in a thread of its own
            together.wait()
        seen.add(threading.get_ident())
        done.append(i)
        assert threads == 1 or threads_here() == 1  # a part has no threads of its own

    with products_in_one_thread():
        in_threads(part, range(3), threads)
    assert sorted(done) == [0, 1, 2]
    assert threading.get_ident() in seen
    assert len(seen) == together.parties


@pytest.mark.parametrize("where", ["here", "there"])
def test_an_error_in_any_thread_ends_the_others_and_comes_out(where):
    here, begun, told = threading.get_ident(), [], threading.Event()

    def part(i):
        begun.append(i)
        if (threading.get_ident() == here) == (where == "here"):
            told.set()
            raise ValueError(where)
        told.wait(30)

    with pytest.raises(ValueError, match=where):
        in_threads(part, range(1000), 2)
    assert len(begun) < 1000
    again = []
    in_threads(again.append, range(10), 2)  # the pool goes on
    assert sorted(again) == list(range(10))
