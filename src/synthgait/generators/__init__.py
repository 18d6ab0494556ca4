"""Generators: strides learned from simulated walking.

In: a seed dataset and a recipe. Out: synthetic strides, checked for plausibility, with what was asked
for and what came out apart.
"""

from synthgait.generators.base import StrideGenerator
from synthgait.generators.diffusion import DiffusionGenerator
from synthgait.generators.gan import GanGenerator
from synthgait.generators.pipeline import SynthGaitPipeline
from synthgait.generators.train import read_recipe, train
from synthgait.generators.yardsticks import GaussianGenerator, NearestSeedGenerator

GENERATORS: dict[str, type[StrideGenerator]] = {
    kind.method: kind for kind in (DiffusionGenerator, GanGenerator, GaussianGenerator, NearestSeedGenerator)
}
load = StrideGenerator.load

__all__ = [
    "GENERATORS",
    "DiffusionGenerator",
    "GanGenerator",
    "GaussianGenerator",
    "NearestSeedGenerator",
    "StrideGenerator",
    "SynthGaitPipeline",
    "load",
    "read_recipe",
    "train",
]
