"""Reading and writing .safetensors: 8 bytes of header length, a JSON header, the data.

Debian has no package for it, and the format is small (https://github.com/huggingface/safetensors).
"""
from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np

DTYPES: dict[str, type] = {"F32": np.float32, "F16": np.float16, "I32": np.int32}
ALIGNMENT = 8


def data_section(tensors: dict[str, np.ndarray]) -> tuple[dict[str, dict[str, object]], bytes]:
    """Header entries and the data: no holes, wide types first, so that every tensor is aligned."""
    names = {np.dtype(v): k for k, v in DTYPES.items()}
    entries: dict[str, dict[str, object]] = {}
    chunks: list[bytes] = []
    offset = 0
    for name in sorted(tensors, key=lambda n: (-tensors[n].dtype.itemsize, n)):
        array = np.ascontiguousarray(tensors[name])
        if array.dtype not in names:
            raise TypeError(f"Expected a dtype of {sorted(DTYPES)} for {name} but received {array.dtype}")
        raw = array.astype(array.dtype.newbyteorder("<")).tobytes()
        entries[name] = {"dtype": names[array.dtype], "shape": list(tensors[name].shape),
                         "data_offsets": [offset, offset + len(raw)]}
        chunks.append(raw)
        offset += len(raw)
    return entries, b"".join(chunks)


def write(path: Path, tensors: dict[str, np.ndarray], metadata: dict[str, str]) -> None:
    """Writes a file whose data section starts 8-byte aligned; replaces `path` in one move."""
    entries, data = data_section(tensors)
    header = json.dumps({"__metadata__": metadata, **entries}, separators=(",", ":")).encode()
    header += b" " * (-len(header) % ALIGNMENT)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    part.write_bytes(len(header).to_bytes(8, "little") + header + data)
    os.replace(part, path)


def read(path: Path) -> tuple[dict[str, np.ndarray], dict[str, str], bytes]:
    """Tensors, metadata and the raw data section of a file."""
    raw = path.read_bytes()
    size = int.from_bytes(raw[:8], "little")
    header = json.loads(raw[8:8 + size])
    data = raw[8 + size:]
    metadata = header.pop("__metadata__", {})
    tensors = {}
    for name, entry in header.items():
        begin, end = entry["data_offsets"]
        dtype = np.dtype(DTYPES[entry["dtype"]]).newbyteorder("<")
        tensors[name] = np.frombuffer(data[begin:end], dtype).reshape(entry["shape"])
    return tensors, metadata, data
