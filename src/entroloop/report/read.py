"""A study as the report reads it: from the store alone."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from entroloop.data import split_order
from entroloop.errors import InputError
from entroloop.features import Extractor, extractor_for
from entroloop.samples import Array, RealData
from entroloop.store.folder import Store
from entroloop.store.records import load_records
from entroloop.store.stages import read_real, read_training_set
from entroloop.study.config import StudyConfig
from entroloop.study.controls import control_records


@dataclass(frozen=True)
class StudyView:
    """The contents of a study folder."""

    store: Store
    records: pd.DataFrame
    config: dict[str, Any]
    environment: dict[str, str]

    @classmethod
    def open(cls, folder: Path) -> StudyView:
        """Read a study folder; raises InputError if it holds no records."""
        records = load_records(folder)
        try:
            config = json.loads((folder / "config.json").read_text("utf-8"))
            environment = json.loads((folder / "environment.json").read_text("utf-8"))
        except (OSError, ValueError) as error:
            raise InputError(f"{folder} is not a complete study folder: {error}") from None
        return cls(Store(folder), records, config, environment)

    @property
    def arms(self) -> list[dict[str, Any]]:
        """The arms' configurations, in order."""
        return list(self.config["arms"])

    @property
    def n_train(self) -> int:
        """N, the number of rows in a training set."""
        return int(self.config["data"]["n_train"])

    @cached_property
    def controls(self) -> pd.DataFrame:
        """The records of the study's control loops, made now if they are not there."""
        return control_records(self.store, StudyConfig.model_validate(self.config))

    @cached_property
    def real(self) -> RealData:
        """The real data."""
        return read_real(self.store)

    def keys(self, arm: str, seed: int) -> list[dict[str, str]]:
        """Return the stage keys of each complete generation of a run."""
        path = self.store.root / "arms" / arm / f"seed-{seed}.json"
        keys: list[dict[str, str]] = json.loads(path.read_text("utf-8"))["generations"]
        return keys

    def samples(self, arm: str, seed: int, generation: int) -> Array:
        """Return the first N samples of a generation."""
        key = self.keys(arm, seed)[generation - 1]["samples"]
        return self.store.samples(key)[: self.n_train]

    def training_set(self, arm: str, seed: int, generation: int) -> Array:
        """Return the training rows of a generation."""
        keys = self.keys(arm, seed)
        history = [k["samples"] for k in keys]
        return read_training_set(self.store, keys[generation - 1]["training_set"], history).data

    def real_rows(self, seed: int) -> tuple[Array, Array]:
        """Return the indices of a run's real training rows, and those of its held-out rows."""
        order = split_order(len(self.real.data), self.real.labels, seed)
        held_out = self.n_train + int(self.config["data"]["n_reference"])
        return order[: self.n_train], order[self.n_train : held_out]

    def extractor(self, seed: int) -> Extractor:
        """Return the features that a run is measured in."""
        found = extractor_for(self.config["metrics"]["features"]).seeing(self.real.decoder)
        return found.fitted_to(np.asarray(self.real.data[self.real_rows(seed)[0]]))

    def as_images(self, rows: Array) -> Array | None:
        """Return rows as uint8 images (n, h, w) or (n, h, w, 3), or None if they are not images."""
        if self.real.decoder is not None:
            rows = self.real.decoder(rows)
        asked_for = self.config["data"].get("image_shape")
        shape = rows.shape[1:] if rows.ndim == 4 else asked_for or self.real.image_shape
        if shape is None:
            return None
        images = np.asarray(rows).reshape(len(rows), *shape)
        if images.dtype != np.uint8:
            low, high = float(self.real.data.min()), float(self.real.data.max())
            scaled = (images - low) / (high - low) if high > low else np.zeros_like(images)
            images = np.rint(np.clip(scaled, 0, 1) * 255).astype(np.uint8)
        return images[..., 0] if images.ndim == 4 and images.shape[-1] == 1 else images
