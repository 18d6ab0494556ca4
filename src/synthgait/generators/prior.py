"""What conditions say of a stride at first order: a Gaussian whose mean is quadratic in the conditions and linear in
the numbers anew for every impairment of every side, and whose spread depends on the conditions too.

In: latents with condition codes. Out: ``ConditionalGaussian``: white vectors that the networks learn
from, and latents from white vectors. On its own it is the yardstick "conditional Gaussian in
principal components"; under the networks it is where they begin, so that they only have to learn what
it gets wrong, and so that what conditions all but fix stays as they say.

Healthy people at a common speed walk much alike, severely impaired ones each in their own way: the length of what
the mean leaves over differs four times between strides, and the conditions tell three quarters of that
(on the bundled seed). Without it a network spends what it can learn on the size of the deviation. That severity, speed
and size do something else to each impaired side takes another tenth off what the mean leaves of the ten largest
components (up to 29 %).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from synthgait.generators.representation import as_stored

_RIDGES = 10.0 ** np.arange(-5, 2)
_FOLDS = 8
_REAL = ("weight", "root", "ridge", "spread", "spread_range")
#: Standard deviation, in units of the latents', under which a direction counts as fixed by the conditions.
_FLOOR = 1e-3


@dataclass(frozen=True)
class ConditionalGaussian:
    """latent = design(codes) @ weight + scale(codes) * white @ root.

    Attributes:
        weight: (Q, D). root: (D, D), symmetric square root of the residual covariance at scale 1.
        numeric: how many of the codes, at the front, are numbers (they enter with squares and products).
        crossed: lengths of the two last categories' codes; each pair of them has a mean and slopes over the numbers of its own.
        met: which of the pairs' columns are of pairs that were learned from.
        ridge: (D,) the penalty that cross-validation over subjects chose for each latent.
        spread: log scale = design(codes) @ spread, in what is not crossed. spread_range: (2,), the least and largest log scale of
            the strides learned from: no condition asks for more.
    """

    weight: np.ndarray
    root: np.ndarray
    numeric: int
    crossed: tuple[int, int]
    met: np.ndarray
    ridge: np.ndarray
    spread: np.ndarray
    spread_range: np.ndarray

    @classmethod
    def fit(
        cls,
        latents: np.ndarray,
        codes: np.ndarray,
        numeric: int,
        subjects: np.ndarray,
        crossed: tuple[int, int] = (0, 0),
        seed: int = 0,
    ) -> tuple[ConditionalGaussian, np.ndarray]:
        """The Gaussian of latents (N, D) given codes (N, C), and the latents as white vectors (N, D).

        Residuals are those of subjects left out of the regression: in-sample ones are too small, and a
        generator that learned from them would be too.
        """
        plain, pairs = _plain(codes, numeric), _pairs(codes, numeric, crossed)
        met = np.any(pairs, axis=0)
        design = np.concatenate([plain, pairs[:, met]], 1)
        people = np.unique(subjects)
        order = np.random.default_rng(seed).permutation(len(people))
        fold_of = dict(zip(people, order % min(_FOLDS, len(people)), strict=True))
        fold = np.array([fold_of[subject] for subject in subjects])
        even = np.ones(len(latents))
        residual, _, _ = _regress(design, latents, fold, even)
        # how long residuals are, where each direction counts in its own unit; its mean belongs to the root
        length = np.log(np.linalg.norm(residual / (residual.std(0) + _FLOOR), axis=1) + _FLOOR)
        length = length - length.mean()
        untold, spread, _ = _regress(plain, length[:, None], fold, even)
        expected = length - untold[:, 0]
        limits = as_stored(np.percentile(expected, [1, 99]))
        scale = np.exp(np.clip(expected, *limits))
        # once more, so that those who walk alike say more about the mean
        residual, weight, ridge = _regress(design, latents, fold, 1.0 / scale**2)
        residual = residual / scale[:, None]
        values, vectors = np.linalg.eigh(residual.T @ residual / len(residual))
        deviation = np.maximum(np.sqrt(np.maximum(values, 0.0)), _FLOOR)
        root = (vectors * deviation) @ vectors.T
        gaussian = cls(as_stored(weight), as_stored(root), numeric, crossed, met, as_stored(ridge), as_stored(spread[:, 0]), limits)
        return gaussian, residual @ ((vectors / deviation) @ vectors.T)

    def latents(self, codes: np.ndarray, white: np.ndarray) -> np.ndarray:
        """(n, D) latents of white vectors (n, D) under codes (n, C)."""
        return self.mean(codes) + self.scale(codes)[:, None] * np.asarray(white, float) @ self.root

    def mean(self, codes: np.ndarray) -> np.ndarray:
        """(n, D) latents that codes (n, C) say."""
        pairs = _pairs(codes, self.numeric, self.crossed)[:, self.met]
        return np.concatenate([_plain(codes, self.numeric), pairs], 1) @ self.weight

    def slopes(self, codes: np.ndarray) -> np.ndarray:
        """(numeric,) how far strides under codes (n, C) move with each number, as a root mean square over them."""
        step = 0.5 * np.eye(codes.shape[1])[: self.numeric]
        # exact, because the mean is quadratic
        moved = [self.mean(codes + change) - self.mean(codes - change) for change in step]
        return np.array([np.sqrt((change**2).sum(1).mean()) for change in moved])

    def scale(self, codes: np.ndarray) -> np.ndarray:
        """(n,) how far strides under codes (n, C) scatter, 1 on average."""
        return np.exp(np.clip(_plain(codes, self.numeric) @ self.spread, *self.spread_range))

    def arrays(self) -> dict[str, np.ndarray]:
        """What ``from_arrays`` needs."""
        whole = {"numeric": np.array([self.numeric]), "crossed": np.array(self.crossed), "met": self.met.astype(int)}
        return {name: getattr(self, name).astype(np.float32) for name in _REAL} | whole

    @classmethod
    def from_arrays(cls, arrays: dict[str, np.ndarray]) -> ConditionalGaussian:
        """Read back ``arrays``."""
        first, second = (int(length) for length in arrays["crossed"])
        real = {name: as_stored(arrays[name]) for name in _REAL}
        return cls(numeric=int(arrays["numeric"][0]), crossed=(first, second), met=arrays["met"].astype(bool), **real)


def _plain(codes: np.ndarray, numeric: int) -> np.ndarray:
    """1, the codes, and products of the numbers two by two."""
    codes = np.asarray(codes, float)
    numbers = codes[:, :numeric]
    left, right = np.triu_indices(numeric)
    return np.concatenate([np.ones((len(codes), 1)), codes, 0.5 * numbers[:, left] * numbers[:, right]], 1)


def _pairs(codes: np.ndarray, numeric: int, crossed: tuple[int, int]) -> np.ndarray:
    """1 and the numbers, once for each pair of the two last categories, zero in rows of other pairs."""
    codes = np.asarray(codes, float)
    first, second = np.split(codes[:, codes.shape[1] - sum(crossed) :], [crossed[0]], axis=1)
    numbers = np.concatenate([np.ones((len(codes), 1)), codes[:, :numeric]], 1)
    pair = (first[:, :, None] * second[:, None, :]).reshape(len(codes), -1)
    return (pair[:, :, None] * numbers[:, None, :]).reshape(len(codes), -1)


def _regress(
    design: np.ndarray, targets: np.ndarray, fold: np.ndarray, importance: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Residuals (N, D) of targets whose fold was left out, weights (Q, D) from all, and the penalty (D,) chosen for
    each target: what conditions fix wants none, what they say nothing about wants a strong one.
    """
    residuals = np.empty((len(_RIDGES), *targets.shape))
    for k in np.unique(fold):
        out = fold == k
        inside = ~out if (~out).any() else out
        for i, ridge in enumerate(_RIDGES):
            residuals[i, out] = targets[out] - design[out] @ _solve(design[inside], targets[inside], importance[inside], ridge)
    chosen = (residuals**2 * importance[:, None]).sum(1).argmin(0)
    columns = np.arange(targets.shape[1])
    weight = np.stack([_solve(design, targets, importance, ridge) for ridge in _RIDGES])[chosen, :, columns].T
    return residuals[chosen, :, columns].T, weight, _RIDGES[chosen]


def _solve(design: np.ndarray, targets: np.ndarray, importance: np.ndarray, ridge: float) -> np.ndarray:
    penalty = ridge * importance.sum() * np.eye(design.shape[1])
    penalty[0, 0] = 1e-9  # the mean is free
    weighted = design * importance[:, None]
    return np.linalg.solve(weighted.T @ design + penalty, weighted.T @ targets)
