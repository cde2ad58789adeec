"""Network configurations and the presets `paper`, `m`, `s` and `nano`."""
from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Config:
    """Every number that fixes the network's shape.

    The defaults are the paper's model. Switches `ls`, `drb`, `r2b` are the paper's ablations
    (Tables 2 and 3); with all three off the network is MLIC++.
    """

    preset: str = "paper"
    N: int = 192  # transform width
    deep: int = 0  # transform width at 1/8 resolution; 0 is N, as in the paper
    M: int = 320  # latent channels
    Z: int = 192  # hyper-latent channels
    slices: int = 10  # channel slices of the latent, M / slices channels each
    lift: int = 32  # hidden width of the lifting nets
    iters: int = 2  # iterations of an R2B
    drb: bool = True  # deformable convolutions in DRBS and DRBU
    ls: bool = True  # learned lifting
    r2b: bool = True  # off: every R2B runs once
    chan: tuple[int, ...] = (192, 128)  # hidden widths of the channel context
    ep: tuple[int, ...] = (320, 256, 128)  # hidden widths of the entropy-parameter nets
    lrp: tuple[int, ...] = (224, 128)  # hidden widths of latent residual prediction
    levels: int = 0  # gain levels; 0 is a model of one rate
    hyper: int = 0  # inner width of the hyper-decoder; 0 is M in the paper's model, M / 2 in the small ones
    narrow: bool = False  # g_s narrows in its first block instead of the second (MLIC++ as released in 2023)
    ends: bool = False  # the lifting steps have weights of their own at the ends of a row of samples (not in the paper), see lifting.py
    taper: bool = False  # latent residual prediction narrows by quarters, whatever `lrp` says (likewise)
    shortcuts: bool = False  # linear shortcuts beside g_a's nonlinear branches (not in the paper), see blocks.DRBS

    @property
    def d(self) -> int:
        """Channels of one slice."""
        return self.M // self.slices

    @property
    def rounds(self) -> int:
        """Iterations an R2B really runs."""
        return self.iters if self.r2b else 1

    @property
    def width8(self) -> int:
        """Width of the transforms at 1/8 resolution."""
        return self.deep or self.N

    @property
    def hyper_width(self) -> int:
        """Inner width of the hyper-decoder."""
        return self.hyper or (self.M if self.N >= 192 else self.M // 2)

    def lrp_widths(self, i: int) -> tuple[int, ...]:
        """Hidden widths of the latent residual prediction of slice `i`."""
        wide = self.M + self.d * (i + 1)
        return tuple(wide - (wide - self.d) * k // 4 for k in (1, 2, 3)) if self.taper else self.lrp

    def to_json(self) -> str:
        """The `config` string of a model file (the hash covers exactly these bytes)."""
        values = {
            "preset": self.preset, "N": self.N, **({"deep": self.width8} if self.width8 != self.N else {}), "M": self.M, "Z": self.Z, "slices": self.slices,
            "lift": self.lift, "iters": self.rounds, "drb": self.drb, "ls": self.ls, "r2b": self.r2b,
            "chan": list(self.chan), "ep": list(self.ep), "lrp": list(self.lrp), "levels": self.levels,
            **({"hyper": self.hyper} if self.hyper else {}),
            **{name: True for name in ("narrow", "ends", "taper", "shortcuts") if getattr(self, name)},
        }
        return json.dumps(values, separators=(",", ":"))

    @staticmethod
    def from_json(text: str) -> "Config":
        """Inverse of `to_json`."""
        values: dict[str, Any] = json.loads(text)
        for key in ("chan", "ep", "lrp"):
            values[key] = tuple(values[key])
        return Config(**values)


PRESETS: dict[str, Config] = {
    "paper": Config(),
    "m": Config(preset="m", N=96, deep=144, M=320, Z=128, slices=5, lift=8, chan=(128, 96), ep=(224, 160, 128),
                lrp=(128, 96), levels=8, ends=True),
    "s": Config(preset="s", N=48, deep=96, M=256, Z=64, slices=4, lift=8, chan=(64, 64), ep=(128, 96, 96),
                lrp=(64, 64), levels=8, ends=True),
    "nano": Config(preset="nano", N=16, M=32, Z=16, slices=2, lift=4, chan=(16, 16), ep=(32, 24, 24),
                   lrp=(16, 16), levels=8),
}
