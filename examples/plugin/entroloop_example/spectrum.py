"""An extractor: the amplitudes of a row's Fourier transform, which no cyclic shift changes."""

import numpy as np

from entroloop.features import Extractor


def spectrum(argument: str | None, device: str) -> Extractor:
    """Return the extractor; `spectrum:K` keeps the K lowest frequencies."""
    kept = int(argument) if argument else None

    def amplitudes(data):
        return np.abs(np.fft.rfft(data.reshape(len(data), -1).astype(np.float64)))[:, :kept]

    # The identity is part of the keys of studies: all that the features depend on.
    return Extractor("spectrum", f"spectrum:{argument}", whole=amplitudes)
