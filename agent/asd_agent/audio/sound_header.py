"""Headers of wav and flac files. They are read here, since a decoder believes what a header claims.

Only these two formats are read, and only samples that were stored without loss: a lossy codec removes what people do
not hear, and that may be what shows a fault. The content of a file decides, never its suffix.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal

from asd_agent.errors import AudioError

Fault = Literal["unreadable", "empty", "truncated", "not_finite"]
Encoding = Literal["u1", "i2", "i3", "i4", "f4", "f8", "flac"]
"""Type and bytes of a sample in a wav, or the codec."""

LOWEST_RATE, HIGHEST_RATE = 1_000, 768_000
"""Hz; rates that recorders offer. Resampling from 1 Hz would make gigabytes of a small file."""
_PLACEHOLDERS = ((0x7FFF_F000, 0x8000_0000), (0xFFFF_FF00, 0xFFFF_FFFF))
"""Lengths that writers put into a header before they know it: arecord, sox, mplayer and ffmpeg."""
_LEAST_SURPLUS = 4096
"""Bytes behind the declared end that count as sound; less may be a tag that some editor left there."""
_MOST_CHUNKS = 1000
_PCM, _FLOAT, _EXTENSIBLE = 1, 3, 0xFFFE
_ENCODINGS: dict[tuple[int, int], Encoding] = {
    (_PCM, 1): "u1",
    (_PCM, 2): "i2",
    (_PCM, 3): "i3",
    (_PCM, 4): "i4",
    (_FLOAT, 4): "f4",
    (_FLOAT, 8): "f8",
}
_LOSSY = {
    0x02: "ADPCM",
    0x06: "A-law",
    0x07: "µ-law",
    0x11: "ADPCM",
    0x31: "GSM",
    0x50: "MPEG",
    0x55: "MP3",
    0x161: "WMA",
}
"""Names of format tags in a wav."""
_OTHER_FORMATS = (
    (0, b"OggS", "Ogg (Vorbis, Opus)"),
    (0, b"ID3", "MP3"),
    (0, b"FORM", "AIFF"),
    (0, b"caff", "CAF"),
    (0, b".snd", "AU"),
    (0, b"RIFX", "big-endian wav"),
    (0, b"riff\x2e\x91\xcf\x11", "W64"),
    (0, b"\x30\x26\xb2\x75", "WMA"),
    (0, b"\x1a\x45\xdf\xa3", "WebM"),
    (0, b"wvpk", "WavPack"),
    (4, b"ftyp", "MP4 (AAC)"),
    (8, b"AVI ", "AVI"),
)
"""Place and bytes by which a format is known, and its name."""
_COPY_AGAIN = "Record or copy the file again."
_WANTED = "Give a wav file (PCM or floating point) or a flac file."


class SoundFileError(AudioError):
    """A sound file that cannot be read, or only in part.

    Args:
        fault: Kind of fault, for programs.
        what: Path and fault, in one line.
        remedy: What to do.
    """

    def __init__(self, fault: Fault, what: str, remedy: str = _COPY_AGAIN) -> None:
        super().__init__(what, remedy)
        self.fault = fault


@dataclass(frozen=True)
class SoundFormat:
    """Header of a sound file.

    Attributes:
        rate: In Hz.
        channels: Number of channels.
        declared: Samples of each channel by the header, which may be wrong; None where it names no length.
        encoding: How samples are stored.
        begin: Byte at which samples begin; in a flac file, its stream.
        end: Byte behind the last sample that is there.
        lacking: Bytes that the header promises beyond the end of the file.
        surplus: Samples of each channel that are there beyond the length in the header.
    """

    rate: int
    channels: int
    declared: int | None
    encoding: Encoding
    begin: int
    end: int
    lacking: int = 0
    surplus: int = 0

    @property
    def sample_bytes(self) -> int:
        """Bytes of one sample of all channels in a wav."""
        return int(self.encoding[1:]) * self.channels

    def missing(self, samples: int) -> str:
        """Return how much a file lacks of what its header declares, in words; empty if it is whole.

        Args:
            samples: Samples of each channel that were read up to the end of the file.
        """
        if self.lacking:
            return f"{self.lacking} bytes"
        lost = (self.declared or 0) - samples
        return f"{lost} samples" if lost > 0 else ""


def read_format(path: Path) -> SoundFormat:
    """Return the header of a wav or flac file.

    Raises:
        AudioError: The file is missing, or is neither wav nor flac with samples stored without loss.
    """
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "no such file" if not path.exists() else "is no regular file"
        raise AudioError(f"{path}: {what}", "Give the path of a wav or flac recording.")
    try:
        with path.open("rb") as file:
            found = _read_header(path, file)
    except OSError as error:
        raise not_readable(path, error.strerror or str(error)) from error
    if not LOWEST_RATE <= found.rate <= HIGHEST_RATE:
        text = f"{path}: its header names a rate of {found.rate} Hz, which no recorder has"
        raise SoundFileError("unreadable", text)
    return found


def not_readable(path: Path, reason: str) -> SoundFileError:
    """Return the error for a file that cannot be decoded."""
    return SoundFileError("unreadable", f"{path}: cannot be read as audio ({reason})", f"{_COPY_AGAIN} {_WANTED}")


def _read_header(path: Path, file: BinaryIO) -> SoundFormat:
    head = file.read(512)
    size = file.seek(0, 2)
    if size == 0:
        raise SoundFileError("empty", f"{path}: is empty, 0 bytes")
    if head[:4] in (b"RIFF", b"RF64", b"BW64") and head[8:12] == b"WAVE":
        return _wav(path, file, size)
    start = _after_id3(head)
    file.seek(start)
    if (stream := file.read(26))[:4] == b"fLaC":
        return _flac(path, stream, start, size)
    for place, mark, name in _OTHER_FORMATS:
        if head[place : place + len(mark)] == mark:
            raise SoundFileError("unreadable", f"{path}: is {name}, which is not read", _WANTED)
    if len(head) > 1 and head[0] == 0xFF and head[1] & 0xE0 == 0xE0:
        raise SoundFileError("unreadable", f"{path}: is MP3, which is not read", _WANTED)
    if text := _text(head):
        raise SoundFileError("unreadable", f"{path}: is text, not audio: it begins with {text!r}")
    raise not_readable(path, "neither wav nor flac")


def _wav(path: Path, file: BinaryIO, size: int) -> SoundFormat:
    form: tuple[Encoding, int, int] | None = None
    large: int | None = None
    for name, begin, claimed in _chunks(file, 12, size):
        length = large if large and claimed == 0xFFFF_FFFF else claimed
        if name == b"ds64" and length >= 16:
            file.seek(begin + 8)
            large = int.from_bytes(file.read(8), "little")
        elif name == b"fmt ":
            file.seek(begin)
            form = _wav_form(path, file.read(min(length, 40)))
        elif name == b"data":
            if form is None:
                raise not_readable(path, "its samples come before their format")
            return _data(file, length, begin, size, *form)
    raise not_readable(path, "it has no samples" if form else "its header is damaged")


def _data(
    file: BinaryIO, length: int, begin: int, size: int, encoding: Encoding, channels: int, rate: int
) -> SoundFormat:
    """Return the format of a wav from where its samples are, and from how many there should be."""
    there, frame = size - begin, int(encoding[1:]) * channels
    whole = there // frame
    if any(low <= length <= high for low, high in _PLACEHOLDERS) and length > there:
        return SoundFormat(rate, channels, None, encoding, begin, size)
    if length > there:
        return SoundFormat(rate, channels, length // frame, encoding, begin, size, lacking=length - there)
    surplus = there - length
    if surplus < max(_LEAST_SURPLUS, frame) or _are_chunks(file, begin + length + (length & 1), size):
        return SoundFormat(rate, channels, length // frame, encoding, begin, begin + length)
    if length == 0:
        return SoundFormat(rate, channels, None, encoding, begin, size)
    # The length was counted in 32 bits, or was not written again when the recorder was cut off.
    return SoundFormat(rate, channels, length // frame, encoding, begin, size, surplus=whole - length // frame)


def _wav_form(path: Path, data: bytes) -> tuple[Encoding, int, int]:
    """Return encoding, channels and rate."""
    if len(data) < 16:
        raise not_readable(path, "its header is damaged")
    tag, channels, rate, _, frame, bits = struct.unpack_from("<HHIIHH", data)
    if tag == _EXTENSIBLE and len(data) >= 26:
        (tag,) = struct.unpack_from("<H", data, 24)
    if tag not in (_PCM, _FLOAT):
        name = _LOSSY.get(tag, f"an encoding with the number {tag:#x}")
        raise SoundFileError("unreadable", f"{path}: is a wav with {name}, which is not read", _WANTED)
    width = (bits + 7) // 8
    encoding = _ENCODINGS.get((tag, width))
    if encoding is None or channels == 0 or frame != channels * width:
        raise not_readable(path, f"its header names {channels} channels of {bits} bits in {frame} bytes")
    return encoding, channels, rate


def _flac(path: Path, stream: bytes, start: int, size: int) -> SoundFormat:
    # Bytes 8 on are STREAMINFO: 16 bits each for the sizes of blocks, 24 each for those of frames, then 20 bits of
    # rate, 3 of channels, 5 of bits a sample, and 36 of samples.
    if len(stream) < 26 or stream[4] & 0x7F:
        raise not_readable(path, "its header is damaged")
    packed = int.from_bytes(stream[18:26], "big")
    rate, channels, declared = packed >> 44, (packed >> 41 & 7) + 1, packed & (1 << 36) - 1
    return SoundFormat(rate, channels, declared or None, "flac", start, size)


def _chunks(file: BinaryIO, position: int, size: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield name, first byte and length of the chunks of a wav."""
    for _ in range(_MOST_CHUNKS):
        file.seek(position)
        head = file.read(8)
        if len(head) < 8:
            return
        length = int.from_bytes(head[4:], "little")
        yield head[:4], position + 8, length
        position += 8 + length + (length & 1)
        if position > size:
            return


def _are_chunks(file: BinaryIO, position: int, size: int) -> bool:
    """Return true where the rest of a wav is a row of whole chunks, such as notes of an editor."""
    end = position
    for name, begin, length in _chunks(file, position, size):
        if not all(32 <= letter < 127 for letter in name) or begin + length > size:
            return False
        end = begin + length
    return size - end < _LEAST_SURPLUS


def _after_id3(head: bytes) -> int:
    """Return where a file begins behind a tag that some editors put before a flac stream."""
    if head[:3] != b"ID3" or len(head) < 10:
        return 0
    length = 0
    for byte in head[6:10]:
        length = length << 7 | byte & 0x7F
    return 10 + length


def _text(head: bytes) -> str:
    """Return the first words of a text; empty for anything else."""
    try:
        words = head.decode("utf-8")
    except UnicodeDecodeError:
        return ""
    return " ".join(words.split())[:30] if all(c.isprintable() or c.isspace() for c in words) else ""
