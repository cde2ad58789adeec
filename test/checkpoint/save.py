"""Writes checkpoints with PyTorch for the tests: `python3 save.py TENSORS TRAINING MODEL EXPORTER_OPTION...`; prints what a reader
must find in TENSORS, as JSON, and a second line when it has exported TRAINING to MODEL as the command of training does.
"""
import json
import sys
from collections import OrderedDict

import numpy as np
import torch


def tensors(path: str) -> None:
    """Tensors of every kind that is read."""
    torch.manual_seed(3)
    base = torch.randn(4, 6, 5, 3)
    kinds = {
        "plain": base,
        "double": base.double(),
        "half": torch.tensor([1.5, -2.25, 6e-8, 65504.0, float("inf"), 0.0]).half(),
        "bfloat16": base.bfloat16(),
        "channels_last": base.contiguous(memory_format=torch.channels_last),
        "transposed": base[0, :, :, 0].t(),
        "part": base[1, 2:4],
        "expanded": torch.tensor([7.0]).expand(1),
        "scalar": torch.tensor(3.5),
        "empty": torch.zeros(0, 3),
        "parameter": torch.nn.Parameter(base[0]),
    }
    root = OrderedDict(kinds)
    root["others"] = {"integers": torch.arange(5), "list": [1, -2, 3.5, None, True, "text", 2**70, b"bytes"], "array": np.arange(3)}
    torch.save(root, path)
    expected = {k: {"shape": list(v.shape), "values": v.detach().float().flatten().tolist()} for k, v in kinds.items()}
    print(json.dumps(expected).replace("Infinity", "1e999"))


def training(path: str) -> None:
    """What a training writes."""
    from cleric_training.network.config import PRESETS
    from cleric_training.golden import randomise
    from cleric_training.network.model import Cleric

    torch.manual_seed(3)
    config = PRESETS["nano"]
    model = Cleric(config)
    randomise(model, 1)  # a new model's latents are next to nothing, to which no integers can be fitted
    average = {k: v.clone() for k, v in model.state_dict().items()}
    torch.save({"config": config.to_json(), "model": model.state_dict(), "ema": average, "adam": {"step": torch.tensor(4)},
                "counts": {"step": 12, "pixels": 3.5e6, "seconds": 8.25}, "torch_rng": torch.get_rng_state(),
                "numpy_rng": np.random.default_rng(5).bit_generator.state}, path)


def exported(checkpoint: str, out: str, options: "list[str]") -> None:
    """The model file of a checkpoint."""
    from cleric_training import export

    sys.argv[1:] = ["--checkpoint", checkpoint, "--out", out, *options]
    export.main()


tensors(sys.argv[1])
training(sys.argv[2])
exported(sys.argv[2], sys.argv[3], sys.argv[4:])
