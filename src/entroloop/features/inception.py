"""The Inception network of the Fréchet Inception Distance, as the standard TorchScript file.

It is the file that StyleGAN2-ADA, StyleGAN3 and clean-fid use; it takes uint8 images and resizes
them itself.
"""

from __future__ import annotations

import os
import tempfile
import urllib.request
from pathlib import Path

from entroloop.errors import InputError
from entroloop.features.extractor import Batched, Extractor
from entroloop.features.torchscript import network
from entroloop.samples import Array
from entroloop.system.files import cache_folder, sha256

FILE = "inception-2015-12-05.pt"
URL = f"https://nvlabs-fi-cdn.nvidia.com/stylegan2-ada-pytorch/pretrained/metrics/{FILE}"
SHA256 = "f58cb9b6ec323ed63459aa4fb441fe750cfe39fafad6da5cb504a16f19e958f4"


def inception(argument: str | None, device: str) -> Extractor:
    """Return the extractor of the 2,048 pooled features, and of class probabilities.

    argument: the path of the network file; by default it is taken from the cache folder, where it
    is downloaded once and verified.
    """
    path = Path(argument) if argument else fetched()
    if not path.is_file():
        raise InputError(f"features inception: there is no file {path}")
    name = "inception" if argument is None else f"inception:{argument}"
    digest = sha256(path)
    return Extractor(
        name,
        f"inception {digest} on {device}",
        resize="inside the network: bilinear, without antialiasing, to 299 × 299",
        comparable="with StyleGAN's FID on images of the same size"
        if digest == SHA256
        else f"on {path.name} only",
        network=_in_colour(network(path, device, name, return_features=True)),
        probabilities_network=_in_colour(network(path, device, name, no_output_bias=True)),
        batch=64,
        side_by_side=device == "cpu",
    )


def _in_colour(run: Batched) -> Batched:
    """Pass grey images as three equal channels, as is usual."""

    def in_colour(images: Array) -> Array:
        return run(images.repeat(3, axis=3) if images.shape[3] == 1 else images)

    return in_colour


def fetched() -> Path:
    """Return the path of the network file in the cache folder, downloading it if it is missing.

    Raises InputError, saying which file to put where, if the download fails or yields another file.
    """
    path = cache_folder() / "weights" / FILE
    if path.is_file():
        if sha256(path) != SHA256:
            raise InputError(
                f"features inception: {path} is not the expected file (SHA-256 {SHA256}); remove "
                "it, or give the path of another by intent: inception:PATH"
            )
        return path
    part = ""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, part = tempfile.mkstemp(dir=path.parent, suffix=".part")
        with os.fdopen(handle, "wb") as file, urllib.request.urlopen(URL, timeout=30) as answer:
            while block := answer.read(2**20):
                file.write(block)
        if sha256(Path(part)) != SHA256:
            raise InputError(
                f"features inception: what came from {URL} is not the expected file (SHA-256 "
                f"{SHA256}); put the right one at {path}"
            )
        Path(part).replace(path)
    except OSError as error:
        raise InputError(
            f"features inception: {URL} cannot be fetched ({error}); put that file at {path}, or "
            "give its path: inception:PATH"
        ) from None
    finally:
        if part:
            Path(part).unlink(missing_ok=True)
    return path
