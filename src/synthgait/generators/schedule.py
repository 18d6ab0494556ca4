"""A sampling schedule for white latents: few evaluations that do not shrink what is already white.

In: the denoiser's velocity at a time. Out: the sample a step nearer to the data, as a ``diffusers`` scheduler.

With signal and noise as cosine and sine of an angle, the probability flow is dx / dangle = velocity
(Salimans & Ho, ICLR 2022, appendix D). Where the data are a white Gaussian the velocity is zero and any
step is exact; solvers that hold the predicted noise or data fixed over a step shrink such samples (12
steps of DPM-Solver++ lose 1.5 % of the spread, 6 lose 8 %). The two-step Adams-Bashforth rule is exact to
second order in the angle.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.schedulers.scheduling_ddpm import DDPMScheduler
from diffusers.schedulers.scheduling_utils import SchedulerMixin


@dataclass
class AngleStep:
    """What a step gives: the sample (n, D) at the next time."""

    prev_sample: torch.Tensor


class AngleScheduler(SchedulerMixin, ConfigMixin):  # type: ignore[misc]
    """Two-step Adams-Bashforth in the angle between signal and noise, for velocity predictions.

    Args:
        num_train_timesteps, beta_schedule: of the noise that the network was trained with.
        prediction_type: only "v_prediction".
    """

    order = 1

    @register_to_config
    def __init__(
        self,
        num_train_timesteps: int = 1000,
        beta_schedule: str = "squaredcos_cap_v2",
        prediction_type: str = "v_prediction",
    ) -> None:
        signal = DDPMScheduler(num_train_timesteps=num_train_timesteps, beta_schedule=beta_schedule).alphas_cumprod.double()
        self._angles = torch.acos(signal.sqrt()).numpy()
        self.init_noise_sigma = 1.0
        self._first = len(self._angles) - 1
        self.set_timesteps(1)

    def start_at(self, angle_rad: float) -> float:
        """Begin the next samplings where signal and noise are at about this angle, instead of at pure noise. Returns the
        signal's share (its cosine) there.
        """
        self._first = int(np.searchsorted(self._angles, angle_rad).clip(1, len(self._angles) - 1))
        return float(np.cos(self._angles[self._first]))

    def set_timesteps(self, num_inference_steps: int, device: str | torch.device | None = None) -> None:
        """Times evenly spread from pure noise, or from ``start_at``, ``num_inference_steps`` of them."""
        times = np.round(np.linspace(self._first, 0, num_inference_steps + 1)[:-1]).astype(np.int64)
        self.timesteps = torch.from_numpy(times).to(device)
        self._grid = np.append(self._angles[times], 0.0)
        self._index = 0
        self._last: torch.Tensor | None = None

    def step(self, model_output: torch.Tensor, timestep: torch.Tensor | int, sample: torch.Tensor) -> AngleStep:
        """From the velocity (n, D) at the next time of ``timesteps`` and the sample (n, D) there, the sample after it."""
        width = self._grid[self._index] - self._grid[self._index + 1]
        slope = model_output
        if self._last is not None:
            before = self._grid[self._index - 1] - self._grid[self._index]
            slope = torch.lerp(self._last, model_output, 1.0 + 0.5 * width / before)
        self._last = model_output
        self._index += 1
        return AngleStep(sample - width * slope)
