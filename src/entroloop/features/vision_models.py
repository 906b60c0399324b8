"""Vision transformers from the Hugging Face Hub or a local folder, with their own processors."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from entroloop.errors import InputError, one_line
from entroloop.features.extractor import Batched, Extractor
from entroloop.samples import Array
from entroloop.system.files import sha256

FILTERS = {0: "nearest", 1: "Lanczos", 2: "bilinear", 3: "bicubic", 4: "box", 5: "Hamming"}


def vision_model(
    name: str,
    where: str,
    device: str,
    model_class: str,
    processor_class: str,
    take: Callable[[Any], Any],
    comparable: str,
) -> Extractor:
    """Return the extractor of a model.

    take: picks the vectors (n, d) from the model's output. where: a Hub id, or a local folder
    (config.json, model.safetensors, preprocessor_config.json). A Hub model is loaded on first use,
    a local one at once, since its processor's settings name the resize filter.

    Raises InputError if transformers is not installed, or the files cannot be obtained.
    """
    load = loader(name, where, device, model_class, processor_class, "preprocessor_config.json")
    return Extractor(
        name,
        identity_of(name, where, device, "pillow"),
        resize=_resize(load()[1]) if Path(where).is_dir() else "by the model's own processor",
        comparable=comparable,
        network=_network(load, device, take),
        batch=32,
        lists=True,
    )


def identity_of(name: str, where: str, device: str, *packages: str) -> str:
    """Return what a model's features depend on: its files, or its Hub id, and versions.

    Raises InputError for a folder that is not there.
    """
    folder, files = Path(where), where
    if folder.is_dir():
        own = [p for p in sorted(folder.iterdir()) if p.suffix in (".json", ".safetensors")]
        files = " ".join(sha256(p) for p in own)
    elif where.startswith((".", "/")):
        raise InputError(f"features {name}: there is no folder {where}")
    made_by = " ".join(_version(package) for package in ("transformers", *packages))
    return f"{name} {files} {made_by} on {device}"


def _version(package: str) -> str:
    try:
        return f"{package} {version(package)}"
    except PackageNotFoundError:
        return f"no {package}"


def loader(
    name: str, where: str, device: str, model_class: str, processor_class: str, beside: str
) -> Callable[[], tuple[Any, Any]]:
    """Return what loads a model and its processor, once; beside: the processor's file.

    Raises InputError, when it is called, if transformers or the files are not there.
    """

    @cache
    def load() -> tuple[Any, Any]:
        try:
            import transformers
        except ImportError:
            raise InputError(
                f"features {name} need transformers: python -m pip install 'entroloop[features]'"
            ) from None
        try:
            processor = getattr(transformers, processor_class).from_pretrained(where)
            model = getattr(transformers, model_class).from_pretrained(where, use_safetensors=True)
        except (OSError, ValueError) as error:
            told = one_line(error, 160)
            raise InputError(
                f"features {name}: {where} cannot be loaded ({told}); give a local folder with "
                f"config.json, model.safetensors and {beside}: {name.partition(':')[0]}:FOLDER"
            ) from None
        return model.to(device).eval(), processor

    return load


def _network(
    load: Callable[[], tuple[Any, Any]], device: str, take: Callable[[Any], Any]
) -> Batched:
    def run(images: Array | list[Array]) -> Array:
        import torch

        model, processor = load()
        colour = [x.repeat(3, axis=2) if x.shape[2] == 1 else x for x in images]
        inputs = processor(colour, return_tensors="np", input_data_format="channels_last")
        x = torch.from_numpy(np.asarray(inputs["pixel_values"], dtype=np.float32))
        with torch.inference_mode():
            found: Array = take(model(x.to(device))).float().cpu().numpy()
        return found

    return run


def _resize(processor: Any) -> str:
    size = dict(getattr(processor, "size", None) or {})
    crop = dict(getattr(processor, "crop_size", None) or {})
    parts = []
    if getattr(processor, "do_resize", False):
        kind = FILTERS.get(int(getattr(processor, "resample", -1)), "unknown filter")
        to = "shortest side to " if "shortest_edge" in size else ""
        parts.append(f"{kind} (Pillow), {to}{' × '.join(str(v) for v in size.values())}")
    if getattr(processor, "do_center_crop", False):
        parts.append(f"centre crop {' × '.join(str(v) for v in crop.values())}")
    return ", ".join(parts) or "none"
