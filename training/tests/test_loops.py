"""The loops in C against what PyTorch computes."""
import pytest
import torch
import torch.nn.functional as F
from closeness import gap

from cleric_training.loops import fast
from cleric_training.network.lifting import LiftNet


@pytest.mark.skipif(fast.LIBRARY is None, reason="no C compiler")
def test_gelu_in_c_is_gelu():
    x = (torch.randn(2, 5, 7, 9) * 3).bfloat16().contiguous(memory_format=torch.channels_last).requires_grad_()
    grad = torch.randn(2, 5, 7, 9).bfloat16()
    y = fast.gelu(x)
    y.backward(grad)
    exact = x.detach().float().requires_grad_()
    expected = F.gelu(exact)
    expected.backward(grad.float())
    assert torch.allclose(y.float(), expected, rtol=2**-7, atol=1e-3)
    assert torch.allclose(x.grad.float(), exact.grad, rtol=2**-7, atol=1e-2)


@pytest.mark.parametrize("dtype, bound", [(torch.float32, 1e-6), (torch.bfloat16, 2**-7)])
@pytest.mark.parametrize("shape", [(1, 16, 16, 16), (2, 16, 8, 8), (1, 1, 6, 7), (3, 5, 1, 1)])
def test_gelu_has_its_slope_in_any_layout(shape, dtype, bound):
    """Of a tensor and a gradient of other layouts, in memory that held something else before."""
    for layout in (torch.contiguous_format, torch.channels_last):
        for other in (torch.contiguous_format, torch.channels_last):
            torch.full((4 * 16**3,), 1e6)
            x = (3 * torch.randn(shape)).to(dtype).contiguous(memory_format=layout).requires_grad_()
            grad = torch.randn(shape).to(dtype).contiguous(memory_format=other)
            found, = torch.autograd.grad(fast.gelu(x), x, grad)
            exact = x.detach().double().requires_grad_()
            expected, = torch.autograd.grad(F.gelu(exact), exact, grad.double())
            assert gap(found, expected) < bound, (layout, other)


@pytest.mark.skipif(fast.LIBRARY is None, reason="no C compiler")
def test_adam_in_c_is_adam(monkeypatch):
    torch.manual_seed(0)
    start = [torch.randn(50, 3), torch.randn(50, 3), torch.randn(50, 3), torch.rand(50, 3), torch.randn(50, 3)]
    numbers = dict(clip=0.5, rate=0.01, root=1.7, beta1=0.9, beta2=0.99, eps=1e-9, decay=0.9)
    in_c = [t.clone() for t in start]
    fast.adam(*in_c, **numbers)
    plain = [t.clone() for t in start]
    monkeypatch.setattr(fast, "LIBRARY", None)
    fast.adam(*plain, **numbers)
    for n in (0, 2, 3, 4):
        assert gap(in_c[n], plain[n]) < 1e-6
    assert not torch.equal(in_c[0], start[0])


STEP = dict(clip=1.0, rate=1.0, correct1=10.0, correct2=100.0, beta1=0.9, beta2=0.99, eps=1e-9, damping=1e-4, decay=0.9)


def balanced_step(gradient, squares):
    """The step that a fresh optimiser takes where the gradient is `gradient` and its mean square `squares`."""
    w, average = torch.zeros_like(gradient), torch.zeros_like(gradient)
    m, v = torch.zeros_like(gradient), 0.01 * (squares - gradient**2).clamp_min(0) / 0.99
    fast.balanced(w, gradient, m, v, average, **STEP)
    return -w


@pytest.mark.parametrize("in_c", [True, False])
def test_balanced_steps_have_adams_length_and_spare_the_sharp_weights(monkeypatch, in_c):
    if in_c and fast.LIBRARY is None:
        pytest.skip("no C compiler")
    monkeypatch.setattr(fast, "LIBRARY", fast.LIBRARY if in_c else None)
    m, v = torch.tensor([[1.0, 1.0]]), torch.tensor([[1.0, 100.0]])
    step, adam = balanced_step(m, v), m / v.sqrt()
    assert torch.allclose(step.norm(), adam.norm(), rtol=1e-6)
    # A hundred times the curvature: a tenth of the step for Adam, about a hundredth here.
    assert adam[0, 0] / adam[0, 1] == 10
    assert 95 < step[0, 0] / step[0, 1] < 100
    assert not balanced_step(torch.zeros(2, 2), torch.zeros(2, 2)).any()


@pytest.mark.skipif(fast.LIBRARY is None, reason="no C compiler")
def test_balanced_in_c_is_balanced_in_any_layout(monkeypatch):
    torch.manual_seed(0)
    last = torch.channels_last
    start = [torch.rand(6, 5, 3, 3).to(memory_format=last) for _ in range(5)]
    start[1] = start[1].contiguous()  # a gradient may come in another layout
    in_c, plain = ([t.clone() for t in start] for _ in range(2))
    fast.balanced(*in_c, **STEP)
    monkeypatch.setattr(fast, "LIBRARY", None)
    fast.balanced(*plain, **STEP)
    for n in (0, 2, 3, 4):
        assert gap(in_c[n], plain[n]) < 1e-5


@pytest.mark.skipif(fast.LIBRARY is None, reason="no C compiler")
@pytest.mark.parametrize("hidden, shape", [(4, (2, 1, 10, 16)), (8, (3, 1, 6, 48)), (32, (1, 1, 5, 16))])
def test_lifting_nets_in_c_are_lifting_nets(monkeypatch, hidden, shape):
    torch.manual_seed(0)
    net = LiftNet(hidden)
    torch.nn.init.normal_(net.conv3.weight)
    x, grad = torch.randn(shape, requires_grad=True), torch.randn(shape)

    def results():
        x.grad = None
        net.zero_grad()
        y = net(x)
        y.backward(grad)
        return [y.detach(), x.grad.clone(), *(p.grad.clone() for p in net.parameters())]

    assert fast.lifts(x, hidden)
    in_c = results()
    monkeypatch.setattr(fast, "LIBRARY", None)
    for ours, theirs in zip(in_c, results()):
        assert gap(ours, theirs) < 1e-4


@pytest.mark.skipif(fast.LIBRARY is None, reason="no C compiler")
def test_frozen_lifting_nets_pass_the_gradient_on():
    torch.manual_seed(0)
    net = LiftNet(8)
    torch.nn.init.normal_(net.conv3.weight)
    x, found = torch.randn(2, 1, 6, 32, requires_grad=True), []
    for learns in (True, False):
        x.grad = None
        net.requires_grad_(learns)(x).square().sum().backward()
        found.append(x.grad.clone())
    assert torch.equal(*found)
