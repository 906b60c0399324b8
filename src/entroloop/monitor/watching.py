"""Sampling from a model in training, such that the training goes on as if nothing had happened."""

from __future__ import annotations

import random
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from entroloop.errors import Notice, with_kind
from entroloop.monitor.monitor import Monitor
from entroloop.monitor.update import Update
from entroloop.seeding import seed_for

Sampler = Callable[[Any, int], Any]  # (model, n) -> n samples
N_SAMPLES = 256


def watch(monitor: Monitor, model: Any, sample: Sampler, step: int) -> Update | None:
    """Update a monitor at a step if it is due; return the update, None where there is none.

    sample: a function of (model, n) that returns n samples; it runs in evaluation mode, without
    gradients, on random numbers of its own. What fails is told in a warning: training goes on.
    """
    if not monitor.due(step):
        return None
    try:
        with undisturbed(model, seed_for(monitor.seed, step, "monitor")):
            samples = sample(model, monitor.n_samples or N_SAMPLES)
        return monitor.update(samples, step)
    except Exception as error:  # whatever a sampler of others raises
        monitor.interval.abandon(step)
        warnings.warn(
            f"the monitor has no update at step {step}: {with_kind(error, 300)}",
            Notice,
            stacklevel=2,
        )
        return None


@contextmanager
def undisturbed(model: Any, seed: int) -> Iterator[None]:
    """Run a block on random numbers of this seed, with a model in evaluation mode, then restore
    the modes of its modules and all random states of Python, NumPy and torch.
    """
    import torch

    modes = [(module, module.training) for module in model.modules()]
    python, numpy = random.getstate(), np.random.get_state()
    try:
        with torch.random.fork_rng(range(torch.cuda.device_count())), torch.no_grad():
            torch.manual_seed(seed)
            random.seed(seed)
            np.random.seed(seed % 2**32)
            model.eval()
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)
        for module, training in modes:
            module.training = training
