"""The diffusion generator as users of ``diffusers`` know pipelines.

In: a generator's folder, or none for the bundled one. Out:
``SynthGaitPipeline.from_pretrained()(n=100, age_years=70, seed=1)``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

import torch
from diffusers.pipelines.pipeline_utils import DiffusionPipeline

from synthgait import bundled
from synthgait.errors import InputError
from synthgait.generators.base import StrideGenerator
from synthgait.generators.conditions import Value
from synthgait.generators.diffusion import DiffusionGenerator
from synthgait.generators.networks import StrideDenoiser
from synthgait.trials import Trials


class SynthGaitPipeline(DiffusionPipeline):
    """Denoiser and scheduler of ``diffusers``, with the stride's representation and population around them."""

    def __init__(self, denoiser: StrideDenoiser, scheduler: Any, generator: DiffusionGenerator | None = None) -> None:
        super().__init__()
        self.register_modules(denoiser=denoiser, scheduler=scheduler)
        self._generator = generator

    @classmethod
    def of(cls, generator: DiffusionGenerator) -> Self:
        """Around a generator in memory."""
        return cls(generator._trained(), generator.scheduler(), generator)

    def __call__(self, n: int = 1, *, num_inference_steps: int | None = None, **arguments: Value) -> Trials:
        """Strides: the arguments of ``StrideGenerator.sample``, by the pipeline's ``scheduler``.

        Args:
            num_inference_steps: evaluations of the denoiser per stride; None is the generator's own number. A scheduler that
                starts from noise alone, as those of ``diffusers`` do, wants more (20 to 50).
        """
        if num_inference_steps is not None and num_inference_steps < 1:
            raise InputError(f"num_inference_steps is {num_inference_steps}; write at least 1")
        generator = self._with_generator()
        with generator.sampling_by(self.scheduler, num_inference_steps):
            return generator.sample(n, **arguments)  # type: ignore[arg-type]

    def to(self, *arguments: Any, **settings: Any) -> Self:
        """Move the denoiser, as ``diffusers`` does; everything else of a stride is computed on the CPU.

        Raises InputError where it would have other numbers than float32.
        """
        asked = [a for a in (*arguments, *settings.values()) if isinstance(a, torch.dtype)]
        if any(dtype != torch.float32 for dtype in asked):
            raise InputError(f"the denoiser computes in float32; leave {asked[0]} out")
        super().to(*arguments, **settings)
        self._with_generator().to(self.device)
        return self

    def save_pretrained(self, save_directory: str | Path, **unused: Any) -> None:  # type: ignore[override]
        """Write the generator's folder."""
        self._with_generator().save(save_directory)

    @classmethod
    def from_pretrained(cls, path: str | Path | None = None, **settings: Any) -> Self:  # type: ignore[override]
        """Read a generator's folder; without a path, the bundled one.

        Raises InputError as ``StrideGenerator.load``, and for settings that other pipelines have.
        """
        if settings:
            raise InputError(f"{next(iter(settings))!r} is no setting of this pipeline; give a generator's folder alone")
        generator = StrideGenerator.load(path)
        if not isinstance(generator, DiffusionGenerator):
            raise InputError(f"{path or bundled.generator()} holds a {generator.method} generator; a pipeline wants diffusion")
        return cls.of(generator)

    def save_components(self, folder: Path) -> None:
        """denoiser/, scheduler/ and model_index.json, by ``diffusers`` itself."""
        super().save_pretrained(folder, safe_serialization=True)

    def _with_generator(self) -> DiffusionGenerator:
        if self._generator is None:
            raise InputError("this pipeline has no stride representation; make it with from_pretrained or of(generator)")
        return self._generator
