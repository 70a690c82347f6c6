"""Samples of a wav or flac file, block by block, up to its true end: the length in its header is not trusted."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from asd_agent.audio.sound_header import SoundFormat, not_readable

_LARGEST = 1e10
"""Samples beyond this are damage: 32-bit numbers that were never scaled reach 2e9, and squares overflow from 1e19."""
_TOTAL_SAMPLES = slice(21, 26)
"""Bytes of a flac stream whose last 36 bits are the number of samples; 0 is unknown."""


def wav_blocks(path: Path, found: SoundFormat, size: int) -> Iterator[npt.NDArray[np.float32]]:
    """Yield blocks of a wav: its samples are plain numbers, and libsndfile would end at the length in the header.

    Args:
        path: The file.
        found: Its format.
        size: Samples of a block.

    Yields:
        Shape (samples, channels), full scale ±1.

    Raises:
        AudioError: It cannot be read or decoded.
    """
    left = (found.end - found.begin) // found.sample_bytes
    try:
        with path.open("rb") as file:
            file.seek(found.begin)
            while left > 0:
                data = file.read(min(size, left) * found.sample_bytes)
                whole = len(data) // found.sample_bytes
                if not whole:
                    return
                left -= whole
                yield _decoded(data[: whole * found.sample_bytes], found.encoding).reshape(whole, found.channels)
    except OSError as error:
        raise not_readable(path, error.strerror or str(error)) from error


def _decoded(data: bytes, encoding: str) -> npt.NDArray[np.float32]:
    if encoding == "u1":
        return (np.frombuffer(data, np.uint8).astype(np.float32) - 128) / np.float32(128)
    if encoding == "i3":
        wide = np.zeros((len(data) // 3, 4), np.uint8)
        wide[:, 1:] = np.frombuffer(data, np.uint8).reshape(-1, 3)
        return wide.view("<i4")[:, 0].astype(np.float32) / np.float32(2**31)
    if encoding in ("f4", "f8"):
        with np.errstate(over="ignore", invalid="ignore"):
            sound = np.frombuffer(data, f"<{encoding}").astype(np.float32)
            sound[np.abs(sound) > _LARGEST] = np.inf  # reported as such by whoever reads it
        return sound
    numbers = np.frombuffer(data, f"<{encoding}")
    return numbers.astype(np.float32) / np.float32(2 ** (8 * numbers.itemsize - 1))


def flac_blocks(path: Path, found: SoundFormat, size: int) -> Iterator[npt.NDArray[np.float32]]:
    """Yield blocks of a flac up to its true end; arguments and errors as for `wav_blocks`."""
    import soundfile

    from asd_agent.audio.virtual_file import VirtualFile

    try:
        with _FlacStream(path, found.begin) as stream, VirtualFile(stream) as file:
            # soundfile seeks after each read where it can, and a stream without a length cannot.
            file.seekable = lambda: False
            while len(data := file.read(size, dtype="float32", always_2d=True)):
                if data.shape[1] != found.channels:
                    raise not_readable(path, "its number of channels changes")
                yield data
            if stream.failure is not None:
                raise not_readable(path, stream.failure.strerror or str(stream.failure))
    except (soundfile.SoundFileError, OSError, RuntimeError, ValueError) as error:
        raise not_readable(path, _reason(error)) from error


def has_sample(path: Path, index: int) -> bool:
    """Return true where a flac file has a sample."""
    import soundfile

    try:
        with soundfile.SoundFile(path) as file:
            file.seek(index)
            return len(file.read(1)) == 1
    except (soundfile.SoundFileError, OSError, RuntimeError, ValueError):
        return False


class _FlacStream(io.FileIO):
    """A flac file with a header that names no length, so that a decoder reads to the true end.

    Args:
        path: The file.
        begin: Byte at which the stream begins.

    Attributes:
        failure: Error of the disk, which the decoder takes for the end.
    """

    def __init__(self, path: Path, begin: int) -> None:
        super().__init__(path)
        self._length = range(begin + _TOTAL_SAMPLES.start, begin + _TOTAL_SAMPLES.stop)
        self.failure: OSError | None = None

    def readinto(self, buffer: Any) -> int:
        """Read bytes, with those of the length set to 0."""
        place = self.tell()
        try:
            count = super().readinto(buffer) or 0
        except OSError as error:
            self.failure = error
            return 0
        view = memoryview(buffer).cast("B")
        for byte in range(max(self._length.start, place), min(self._length.stop, place + count)):
            view[byte - place] = view[byte - place] & 0xF0 if byte == self._length.start else 0
        return count


def _reason(error: BaseException) -> str:
    return str(error).rsplit(": ", 1)[-1].strip().rstrip(".") or type(error).__name__
