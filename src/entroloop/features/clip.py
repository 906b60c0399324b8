"""CLIP features: the projected image embedding."""

from __future__ import annotations

from entroloop.features.extractor import Extractor
from entroloop.features.vision_models import vision_model

DEFAULT = "openai/clip-vit-base-patch32"


def clip(argument: str | None, device: str) -> Extractor:
    """Return the extractor of CLIP's image embeddings, from a Hub id or a local folder."""
    return vision_model(
        "clip" if argument is None else f"clip:{argument}",
        argument or DEFAULT,
        device,
        "CLIPVisionModelWithProjection",
        "CLIPImageProcessor",
        lambda output: output.image_embeds,
        "with figures on the same CLIP embeddings",
    )
