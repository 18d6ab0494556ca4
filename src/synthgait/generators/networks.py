"""The networks of the generators: residual perceptrons over the latent stride, modulated by conditions.

In: latents (B, D), conditions (B, C) with a mask of the fields that are known (B, K), and for the
denoiser a time step. Out: latents (B, D), or one score per stride (B, 1). They are ``diffusers``
models: ``save_pretrained`` and ``from_pretrained`` with safetensors.

The latent is already a short white code of a whole periodic stride, so a perceptron sees all of the
stride at once; feature-wise modulation (FiLM: Perez et al., AAAI 2018) carries the conditions. What
depends on conditions alone is computed once per stride and what depends on time alone once per step,
so that a step of sampling costs little more than the residual blocks.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from torch import nn


class ConditionEncoder(nn.Module):
    """Conditions with a mask -> (B, width). A masked field's numbers are replaced by a learned null vector.

    Args:
        widths: length of every field's code, as ``ConditionSpace.widths``.
    """

    def __init__(self, widths: tuple[int, ...], width: int) -> None:
        super().__init__()
        self.register_buffer("field_of", torch.repeat_interleave(torch.arange(len(widths)), torch.tensor(widths)), persistent=False)
        self.null = nn.Parameter(torch.zeros(sum(widths)))
        self.layers = nn.Sequential(nn.Linear(sum(widths) + len(widths), width), nn.SiLU(), nn.Linear(width, width), nn.SiLU())

    def forward(self, conditions: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
        """conditions (B, sum(widths)), known (B, len(widths)) of 0 and 1."""
        seen = known[:, self.field_of]  # type: ignore[index]
        return self.layers(torch.cat([conditions * seen + self.null * (1 - seen), known], 1))


class ModulatedBlock(nn.Module):
    """x + W2 silu(W1 modulate(norm(x))), with scale and shift given from outside and W2 zero at the start."""

    def __init__(self, width: int, expansion: int = 2) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width, elementwise_affine=False)
        self.rise = nn.Linear(width, expansion * width)
        self.fall = nn.Linear(expansion * width, width)
        nn.init.zeros_(self.fall.weight)
        nn.init.zeros_(self.fall.bias)

    def forward(self, x: torch.Tensor, modulation: torch.Tensor) -> torch.Tensor:
        """x (B, W), modulation (B, 2 W) or (1, 2 W): scale, shift."""
        scale, shift = modulation.chunk(2, -1)
        return x + self.fall(nn.functional.silu(self.rise(torch.addcmul(shift, self.norm(x), 1 + scale))))


class _Trunk(nn.Module):
    """Modulated residual blocks from an input to an output size."""

    def __init__(self, inputs: int, outputs: int, width: int, depth: int) -> None:
        super().__init__()
        self.enter = nn.Linear(inputs, width)
        self.blocks = nn.ModuleList(ModulatedBlock(width) for _ in range(depth))
        self.norm = nn.LayerNorm(width, elementwise_affine=False)
        self.leave = nn.Linear(width, outputs)

    def forward(self, x: torch.Tensor, modulation: torch.Tensor) -> torch.Tensor:
        """modulation (B or 1, depth * 2 W)."""
        x = self.enter(x)
        for block, part in zip(self.blocks, modulation.chunk(len(self.blocks), -1), strict=True):
            x = block(x, part)
        return self.leave(self.norm(x))


class StrideDenoiser(ModelMixin, ConfigMixin):  # type: ignore[misc]
    """What was added to a noisy latent stride, as velocity (v-prediction: Salimans & Ho, ICLR 2022).

    The output starts at zero, which for white data *is* the Gaussian of the same covariance: training
    begins at that yardstick and leaves it only where the data say so.
    """

    @register_to_config
    def __init__(self, latent_size: int, condition_widths: list[int], width: int = 256, depth: int = 4) -> None:
        super().__init__()
        self.condition = ConditionEncoder(tuple(condition_widths), width)
        self.time = nn.Sequential(nn.Linear(64, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU())
        self.modulate_condition = nn.Linear(width, depth * 2 * width)
        self.modulate_time = nn.Linear(width, depth * 2 * width)
        self.trunk = _Trunk(latent_size, latent_size, width, depth)
        nn.init.zeros_(self.trunk.leave.weight)
        nn.init.zeros_(self.trunk.leave.bias)

    def modulation(self, conditions: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
        """The conditions' part of the modulation, the same at every step of sampling."""
        return self.modulate_condition(self.condition(conditions, known))

    def denoise(self, sample: torch.Tensor, timestep: torch.Tensor, modulation: torch.Tensor) -> torch.Tensor:
        """One step: sample (B, D), timestep (B,) or (1,), modulation from ``modulation``."""
        return self.trunk(sample, modulation + self.modulate_time(self.time(_time_features(timestep).to(sample.dtype))))

    def forward(self, sample: torch.Tensor, timestep: torch.Tensor, conditions: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
        """Both together, for training."""
        return self.denoise(sample, timestep, self.modulation(conditions, known))


class StrideSynthesizer(ModelMixin, ConfigMixin):  # type: ignore[misc]
    """The adversarial generator: noise (B, D) and conditions to a latent stride in one pass."""

    @register_to_config
    def __init__(self, latent_size: int, condition_widths: list[int], width: int = 256, depth: int = 4) -> None:
        super().__init__()
        self.condition = ConditionEncoder(tuple(condition_widths), width)
        self.modulate = nn.Linear(width, depth * 2 * width)
        self.trunk = _Trunk(latent_size, latent_size, width, depth)

    def forward(self, noise: torch.Tensor, conditions: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
        """(B, D) latents."""
        return self.trunk(noise, self.modulate(self.condition(conditions, known)))


class StrideCritic(ModelMixin, ConfigMixin):  # type: ignore[misc]
    """The Wasserstein critic: one score per stride and its conditions (no batch statistics, so that the
    gradient penalty holds per sample).
    """

    @register_to_config
    def __init__(self, latent_size: int, condition_widths: list[int], width: int = 256, depth: int = 3) -> None:
        super().__init__()
        self.condition = ConditionEncoder(tuple(condition_widths), width)
        self.modulate = nn.Linear(width, depth * 2 * width)
        self.trunk = _Trunk(latent_size, 1, width, depth)

    def forward(self, sample: torch.Tensor, conditions: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
        """(B, 1) scores."""
        return self.trunk(sample, self.modulate(self.condition(conditions, known)))


def _time_features(timestep: torch.Tensor) -> torch.Tensor:
    """(B, 64) sines and cosines of the step, wavelengths 1 to 10,000 steps in geometric steps."""
    frequency = torch.exp(-math.log(10_000.0) * torch.arange(32, device=timestep.device) / 32)
    angle = timestep.float()[:, None] * frequency
    return torch.cat([angle.sin(), angle.cos()], 1)


def settled(network: Any, device: str | torch.device = "cpu") -> Any:
    """For use: on its device, in evaluation mode, and every tensor in memory of its own (a file's may lie at addresses where
    matrix products round differently).
    """
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.data = parameter.data.to(device, copy=True)
    return network.to(device).eval()
