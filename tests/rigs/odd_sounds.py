"""Sound files that are not what their headers say, and mutations of sound files for the fuzzers."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile

RATE = 16_000
LENGTHS = (0, 1, 4, 0x7FFF_F000, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FF00, 0xFFFF_FFFF)
RATES = (0, 1, 999, 8_000, 16_000, 48_000, 768_000, 2**31 - 1, 2**32 - 1)


def wav_header(data: bytes, *, length: int | None = None, rate: int | None = None) -> bytes:
    """Return a wav with another length or rate in its header."""
    changed = bytearray(data)
    if length is not None:
        place = data.index(b"data") + 4
        changed[place : place + 4] = length.to_bytes(4, "little")
    if rate is not None:
        place = data.index(b"fmt ") + 12
        changed[place : place + 4] = rate.to_bytes(4, "little")
    return bytes(changed)


def flac_header(data: bytes, samples: int) -> bytes:
    """Return a flac file with another number of samples in its header: the last 36 bits of its bytes 21 to 25."""
    changed = bytearray(data)
    changed[21] = changed[21] & 0xF0 | samples >> 32
    changed[22:26] = (samples & 0xFFFF_FFFF).to_bytes(4, "big")
    return bytes(changed)


def encoded(sound: np.ndarray, form: str, subtype: str, rate: int = RATE) -> bytes:
    """Return sound in a format of libsndfile."""
    out = io.BytesIO()
    soundfile.write(out, sound, rate, format=form, subtype=subtype)
    return out.getvalue()


class SoundMutations:
    """Mutated recordings: one whole recording in many formats, and one fault or several in its bytes.

    Args:
        sound: Mono sound, 16 kHz.
    """

    def __init__(self, sound: np.ndarray) -> None:
        stereo = np.stack([sound, sound], axis=1)
        self.seeds = {
            "wav": encoded(sound, "WAV", "PCM_16"),
            "wav 24": encoded(sound, "WAV", "PCM_24"),
            "wav float": encoded(sound, "WAV", "FLOAT"),
            "wav stereo": encoded(stereo, "WAVEX", "PCM_16"),
            "rf64": encoded(sound, "RF64", "PCM_16"),
            "flac": encoded(sound, "FLAC", "PCM_16"),
            "flac stereo": encoded(stereo, "FLAC", "PCM_24"),
            "ogg": encoded(sound, "OGG", "VORBIS"),
            "mp3": encoded(sound, "MP3", "MPEG_LAYER_III"),
            "gsm": encoded(sound, "WAV", "GSM610"),
            "adpcm": encoded(sound, "WAV", "MS_ADPCM"),
            "aiff": encoded(sound, "AIFF", "PCM_16"),
        }
        self.kinds: dict[str, Callable[[bytes, np.random.Generator], bytes]] = {
            "bits": self._bits,
            "header bits": self._header_bits,
            "cut": self._cut,
            "head only": self._head,
            "hole": self._hole,
            "noise": self._noise,
            "length": self._length,
            "rate": self._rate,
            "samples": self._samples,
            "fields": self._fields,
            "joined": self._joined,
            "numbers": self._numbers,
            "raw": self._raw,
        }

    def write(self, path: Path, rng: np.random.Generator, kind: str | None = None) -> str:
        """Write a mutant and return its origin in words."""
        name, how = str(rng.choice(list(self.seeds))), kind or str(rng.choice(list(self.kinds)))
        path.write_bytes(self.kinds[how](self.seeds[name], rng))
        return f"{name}, {how}"

    def _bits(self, data: bytes, rng: np.random.Generator) -> bytes:
        return self._flipped(data, rng, len(data))

    def _header_bits(self, data: bytes, rng: np.random.Generator) -> bytes:
        return self._flipped(data, rng, 64)

    @staticmethod
    def _flipped(data: bytes, rng: np.random.Generator, below: int) -> bytes:
        changed = bytearray(data)
        for place in rng.integers(0, below, rng.integers(1, 9)):
            changed[place] ^= 1 << int(rng.integers(8))
        return bytes(changed)

    @staticmethod
    def _cut(data: bytes, rng: np.random.Generator) -> bytes:
        return data[: rng.integers(0, len(data))]

    @staticmethod
    def _head(data: bytes, rng: np.random.Generator) -> bytes:
        return data[: rng.integers(0, 80)]

    @staticmethod
    def _hole(data: bytes, rng: np.random.Generator) -> bytes:
        begin = int(rng.integers(0, len(data)))
        size = int(rng.integers(1, 5000))
        return data[:begin] + bytes(min(size, len(data) - begin)) + data[begin + size :]

    @staticmethod
    def _noise(data: bytes, rng: np.random.Generator) -> bytes:
        begin = int(rng.integers(0, len(data)))
        return data[:begin] + rng.bytes(5000) + data[begin + 5000 :]

    @staticmethod
    def _length(data: bytes, rng: np.random.Generator) -> bytes:
        at = data.find(b"data")
        return wav_header(data, length=int(rng.choice(LENGTHS))) if at >= 0 else data

    @staticmethod
    def _rate(data: bytes, rng: np.random.Generator) -> bytes:
        at = data.find(b"fmt ")
        return wav_header(data, rate=int(rng.choice(RATES))) if at >= 0 else data

    @staticmethod
    def _samples(data: bytes, rng: np.random.Generator) -> bytes:
        counts = (0, 1, 4000, 2**32, 2**36 - 1)
        return flac_header(data, int(rng.choice(counts))) if data[:4] == b"fLaC" else data

    @staticmethod
    def _fields(data: bytes, rng: np.random.Generator) -> bytes:
        """Put numbers at the edge of what fits into places of the header."""
        changed = bytearray(data)
        for place in rng.integers(4, 48, rng.integers(1, 4)):
            width = int(rng.choice([1, 2, 4]))
            value = int(rng.choice([0, 1, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x7FFF_FFFF, 0xFFFF_FFFF])) % (1 << 8 * width)
            changed[place : place + width] = value.to_bytes(width, "little")
        return bytes(changed)

    def _joined(self, data: bytes, rng: np.random.Generator) -> bytes:
        return data + self.seeds[str(rng.choice(list(self.seeds)))]

    @staticmethod
    def _numbers(_data: bytes, rng: np.random.Generator) -> bytes:
        """Return floating-point samples that are not finite, or as large as possible."""
        sound = rng.uniform(-0.1, 0.1, 12 * RATE).astype(np.float32)
        sound[rng.integers(0, len(sound), 5)] = rng.choice(np.array([np.nan, np.inf, -np.inf, 3e38, 1e-45], np.float32))
        return encoded(sound, "WAV", "FLOAT")

    @staticmethod
    def _raw(_data: bytes, rng: np.random.Generator) -> bytes:
        """Return a header of random fields before noise."""
        tag, channels = int(rng.choice([1, 3, 6, 7, 0x11, 0x31, 0x55, 0xFFFE])), int(rng.integers(0, 300))
        bits = int(rng.choice([0, 1, 8, 16, 20, 24, 32, 64]))
        rate, frame = int(rng.choice(RATES)), channels * ((bits + 7) // 8)
        form = struct.pack("<HHIIHH", tag, channels, rate, 0, frame & 0xFFFF, bits)
        sound = rng.bytes(int(rng.integers(0, 400_000)))
        body = b"fmt " + struct.pack("<I", 16) + form + b"data" + struct.pack("<I", int(rng.choice(LENGTHS))) + sound
        return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WAVE" + body
