"""Reading and writing .safetensors: 8 bytes of header length, a JSON header, the data.

Debian has no package for it, and the format is small (https://github.com/huggingface/safetensors).
"""
from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np

DTYPES: dict[str, type] = {"F32": np.float32, "F16": np.float16, "I32": np.int32, "I16": np.int16, "U8": np.uint8}
ALIGNMENT = 8


def type_name(array: np.ndarray) -> str:
    """A file's name of an array's type."""
    for name, dtype in DTYPES.items():
        if array.dtype == np.dtype(dtype):
            return name
    raise TypeError(f"Expected a dtype of {sorted(DTYPES)} for the array but received {array.dtype}")


def stored(array: np.ndarray) -> tuple[str, list[int], bytes]:
    """Type, shape and little-endian bytes of an array, as a file holds them."""
    little = np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<"))
    return type_name(array), list(array.shape), little.tobytes()


def data_section(tensors: dict[str, np.ndarray]) -> tuple[dict[str, dict[str, object]], bytes]:
    """Header entries and the data: no holes, wide types first, so that every tensor is aligned, then by name."""
    entries: dict[str, dict[str, object]] = {}
    chunks: list[bytes] = []
    offset = 0
    for name in sorted(tensors, key=lambda n: (-tensors[n].dtype.itemsize, n)):
        dtype, shape, raw = stored(tensors[name])
        entries[name] = {"dtype": dtype, "shape": shape, "data_offsets": [offset, offset + len(raw)]}
        chunks.append(raw)
        offset += len(raw)
    return entries, b"".join(chunks)


def file_bytes(tensors: dict[str, np.ndarray], metadata: dict[str, str]) -> bytes:
    """A whole file, whose data section starts 8-byte aligned."""
    entries, data = data_section(tensors)
    header = json.dumps({"__metadata__": metadata, **entries}, separators=(",", ":")).encode()
    header += b" " * (-len(header) % ALIGNMENT)
    return len(header).to_bytes(8, "little") + header + data


def replace(path: Path, content: bytes) -> None:
    """Writes a file in one move: a reader sees the old one or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    part.write_bytes(content)
    os.replace(part, path)


def write(path: Path, tensors: dict[str, np.ndarray], metadata: dict[str, str]) -> None:
    """Writes `file_bytes`, replacing `path`."""
    replace(path, file_bytes(tensors, metadata))


def parse(raw: bytes) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Tensors and metadata of a whole file."""
    size = int.from_bytes(raw[:8], "little")
    header = json.loads(raw[8:8 + size])
    data = raw[8 + size:]
    metadata = header.pop("__metadata__", {})
    tensors = {}
    for name, entry in header.items():
        begin, end = entry["data_offsets"]
        dtype = np.dtype(DTYPES[entry["dtype"]]).newbyteorder("<")
        tensors[name] = np.frombuffer(data[begin:end], dtype).reshape(entry["shape"])
    return tensors, metadata


def read(path: Path) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Tensors and metadata of a file."""
    return parse(path.read_bytes())
