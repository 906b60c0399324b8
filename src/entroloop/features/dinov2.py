"""DINOv2 features: the class token, as in the paper."""

from __future__ import annotations

from entroloop.features.extractor import Extractor
from entroloop.features.vision_models import vision_model

SIZES = {"small": "facebook/dinov2-small", "base": "facebook/dinov2-base"}


def dinov2(argument: str | None, device: str) -> Extractor:
    """Return the extractor of DINOv2's class token: small (384 values), base (768) or a folder."""
    where = SIZES.get(argument or "small", argument or "")
    return vision_model(
        "dinov2" if argument is None else f"dinov2:{argument}",
        where,
        device,
        "Dinov2Model",
        "BitImageProcessor",
        lambda output: output.last_hidden_state[:, 0],
        "with figures on DINOv2's class token, images resized by its processor",
    )
