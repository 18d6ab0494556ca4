"""What conditions say of a stride at first order: a Gaussian whose mean is quadratic in the conditions.

In: latents with condition codes. Out: ``ConditionalGaussian``: white vectors that the networks learn
from, and latents from white vectors. On its own it is the yardstick "conditional Gaussian in
principal components"; under the networks it is where they begin, so that they only have to learn what
it gets wrong, and so that what conditions all but fix stays as they say.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from synthgait.generators.representation import as_stored

_RIDGES = 10.0 ** np.arange(-5, 2)
_FOLDS = 8
#: Standard deviation, in units of the latents', under which a direction counts as fixed by the conditions.
_FLOOR = 1e-3


@dataclass(frozen=True)
class ConditionalGaussian:
    """latent = design(codes) @ weight + white @ root.

    Attributes:
        weight: (Q, D). root: (D, D), symmetric square root of the residual covariance.
        numeric: how many of the codes are numbers (they enter with squares and products).
        ridge: (D,) the penalty that cross-validation over subjects chose for each latent.
    """

    weight: np.ndarray
    root: np.ndarray
    numeric: int
    ridge: np.ndarray

    @classmethod
    def fit(
        cls, latents: np.ndarray, codes: np.ndarray, numeric: int, subjects: np.ndarray, seed: int = 0
    ) -> tuple[ConditionalGaussian, np.ndarray]:
        """The Gaussian of latents (N, D) given codes (N, C), and the latents as white vectors (N, D).

        Residuals are those of subjects left out of the regression: in-sample ones are too small, and a
        generator that learned from them would be too.
        """
        design = _design(codes, numeric)
        people = np.unique(subjects)
        order = np.random.default_rng(seed).permutation(len(people))
        fold_of = dict(zip(people, order % min(_FOLDS, len(people)), strict=True))
        fold = np.array([fold_of[subject] for subject in subjects])
        residuals = np.empty((len(_RIDGES), *latents.shape))
        for k in np.unique(fold):
            out = fold == k
            inside = ~out if (~out).any() else out
            for i, ridge in enumerate(_RIDGES):
                residuals[i, out] = latents[out] - design[out] @ _solve(design[inside], latents[inside], ridge)
        # a penalty for each latent: what conditions fix wants none, what they say nothing about wants a strong one
        chosen = (residuals**2).sum(1).argmin(0)
        columns = np.arange(latents.shape[1])
        residual = residuals[chosen, :, columns].T
        weight = np.stack([_solve(design, latents, ridge) for ridge in _RIDGES])[chosen, :, columns].T
        values, vectors = np.linalg.eigh(residual.T @ residual / len(residual))
        deviation = np.maximum(np.sqrt(np.maximum(values, 0.0)), _FLOOR)
        root = (vectors * deviation) @ vectors.T
        gaussian = cls(as_stored(weight), as_stored(root), numeric, as_stored(_RIDGES[chosen]))
        return gaussian, residual @ ((vectors / deviation) @ vectors.T)

    def latents(self, codes: np.ndarray, white: np.ndarray) -> np.ndarray:
        """(n, D) latents of white vectors (n, D) under codes (n, C)."""
        return _design(codes, self.numeric) @ self.weight + np.asarray(white, float) @ self.root

    def arrays(self) -> dict[str, np.ndarray]:
        """What ``from_arrays`` needs."""
        single = {name: getattr(self, name).astype(np.float32) for name in ("weight", "root", "ridge")}
        return single | {"numeric": np.array([self.numeric])}

    @classmethod
    def from_arrays(cls, arrays: dict[str, np.ndarray]) -> ConditionalGaussian:
        """Read back ``arrays``."""
        weight, root, ridge = (as_stored(arrays[name]) for name in ("weight", "root", "ridge"))
        return cls(weight, root, int(arrays["numeric"][0]), ridge)


def _design(codes: np.ndarray, numeric: int) -> np.ndarray:
    """1, the codes, and products of the numbers two by two."""
    codes = np.asarray(codes, float)
    numbers = codes[:, :numeric]
    left, right = np.triu_indices(numeric)
    return np.concatenate([np.ones((len(codes), 1)), codes, 0.5 * numbers[:, left] * numbers[:, right]], 1)


def _solve(design: np.ndarray, latents: np.ndarray, ridge: float) -> np.ndarray:
    penalty = ridge * len(design) * np.eye(design.shape[1])
    penalty[0, 0] = 1e-9  # the mean is free
    return np.linalg.solve(design.T @ design + penalty, design.T @ latents)
