"""A training of a U-Net from its first step or its last checkpoint to its end.

A checkpoint holds everything the next step depends on, so that a killed training goes on as if it
had never stopped.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from entroloop.errors import InputError
from entroloop.generators.loss import check_loss
from entroloop.generators.unet.training import Training
from entroloop.system.files import flush, sha256
from entroloop.system.progress_line import Progress
from entroloop.system.seal import sealed, unsealed

if TYPE_CHECKING:
    from torch import Tensor

REPORTS = 100  # loss readings per training; each waits for the device


def train(training: Training, progress: Progress, scratch: Path | None) -> Any:
    """Train and return the U-Net, on the device, with averaged weights if there is an average."""
    import torch

    if scratch is not None:
        _resume(training, scratch)
    every, checkpoint_every = max(1, training.total // REPORTS), training.settings.checkpoint_every
    while training.step < training.total:
        loss = training.advance()
        done = training.step
        if done % every == 0 or done == training.total:
            value = float(loss)
            kept = "" if scratch is None else " (the last checkpoint is kept)"
            check_loss(value, f"step {done} of {training.total}", f", or use precision no{kept}")
            progress(done, training.total)
        if scratch is not None and done % checkpoint_every == 0 and done < training.total:
            _save(training, scratch)
    unet = training.finished()
    if scratch is not None and training.accelerator.is_main_process:
        shutil.rmtree(scratch, ignore_errors=True)
    torch.cuda.empty_cache() if training.images.device.type == "cuda" else None
    return unet.eval()


def _save(training: Training, scratch: Path) -> None:
    """Write a checkpoint next to the last one, then replace that."""
    import torch
    from safetensors.torch import save_file

    if not training.accelerator.is_main_process:
        return
    new = scratch.with_name(scratch.name + ".new")
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(parents=True)
    tensors = {f"unet.{k}": v for k, v in training.plain.state_dict().items()}
    if training.ema is not None:
        tensors |= {f"ema.{i}": p for i, p in enumerate(training.ema.shadow_params)}
    for i, state in training.optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{i}.{k}": torch.as_tensor(v) for k, v in state.items()}
    tensors |= {"order": training.order, "rng": training.rng.get_state()}
    scaler = training.accelerator.scaler
    numbers = {
        "step": training.step,
        "settings": _trains(training, training.settings.model_dump(mode="json")),
        "rows": len(training.images),
        "scaler": None if scaler is None else scaler.state_dict(),
    }
    weights = new / "state.safetensors"
    save_file({k: v.detach().cpu().contiguous() for k, v in tensors.items()}, weights)
    (new / "state.json").write_text(sealed(numbers | {"weights": sha256(weights)}), "utf-8")
    for path in (weights, new / "state.json", new):
        flush(path)
    old = scratch.with_name(scratch.name + ".old")
    shutil.rmtree(old, ignore_errors=True)
    if scratch.exists():
        scratch.rename(old)
    new.rename(scratch)
    shutil.rmtree(old, ignore_errors=True)


def _resume(training: Training, scratch: Path) -> None:
    """Resume from the last checkpoint, if there is one with these settings."""
    from safetensors.torch import load_file

    old = scratch.with_name(scratch.name + ".old")
    if not scratch.exists() and old.exists():  # killed between two renames
        old.rename(scratch)
    weights = scratch / "state.safetensors"
    try:
        numbers = unsealed((scratch / "state.json").read_bytes())
        if numbers is None or sha256(weights) != numbers["weights"]:
            return  # changed or cut: what it holds is made again
        tensors = load_file(weights)
    except OSError:
        return
    then, now = numbers["settings"], training.settings.model_dump(mode="json")
    if _trains(training, then) != _trains(training, now) or numbers["rows"] != len(training.images):
        raise InputError(f"{scratch} holds a checkpoint of other settings; remove it to start over")
    device = training.images.device

    def part(prefix: str) -> dict[str, Tensor]:
        return {
            k.removeprefix(prefix): v.to(device) for k, v in tensors.items() if k.startswith(prefix)
        }

    training.plain.load_state_dict(part("unet."))
    if training.ema is not None:
        shadow = part("ema.")
        training.ema.shadow_params = [
            _laid_out_like(own, shadow[str(i)]) for i, own in enumerate(training.ema.shadow_params)
        ]
        training.ema.optimization_step = numbers["step"]
    state: dict[int, dict[str, Tensor]] = {}
    parameters = list(training.plain.parameters())
    for name, value in part("optimizer.").items():
        index, key = name.split(".", 1)
        state.setdefault(int(index), {})[key] = _laid_out_like(parameters[int(index)], value)
    own = training.optimizer.state_dict()
    training.optimizer.load_state_dict({"state": state, "param_groups": own["param_groups"]})
    training.order = tensors["order"].to(device)
    training.rng.set_state(tensors["rng"])
    if numbers["scaler"] is not None and training.accelerator.scaler is not None:
        training.accelerator.scaler.load_state_dict(numbers["scaler"])
    training.step = numbers["step"]


def _laid_out_like(parameter: Tensor, value: Tensor) -> Tensor:
    """Return a value in the memory layout of its parameter, if it has its shape: fused steps take
    no others.
    """
    import torch

    if value.shape != parameter.shape:
        return value
    return torch.empty_like(parameter, dtype=value.dtype).copy_(value)


def _trains(training: Training, settings: dict[str, Any]) -> dict[str, Any]:
    """Return those settings that a training depends on."""
    return {k: v for k, v in settings.items() if k not in training.settings.SAMPLING}
