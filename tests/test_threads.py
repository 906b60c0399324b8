"""Batches in parts, and memory that is kept."""

import ctypes.util
import resource
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from entroloop.generators.batch_in_parts import BatchInParts
from entroloop.system.memory import freed_memory_kept
from entroloop.system.threads import intra_op_threads


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
