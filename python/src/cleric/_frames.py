"""Frames, as the process reads and writes them: two lengths, a header in JSON, a body of bytes (docs/python.md)."""

from __future__ import annotations

import json
import struct
from io import RawIOBase
from typing import Any, NamedTuple

from .errors import ProcessError

# The facts of a slide have all of its properties, of which an archive may have 16 MiB.
_MAX_HEADER_BYTES = 1 << 26
_LENGTHS = struct.Struct("<II")


class Frame(NamedTuple):
    header: dict[str, Any]
    body: bytearray


def encode_frame(header: dict[str, Any]) -> bytes:
    """A request, which has no body."""
    text = json.dumps(header, ensure_ascii=True, allow_nan=False, separators=(",", ":")).encode()
    return _LENGTHS.pack(len(text), 0) + text


def read_frame(stream: RawIOBase) -> Frame | None:
    """The next frame; None where the stream ends, within a frame or not.

    :raises ProcessError: ERR_PIPE_PROTOCOL if it is none
    """
    lengths = _read(stream, _LENGTHS.size)
    if lengths is None:
        return None
    header_length, body_length = _LENGTHS.unpack(lengths)
    if header_length > _MAX_HEADER_BYTES:
        raise ProcessError("ERR_PIPE_PROTOCOL", "What the decoding program says is no answer of `cleric pipe`")
    text = _read(stream, header_length)
    body = _read(stream, body_length)
    if text is None or body is None:
        return None
    try:
        header = json.loads(text)
    except ValueError:
        header = None
    if not isinstance(header, dict):
        raise ProcessError("ERR_PIPE_PROTOCOL", "What the decoding program says has no header in JSON")
    return Frame(header, body)


def _read(stream: RawIOBase, length: int) -> bytearray | None:
    data = bytearray(length)
    view = memoryview(data)
    done = 0
    while done < length:
        count = stream.readinto(view[done:])
        if not count:
            return None
        done += count
    return data
