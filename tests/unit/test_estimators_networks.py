"""Networks: a stride begun elsewhere gives the same values and the same curves, begun elsewhere."""

from __future__ import annotations

import pytest
import torch

from synthgait.errors import InputError
from synthgait.estimators.networks import BACKBONES, StrideNetwork


def built(backbone: str) -> StrideNetwork:
    torch.manual_seed(0)
    return StrideNetwork(5, 3, 2, 4, 32, backbone=backbone, width=16, depth=2).eval()


@pytest.mark.parametrize("backbone", BACKBONES)
def test_shapes_and_masks(backbone: str) -> None:
    network = built(backbone)
    cycles, scalars = torch.randn(7, 5, 32), torch.randn(7, 3)
    present = torch.ones(7, 5, dtype=torch.bool)
    out = network(cycles, present, scalars)
    assert out.values.shape == out.value_log_sd.shape == (7, 2)
    assert out.curves.shape == out.curve_log_sd.shape == (7, 4, 32)
    present[:, 2] = False
    changed = cycles.clone()
    changed[:, 2] = 99.0
    assert torch.allclose(network(cycles, present, scalars).values, network(changed, present, scalars).values)
    assert not torch.allclose(network(cycles, present, scalars).values, out.values)


@pytest.mark.parametrize("backbone", ["cnn", "transformer", "state_space"])
def test_the_stride_is_a_circle(backbone: str) -> None:
    network = built(backbone)
    cycles, present, scalars = torch.randn(3, 5, 32), torch.ones(3, 5, dtype=torch.bool), torch.randn(3, 3)
    out, later = network(cycles, present, scalars), network(torch.roll(cycles, 11, 2), present, scalars)
    assert torch.allclose(out.values, later.values, atol=1e-5)
    assert torch.allclose(torch.roll(out.curves, 11, 2), later.curves, atol=1e-5)


def test_unknown_backbone_is_named() -> None:
    with pytest.raises(InputError, match="cnn, lstm, cnn_lstm, transformer"):
        StrideNetwork(5, 3, 2, 0, 32, backbone="perceptron")
