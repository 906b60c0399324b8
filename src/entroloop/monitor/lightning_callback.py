"""The monitor as a callback of Lightning's Trainer."""

from __future__ import annotations

from typing import Any

from entroloop.errors import InputError
from entroloop.monitor.monitor import Monitor
from entroloop.monitor.watching import Sampler, watch


def lightning_callback(monitor: Monitor, sample: Sampler) -> Any:
    """Return a `lightning.Callback` that updates a monitor after training steps.

    sample: a function of (module, n) that returns n samples. The first process samples and
    measures, and the trainer's loggers get `monitor.status.log()`.

    Raises InputError where lightning is not installed.
    """
    try:
        from lightning import Callback
    except ImportError:
        raise InputError(
            "lightning_callback needs lightning: python -m pip install 'entroloop[lightning]'"
        ) from None

    class MonitorCallback(Callback):  # type: ignore[misc]  # its types are not read
        def on_train_batch_end(self, trainer: Any, module: Any, *_: Any) -> None:
            step = trainer.global_step
            if not trainer.is_global_zero or watch(monitor, module, sample, step) is None:
                return
            for logger in trainer.loggers:
                logger.log_metrics(monitor.status.log(), step=step)

    return MonitorCallback()
