"""Conditional diffusion over white latent strides, with ``diffusers`` schedulers and pipeline.

In: latents and conditions. Out: a denoiser; strides by a few steps (``schedule``) from noised relatives of
simulated strides (``relatives``), or from noise alone.

Noise is added on a cosine schedule (Nichol & Dhariwal, ICML 2021) and the network says the velocity
(Salimans & Ho, ICLR 2022). Every condition is hidden at random in training, each on its own, so that
any subset can be left open and classifier-free guidance (Ho & Salimans, 2022) can push towards the
rest. Network, noise schedule and sampling loop are separate objects.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import torch
from diffusers.schedulers.scheduling_ddim import DDIMScheduler
from diffusers.schedulers.scheduling_ddpm import DDPMScheduler
from diffusers.schedulers.scheduling_dpmsolver_multistep import DPMSolverMultistepScheduler
from safetensors.numpy import load_file, save_file
from torch import nn

from synthgait.errors import InputError
from synthgait.generators.base import StrideGenerator
from synthgait.generators.filling import Observation
from synthgait.generators.networks import StrideDenoiser, settled
from synthgait.generators.relatives import Relatives
from synthgait.generators.schedule import AngleScheduler
from synthgait.generators.train import Batch, Run, TrainingRecipe

SAMPLERS = {"angle": AngleScheduler, "dpm": DPMSolverMultistepScheduler, "ddim": DDIMScheduler, "ddpm": DDPMScheduler}
_NOISE: dict[str, Any] = {"num_train_timesteps": 1000, "beta_schedule": "squaredcos_cap_v2", "prediction_type": "v_prediction"}
#: Angle between signal and noise, pi/2 but for rounding, where nothing of the signal is left.
PURE_NOISE_RAD = 1.57
#: Evaluations of the denoiser per stride of which channels are known.
GUIDED_STEPS = 40
#: Latents are white, not pictures: nothing of them is clipped to -1 to 1.
_EXTRA: dict[str, dict[str, Any]] = {
    "angle": {},
    "dpm": {"algorithm_type": "dpmsolver++", "solver_order": 2},
    "ddim": {"clip_sample": False},
    "ddpm": {"clip_sample": False},
}


class DiffusionGenerator(StrideGenerator):
    """Diffusion in the space of ``StrideRepresentation``.

    Args:
        width, depth: of the denoiser.
        sampler: angle (``schedule``), dpm (DPM-Solver++, second order), ddim or ddpm.
        sampling_steps: evaluations of the denoiser per stride.
        noise_angle_rad: how far a draw starts from a relative: cos of it is the relative's share and sin the noise's;
            1.57 is noise alone. Only the sampler "angle" starts anywhere else.
        reach: how far a relative's conditions may lie, see ``Relatives.draw``.
    """

    method: ClassVar[str] = "diffusion"

    def __init__(
        self,
        width: int = 256,
        depth: int = 4,
        sampler: str = "angle",
        sampling_steps: int = 6,
        noise_angle_rad: float = PURE_NOISE_RAD,
        reach: float = 1.0,
    ) -> None:
        super().__init__()
        if sampler not in SAMPLERS:
            raise InputError(f"sampler is {sampler!r}; write one of {', '.join(SAMPLERS)}")
        if not 0 < noise_angle_rad < 1.571 or (noise_angle_rad < PURE_NOISE_RAD and sampler != "angle"):
            raise InputError(
                f"noise_angle_rad is {noise_angle_rad} with sampler {sampler!r}; "
                f"write {PURE_NOISE_RAD} (noise alone), or less than that and over 0 with angle"
            )
        if not 0 < reach < np.inf:
            raise InputError(f"reach is {reach}; write a number above 0")
        self.width, self.depth, self.sampler, self.sampling_steps = width, depth, sampler, sampling_steps
        self.noise_angle_rad, self.reach = noise_angle_rad, reach
        self.denoiser: StrideDenoiser | None = None
        self._sampling: Any = None
        self._relatives: Relatives | None = None
        self.device = torch.device("cpu")

    @property
    def settings(self) -> dict[str, Any]:
        names = ("width", "depth", "sampler", "sampling_steps", "noise_angle_rad", "reach")
        return {name: getattr(self, name) for name in names}

    def to(self, device: str | torch.device) -> DiffusionGenerator:
        """Sample on another device."""
        self.device = torch.device(device)
        if self.denoiser is not None:
            settled(self.denoiser, self.device)
        return self

    def _learn(self, latents: np.ndarray, white: np.ndarray, conditions: pd.DataFrame, subjects: np.ndarray, **training: Any) -> None:
        run: Run = training.get("run") or Run(TrainingRecipe())
        if self.noise_angle_rad < PURE_NOISE_RAD:
            codes = self.space.encode(conditions)
            self._relatives = Relatives.of(codes, white, self.prior.slopes(codes))
        with torch.random.fork_rng():
            torch.manual_seed(run.seed)
            self.denoiser = StrideDenoiser(white.shape[1], list(self.space.widths), self.width, self.depth)
        objective = DenoisingObjective(self.denoiser)
        self.notes["history"] = run.optimise(objective, white, conditions, subjects, self.space)
        self.denoiser = settled(self.denoiser, self.device)

    def _latents(self, codes: np.ndarray, rngs: list[np.random.Generator], guidance_scale: float) -> np.ndarray:
        denoiser = self._trained()
        size = self.representation.size
        start = np.stack([rng.standard_normal(size, dtype=np.float32) for rng in rngs])
        self._sampling = self._sampling or self.scheduler()
        if self._relatives is not None and isinstance(self._sampling, AngleScheduler):
            signal = self._sampling.start_at(self.noise_angle_rad)
            start = signal * self._relatives.draw(codes, self.reach, rngs) + np.float32((1 - signal**2) ** 0.5) * start
        noisy = torch.from_numpy(start).to(self.device)
        conditions = torch.from_numpy(codes).to(self.device)
        known = torch.ones((len(codes), len(self.space.fields)), device=self.device)
        white = denoise(denoiser, self._sampling, noisy, conditions, known, self.sampling_steps, guidance_scale)
        return self.prior.latents(codes, white.cpu().numpy())

    def white_given(self, codes: np.ndarray, observed: Observation, rngs: list[np.random.Generator]) -> np.ndarray:
        """As the base class says, by guided sampling."""
        size = self.representation.size
        noise = torch.from_numpy(np.stack([rng.standard_normal(size, dtype=np.float32) for rng in rngs])).to(self.device)
        known = torch.ones((len(codes), len(self.space.fields)), device=self.device)

        def steer(clean: torch.Tensor, variance: float) -> torch.Tensor:
            return torch.from_numpy(observed.condition(clean.cpu().numpy().astype(float), variance)).to(clean)

        # what is known pulls hard near the end: a solver that holds the clean vector over a step is stable there
        scheduler = DPMSolverMultistepScheduler(**_NOISE, **_EXTRA["dpm"])
        conditions = torch.from_numpy(codes).to(self.device)
        return denoise(self._trained(), scheduler, noise, conditions, known, GUIDED_STEPS, steer=steer).cpu().numpy()

    def scheduler(self) -> Any:
        """A fresh sampling scheduler."""
        return SAMPLERS[self.sampler](**_NOISE, **_EXTRA[self.sampler])

    @contextmanager
    def sampling_by(self, scheduler: Any, steps: int | None = None) -> Iterator[None]:
        """Sample by another scheduler of ``diffusers`` for a while. One that cannot start from a relative starts from noise."""
        own = self._sampling, self.sampling_steps
        self._sampling, self.sampling_steps = scheduler, steps or self.sampling_steps
        try:
            yield
        finally:
            self._sampling, self.sampling_steps = own

    def _trained(self) -> StrideDenoiser:
        if self.denoiser is None:
            raise InputError("this diffusion generator has not learned anything yet; call fit first")
        return self.denoiser

    def _store(self, folder: Path) -> None:
        from synthgait.generators.pipeline import SynthGaitPipeline

        SynthGaitPipeline(self._trained(), self.scheduler()).save_components(folder)
        if self._relatives is not None:
            save_file(self._relatives.arrays(), folder / "relatives.safetensors")

    def _restore(self, folder: Path) -> None:
        self.denoiser = settled(StrideDenoiser.from_pretrained(folder / "denoiser", low_cpu_mem_usage=False), self.device)
        if self.denoiser.config["latent_size"] != self.representation.size:
            raise InputError(f"{folder}: the denoiser and the representation have different sizes; train it again")
        if self.noise_angle_rad < PURE_NOISE_RAD:
            self._relatives = Relatives.from_arrays(load_file(folder / "relatives.safetensors"))


class DenoisingObjective:
    """Mean square error of the predicted velocity at random times."""

    averaged = "denoiser"
    select_by_validation = True

    def __init__(self, denoiser: StrideDenoiser) -> None:
        self.networks = nn.ModuleDict({"denoiser": denoiser})
        self.updates = [("denoiser", 1)]
        self.noise = DDPMScheduler(**_NOISE)

    def loss(self, network: str, batch: Batch, random: torch.Generator) -> torch.Tensor:
        """Scalar; times are stratified over the batch, which lowers the gradient's variance."""
        count = len(batch.latents)
        steps = self.noise.config["num_train_timesteps"]
        uniform = (torch.arange(count) + torch.rand(count, generator=random)) / count
        times = (uniform * steps).long().clamp(max=steps - 1).to(batch.latents.device)
        noise = torch.randn(batch.latents.shape, generator=random).to(batch.latents.device)
        noisy = self.noise.add_noise(batch.latents, noise, times)
        target = self.noise.get_velocity(batch.latents, noise, times)
        said = self.networks[network](noisy, times, batch.conditions, batch.known)
        return nn.functional.mse_loss(said.float(), target)

    def validation_loss(self, batch: Batch, random: torch.Generator) -> torch.Tensor:
        """The same on held-out strides."""
        return self.loss("denoiser", batch, random)


@torch.inference_mode()
def denoise(
    denoiser: StrideDenoiser,
    scheduler: Any,
    noise: torch.Tensor,
    codes: torch.Tensor,
    known: torch.Tensor,
    steps: int,
    guidance_scale: float = 1.0,
    steer: Callable[[torch.Tensor, float], torch.Tensor] | None = None,
) -> torch.Tensor:
    """The sampling loop: from noise (n, D), or what the scheduler starts at, to latents (n, D) under conditions (n, C)
    with known fields (n, K).

    ``steer`` corrects the clean latents (n, D) that a step predicts, given their variance.
    """
    scheduler.set_timesteps(steps, device=noise.device)
    modulation = denoiser.modulation(codes, known)
    free = denoiser.modulation(codes, torch.zeros_like(known)) if guidance_scale != 1.0 else None
    sample = noise * scheduler.init_noise_sigma
    for time in scheduler.timesteps:
        said = denoiser.denoise(sample, time[None], modulation)
        if free is not None:
            unguided = denoiser.denoise(sample, time[None], free)
            said = unguided + guidance_scale * (said - unguided)
        if steer is not None:
            power = float(scheduler.alphas_cumprod[int(time)])
            signal, spread = power**0.5, max(1.0 - power, 1e-12) ** 0.5
            clean = steer(signal * sample - spread * said, spread**2)
            said = (signal * sample - clean) / spread
        sample = scheduler.step(said, time, sample).prev_sample
    return sample
