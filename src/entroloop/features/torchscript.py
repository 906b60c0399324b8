"""Features of any TorchScript module: uint8 images in, vectors out."""

from __future__ import annotations

import warnings
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from entroloop.errors import InputError, one_line
from entroloop.features.extractor import Batched, Extractor
from entroloop.samples import Array
from entroloop.system.files import sha256


def torchscript(argument: str | None, device: str) -> Extractor:
    """Return the extractor of the module at a path: uint8 (n, c, h, w) → (n, d)."""
    if argument is None:
        raise InputError("features torchscript need the path of a module: torchscript:model.pt")
    path = Path(argument)
    if not path.is_file():
        raise InputError(f"features torchscript: there is no file {path}")
    name = f"torchscript:{argument}"
    return Extractor(
        name,
        f"torchscript {sha256(path)} on {device}",
        network=network(path, device, name),
        comparable=f"on {path.name} only",
        batch=Extractor.batch if device == "cpu" else 256,
        side_by_side=device == "cpu",
    )


def network(path: Path, device: str, name: str, **options: Any) -> Batched:
    """Return the module as a function of batches; the first call loads it."""
    chosen: dict[tuple[int, ...], Any] = {}  # by the shape of a batch

    @cache
    def loaded() -> tuple[Any, Any]:
        import torch

        with warnings.catch_warnings():  # deprecated, but the usual format
            warnings.filterwarnings("ignore", message=".*torch.jit", category=DeprecationWarning)
            try:
                module = torch.jit.load(  # type: ignore[no-untyped-call]
                    str(path), map_location=device
                ).eval()
            except (RuntimeError, ValueError, OSError) as error:
                told = one_line(error, 120)
                raise InputError(
                    f"features {name}: {path} is no TorchScript module: {told}"
                ) from None
            return module, _frozen(module) if device == "cpu" else module

    def module_for(x: Any) -> Any:
        """Return the module with its operations fused where that gives the same bits."""
        import torch

        plain, frozen = loaded()
        if frozen is plain or len(x) == 1:  # one image at a time: each may have another shape
            return plain
        shape = tuple(x.shape)
        if shape not in chosen:
            first, second = plain(x, **options), None
            with suppress(RuntimeError):
                second = frozen(x, **options)
            both = [found for found in (first, second) if isinstance(found, torch.Tensor)]
            chosen[shape] = frozen if len(both) == 2 and torch.equal(*both) else plain
        return chosen[shape]

    def run(images: Array) -> Array:
        import torch

        # Rows of a file that is mapped may be only read, which torch warns of.
        x = torch.from_numpy(np.require(images.transpose(0, 3, 1, 2), requirements=["C", "W"]))
        x = x.to(device)
        with torch.inference_mode():
            try:
                found = module_for(x)(x, **options)
            except RuntimeError as error:
                last = str(error).strip().splitlines()[-1]
                raise InputError(
                    f"features {name}: the module does not take images of "
                    f"{images.shape[2]} × {images.shape[1]} × {images.shape[3]}: {last}"
                ) from None
        if not isinstance(found, torch.Tensor) or found.ndim != 2:
            kind = tuple(found.shape) if isinstance(found, torch.Tensor) else type(found).__name__
            raise InputError(
                f"features {name}: the module must return vectors (n, d); it returned {kind}"
            )
        result: Array = found.float().cpu().numpy()
        return result

    return run


def _frozen(module: Any) -> Any:
    """Return a module with its operations fused for a CPU, or itself where that is not possible."""
    import torch

    try:
        return torch.jit.optimize_for_inference(module)
    except Exception:  # of whatever code was scripted
        return module
