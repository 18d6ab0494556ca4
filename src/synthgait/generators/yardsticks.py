"""Two generators that any learned one must beat.

In: white vectors and conditions. Out: strides of the conditional Gaussian alone, or the nearest seed
stride itself on the requested body.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from safetensors.numpy import load_file, save_file

from synthgait.generators.base import StrideGenerator
from synthgait.generators.conditions import distances
from synthgait.generators.representation import as_stored


class GaussianGenerator(StrideGenerator):
    """The conditional Gaussian in principal components, see ``prior``."""

    method: ClassVar[str] = "gaussian"

    def _learn(self, latents: np.ndarray, white: np.ndarray, conditions: pd.DataFrame, subjects: np.ndarray, **training: Any) -> None:
        """Nothing is left to learn."""

    def _latents(self, codes: np.ndarray, rngs: list[np.random.Generator], guidance_scale: float) -> np.ndarray:
        return self.prior.latents(codes, np.stack([rng.standard_normal(self.representation.size) for rng in rngs]))


#: A category that differs counts as much as so many standard deviations of a number: before every number.
_CATEGORY = 100.0


class NearestSeedGenerator(StrideGenerator):
    """The dimensionless stride of the seed gait whose conditions are nearest; categories count before numbers."""

    method: ClassVar[str] = "nearest_seed"
    holds_feet: ClassVar[bool] = False

    def __init__(self) -> None:
        super().__init__()
        self._seeds = self._codes = np.zeros((0, 0))

    def _learn(self, latents: np.ndarray, white: np.ndarray, conditions: pd.DataFrame, subjects: np.ndarray, **training: Any) -> None:
        self._codes, self._seeds = as_stored(self.space.encode(conditions)), as_stored(latents)

    def _latents(self, codes: np.ndarray, rngs: list[np.random.Generator], guidance_scale: float) -> np.ndarray:
        weight = np.where(np.arange(codes.shape[1]) < self.space.numeric, 1.0, _CATEGORY)
        return self._seeds[distances(codes, self._codes, weight).argmin(1)]

    def _store(self, folder: Path) -> None:
        arrays = {"seeds": self._seeds.astype(np.float32), "codes": self._codes.astype(np.float32)}
        save_file(arrays, folder / "nearest_seed.safetensors")

    def _restore(self, folder: Path) -> None:
        arrays = load_file(folder / "nearest_seed.safetensors")
        self._seeds, self._codes = as_stored(arrays["seeds"]), as_stored(arrays["codes"])
