"""The loss of a training that diverged: every generator tells it alike."""

from __future__ import annotations

import math

from entroloop.errors import InputError


def check_loss(value: float, where: str, more: str = "") -> None:
    """Raise InputError for a loss that is no finite number; more: what else may mend it."""
    if not math.isfinite(value):
        raise InputError(
            f"the training loss became {value} at {where}; "
            f"lower generator.lr or generator.gradient_clip{more}"
        )
