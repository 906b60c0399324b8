"""The settings of a small language model."""

from __future__ import annotations

from typing import ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


class TinyLMSettings(BaseModel):
    """Settings of the network, its training and sampling.

    vocabulary: how many tokens are learned from the training set, by merging pairs of bytes; 256
    for bytes alone. width, layers, heads: of the GPT-2. epochs: how often each text is trained on,
    in batches of batch_size texts, by AdamW with linear warm-up and cosine decay. temperature: of
    sampling; top_p: the share of probability that is sampled from, the most likely tokens first.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
    SAMPLING: ClassVar[tuple[str, ...]] = ("temperature", "top_p")
    needs_previous: ClassVar[bool] = False
    name: Literal["tiny_lm"] = "tiny_lm"
    vocabulary: int = Field(default=1024, ge=256, le=32_768)
    width: int = Field(default=96, ge=8)
    layers: int = Field(default=2, ge=1)
    heads: int = Field(default=4, ge=1)
    epochs: int = Field(default=10, ge=1)
    batch_size: int = Field(default=16, ge=1)
    lr: float = Field(default=3e-3, gt=0)
    weight_decay: float = Field(default=0.1, ge=0)
    warmup: float = Field(default=0.1, ge=0, lt=1)
    dropout: float = Field(default=0.1, ge=0, lt=1)
    gradient_clip: float = Field(default=1.0, gt=0)
    temperature: float = Field(default=1.0, gt=0)
    top_p: float = Field(default=1.0, gt=0, le=1)

    @model_validator(mode="after")
    def _heads_share_the_width(self) -> Self:
        if self.width % self.heads:
            raise ValueError(f"width {self.width} is no multiple of heads {self.heads}")
        return self
