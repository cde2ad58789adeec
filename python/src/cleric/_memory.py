"""Memory that the decoding process writes pixels to, so that they needn't go through a pipe.

It is a file without a name (memfd_create, Linux): nothing has to be removed, whatever process dies, and the size of
/dev/shm, 64 MiB in many containers, is no bound for it.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import threading

import numpy as np
import numpy.typing as npt

# Blocks begin where cache lines do.
_ALIGNMENT = 64
# What lies above this is given back to the system when it isn't used any more.
_KEPT_BYTES = 1 << 24


class PixelMemory:
    """A file in memory, and its blocks that are taken.

    :param size: bytes; those that were never used take no memory
    :raises OSError: if the system has no such files
    """

    def __init__(self, size: int) -> None:
        if not hasattr(os, "memfd_create"):
            raise OSError("this system has no memfd_create")
        self.size = size
        self.descriptor = os.memfd_create("cleric-pixels")
        try:
            os.ftruncate(self.descriptor, size)
            self._map = mmap.mmap(self.descriptor, size)
        except BaseException:
            os.close(self.descriptor)
            raise
        # Blocks that are free, as [start, end), in order, none of which touch.
        self._free = [(0, size)]
        self._changed = threading.Condition()
        self._is_closed = False

    def take(self, size: int) -> int | None:
        """Where a block of ``size`` bytes begins; waits for room. None: it never has so much, or is closed."""
        size = _aligned(size)
        with self._changed:
            while size <= self.size and not self._is_closed:
                for index, (start, end) in enumerate(self._free):
                    if end - start >= size:
                        self._free[index : index + 1] = [(start + size, end)] if end - start > size else []
                        return start
                self._changed.wait()
        return None

    def give_back(self, start: int, size: int) -> None:
        """Makes a block free that was taken."""
        end = start + _aligned(size)
        with self._changed:
            if self._is_closed:
                return
            self._release_pages(max(start, _KEPT_BYTES), end)
            free = sorted([*self._free, (start, end)])
            merged = free[:1]
            for block in free[1:]:
                if block[0] == merged[-1][1]:
                    merged[-1] = (merged[-1][0], block[1])
                else:
                    merged.append(block)
            self._free = merged
            self._changed.notify_all()

    def copy(self, start: int, shape: tuple[int, ...]) -> npt.NDArray[np.uint8]:
        """The pixels at a place, in an array of their own."""
        count = int(np.prod(shape))
        return np.frombuffer(self._map, np.uint8, count, start).reshape(shape).copy()

    def close(self) -> None:
        """Ends every wait, and frees what isn't being copied at the moment."""
        with self._changed:
            if self._is_closed:
                return
            self._is_closed = True
            self._changed.notify_all()
        self.forget()

    def forget(self) -> None:
        """Closes the file without a look at any lock: in a forked process, another thread may have held one."""
        self._is_closed = True
        descriptor, self.descriptor = self.descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)
        # While a copy is being made of it, it stays; the mapping goes with the last that uses it.
        with contextlib.suppress(BufferError):
            self._map.close()

    def _release_pages(self, start: int, end: int) -> None:
        start = -(-start // mmap.PAGESIZE) * mmap.PAGESIZE
        length = end // mmap.PAGESIZE * mmap.PAGESIZE - start
        if length > 0 and hasattr(mmap, "MADV_REMOVE"):
            self._map.madvise(mmap.MADV_REMOVE, start, length)


def _aligned(size: int) -> int:
    return -(-size // _ALIGNMENT) * _ALIGNMENT
