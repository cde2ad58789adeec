"""How close two results of one computation are whose roundings differ.

Rounding errors grow with the values that were added up, not with the one that comes out: a bound on a difference is a
share of the largest value beside it. float32 has 24 bits, 6e-8 of a value, and a network's layers add up to thousands.
"""
import torch


def gap(found: torch.Tensor, expected: torch.Tensor, beside: float = 0.0) -> float:
    """Largest difference as a share of the largest of the expected values, or of `beside`, the size of what was added up to them,
    if that is more: terms may cancel. Infinite where shapes or NaNs differ.

    >>> gap(torch.tensor([100.0, 0.5]), torch.tensor([100.0, 0.0]))
    0.005
    >>> gap(torch.tensor([0.5]), torch.tensor([0.0]), beside=100)
    0.005
    """
    if found.shape != expected.shape or not bool(torch.isfinite(expected).all()):
        return float("inf")
    found, expected = found.detach().double(), expected.detach().double()
    difference = float((found - expected).abs().max())
    return difference / max(float(expected.abs().max()), beside) if difference == difference else float("inf")
