"""Small networks over one stride that does not know where it begins.

In: cycles (B, C, S) of a stride, which of the C channels are present (B, C), scalars (B, K).
Out: ``Prediction``: values (B, V) and curves (B, Q, S), each with the log of its standard deviation.

The stride is a circle: convolutions wrap round, attention knows only the difference of phases, the
LSTM goes round in both directions, the state space too. So a shifted stride gives the same values and shifted curves,
exactly for the convolution, the attention and the state space. The backbones are interchangeable by name.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import nn

from synthgait.errors import InputError


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Networks this small are slower on two threads, and many times slower where another process wants a core."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class Prediction(NamedTuple):
    """Means and log standard deviations, in standardised units inside training and in natural ones after."""

    values: torch.Tensor
    value_log_sd: torch.Tensor
    curves: torch.Tensor
    curve_log_sd: torch.Tensor


class Convolution(nn.Module):
    """Residual circular convolutions, (B, W, S) -> (B, W, S)."""

    def __init__(self, width: int, depth: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            nn.Conv1d(width, width, 5, padding=2 * dilation, dilation=dilation, padding_mode="circular")
            for dilation in (2 ** (level % 3) for level in range(depth))
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for layer in self.layers:
            x = x + nn.functional.gelu(layer(x))
        return x


class Recurrent(nn.Module):
    """A bidirectional LSTM that runs round the stride twice, so that its start is forgotten."""

    def __init__(self, width: int, depth: int) -> None:
        super().__init__()
        self.lstm = nn.LSTM(width, width // 2, num_layers=max(depth // 2, 1), bidirectional=True, batch_first=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        samples = x.shape[2]
        out, _ = self.lstm(torch.cat([x, x], dim=2).transpose(1, 2))
        half = samples // 2
        return x + torch.roll(out[:, half : half + samples].transpose(1, 2), half, dims=2)


class ConvolutionRecurrent(nn.Module):
    """Convolutions over the picture of features against phase, which wraps round in phase, then the LSTM."""

    def __init__(self, width: int, depth: int, planes: int = 8) -> None:
        super().__init__()
        self.rise = nn.Conv2d(1, planes, 5)
        self.fall = nn.Conv2d(planes, 1, 5)
        self.recurrent = Recurrent(width, depth)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        def padded(picture: torch.Tensor) -> torch.Tensor:
            return nn.functional.pad(nn.functional.pad(picture, (2, 2, 0, 0), mode="circular"), (0, 0, 2, 2))

        seen = self.fall(padded(nn.functional.gelu(self.rise(padded(x[:, None])))))
        return self.recurrent(x + nn.functional.gelu(seen[:, 0]))


class StateSpace(nn.Module):
    """Selective state spaces (Gu & Dao, Mamba, 2023) in both directions, (B, W, S) -> (B, W, S).

    Each feature drives ``states`` decaying states; how fast they decay, what enters and what is read depend on the
    input at that phase. As the recurrence is linear, its periodic state is found exactly: the state after one
    round from nothing, over one minus the decay of a round.
    """

    def __init__(self, width: int, depth: int, states: int = 8) -> None:
        super().__init__()
        self.layers = max(depth // 2, 1)
        self.norm = nn.ModuleList(nn.LayerNorm(width) for _ in range(2 * self.layers))
        self.near = nn.ModuleList(nn.Conv1d(width, width, 5, padding=2, padding_mode="circular", groups=width) for _ in self.norm)
        self.select = nn.ModuleList(nn.Linear(width, width + 2 * states) for _ in self.norm)
        self.gate = nn.ModuleList(nn.Linear(width, width) for _ in self.norm)
        self.leave = nn.ModuleList(nn.Linear(width, width) for _ in self.norm)
        self.log_decay = nn.Parameter(torch.log(torch.arange(1.0, states + 1.0)).repeat(2 * self.layers, width, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x.transpose(1, 2)
        for level in range(0, 2 * self.layers, 2):
            there, back = self._scan(x, level), self._scan(x.flip(1), level + 1).flip(1)
            x = x + there + back
        return x.transpose(1, 2)

    def _scan(self, x: torch.Tensor, level: int) -> torch.Tensor:
        """One direction, (B, S, W) -> (B, S, W)."""
        known = self.norm[level](x)
        drive = nn.functional.silu(self.near[level](known.transpose(1, 2)).transpose(1, 2))
        width, states = self.log_decay.shape[1:]
        pace, enter, read = self.select[level](drive).split((width, states, states), dim=2)
        pace = nn.functional.softplus(pace - 3.0)
        keep = torch.exp(-pace[..., None] * self.log_decay[level].exp())
        push = (pace * drive)[..., None] * enter[:, :, None, :]
        state = torch.zeros_like(push[:, 0])
        for phase in range(x.shape[1]):
            state = keep[:, phase] * state + push[:, phase]
        state = state / (1.0 - keep.prod(dim=1)).clamp(min=1e-4)
        told = []
        for phase in range(x.shape[1]):
            state = keep[:, phase] * state + push[:, phase]
            told.append((state * read[:, phase, None, :]).sum(dim=2))
        return self.leave[level](torch.stack(told, dim=1) * nn.functional.silu(self.gate[level](known)))


class Attention(nn.Module):
    """Self-attention with a learned bias per difference of phase, (B, W, S) -> (B, W, S)."""

    difference: torch.Tensor

    def __init__(self, width: int, depth: int, samples: int, heads: int = 4) -> None:
        super().__init__()
        self.heads = heads
        self.project = nn.ModuleList(nn.Linear(width, 3 * width) for _ in range(depth))
        self.merge = nn.ModuleList(nn.Linear(width, width) for _ in range(depth))
        self.mix = nn.ModuleList(
            nn.Sequential(nn.LayerNorm(width), nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width)) for _ in range(depth)
        )
        self.norm = nn.ModuleList(nn.LayerNorm(width) for _ in range(depth))
        self.bias = nn.Parameter(torch.zeros(depth, heads, samples))
        difference = (torch.arange(samples)[None] - torch.arange(samples)[:, None]) % samples
        self.register_buffer("difference", difference, persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        batch, width, samples = x.shape
        x = x.transpose(1, 2)
        for level, (project, merge, mix, norm) in enumerate(zip(self.project, self.merge, self.mix, self.norm, strict=True)):
            query, key, value = project(norm(x)).reshape(batch, samples, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
            bias = self.bias[level][:, self.difference]
            seen = nn.functional.scaled_dot_product_attention(query, key, value, attn_mask=bias[None])
            x = x + merge(seen.transpose(1, 2).reshape(batch, samples, width))
            x = x + mix(x)
        return x.transpose(1, 2)


BACKBONES = ("cnn", "lstm", "cnn_lstm", "transformer", "state_space")


class StrideNetwork(nn.Module):
    """Embedding, backbone and heads; standardisation of inputs and targets is part of the weights.

    Args:
        channels, scalars, values, curves: their numbers; values or curves may be 0.
        samples: per cycle. backbone: one of ``BACKBONES``. width, depth: its size.
    """

    channel_mean: torch.Tensor
    channel_sd: torch.Tensor
    scalar_mean: torch.Tensor
    scalar_sd: torch.Tensor
    value_mean: torch.Tensor
    value_sd: torch.Tensor
    curve_mean: torch.Tensor
    curve_sd: torch.Tensor
    value_calibration: torch.Tensor
    curve_calibration: torch.Tensor
    uneven_calibration: torch.Tensor

    def __init__(
        self, channels: int, scalars: int, values: int, curves: int, samples: int, *, backbone: str = "cnn", width: int = 32, depth: int = 3
    ) -> None:
        super().__init__()
        if backbone not in BACKBONES:
            raise InputError(f"network {backbone!r} is unknown; choose one of {', '.join(BACKBONES)}")
        for name, size in (("channel", channels), ("scalar", scalars), ("value", values), ("curve", curves)):
            shape = (size, 1) if name in ("channel", "curve") else (size,)
            self.register_buffer(f"{name}_mean", torch.zeros(shape))
            self.register_buffer(f"{name}_sd", torch.ones(shape))
        #: Factors on the standard deviations, set on held-out people after training.
        self.register_buffer("value_calibration", torch.ones(values))
        self.register_buffer("curve_calibration", torch.ones(curves, 1))
        #: Standard deviations of shares between the sides that come on top, per departure from even ones, set there too.
        self.register_buffer("uneven_calibration", torch.zeros(values))
        self.embed = nn.Conv1d(channels, width, 5, padding=2, padding_mode="circular")
        self.context = nn.Sequential(nn.Linear(scalars + channels, width), nn.GELU(), nn.Linear(width, width))
        kinds = {"cnn": Convolution, "lstm": Recurrent, "cnn_lstm": ConvolutionRecurrent, "state_space": StateSpace}
        self.backbone: nn.Module = Attention(width, depth, samples) if backbone == "transformer" else kinds[backbone](width, depth)
        self.value_head = nn.Sequential(nn.Linear(4 * width, 2 * width), nn.GELU(), nn.Linear(2 * width, 2 * values)) if values else None
        self.curve_head = nn.Conv1d(width, 2 * curves, 5, padding=2, padding_mode="circular") if curves else None

    def features(self, cycles: torch.Tensor, present: torch.Tensor, scalars: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """What the heads read, from standardised cycles (0 where nothing is seen): (B, W, S) and (B, W)."""
        mask = present.to(cycles.dtype)
        known = (scalars - self.scalar_mean) / self.scalar_sd
        context = self.context(torch.cat([known.clamp(-5, 5), mask], dim=1))
        return self.backbone(nn.functional.gelu(self.embed(cycles * mask[:, :, None]) + context[:, :, None])), context

    def forward(self, cycles: torch.Tensor, present: torch.Tensor, scalars: torch.Tensor) -> Prediction:
        """Standardised predictions from natural inputs."""
        x, context = self.features((cycles - self.channel_mean) / self.channel_sd, present, scalars)
        empty = x.new_zeros(len(x), 0)
        values = value_log_sd = empty
        curves = curve_log_sd = x.new_zeros(len(x), 0, x.shape[2])
        if self.value_head is not None:
            pooled = torch.cat([x.mean(dim=2), x.amax(dim=2), x.std(dim=2), context], dim=1)
            values, value_log_sd = self.value_head(pooled).chunk(2, dim=1)
        if self.curve_head is not None:
            curves, curve_log_sd = self.curve_head(x).chunk(2, dim=1)
        return Prediction(values, value_log_sd.clamp(-4, 2), curves, curve_log_sd.clamp(-4, 2))

    def natural(self, cycles: torch.Tensor, present: torch.Tensor, scalars: torch.Tensor) -> Prediction:
        """Predictions in natural units with calibrated standard deviations (as logs)."""
        out = self(cycles, present, scalars)
        values = out.values * self.value_sd + self.value_mean
        value_sd = torch.exp(out.value_log_sd) * self.value_sd * self.value_calibration
        return Prediction(
            values,
            torch.log(torch.hypot(value_sd, self.uneven_calibration * (values - 0.5))),
            out.curves * self.curve_sd + self.curve_mean,
            out.curve_log_sd + torch.log(self.curve_sd * self.curve_calibration),
        )
