"""The content of stages: real data, and training sets as tables that say where each row is."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from entroloop.errors import InputError
from entroloop.modalities.table import Schema
from entroloop.samples import Decoder, RealData, SampleSet, concatenate
from entroloop.selection.decision import Decision
from entroloop.store.folder import Store

if TYPE_CHECKING:
    import pandas as pd

DECISION, TABLE = "decision.json", "training_set.parquet"


def real_key(real: RealData) -> str:
    """Return a hash of the real data: values, dtype, shape, labels, and what decodes them."""
    digest = hashlib.sha256()
    decoder = real.decoder
    decoding = () if decoder is None else (decoder.components, decoder.mean)
    for array in (real.data, real.labels, *decoding):
        if array is not None:
            digest.update(f"{array.dtype}{array.shape}".encode())
            digest.update(np.ascontiguousarray(array).data)
    if real.schema is not None:
        digest.update(json.dumps(real.schema.as_json()).encode())
    return digest.hexdigest()[:32]


def write_real(store: Store, key: str, real: RealData) -> None:
    """Commit the real data, unless an intact copy is already there."""
    if store.intact("real", key):
        return
    store.set_aside("real", key)
    about: dict[str, Any] = {"image_shape": real.image_shape}
    if real.decoder is not None:
        about["decoded_shape"] = real.decoder.shape
    if real.schema is not None:
        about["schema"] = real.schema.as_json()
    with store.commit("real", key, **about) as folder:
        np.save(folder / "data.npy", real.data)
        if real.labels is not None:
            np.save(folder / "labels.npy", real.labels)
        if real.decoder is not None:
            np.save(folder / "components.npy", real.decoder.components)
            np.save(folder / "mean.npy", real.decoder.mean)


def read_real(store: Store) -> RealData:
    """Return the real data of the study folder."""
    identity = store.identity()
    info = store.info("real", identity["real"]) if identity else None
    if identity is None or info is None:
        raise InputError(f"{store.root} is no study folder; give the folder that `run` wrote")
    folder = store.path("real", identity["real"])
    labels = folder / "labels.npy"
    shape, decoded = info.about["image_shape"], info.about.get("decoded_shape")
    return RealData(
        np.load(folder / "data.npy", mmap_mode="r", allow_pickle=False),
        np.load(labels, allow_pickle=False) if labels.exists() else None,
        tuple(shape) if shape else None,
        decoder=_decoder(folder, tuple(decoded)) if decoded else None,
        schema=Schema.from_json(info.about["schema"]) if "schema" in info.about else None,
    )


def _decoder(folder: Path, shape: tuple[int, ...]) -> Decoder:
    components, mean = (
        np.load(folder / name, allow_pickle=False) for name in ("components.npy", "mean.npy")
    )
    return Decoder(components, mean, shape)


@dataclass(frozen=True)
class TrainingSet:
    """A training set with each pick's rank and radius; −1 and NaN for rows that are not picks."""

    samples: SampleSet
    pick_rank: NDArray[np.int64]
    radius: NDArray[np.float64]
    decision: Decision | None = None

    @classmethod
    def whole(cls, samples: SampleSet) -> TrainingSet:
        """Return a training set without any picks."""
        n = len(samples)
        return cls(samples, np.full(n, -1, dtype=np.int64), np.full(n, np.nan))

    @classmethod
    def selected(
        cls,
        kept: SampleSet | None,
        candidates: SampleSet,
        indices: NDArray[np.int64],
        radii: NDArray[np.float64],
        decision: Decision | None = None,
    ) -> TrainingSet:
        """Return the kept rows followed by the picks, in order of `indices`."""
        rank = np.arange(len(indices), dtype=np.int64)
        picks = cls(candidates.take(indices), rank, radii, decision)
        if kept is None:
            return picks
        before = cls.whole(kept)
        return cls(
            concatenate([before.samples, picks.samples]),
            np.concatenate([before.pick_rank, picks.pick_rank]),
            np.concatenate([before.radius, picks.radius]),
            decision,
        )

    def write(self, folder: Path) -> None:
        """Write training_set.parquet: id, generation, source_index, pick_rank, radius.

        Beside it decision.json, where a guarded selection decided.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        columns = {
            "id": self.samples.ids,
            "generation": self.samples.provenance,
            "source_index": self.samples.source_index,
            "pick_rank": self.pick_rank,
            "radius": self.radius,
        }
        pq.write_table(pa.table(columns), folder / TABLE)
        if self.decision is not None:
            (folder / DECISION).write_text(json.dumps(self.decision.to_dict(), indent=1), "utf-8")


def read_decision(store: Store, key: str) -> dict[str, Any]:
    """Return what a guarded selection decided of a training set, as a dict; empty for others."""
    file = store.path("training_set", key) / DECISION
    found: dict[str, Any] = json.loads(file.read_text("utf-8")) if file.exists() else {}
    return found


def read_table(store: Store, key: str) -> pd.DataFrame:
    """Return the table of a training set: one line per row, with its provenance and rank."""
    import pandas as pd

    return pd.read_parquet(store.path("training_set", key) / TABLE)


def read_training_set(store: Store, key: str, history: Sequence[str]) -> SampleSet:
    """Return the rows of a training set, each read from the generation that made it.

    history: the keys of the samples of generations 1, 2, …
    """
    import pyarrow.parquet as pq

    table = pq.read_table(
        store.path("training_set", key) / TABLE, columns=["generation", "source_index"]
    )
    generations = table["generation"].to_numpy().astype(np.int32, copy=False)
    index = table["source_index"].to_numpy().astype(np.int64, copy=False)
    real = read_real(store)
    data = np.empty((len(table), *real.data.shape[1:]), dtype=real.data.dtype)
    labels: NDArray[np.int64] | None = np.empty(len(table), dtype=np.int64)
    for g in np.unique(generations):
        rows = generations == g
        source = real.data if g == 0 else store.samples(history[g - 1])
        data[rows] = source[index[rows]]
        known = real.labels if g == 0 else store.sample_labels(history[g - 1])
        if known is None:
            labels = None  # kept only if every row has one
        elif labels is not None:
            labels[rows] = known[index[rows]]
    return SampleSet(data, generations, index, labels, real.groups)
