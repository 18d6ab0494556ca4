"""A conditional Wasserstein GAN with gradient penalty, behind the same contract.

In: latents and conditions. Out: a network that turns noise and conditions into a latent stride in one
pass (Arjovsky et al., ICML 2017; Gulrajani et al., NeurIPS 2017).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import torch
from torch import nn

from synthgait.errors import InputError
from synthgait.generators.base import StrideGenerator
from synthgait.generators.networks import StrideCritic, StrideSynthesizer, settled
from synthgait.generators.train import Batch, Run, TrainingRecipe


class GanGenerator(StrideGenerator):
    """Adversarial generator in the space of ``StrideRepresentation``.

    Args:
        width, depth: of both networks.
        critic_updates: per step of the generator.
        gradient_penalty: weight of the critic's departure from slope 1.
    """

    method: ClassVar[str] = "gan"

    def __init__(self, width: int = 256, depth: int = 3, critic_updates: int = 3, gradient_penalty: float = 10.0) -> None:
        super().__init__()
        self.width, self.depth, self.critic_updates, self.gradient_penalty = width, depth, critic_updates, gradient_penalty
        self.synthesizer: StrideSynthesizer | None = None

    @property
    def settings(self) -> dict[str, Any]:
        return {
            "width": self.width,
            "depth": self.depth,
            "critic_updates": self.critic_updates,
            "gradient_penalty": self.gradient_penalty,
        }

    def _learn(self, latents: np.ndarray, white: np.ndarray, conditions: pd.DataFrame, subjects: np.ndarray, **training: Any) -> None:
        run: Run = training.get("run") or Run(TrainingRecipe())
        with torch.random.fork_rng():
            torch.manual_seed(run.seed)
            shape = (white.shape[1], list(self.space.widths), self.width, self.depth)
            self.synthesizer, critic = StrideSynthesizer(*shape), StrideCritic(*shape)
        objective = AdversarialObjective(self.synthesizer, critic, self.critic_updates, self.gradient_penalty)
        self.notes["history"] = run.optimise(objective, white, conditions, subjects, self.space)
        self.synthesizer = settled(self.synthesizer)

    def _latents(self, codes: np.ndarray, rngs: list[np.random.Generator], guidance_scale: float) -> np.ndarray:
        if self.synthesizer is None:
            raise InputError("this gan generator has not learned anything yet; call fit first")
        noise = torch.from_numpy(np.stack([rng.standard_normal(self.representation.size, dtype=np.float32) for rng in rngs]))
        with torch.inference_mode():
            white = self.synthesizer(noise, torch.from_numpy(codes), torch.ones((len(codes), len(self.space.fields))))
        return self.prior.latents(codes, white.numpy())

    def _store(self, folder: Path) -> None:
        assert self.synthesizer is not None
        self.synthesizer.save_pretrained(folder / "synthesizer", safe_serialization=True)

    def _restore(self, folder: Path) -> None:
        self.synthesizer = settled(StrideSynthesizer.from_pretrained(folder / "synthesizer", low_cpu_mem_usage=False))


class AdversarialObjective:
    """Wasserstein losses of both networks; the reported validation loss is the critic's gap."""

    averaged = "synthesizer"
    select_by_validation = False
    betas = (0.0, 0.9)

    def __init__(self, synthesizer: StrideSynthesizer, critic: StrideCritic, critic_updates: int, gradient_penalty: float) -> None:
        self.networks = nn.ModuleDict({"synthesizer": synthesizer, "critic": critic})
        self.updates = [("critic", critic_updates), ("synthesizer", 1)]
        self.gradient_penalty = gradient_penalty

    def loss(self, network: str, batch: Batch, random: torch.Generator) -> torch.Tensor:
        """The critic's loss with gradient penalty, or the synthesizer's."""
        real = batch.latents
        critic, device = self.networks["critic"], real.device
        noise = torch.randn(real.shape, generator=random).to(device)
        fake = self.networks["synthesizer"](noise, batch.conditions, batch.known).float()
        if network == "synthesizer":
            return -critic(fake, batch.conditions, batch.known).float().mean()
        fake = fake.detach()
        gap = critic(fake, batch.conditions, batch.known).float().mean() - critic(real, batch.conditions, batch.known).float().mean()
        mix = torch.rand((len(real), 1), generator=random).to(device)
        between = (mix * real + (1 - mix) * fake).requires_grad_(True)
        score = critic(between, batch.conditions, batch.known).float().sum()
        (slope,) = torch.autograd.grad(score, between, create_graph=True)
        return gap + self.gradient_penalty * (slope.norm(dim=1) - 1).square().mean()

    def validation_loss(self, batch: Batch, random: torch.Generator) -> torch.Tensor:
        """Real minus generated score on held-out strides."""
        noise = torch.randn(batch.latents.shape, generator=random).to(batch.latents.device)
        critic = self.networks["critic"]
        fake = self.networks["synthesizer"](noise, batch.conditions, batch.known)
        return critic(batch.latents, batch.conditions, batch.known).mean() - critic(fake, batch.conditions, batch.known).mean()
