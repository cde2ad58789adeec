"""Steps on the device: what `DeviceStep` leaves to do on the host, which is to say how far the run is and to read the sums."""
from __future__ import annotations

import time
from typing import Any, Callable

import torch

from ..network.counting import multiply_adds
from ..network.model import Cleric
from .crops import DeviceCrops
from .data import Images
from .flat_optimiser import FlatOptimiser
from .optimise import Optimiser
from .ways import DeviceStep, Draw, Objective, Way

KERNELS_TRIED = 3  # of each conv: the library sorts them by its own guess, and ten take half a minute
EVERY = 100  # steps between two looks at the sums: each waits for the device
SECONDS = 10.0  # between two looks at most, where steps are slow
FLOPS_A_MULTIPLY_ADD = 6  # two forwards, four backwards
PEAK_SIDE, PEAK_TIMES = 8192, 20  # of the product by which a device's peak is measured


def float32_by_tensor_cores(on: tuple[bool, bool]) -> tuple[bool, bool]:
    """Whether a GPU may round the factors of float32 convs, and of products, to eleven bits; gives what it was.

    The float32 convs of a step are those whose output is quantised or shown, its products those of DCNv2 behind samples
    that float16 would hold as well.
    """
    before = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = on
    return before


DCN_ONLY, NONE = (False, True), (False, False)


def flops_a_pixel(model: Cleric) -> float:
    """Of a step of training, by the multiply-adds of its convs and linear layers (counting.py)."""
    side = 256
    return FLOPS_A_MULTIPLY_ADD * multiply_adds(Cleric(model.config), side) / side**2


def peak_flops(device: torch.device) -> float:
    """What the device does a second in a large product of bfloat16 matrices; 0 on a processor, which isn't measured."""
    if device.type != "cuda":
        return 0.0
    a = torch.randn(PEAK_SIDE, PEAK_SIDE, device=device, dtype=torch.bfloat16)
    for _ in range(3):
        a @ a
    torch.cuda.synchronize()
    started = time.monotonic()
    for _ in range(PEAK_TIMES):
        a @ a
    torch.cuda.synchronize()
    return PEAK_TIMES * 2 * PEAK_SIDE**3 / (time.monotonic() - started)


class OnDevice:
    """Runs the steps of one stage on the device that the model is on."""

    def __init__(self, model: Cleric, images: Images, optimiser: Optimiser, objective: Objective, batch: int, crop: int,
                 precision: torch.dtype) -> None:
        device = next(model.parameters()).device
        torch.backends.cudnn.benchmark = True  # all steps have one shape
        torch.backends.cudnn.benchmark_limit = KERNELS_TRIED
        float32_by_tensor_cores(DCN_ONLY)
        self.flat = FlatOptimiser(optimiser, scaled=precision == torch.float16)
        self.crops = DeviceCrops(images, device)
        self.last = max(0, model.config.levels - 1)
        self.step_of = DeviceStep(model, objective, self.flat, self._draw(batch, crop), precision)
        self.batch, self.crop = batch, crop
        self.way = Way.plain(device)
        self.peak, self.flops = peak_flops(device), flops_a_pixel(model)
        self.window = 0  # steps since the last look
        self.looked = time.monotonic()
        self.seen = 0.0  # skipped steps before that

    def _draw(self, batch: int, crop: int) -> Draw:
        crops, device = self.crops.holding(crop), self.crops.device
        return lambda: (crops.batch(batch, crop), torch.rand(batch, device=device) * self.last)

    def resize(self, batch: int, crop: int) -> None:
        """From now on other crops, in the same way."""
        before = self.step_of.draw, self.step_of.run
        try:
            self.step_of.draw = self._draw(batch, crop)
            self.step_of.use(self.way)
        except Exception:
            self.step_of.draw, self.step_of.run = before
            raise
        self.batch, self.crop = batch, crop
        self.looked = time.monotonic()

    def start(self, way: str, seed: int, write: Callable[[dict[str, Any]], None]) -> None:
        """Finds how to run a step, and says so in the log: "auto" tries all ways (`DeviceStep.choose`), "uncompiled" those
        without a compiler; "plain" and any other name is a way that is taken untried."""
        if way in ("auto", "uncompiled"):
            self.way = self.step_of.choose(write, seed, compiling=way == "auto")
        else:
            self.way = self.way if way == "plain" else Way.named(way)
            self.step_of.use(self.way)
            torch.manual_seed(seed)
            write({"way": str(self.way)})
        self.looked = time.monotonic()

    def step(self, stage_step: float, progress: float) -> None:
        """Hands one step to the device; does not wait for it."""
        # Filled, not copied: a copy from the host's memory waits for the device.
        self.flat.progress[0].fill_(stage_step)
        self.flat.progress[1].fill_(progress)
        self.step_of.run()
        self.window += 1

    @property
    def due(self) -> bool:
        """Whether it is time for a look."""
        return self.window >= EVERY or (self.window > 0 and time.monotonic() - self.looked > SECONDS)

    def look(self) -> dict[str, Any]:
        """Means over the steps since the last look and how fast they were; "skipped" is how many had no finite gradients."""
        norms = self.flat.report()
        loss, bpp, mse, psnr, steps = self.step_of.sums.tolist()
        self.step_of.sums.zero_()
        skipped = float(self.flat.skipped) - self.seen
        self.seen += skipped
        now = time.monotonic()
        speed = self.window * self.batch * self.crop**2 / max(1e-9, now - self.looked)
        means = {k: round(v / max(1.0, steps), 5) for k, v in (("loss", loss), ("bpp", bpp), ("mse", mse), ("psnr", psnr))}
        entry = {**means, "norms": {k: round(v, 3) for k, v in norms.items()}, "pixels_per_s": round(speed), "skipped": int(skipped)}
        if self.peak:
            entry["share_of_peak"] = round(speed * self.flops / self.peak, 4)
        self.window, self.looked = 0, now
        return entry
