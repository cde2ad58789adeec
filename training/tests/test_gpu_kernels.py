"""The Triton kernels on a processor, by Triton's interpreter: the same as the loops in C and as PyTorch's convs."""
import pytest
import torch
from closeness import gap

from cleric_training.loops import fast, gpu
from cleric_training.network.layers import AlignedConv, Depthwise
from cleric_training.network.lifting import LiftNet
from cleric_training.train.ways import Way

interpreted = pytest.mark.skipif(not gpu.AVAILABLE or torch.cuda.is_available(), reason="no Triton, or one that compiles")


@interpreted
@pytest.mark.skipif(fast.LIBRARY is None, reason="no C compiler")
@pytest.mark.parametrize(("stride", "channels", "height", "width"), [(1, 3, 6, 10), (2, 6, 7, 9), (1, 48, 5, 4)])
def test_samples_and_their_gradients_are_those_of_the_loops_in_c(stride, channels, height, width):
    torch.manual_seed(0)
    x = torch.randn(2, channels, height, width, requires_grad=True)
    places = -(-height // stride) * -(-width // stride)
    shift = 1.5 * torch.randn(2, places, 27)
    shift[..., 18:] = torch.sigmoid(shift[..., 18:])
    shift.requires_grad_()
    weight = torch.randn(2, places, 9 * channels)
    found, expected = ((columns, *torch.autograd.grad((columns * weight).sum(), (x, shift)))
                       for columns in (sample(x, shift, stride) for sample in (gpu.deform_columns, fast.deform_columns)))
    for mine, its in zip(found, expected):
        assert gap(mine, its) < 1e-5


@interpreted
@pytest.mark.parametrize("channels", [4, 8, 32])
def test_a_lifting_net_and_its_gradient_are_those_of_convs(channels):
    torch.manual_seed(0)
    net = LiftNet(channels)
    torch.nn.init.normal_(net.conv3.weight)
    net.conv1.weight.data.mul_(3)
    net.requires_grad_(False)
    x, weight = torch.randn(3, 1, 7, 12, requires_grad=True), torch.randn(3, 1, 7, 12)
    found = []
    for net.in_triton in (False, True):
        y = net(x)
        found.append((y, *torch.autograd.grad((y * weight).sum(), x)))
    for mine, its in zip(found[1], found[0]):
        assert gap(mine, its) < 1e-5
    net.requires_grad_(True)  # what learns is left to those that give it gradients
    assert torch.autograd.grad(net(x).sum(), net.conv1.weight)[0].any()


@pytest.mark.parametrize(("i", "o", "kernel", "stride"), [(6, 48, 3, 1), (48, 27, 3, 2), (12, 20, 1, 1), (8, 16, 3, 1)])
def test_a_conv_with_channels_of_zeros_is_the_conv(i, o, kernel, stride):
    torch.manual_seed(0)
    conv, x = AlignedConv(i, o, kernel, stride, kernel // 2), torch.randn(2, i, 9, 8)
    assert gap(conv.padded(x), conv(x)) < 1e-5
    assert Depthwise(i)(x).shape == x.shape


def test_a_way_is_found_by_its_name():
    for way in (Way("grid"), Way("triton", narrow=True, recorded=True), Way("torchvision", compiled=True)):
        assert Way.named(str(way)) == way
    for name in ("fast", "grid+quick", ""):
        with pytest.raises(ValueError, match="for a way but received"):
            Way.named(name)
