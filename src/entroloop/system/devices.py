"""Which device computes: the CPU, or a CUDA GPU that torch sees."""

from __future__ import annotations

from pathlib import Path

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
