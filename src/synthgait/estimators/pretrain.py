"""Learning from strides without being told anything about them: masked reconstruction.

In: examples of a sensor. Out: a network whose layers below the heads can fill in what was hidden from them.

Of every window some channels are hidden throughout and the others for a piece of the stride; the loss is what the
network says there, in standard deviations of each channel (He et al., Masked autoencoders, CVPR 2022, for strides).
No target of the examples is read. Training on few people can then begin from these layers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import nn

from synthgait.estimators.base import build_network, width_of
from synthgait.estimators.features.windows import CYCLE_SAMPLES
from synthgait.estimators.fit import descend, standardise
from synthgait.estimators.networks import StrideNetwork, one_thread
from synthgait.estimators.sense import Examples

#: Chance that a channel is hidden throughout, and the share of the stride that the others are hidden for.
_HIDDEN_CHANNELS, _HIDDEN_SHARE = 0.3, 0.3


@one_thread()
def masked_reconstruction(examples: Examples, recipe: Mapping[str, Any], seed: int) -> tuple[StrideNetwork, list[float]]:
    """Train on windows alone for ``recipe["steps"]`` steps. Returns the network, its heads as they were initialised,
    and the loss of every step.
    """
    rng = np.random.default_rng(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = build_network(recipe["task"], examples.sensor, recipe["network"])
        head = nn.Conv1d(width_of(recipe["network"], examples.sensor), examples.cycles.shape[1], 5, padding=2, padding_mode="circular")
    standardise(network, examples)
    network.train()

    def loss(step: int) -> torch.Tensor:
        batch = examples.batch(rng, recipe["batch"])
        whole, piece = _hidden(rng, *batch.cycles.shape[:2])
        wanted = (batch.cycles - network.channel_mean) / network.channel_sd
        seen, _ = network.features(wanted * ~piece, batch.present & ~whole, batch.scalars)
        asked = (whole[:, :, None] | piece) & batch.present[:, :, None]
        error = torch.where(asked, head(seen) - wanted, torch.zeros_like(wanted))
        return nn.functional.smooth_l1_loss(error, torch.zeros_like(error), reduction="sum") / asked.sum().clamp(min=1)

    losses = list(descend([*network.parameters(), *head.parameters()], loss, recipe["steps"], recipe["learning_rate"]))
    return network.eval(), losses


def _hidden(rng: np.random.Generator, size: int, channels: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Channels hidden throughout (B, C), and one piece of the stride per window hidden in all (B, 1, S)."""
    whole = rng.random((size, channels)) < _HIDDEN_CHANNELS
    start = rng.integers(CYCLE_SAMPLES, size=(size, 1))
    piece = (np.arange(CYCLE_SAMPLES) - start) % CYCLE_SAMPLES < _HIDDEN_SHARE * CYCLE_SAMPLES
    return torch.from_numpy(whole), torch.from_numpy(piece[:, None, :])
