"""The monitor in a training loop that accelerate prepared, as those of diffusers are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from entroloop.monitor.monitor import Monitor
from entroloop.monitor.update import Update
from entroloop.monitor.watching import Sampler, watch


def accelerate_callback(
    monitor: Monitor, accelerator: Any, sample: Sampler
) -> Callable[[Any, int], Update | None]:
    """Return a function of (model, step) to call after each step of an accelerate loop.

    sample: a function of (model, n) that returns n samples; it gets the model without accelerate's
    wrapper. Where the monitor is due, the main process samples and measures, and the accelerator's
    trackers get `monitor.status.log()`. The model may be another than the trained one, such as its
    moving average; each process must hold it whole.
    """

    def after_step(model: Any, step: int) -> Update | None:
        if not accelerator.is_main_process:
            return None
        update = watch(monitor, accelerator.unwrap_model(model), sample, step)
        if update is not None:
            accelerator.log(monitor.status.log(), step=step)
        return update

    return after_step
