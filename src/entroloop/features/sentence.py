"""Sentence encoders of transformers, from a folder or the Hub: the mean of a text's last layer."""

from __future__ import annotations

from typing import Any

import numpy as np

from entroloop.errors import InputError
from entroloop.features.cached import through_cache
from entroloop.features.extractor import Extractor
from entroloop.features.vision_models import identity_of, loader
from entroloop.modalities.text import check_text, shown, texts_of
from entroloop.samples import Array

TOKENS = 128  # of a text, at most; every batch is padded to it, so that no row depends on others
BATCH = 32


def sentence(argument: str | None, device: str) -> Extractor:
    """Return the extractor of a sentence encoder: `sentence:FOLDER`, or `sentence:` and a Hub id.

    The vectors of the last layer are averaged over the tokens of a text, 128 at most, and brought
    to length 1 (Reimers & Gurevych 2019). Needs transformers.
    """
    if argument is None:
        raise InputError(
            "features sentence need a model: sentence:FOLDER, or a Hub id such as "
            "sentence:sentence-transformers/all-MiniLM-L6-v2"
        )
    name = f"sentence:{argument}"
    identity = identity_of(name, argument, device, "tokenizers")
    load = loader(name, argument, device, "AutoModel", "AutoTokenizer", "tokenizer.json")

    def compute(data: Array) -> Array:
        model, tokenizer = load()
        tokens = min(TOKENS, int(tokenizer.model_max_length))
        texts = [shown(text) for text in texts_of(data)]
        parts = []
        for start in range(0, len(texts), BATCH):
            some = texts[start : start + BATCH]
            padded = some + [""] * (BATCH - len(some))
            parts.append(_embedded(model, tokenizer, padded, tokens)[: len(some)])
        return np.concatenate(parts)

    def whole(data: Array) -> Array:
        check_text(data, f"features {name}")
        return through_cache(identity, data, lambda: compute(data))

    return Extractor(name, identity, whole=whole, comparable="with the same encoder, averaged")


def _embedded(model: Any, tokenizer: Any, texts: list[str], tokens: int) -> Array:
    import torch

    inputs = tokenizer(
        texts, padding="max_length", truncation=True, max_length=tokens, return_tensors="pt"
    ).to(model.device)
    with torch.inference_mode():
        last = model(**inputs).last_hidden_state
    mask = inputs["attention_mask"].unsqueeze(2).float()
    mean = (last * mask).sum(dim=1) / mask.sum(dim=1).clamp(min=1)
    found: Array = torch.nn.functional.normalize(mean, dim=1).float().cpu().numpy()
    return found
