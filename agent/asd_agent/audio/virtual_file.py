"""Sound files that libsndfile reads through a Python object, also where no memory may be writable and executable.

soundfile makes its callbacks with cffi, which needs such memory. A unit with `MemoryDenyWriteExecute=yes` gets none
where systemd uses the kernel's own refusal (PR_SET_MDWE, Linux 6.3), as on Debian 13. Callbacks of ctypes need none.
"""

from __future__ import annotations

import ctypes
import io
from typing import Any

import soundfile

__all__ = ["VirtualFile"]

_COUNT = ctypes.c_int64
_LENGTH = ctypes.CFUNCTYPE(_COUNT, ctypes.c_void_p)
_SEEK = ctypes.CFUNCTYPE(_COUNT, _COUNT, ctypes.c_int, ctypes.c_void_p)
_READ = ctypes.CFUNCTYPE(_COUNT, ctypes.c_void_p, _COUNT, ctypes.c_void_p)


class VirtualFile(soundfile.SoundFile):  # type: ignore[misc]
    """A sound file to read from an open binary file that can seek.

    Args:
        file: The binary file; the caller closes it.

    >>> with io.BytesIO() as file:
    ...     VirtualFile(file)  # doctest: +IGNORE_EXCEPTION_DETAIL
    Traceback (most recent call last):
    soundfile.LibsndfileError: Error opening <_io.BytesIO object>: Format not recognised.
    """

    def __init__(self, file: io.RawIOBase | io.BufferedIOBase) -> None:
        super().__init__(file)

    def _init_virtual_io(self, file: Any) -> Any:
        def length(_: Any) -> int:
            place = file.tell()
            end = int(file.seek(0, io.SEEK_END))
            file.seek(place)
            return end

        def read(to: int, count: int, _: Any) -> int:
            return int(file.readinto((ctypes.c_char * count).from_address(to)) or 0) if count > 0 else 0

        def write(_to: int, _count: int, _: Any) -> int:
            return 0

        # They must live as long as libsndfile may call them.
        self._calls = {
            "get_filelen": _LENGTH(length),
            "seek": _SEEK(lambda offset, whence, _: file.seek(offset, whence)),
            "read": _READ(read),
            "write": _READ(write),
            "tell": _LENGTH(lambda _: file.tell()),
        }
        ffi = soundfile._ffi  # noqa: SLF001 - no public way takes a pointer
        pointers = {
            name: ffi.cast(f"sf_vio_{name}", ctypes.cast(call, ctypes.c_void_p).value)
            for name, call in self._calls.items()
        }
        self._virtual_io = pointers
        return ffi.new("SF_VIRTUAL_IO*", pointers)
