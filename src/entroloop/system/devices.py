"""Which device computes: the CPU, or a CUDA GPU that torch sees; how arrays come from one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from entroloop.errors import InputError


def device_for(device: str) -> str:
    """Return "cpu" or "cuda" for "auto", "cpu" or "cuda".

    Raises InputError for another name, or for "cuda" where there is no GPU.
    """
    if device not in ("auto", "cpu", "cuda"):
        raise InputError(f"device must be auto, cpu or cuda; got {device}")
    if device != "cpu" and _has_gpu():
        return "cuda"
    if device == "cuda":
        raise InputError("device cuda: torch sees no CUDA GPU here; use device cpu")
    return "cpu"


def _has_gpu() -> bool:
    if not Path("/dev/nvidia0").exists():
        return False  # without the seconds that importing torch takes
    import torch

    return bool(torch.cuda.is_available())


def in_main_memory(thing: Any) -> NDArray[Any]:
    """Return what speaks DLPack as an array of NumPy: the memory itself, or a copy of what lies on
    a GPU, made by its own library where that follows the protocol of 2023, else by torch.
    """
    here = int(thing.__dlpack_device__()[0]) in (1, 3)  # main memory, pinned or not
    try:
        return np.from_dlpack(thing) if here else np.from_dlpack(thing, device="cpu")
    except (BufferError, RuntimeError, TypeError, ValueError):  # bfloat16, an older protocol
        pass
    import torch.utils.dlpack

    tensor = torch.utils.dlpack.from_dlpack(thing).detach().cpu()
    found: NDArray[Any] = (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).numpy()
    return found
