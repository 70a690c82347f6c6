"""Pictures as PNG files: one byte a pixel and a palette, as the PNG specification (ISO/IEC 15948) has it."""

from __future__ import annotations

import struct
import zlib

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]
_UP = 2
"""Filter type: each byte less the one above it, which makes nothing of repeated rows."""


def png(pixels: Pixels, palette: Pixels) -> bytes:
    """Encode a picture.

    Args:
        pixels: Indices into the palette, shape (height, width).
        palette: Red, green and blue, shape (colours, 3), at most 256.

    Raises:
        ValueError: A pixel lies outside the palette.
    """
    if len(palette) > 256 or (pixels.size and int(pixels.max()) >= len(palette)):
        raise ValueError(f"{len(palette)} colours do not hold every pixel, or are more than 256")
    height, width = pixels.shape
    rows = np.zeros((height, 1 + width), dtype=np.uint8)
    rows[:, 0] = _UP
    rows[:, 1:] = np.diff(pixels, axis=0, prepend=np.zeros((1, width), dtype=np.uint8))
    depth, indexed = 8, 3
    header = struct.pack(">IIBBBBB", width, height, depth, indexed, 0, 0, 0)
    parts = [
        (b"IHDR", header),
        (b"PLTE", palette.astype(np.uint8).tobytes()),
        (b"IDAT", zlib.compress(rows.tobytes(), 9)),
        (b"IEND", b""),
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, body) for kind, body in parts)


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
