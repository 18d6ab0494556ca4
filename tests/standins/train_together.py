"""One of several processes that train: ``torchrun ... train_together.py RECIPE FOLDER [STEP]``, any number of pairs.

With a step the last process alone gets a Ctrl-C in the middle of it. Every process leaves what it learned as
FOLDER-<its number>.pt, or stopped in its place.
"""

from __future__ import annotations

import os
import signal
import sys
from itertools import count
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator

sys.path.insert(0, str(Path(__file__).parents[1]))

from synthgait.generators import train
from varied_walkers import varied_walkers

SEEDS = varied_walkers(40, seed=1)
LAST = int(os.environ["RANK"]) == int(os.environ["WORLD_SIZE"]) - 1


def run(recipe: str, folder: str, step: int | None) -> None:
    """Train, with Ctrl-C in that step, and leave what this process learned."""
    plain, steps = Accelerator.backward, count()

    def backward(self: Any, loss: torch.Tensor, **kwargs: Any) -> None:
        if next(steps) == step and LAST:
            signal.raise_signal(signal.SIGINT)
        plain(self, loss, **kwargs)

    Accelerator.backward = backward  # type: ignore[method-assign]
    learned: Any = "stopped"
    try:
        model: Any = train(recipe, SEEDS, folder, progress=False)
        learned = (model.denoiser if model.method == "diffusion" else model.synthesizer).state_dict()
    except KeyboardInterrupt:
        pass
    finally:
        Accelerator.backward = plain  # type: ignore[method-assign]
    torch.save(learned, f"{folder}-{os.environ['RANK']}.pt")


if __name__ == "__main__":
    words = sys.argv[1:]
    while words:
        step = int(words.pop(2)) if len(words) > 2 and words[2].isdigit() else None
        run(words.pop(0), words.pop(0), step)
