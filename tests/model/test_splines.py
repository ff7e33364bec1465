"""The spline is a monotonic map with the derivative it says, and its inverse undoes it."""

import pytest
import torch
from kelong_speech import splines


@pytest.fixture
def knots():
    torch.manual_seed(0)
    return [2 * torch.randn(200, count, dtype=torch.float64) for count in (10, 10, 9)]


def test_the_inverse_undoes_it(knots):
    x = torch.linspace(-7, 7, 200, dtype=torch.float64)
    there, slope = splines.transform(x, *knots, inverse=False)
    back, slope_back = splines.transform(there, *knots, inverse=True)
    assert torch.allclose(back, x, atol=1e-6)
    assert torch.allclose(slope, -slope_back, atol=1e-5)


def test_the_logarithm_of_the_slope_is_that_of_the_derivative(knots):
    x = torch.linspace(-4.9, 4.9, 200, dtype=torch.float64, requires_grad=True)
    image, slope = splines.transform(x, *knots, inverse=False)
    (derivative,) = torch.autograd.grad(image.sum(), x)
    assert torch.allclose(slope, derivative.log(), atol=1e-8)


def test_outside_the_bound_nothing_moves(knots):
    x = torch.tensor([-9.0, 5.5] * 100, dtype=torch.float64)
    image, slope = splines.transform(x, *knots, inverse=False)
    assert torch.equal(image, x)
    assert not slope.any()
