"""Model files: the transforms in float16, the entropy model in integers, coding tables, configuration and hash.

A .safetensors, whose weights are packed (packing.py, docs/model-format.md) and which ends in a checksum; files of before hold
them plainly. The metadata `quantisation` says how the integers become floats again, for training.
"""
from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Optional

import numpy as np
import torch

from ..integer.dequantise import dequantise
from ..integer.quantise import Quantised
from ..integer.tables import prior_tables
from ..network.config import Config
from ..network.gdn import BETA_MIN, GAMMA_MIN
from ..network.model import Cleric
from . import packing, rans, safetensors

FORMAT = "cleric-model/3"
PLAIN_FORMAT = "cleric-model/2"  # without packing and checksum: read, no longer written
CHECKSUM = "~checksum"  # SHA-256 of the file before it; the name makes it the last tensor of those of its type
INTEGER = ("h_s.", "mem.")  # parts of the network that a file holds in integers
FLOAT = ("g_a.", "g_s.", "h_a.", "z_prior.", "log_")


class ModelFileError(ValueError):
    """A model file that is damaged or of another format."""


def model_hash(config: str, tensors: dict[str, np.ndarray]) -> str:
    """Hex SHA-256 over the config string and, by name, each tensor's name, type, shape and bytes.

    What decides a model's output, then, and not how its file is laid out.
    """
    digest = hashlib.sha256(config.encode())
    for name in sorted(tensors):
        dtype, shape, raw = safetensors.stored(tensors[name])
        digest.update(f"\n{name} {dtype} {','.join(map(str, shape))}\n".encode())
        digest.update(raw)
    return digest.hexdigest()


def bounded(name: str, value: torch.Tensor) -> torch.Tensor:
    """A parameter as the network uses it: GDN's bounds applied."""
    if name.endswith("gdn.beta"):
        return value.clamp_min(BETA_MIN)
    return value.clamp_min(GAMMA_MIN) if name.endswith("gdn.gamma") else value


def half_weights(model: Cleric) -> dict[str, np.ndarray]:
    """Parameters outside the integer entropy model as float16, by their state_dict names."""
    out = {}
    for name, value in model.state_dict().items():
        if name.startswith(INTEGER):
            continue
        half = bounded(name, value).contiguous().numpy().astype(np.float16)
        if not np.isfinite(half).all():
            raise ModelFileError(f"Expected finite float16 values for {name} but some overflow")
        out[name] = half
    return out


def rounded(model: Cleric) -> Cleric:
    """A copy whose transforms are rounded as the file will have them: what the entropy model has to fit."""
    copy = Cleric(model.config)
    weights = {k: torch.from_numpy(v.astype(np.float32)) for k, v in half_weights(model).items()}
    copy.load_state_dict({**model.state_dict(), **weights})
    return copy.eval()


def save_model(path: Path, model: Cleric, quantised: Quantised, name: str, training: Optional[dict[str, object]] = None,
               created: Optional[str] = None) -> str:
    """Writes the model file and gives its hash. `quantised`: of `rounded(model)`, whose tables go in as well."""
    if model.config.shortcuts:
        raise ModelFileError("Expected a network that codecs compute for model but received one with linear shortcuts")
    tensors = {**half_weights(model), **quantised.tensors, **prior_tables(rounded(model).z_prior)}
    metadata = {"name": name, "config": model.config.to_json(),
                "quantisation": json.dumps(quantised.layers, separators=(",", ":"))}
    if created:
        metadata["created"] = created
    if training:
        metadata["training"] = json.dumps(training, separators=(",", ":"))
    return write_model(path, tensors, metadata)


def write_model(path: Path, tensors: dict[str, np.ndarray], metadata: dict[str, str]) -> str:
    """Writes a packed model file of the tensors that decide a model's output, and gives its hash."""
    digest = model_hash(metadata["config"], tensors)
    stored, listed = packing.pack(tensors)
    raw = safetensors.file_bytes({**stored, CHECKSUM: np.zeros(hashlib.sha256().digest_size, np.uint8)},
                                 {**metadata, "format": FORMAT, "hash": digest, "packed": listed})
    safetensors.replace(path, with_checksum(raw))
    return digest


def with_checksum(raw: bytes) -> bytes:
    """A file that ends in its checksum, with the right one."""
    content = raw[:-hashlib.sha256().digest_size]
    return content + hashlib.sha256(content).digest()


def read_model(path: Path) -> tuple[Config, dict[str, np.ndarray], dict[str, str]]:
    """Configuration, all tensors, unpacked, and metadata of a model file; checksum and hash are verified."""
    raw = path.read_bytes()
    tensors, metadata = safetensors.parse(raw)
    if metadata.get("format") not in (FORMAT, PLAIN_FORMAT):
        raise ModelFileError(f"Expected format {FORMAT} or {PLAIN_FORMAT} for {path} but received {metadata.get('format')}")
    if metadata["format"] == FORMAT:
        if with_checksum(raw) != raw or CHECKSUM not in tensors:
            raise ModelFileError(f"Expected another checksum for {path}: it is damaged")
        del tensors[CHECKSUM]
        try:
            tensors = packing.unpack(tensors, metadata.pop("packed"))
        except rans.CorruptStream as error:
            raise ModelFileError(f"{error}, in {path}") from error
    if model_hash(metadata["config"], tensors) != metadata["hash"]:
        raise ModelFileError(f"Expected hash {metadata['hash']} for {path} but its contents differ")
    return Config.from_json(metadata["config"]), tensors, metadata


def _floats(model: Cleric, tensors: dict[str, np.ndarray], metadata: dict[str, str]) -> dict[str, torch.Tensor]:
    """A state_dict for `model` from a file's tensors."""
    values = {k: v.astype(np.float32) for k, v in tensors.items() if k.startswith(FLOAT)}
    values.update(dequantise(tensors, json.loads(metadata["quantisation"])))
    return {name: torch.from_numpy(values[name]).reshape(like.shape) for name, like in model.state_dict().items()}


def load_weights(model: Cleric, path: Path) -> dict[str, float]:
    """Loads a model file's weights into a model of the same layers; gives what the file says of its training.

    The model may weigh the ends of lifting where the file's doesn't, or the reverse.
    """
    config, tensors, metadata = read_model(path)
    if replace(config, ends=model.config.ends).to_json() != model.config.to_json():
        raise ModelFileError(f"Expected config {model.config.to_json()} for {path} but received {config.to_json()}")
    model.load_state_dict(_floats(model, tensors, metadata))
    said = json.loads(metadata.get("training", "{}"))
    return {name: said[name] for name in ("step", "pixels", "seconds") if isinstance(said.get(name), (int, float))}


def load_model(path: Path) -> Cleric:
    """The model of a file in float32 and evaluation mode, its entropy model dequantised."""
    config, tensors, metadata = read_model(path)
    model = Cleric(config)
    model.load_state_dict(_floats(model, tensors, metadata))
    return model.eval()
