"""Pixels: the grey levels 0..255 of images, or their principal components."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np

from entroloop.errors import InputError
from entroloop.features.extractor import Extractor, channels_last, check_images
from entroloop.samples import Array, as_vectors


def pixels(argument: str | None, device: str) -> Extractor:  # noqa: ARG001  # no network
    """Return the extractor of grey levels as vectors; `pixels:pca=K`: K principal components.

    `pixels:pca=K,whiten` divides each by its standard deviation, so that all count alike.
    The components, float32, are fitted to the reference set if there is one, else to the training
    set, else to the set itself (scikit-learn, randomized solver, fixed seed).
    """
    name = "pixels" if argument is None else f"pixels:{argument}"

    def flat(data: Array) -> Array:
        data = channels_last(data)
        check_images(data, name)
        return as_vectors(data)

    plain = Extractor(name, name, whole=flat, comparable="with pixel distances at 0..255")
    if argument is None:
        return plain
    asked = re.fullmatch(r"pca=([1-9][0-9]{0,8})(,whiten)?", argument)
    if asked is None:
        raise InputError(
            f"features pixels take pca=K, for K components, or pca=K,whiten; got '{argument}'"
        )
    components, whiten = int(asked[1]), asked[2] is not None

    def fit(data: Array) -> Extractor:
        from sklearn.decomposition import PCA

        rows = flat(data)
        if components > min(rows.shape):
            raise InputError(
                f"features {name}: {len(rows)} images of {rows.shape[1]} values have at most "
                f"{min(rows.shape)} components"
            )
        if (rows == rows[0]).all():
            raise InputError(f"features {name}: all images are equal; they have no components")
        fitted = PCA(components, svd_solver="randomized", whiten=whiten, random_state=0)
        fitted.fit(rows)
        return replace(
            plain, whole=lambda x: np.asarray(fitted.transform(flat(x)), dtype=np.float32)
        )

    return replace(plain, fit=fit)
