"""PNG files of pixels and nothing else, decoded by Pillow's decoder without its reading of what may
surround them: of a small image that takes longer than the pixels.
"""

from __future__ import annotations

import struct
import zlib
from typing import NamedTuple

import numpy as np

from entroloop.samples import Array

BEGIN = b"\x89PNG\r\n\x1a\n\x00\x00\x00\x0dIHDR"
HEADER = struct.Struct(">IIBBBBB")  # width, height, depth, colour, compression, filter, interlace
MODES = {(8, 0, 0, 0, 0): "L", (8, 2, 0, 0, 0): "RGB"}  # by what follows the size
LARGEST = 2**18  # pixels: of larger ones the decoder takes nearly all of the time
AT_ONCE = 2**16  # bytes that Pillow's reader gives to the decoder in one call, as is done here


class PlainPng(NamedTuple):
    """What such a file holds: the mode and size of its image, its compressed rows."""

    mode: str
    size: tuple[int, int]
    rows: bytes

    @classmethod
    def of(cls, content: bytes) -> PlainPng | None:
        """Return the parts of a file, or None unless it is a valid header, one chunk and the end.

        The image is small, grey or RGB of 8 bits, and not interlaced.
        """
        if content[:16] != BEGIN or content[37:41] != b"IDAT" or content[-12:-4] != b"\0\0\0\0IEND":
            return None
        width, height, *rest = HEADER.unpack_from(content, 16)
        mode, size = MODES.get(tuple(rest)), int.from_bytes(content[33:37], "big")
        if mode is None or not 0 < width * height <= LARGEST or size > AT_ONCE:
            return None
        checked = zlib.crc32(content[12:29]) == int.from_bytes(content[29:33], "big")
        if not checked or len(content) != 41 + size + 16:
            return None
        return cls(mode, (width, height), content[41:-16])

    def pixels(self) -> Array | None:
        """Return uint8 (h, w, 1 or 3), or None for rows that are broken."""
        from PIL import Image

        try:
            image = Image.frombytes(self.mode, self.size, self.rows, "zip", (self.mode, False))
        except (ValueError, OSError):  # Pillow's reader says what is wrong with the file
            return None
        found = np.asarray(image)
        return found[..., None] if self.mode == "L" else found
