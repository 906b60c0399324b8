"""The monitor as a callback of transformers' Trainer."""

from __future__ import annotations

from typing import Any

from entroloop.errors import InputError
from entroloop.monitor.monitor import Monitor
from entroloop.monitor.watching import Sampler, watch


def trainer_callback(monitor: Monitor, sample: Sampler) -> Any:
    """Return a `transformers.TrainerCallback` that updates a monitor after training steps.

    sample: a function of (model, n) that returns n samples. The first process samples and
    measures; `monitor.status.log()` joins the trainer's `state.log_history`.

    Raises InputError where transformers is not installed.
    """
    try:
        from transformers import TrainerCallback
    except ImportError:
        raise InputError(
            "trainer_callback needs transformers: python -m pip install 'entroloop[trainer]'"
        ) from None

    class MonitorCallback(TrainerCallback):
        def on_step_end(
            self, args: Any, state: Any, control: Any, model: Any = None, **_: Any
        ) -> None:
            step = state.global_step
            if state.is_world_process_zero and watch(monitor, model, sample, step) is not None:
                state.log_history.append({**monitor.status.log(), "step": step})

    return MonitorCallback()
