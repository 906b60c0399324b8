"""Images as principal components, decoded where images are wanted: loops that a CPU affords."""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field

from entroloop.data.images import Files
from entroloop.errors import InputError
from entroloop.samples import Decoder, RealData


class PrincipalComponents(Files):
    """Settings: images in files, and their components.

    components: how many. learned_from: the first so many images teach them, and are no data of
    the study: like an autoencoder that was trained elsewhere. Rows are float32 coordinates, over
    one common standard deviation. `raw` features are the coordinates; all others, and the pages,
    see decoded images.
    """

    source: Literal["principal_components"] = "principal_components"
    components: int = Field(default=64, ge=1)
    learned_from: int = Field(default=4000, ge=2)

    def load(self) -> RealData:
        """Return the coordinates (n, components) with their decoder."""
        from sklearn.decomposition import PCA

        images = super().load()
        data, m = np.asarray(images.data), self.learned_from
        values = int(np.prod(data.shape[1:]))
        if self.components > min(m, values):
            raise InputError(
                f"data.components {self.components} is more than {m} images (data.learned_from) of "
                f"{values} values can teach; lower it"
            )
        if len(data) <= m:
            raise InputError(
                f"data.learned_from {m} leaves none of the {len(data)} images; lower it"
            )
        flat = data.reshape(len(data), -1)
        fitted = PCA(self.components, svd_solver="full").fit(flat[:m].astype(np.float64))
        scale = float(np.sqrt(fitted.explained_variance_.mean()))
        rows = np.concatenate([
            (fitted.transform(flat[start : start + 4096].astype(np.float64)) / scale)
            for start in range(m, len(flat), 4096)
        ]).astype(np.float32)  # fmt: skip
        decoder = Decoder(fitted.components_ * scale, fitted.mean_, data.shape[1:])
        labels = None if images.labels is None else images.labels[m:]
        return RealData(rows, labels, skipped=images.skipped, decoder=decoder)
