"""A file in parts, where only small ones can be carried: NAME.000, NAME.001 ..., and NAME.parts, which says what they make."""
from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Optional


class PartsError(ValueError):
    """Parts that are missing, or that don't make the file that was cut."""


def cut(path: Path, largest: int, folder: Optional[Path] = None) -> list[Path]:
    """Writes `path`'s bytes as parts beside it, or in `folder`, each of at most `largest` bytes, and then what they make."""
    if largest <= 0:
        raise ValueError(f"Expected a positive number of bytes for largest but received {largest}")
    data = path.read_bytes()
    pieces = [data[at:at + largest] for at in range(0, len(data), largest)] or [b""]
    folder = folder or path.parent
    folder.mkdir(parents=True, exist_ok=True)
    parts = [folder / f"{path.name}.{n:03}" for n in range(len(pieces))]
    for stale in set(folder.glob(f"{path.name}.[0-9][0-9][0-9]")) - set(parts):
        stale.unlink()
    for part, piece in zip(parts, pieces):
        _write(part, piece)
    about = folder / f"{path.name}.parts"
    _write(about, json.dumps({"bytes": len(data), "parts": len(parts), "sha256": hashlib.sha256(data).hexdigest()}).encode())
    return [*parts, about]


def join(about: Path, out: Path) -> None:
    """The reverse: from NAME.parts, and the parts beside it, the very bytes that were cut."""
    if about.suffix != ".parts":
        raise PartsError(f"Expected a file NAME.parts but received {about.name}")
    said = json.loads(about.read_text())
    stem = about.stem
    parts = [about.with_name(f"{stem}.{n:03}") for n in range(said["parts"])]
    missing = [part.name for part in parts if not part.exists()]
    if missing:
        raise PartsError(f"Expected {said['parts']} parts of {stem} but these are not there: {', '.join(missing)}")
    data = b"".join(part.read_bytes() for part in parts)
    digest = hashlib.sha256(data).hexdigest()
    if len(data) != said["bytes"] or digest != said["sha256"]:
        raise PartsError(f"Expected {said['bytes']} bytes of sha256 {said['sha256']} for {stem} but received {len(data)} of {digest}")
    _write(out, data)


def _write(path: Path, data: bytes) -> None:
    """Beside `path`, then renamed: who carries files away finds none half written."""
    part = path.with_name(f".{path.name}.{os.getpid()}")
    part.write_bytes(data)
    os.replace(part, path)
