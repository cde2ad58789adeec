"""Model files: weights as float16, coding tables, configuration and hash, in one .safetensors."""
from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Optional

import numpy as np
import torch

from . import safetensors
from .config import Config
from .gdn import BETA_MIN, GAMMA_MIN
from .model import Cleric
from .tables import all_tables

FORMAT = "cleric-model/1"
TABLES = ("scales", "cdf.")


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
    """All parameters as float16, by their state_dict names."""
    out = {}
    for name, value in model.state_dict().items():
        half = bounded(name, value).contiguous().numpy().astype(np.float16)
        if not np.isfinite(half).all():
            raise ModelFileError(f"Expected finite float16 values for {name} but some overflow")
        out[name] = half
    return out


def save_model(path: Path, model: Cleric, name: str, training: Optional[dict[str, object]] = None,
               created: Optional[str] = None) -> str:
    """Writes the model file and gives its hash. Tables come from the rounded weights."""
    weights = half_weights(model)
    rounded = Cleric(model.config)
    rounded.load_state_dict({k: torch.from_numpy(v.astype(np.float32)) for k, v in weights.items()})
    tensors = {**weights, **all_tables(rounded.z_prior)}
    config = model.config.to_json()
    digest = model_hash(config, tensors)
    metadata = {"format": FORMAT, "name": name, "config": config, "hash": digest}
    if created:
        metadata["created"] = created
    if training:
        metadata["training"] = json.dumps(training, separators=(",", ":"))
    safetensors.write(path, tensors, metadata)
    return digest


def read_model(path: Path) -> tuple[Config, dict[str, np.ndarray], dict[str, str]]:
    """Configuration, all tensors and metadata of a model file; the hash is verified."""
    tensors, metadata = safetensors.read(path)
    if metadata.get("format") != FORMAT:
        raise ModelFileError(f"Expected format {FORMAT} for {path} but received {metadata.get('format')}")
    if model_hash(metadata["config"], tensors) != metadata["hash"]:
        raise ModelFileError(f"Expected hash {metadata['hash']} for {path} but its contents differ")
    return Config.from_json(metadata["config"]), tensors, metadata


def _floats(tensors: dict[str, np.ndarray]) -> dict[str, torch.Tensor]:
    return {k: torch.from_numpy(v.astype(np.float32)) for k, v in tensors.items() if not k.startswith(TABLES)}


def load_weights(model: Cleric, path: Path) -> None:
    """Loads a model file's weights into a model of the same configuration."""
    config, tensors, _ = read_model(path)
    if config.to_json() != model.config.to_json():
        raise ModelFileError(f"Expected config {model.config.to_json()} for {path} but received {config.to_json()}")
    model.load_state_dict(_floats(tensors))


def load_model(path: Path) -> Cleric:
    """The model of a file, in float32 and evaluation mode."""
    config, tensors, _ = read_model(path)
    model = Cleric(config)
    model.load_state_dict(_floats(tensors))
    return model.eval()
