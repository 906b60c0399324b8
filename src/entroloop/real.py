"""The real data of a study, as a stage of its store: every process reads it from there."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from entroloop.data import RealData
from entroloop.errors import InputError
from entroloop.samples import Array, SampleSet
from entroloop.store import Store


@dataclass(frozen=True)
class StoredReal:
    """The stored real data, memory-mapped."""

    data: Array
    labels: NDArray[np.int64] | None
    image_shape: tuple[int, ...] | None

    def samples(self) -> SampleSet:
        """Return it as generation 0."""
        return SampleSet.of_generation(self.data, 0, self.labels)


def real_key(real: RealData) -> str:
    """Return the hash of the content: values, dtype, shape and labels."""
    digest = hashlib.sha256()
    for array in (real.data, real.labels):
        if array is not None:
            digest.update(f"{array.dtype}{array.shape}".encode())
            digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()[:32]


def write_real(store: Store, key: str, real: RealData) -> None:
    """Commit the real data, if it is not there in full."""
    if store.intact("real", key):
        return
    store.discard("real", key)
    with store.commit("real", key, image_shape=real.image_shape) as folder:
        np.save(folder / "data.npy", real.data)
        if real.labels is not None:
            np.save(folder / "labels.npy", real.labels)


def read_real(store: Store) -> StoredReal:
    """Return the real data of the study folder."""
    identity = store.identity()
    info = store.info("real", identity["real"]) if identity else None
    if identity is None or info is None:
        raise InputError(f"{store.root} is no study folder; give the folder that `run` wrote")
    folder = store.path("real", identity["real"])
    labels = folder / "labels.npy"
    shape = info.about["image_shape"]
    return StoredReal(
        np.load(folder / "data.npy", mmap_mode="r", allow_pickle=False),
        np.load(labels, allow_pickle=False) if labels.exists() else None,
        tuple(shape) if shape else None,
    )


