"""What simulated strides have of their own, to draw new ones around.

In: the strides a generator learned from, as white vectors with their condition codes. Out: for every requested
stride the white vector of one of those whose conditions are near; each number counts by how far strides move with it.

A white vector is what the conditions' mean leaves over (``prior``): a stride's own manner, in the unit of
its conditions' scatter. Put on the mean of other conditions it is a relative of that stride: the same manner on another
body, at another speed. A few hundred people are too few for a network to learn how a muscle-driven walk hangs together in every
detail, and a relative brings that with it; the diffusion then only has to blur it and make the blur plausible
(the same idea as SDEdit: Meng et al., ICLR 2022).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from synthgait.generators.conditions import distances

#: A category (sex, pathology, side) that differs counts as much as so many standard deviations of an average number.
_CATEGORY = 3.0
#: Strides beyond so many nearer ones are not considered.
_CONSIDERED = 30


@dataclass(frozen=True)
class Relatives:
    """White vectors (N, D) of simulated strides, their condition codes (N, C), and how much each code counts (C,)."""

    codes: np.ndarray
    white: np.ndarray
    weight: np.ndarray

    @classmethod
    def of(cls, codes: np.ndarray, white: np.ndarray, slopes: np.ndarray) -> Relatives:
        """Of codes that begin with numbers, with which strides move by ``slopes`` (``ConditionalGaussian.slopes``)."""
        weight = np.full(codes.shape[1], _CATEGORY)
        weight[: len(slopes)] = slopes / np.sqrt(np.mean(slopes**2) + 1e-12)
        return cls._stored(codes, white, weight)

    @classmethod
    def _stored(cls, *arrays: np.ndarray) -> Relatives:
        """As a file with 16 bits a number holds them, so that a model read back gives the same bytes."""
        return cls(*(np.asarray(array, np.float16).astype(np.float32) for array in arrays))

    def draw(self, codes: np.ndarray, reach: float, rngs: list[np.random.Generator]) -> np.ndarray:
        """(n, D) float32: for each row of codes (n, C) the white vector of one of the strides near, the nearer the likelier: by a
        Gaussian of standard deviation ``reach`` around the nearest, in standard deviations of an average number.
        """
        distance = distances(codes, self.codes, self.weight)
        # in the order of their numbers, which does not depend on how a library sorts
        nearest = torch.topk(torch.from_numpy(distance), min(_CONSIDERED, len(self.codes)), largest=False, sorted=False)
        near = np.sort(nearest.indices.numpy(), axis=1)
        square = np.take_along_axis(distance, near, axis=1).astype(float)
        chance = np.cumsum(np.exp((square.min(1, keepdims=True) - square) / (2 * reach**2)), axis=1)
        drawn = np.array([rng.random() for rng in rngs])[:, None] * chance[:, -1:]
        return self.white[near[np.arange(len(codes)), (chance[:, :-1] <= drawn).sum(1)]]

    def arrays(self) -> dict[str, np.ndarray]:
        """What ``from_arrays`` needs."""
        return {name: getattr(self, name).astype(np.float16) for name in ("codes", "white", "weight")}

    @classmethod
    def from_arrays(cls, arrays: dict[str, np.ndarray]) -> Relatives:
        """Read back ``arrays``."""
        return cls._stored(arrays["codes"], arrays["white"], arrays["weight"])
