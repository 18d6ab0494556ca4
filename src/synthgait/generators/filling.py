"""What some channels of a stride say about the rest of it.

In: strides of which some channels are known, and a generator's representation and prior. Out: latents
whose known channels are as given and whose others are drawn from what the generator has learned.

Fourier coefficients of a channel are linear in the white vector that networks learn, so that knowing a
channel is a linear observation of it. For the prior alone the answer is exact (a Gaussian given a linear
observation). Under a diffusion, at every noise level the predicted clean vector is taken as the mean of
a Gaussian whose variance is the noise's, and conditioned in the same way (pseudo-inverse guidance: Song
et al., ICLR 2023), which is exact where the data are the prior.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from synthgait.generators.representation import stride_features
from synthgait.trials import Trials

if TYPE_CHECKING:
    from synthgait.generators.base import StrideGenerator

#: How much less exactly the representation holds strides of people it was not made from, and what it leaves
#: out of one coefficient goes with what it leaves out of others: known coefficients count so much less.
CAUTION = 3.0


@dataclass(frozen=True)
class Observation:
    """Linear knowledge of n white vectors (n, D), as a precision matrix with its eigenvectors.

    Attributes:
        basis: (D, D), columns are eigenvectors. precision: (n, D), its eigenvalues. pull: (n, D),
        information in the eigenvectors' coordinates.
    """

    basis: np.ndarray
    precision: np.ndarray
    pull: np.ndarray

    @classmethod
    def of(cls, model: StrideGenerator, strides: Trials, known: Sequence[str], codes: np.ndarray) -> Observation:
        """What the known channels of strides say under condition codes (n, C); what the other channels hold
        (anything finite) does not matter.
        """
        code = model.representation
        columns, left_out = code.observed(known)
        # the code is made for datasets and refuses fewer than four strides
        whole = strides.select(np.resize(np.arange(len(strides)), max(len(strides), 4)))
        features = stride_features(whole, code.channels, code.harmonics)[: len(strides), columns]
        scale = 1.0 / (CAUTION * left_out)
        expected = code.mean[columns] + model.prior.mean(codes) @ code.components[:, columns]
        matrix = model.prior.root @ code.components[:, columns] * scale
        values, basis = np.linalg.eigh(matrix @ matrix.T)
        spread = model.prior.scale(codes)[:, None]
        return cls(basis, spread**2 * np.maximum(values, 0.0), spread * ((features - expected) * scale @ matrix.T @ basis))

    def root(self, prior_root: np.ndarray) -> np.ndarray:
        """(D, D), latents scatter as scale * white @ root once this is known (on average over the n), beside ``prior_root``."""
        return (self.basis / np.sqrt(1.0 + self.precision.mean(0))).T @ prior_root

    def condition(self, mean: np.ndarray, variance: float) -> np.ndarray:
        """(n, D) mean of Gaussians of mean (n, D) and one variance, given the observation."""
        return (mean @ self.basis + variance * self.pull) / (1.0 + variance * self.precision) @ self.basis.T

    def draw(self, normal: np.ndarray) -> np.ndarray:
        """(n, D) draws from the white Gaussian given the observation, from standard normal numbers (n, D)."""
        spread = normal @ self.basis / np.sqrt(1.0 + self.precision)
        return self.condition(np.zeros_like(normal), 1.0) + spread @ self.basis.T
