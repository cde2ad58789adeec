"""Blocks of the shared memory."""

from __future__ import annotations

import os
import random
import threading

import pytest

from cleric._memory import PixelMemory


def test_blocks_never_overlap_and_all_come_back() -> None:
    memory = PixelMemory(1 << 16)
    draw = random.Random(1)
    taken: list[tuple[int, int]] = []
    for _ in range(3000):
        size = draw.randint(1, 1 << 12)
        room = any(end - start >= size + 64 for start, end in memory._free)
        if room and draw.random() < 0.6:
            start = memory.take(size)
            assert start is not None and start % 64 == 0 and start + size <= memory.size
            assert all(start + size <= other or other + length <= start for other, length in taken)
            taken.append((start, size))
        elif taken:
            memory.give_back(*taken.pop(draw.randrange(len(taken))))
    for block in taken:
        memory.give_back(*block)
    assert memory._free == [(0, memory.size)]
    memory.close()


def test_who_finds_no_room_waits_for_it() -> None:
    memory = PixelMemory(4096)
    first = memory.take(4000)
    assert first == 0
    assert memory.take(5000) is None, "more than there ever is"
    found: list[int | None] = []
    waiting = threading.Thread(target=lambda: found.append(memory.take(100)))
    waiting.start()
    waiting.join(0.05)
    assert waiting.is_alive()
    memory.give_back(first, 4000)
    waiting.join(5)
    assert found == [0]
    # Closing ends every wait.
    assert memory.take(3900) is not None
    waiting = threading.Thread(target=lambda: found.append(memory.take(1000)))
    waiting.start()
    memory.close()
    waiting.join(5)
    assert found == [0, None]
    with pytest.raises(OSError):
        os.fstat(memory.descriptor)


def test_large_blocks_give_their_pages_back() -> None:
    memory = PixelMemory(1 << 26)
    start = memory.take(1 << 26)
    os.pwrite(memory.descriptor, bytes(1 << 20), 1 << 25)
    used = os.fstat(memory.descriptor).st_blocks
    assert used >= (1 << 20) // 512
    memory.give_back(start or 0, 1 << 26)
    assert os.fstat(memory.descriptor).st_blocks < used
    memory.close()
