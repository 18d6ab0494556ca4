"""One training loop for every network generator, and the recipes it reads.

In: a recipe (YAML) and a seed dataset. Out: a trained generator, its folder with checkpoints, the
resolved recipe, the loss history and its picture.

The loop owns data order, learning-rate schedule, clipping, averaging of weights, checkpoints and
logs; an ``Objective`` owns networks and losses. A checkpoint holds everything the rest of the run
depends on (networks, optimisers, averages, every process's random state) and is written between steps
only, so that stopping and going on gives the same tail as never stopping. CPU by default; with a GPU the
networks run there in bfloat16, and ``accelerate launch`` spreads the loop over several (``processes``).
"""

from __future__ import annotations

import hashlib
import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Protocol

import numpy as np
import torch
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from torch import nn
from tqdm import tqdm

from synthgait.errors import InputError
from synthgait.generators.base import StrideGenerator
from synthgait.generators.conditions import ConditionSpace
from synthgait.generators.history import LossLog, summary_writer, write_history
from synthgait.generators.processes import Interruption, Processes
from synthgait.trials import Trials

CHECKPOINT_VERSION = 2


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class RepresentationRecipe(_Strict):
    """Arguments of ``StrideRepresentation.fit``."""

    max_components: Annotated[int, Field(ge=2, le=512)] = 96
    error: Annotated[float, Field(gt=0, le=10)] = 0.25


class TrainingRecipe(_Strict):
    """How the loop runs.

    steps and batch_size count optimiser steps and each process's strides per step; condition_dropout is the chance
    that a condition is hidden from the network, each on its own (and all together as often);
    patience ends training after so many validations without a better one (0 is never);
    body_scaling is the largest factor of dynamic-similarity scaling of bodies (0 is none).
    """

    steps: Annotated[int, Field(ge=1)] = 3000
    batch_size: Annotated[int, Field(ge=2)] = 256
    learning_rate: Annotated[float, Field(gt=0)] = 2e-3
    warmup_steps: Annotated[int, Field(ge=0)] = 100
    weight_decay: Annotated[float, Field(ge=0)] = 1e-4
    gradient_clip: Annotated[float, Field(gt=0)] = 1.0
    ema_decay: Annotated[float, Field(ge=0, lt=1)] = 0.998
    condition_dropout: Annotated[float, Field(ge=0, lt=1)] = 0.1
    body_scaling: Annotated[float, Field(ge=0, lt=0.5)] = 0.1
    validation_fraction: Annotated[float, Field(ge=0, le=0.5)] = 0.1
    patience: Annotated[int, Field(ge=0)] = 0
    validate_every: Annotated[int, Field(ge=1)] = 100
    checkpoint_every: Annotated[int, Field(ge=1)] = 500


class Recipe(_Strict):
    """A whole YAML recipe: method, its settings, representation and training."""

    description: str = ""
    method: Literal["diffusion", "gan", "gaussian", "nearest_seed"]
    seed: Annotated[int, Field(ge=0)] = 0
    settings: dict[str, Any] = {}
    representation: RepresentationRecipe = RepresentationRecipe()
    training: TrainingRecipe = TrainingRecipe()


def read_recipe(path: str | Path) -> Recipe:
    """Parse a recipe. Raises InputError: no such file, not YAML, an unknown key or a wrong value."""
    file = Path(path)
    if not file.is_file():
        raise InputError(f"{file} does not exist; give a recipe such as generators/diffusion.yaml")
    try:
        values = yaml.safe_load(file.read_text())
    except yaml.YAMLError as error:
        raise InputError(f"{file} is not YAML: {str(error).splitlines()[0]}") from error
    return parse_recipe(values, str(file))


def parse_recipe(values: Any, name: str = "recipe") -> Recipe:
    """A recipe from plain values; errors as ``read_recipe``."""
    if not isinstance(values, dict):
        raise InputError(f"{name} is not a recipe; it starts with `method: diffusion`")
    try:
        return Recipe(**values)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        what = "is not a key that a recipe knows" if first["type"] == "extra_forbidden" else first["msg"].lower()
        raise InputError(f"{name}: {where} {what}") from error


def train(
    recipe: str | Path | Recipe,
    seed_dataset: Trials,
    out: str | Path | None = None,
    *,
    progress: bool = True,
    stop_after: int | None = None,
    tensorboard: bool = False,
) -> StrideGenerator:
    """Train a generator as a recipe says; with ``out``, write it there and go on where a run was stopped.

    A run that is finished there is left as it is and read again. Ctrl-C waits for the end of a step and leaves a
    checkpoint. Several processes (``accelerate launch``, ``torchrun``) train one generator in one folder that they share.

    Args:
        seed_dataset: strides of 100 phases; those whose status is not ok are left out.
        out: folder of the generator; it also gets recipe.yaml, history.csv, loss.png and, until the
            end, checkpoint.pt.
        stop_after: end the loop early at that step, as an interruption would (the checkpoint stays).
        tensorboard: also log a network's losses for TensorBoard, in the folder's tensorboard.

    Raises:
        InputError: a bad recipe or dataset, ``out`` holds a run of another recipe or other data, or TensorBoard is asked
            for and is not installed or has no folder.
    """
    from synthgait.generators import GENERATORS  # the door knows every method; it imports this module

    plan = recipe if isinstance(recipe, Recipe) else read_recipe(recipe)
    kind = GENERATORS[plan.method]
    try:
        model = kind(**plan.settings)
    except TypeError as error:
        raise InputError(f"settings of a {plan.method} recipe: {str(error).split('() ')[-1]}") from error
    folder = None if out is None else Path(out)
    if tensorboard and folder is None:
        raise InputError("TensorBoard's log needs a folder; give out")
    if tensorboard:
        summary_writer()
    resolved = yaml.safe_dump(plan.model_dump(), sort_keys=False) + f"# learned from strides with SHA-256 {_digest(seed_dataset)}\n"
    processes = Processes()
    if folder is not None:
        done, told = _finished(folder, resolved)
        processes.wait()  # nobody writes before all have looked
        if processes.is_main and told and (progress or done is None):
            tqdm.write(told)
        if done is not None:
            return done
        if processes.is_main:
            _claim(folder, resolved)
    run = Run(plan.training, plan.seed, folder, progress, stop_after, tensorboard)
    model.fit(seed_dataset, representation=plan.representation.model_dump(), run=run)
    model.notes |= {"recipe": plan.model_dump()}
    if folder is not None and not run.stopped and processes.is_main:
        model.save(folder)
        (folder / "checkpoint.pt").unlink(missing_ok=True)
    processes.wait()
    return model


def _digest(strides: Trials) -> str:
    digest = hashlib.sha256("".join(map(str, strides.table["trial_id"])).encode())
    for group in sorted(strides.signals):
        digest.update(np.ascontiguousarray(strides.signals[group]).data)
    return digest.hexdigest()


def _finished(folder: Path, resolved: str) -> tuple[StrideGenerator | None, str]:
    """The generator of a run that is over, and what to say of the folder. Raises InputError: it holds another run."""
    stored, generator = folder / "recipe.yaml", folder / "generator.json"
    if (stored.is_file() or generator.is_file()) and (not stored.is_file() or stored.read_text() != resolved):
        raise InputError(f"{folder} holds a run of another recipe or other data; give another folder or remove it")
    if not generator.is_file() or (folder / "checkpoint.pt").is_file():
        return None, ""
    try:
        return StrideGenerator.load(folder), f"{folder} is trained already; remove it to train anew"
    except InputError as error:
        return None, f"{error}; this begins now"


def _claim(folder: Path, resolved: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    partial = folder / "recipe.partial"
    partial.write_text(resolved)
    os.replace(partial, folder / "recipe.yaml")


# -- the loop --------------------------------------------------------------------------------------------


@dataclass
class Batch:
    """Latents (B, D), condition codes (B, C) and known fields (B, K), on the loop's device."""

    latents: torch.Tensor
    conditions: torch.Tensor
    known: torch.Tensor


class Objective(Protocol):
    """Networks with their losses; see ``diffusion`` and ``gan``."""

    networks: nn.ModuleDict
    averaged: str  # the network of which a moving average is kept
    updates: list[tuple[str, int]]  # (network, how often per step), in order
    select_by_validation: bool  # whether a lower validation loss means a better network

    def loss(self, network: str, batch: Batch, random: torch.Generator) -> torch.Tensor:
        """Loss that updates one network."""

    def validation_loss(self, batch: Batch, random: torch.Generator) -> torch.Tensor:
        """Loss on strides of people the loop never trains on."""


@dataclass
class Run:
    """One pass of the loop: recipe, seed, where checkpoints go; ``stopped`` after an early end."""

    recipe: TrainingRecipe
    seed: int = 0
    folder: Path | None = None
    progress: bool = True
    stop_after: int | None = None
    tensorboard: bool = False
    stopped: bool = False

    def optimise(
        self, objective: Objective, latents: np.ndarray, conditions: Any, subjects: np.ndarray, space: ConditionSpace
    ) -> list[dict]:
        """Train ``objective`` in place; its averaged network ends with the averaged weights. Returns the history."""
        processes = Processes()
        training, validation = split_by_subject(subjects, self.recipe.validation_fraction, self.seed)
        source = _Source(latents, conditions, space, self.recipe, processes.device)
        state = _State(objective, self.recipe, processes, self.seed)
        state.load(self._checkpoint)
        log = LossLog(self.folder if self.tensorboard and processes.is_main else None, state.step)
        bar = tqdm(
            total=self.recipe.steps,
            initial=state.step,
            desc="train",
            unit="step",
            disable=not (self.progress and processes.is_main),
            mininterval=0.5,
        )
        last = self.recipe.steps if self.stop_after is None else min(self.stop_after, self.recipe.steps)
        try:
            with Interruption(processes) as interruption:
                while not interruption.asked() and state.step < last and not state.finished:
                    losses = state.advance(source, training)
                    if state.step % self.recipe.validate_every == 0 or state.step == self.recipe.steps:
                        held = state.validate(source, validation)
                        state.remember(held)
                        losses |= {"validation": held} if held is not None else {}
                        state.history.append({"step": state.step, **losses})
                        bar.set_postfix({k: f"{v:.4f}" for k, v in losses.items()})
                    log.write(state.step, losses)
                    if state.step % self.recipe.checkpoint_every == 0:
                        state.save(self._checkpoint)
                    bar.update()
                state.save(self._checkpoint)
        finally:
            bar.close()
            log.close()
        self.stopped = not state.finished
        state.adopt_average()
        if self.folder is not None and processes.is_main:
            write_history(state.history, self.folder)
        return state.history

    @property
    def _checkpoint(self) -> Path | None:
        return None if self.folder is None else self.folder / "checkpoint.pt"


def split_by_subject(subjects: np.ndarray, fraction: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Row numbers for training and validation: no subject in both. Fewer than 5 people all train."""
    people = np.unique(subjects)
    if len(people) < 5 or fraction == 0:
        return np.arange(len(subjects)), np.zeros(0, int)
    held = np.random.default_rng([seed, 1]).permutation(people)[: max(1, round(fraction * len(people)))]
    mask = np.isin(subjects, held)
    return np.flatnonzero(~mask), np.flatnonzero(mask)


class _Source:
    """Batches of strides with dropped conditions and rescaled bodies."""

    def __init__(self, latents: np.ndarray, conditions: Any, space: ConditionSpace, recipe: TrainingRecipe, device: torch.device) -> None:
        self.device, self.recipe = device, recipe
        self.latents = torch.tensor(latents, dtype=torch.float32, device=device)
        self.codes = torch.tensor(space.encode(conditions), device=device)
        # A body scaled by dynamic similarity has the same dimensionless gait: only its height's code changes.
        taller = conditions.assign(
            height_m=conditions["height_m"] * 1.1, leg_length_m=conditions["leg_length_m"] * 1.1, mass_kg=conditions["mass_kg"] * 1.21
        )
        self.per_tenth = torch.tensor(space.encode(taller), device=device) - self.codes
        self.size_fields = torch.tensor([name == "height" for name in space.fields], device=device)
        self.widths = space.widths
        self.n_fields = len(space.fields)

    def batch(self, rows: torch.Tensor, random: torch.Generator, *, augmented: bool) -> Batch:
        """The strides of some rows; augmented: conditions are dropped and bodies rescaled at random."""
        count = len(rows)
        chance = torch.rand((count, self.n_fields + 2), generator=random).to(self.device)
        rows = rows.to(self.device)
        codes, known = self.codes[rows], torch.ones((count, self.n_fields), device=self.device)
        if augmented:
            numeric = sum(1 for width in self.widths if width == 1)
            scale = (2 * chance[:, :1] - 1) * self.recipe.body_scaling * 10
            move = self.per_tenth[rows, :numeric] * scale * self.size_fields[:numeric]
            codes = torch.cat([codes[:, :numeric] + move, codes[:, numeric:]], 1)
            known = (chance[:, 2:] >= self.recipe.condition_dropout).float() * (chance[:, 1:2] >= self.recipe.condition_dropout)
        return Batch(self.latents[rows], codes, known)


class _State:
    """Everything that a step changes."""

    def __init__(self, objective: Objective, recipe: TrainingRecipe, processes: Processes, seed: int) -> None:
        self.objective, self.recipe, self.processes, self.seed = objective, recipe, processes, seed
        self.step = 0
        self.history: list[dict[str, float]] = []
        self.random = processes.random(seed)
        objective.networks.to(processes.device)
        self.optimisers = {
            name: torch.optim.AdamW(
                objective.networks[name].parameters(), lr=recipe.learning_rate, betas=_betas(objective), weight_decay=recipe.weight_decay
            )
            for name, _ in objective.updates
        }
        average = objective.networks[objective.averaged]
        self.average = {key: value.detach().clone() for key, value in average.state_dict().items()}
        self.best: dict[str, torch.Tensor] | None = None
        self.best_loss = math.inf
        self.waited = 0

    @property
    def finished(self) -> bool:
        """All steps done, or held-out people gain nothing any more."""
        return self.step >= self.recipe.steps or (self.recipe.patience > 0 and self.waited >= self.recipe.patience)

    def remember(self, held: float | None) -> None:
        """Keep the averaged weights that do best on people never trained on: more steps begin to copy the seed."""
        if held is None or not self.objective.select_by_validation:
            return
        if held < self.best_loss:
            self.best_loss, self.waited = held, 0
            self.best = {key: value.detach().clone() for key, value in self.average.items()}
        else:
            self.waited += 1

    def advance(self, source: _Source, training: np.ndarray) -> dict[str, float]:
        """One step: every network's updates, then the average."""
        rate = self.recipe.learning_rate * _schedule(self.step, self.recipe)
        losses = {}
        for name, times in self.objective.updates:
            optimiser = self.optimisers[name]
            for group in optimiser.param_groups:
                group["lr"] = rate
            for _ in range(times):
                rows = torch.as_tensor(training)[torch.randint(len(training), (self.recipe.batch_size,), generator=self.random)]
                batch = source.batch(rows, self.random, augmented=True)
                with self.processes.autocast():
                    loss = self.objective.loss(name, batch, self.random)
                optimiser.zero_grad(set_to_none=True)
                self.processes.backward(loss)
                parameters = list(self.objective.networks[name].parameters())
                self.processes.average_gradients(parameters)
                nn.utils.clip_grad_norm_(parameters, self.recipe.gradient_clip)
                optimiser.step()
            losses[name] = float(loss.detach())
        losses = dict(zip(losses, self.processes.mean(list(losses.values())), strict=True))
        if not all(math.isfinite(value) for value in losses.values()):
            raise InputError(f"the loss became infinite at step {self.step}; lower training.learning_rate")
        self.step += 1
        decay = min(self.recipe.ema_decay, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            for key, value in self.objective.networks[self.objective.averaged].state_dict().items():
                if value.dtype.is_floating_point:
                    self.average[key].lerp_(value, 1 - decay)
                else:
                    self.average[key].copy_(value)
        return losses

    def validate(self, source: _Source, validation: np.ndarray) -> float | None:
        """Loss of held-out people under the averaged weights, always with the same noise."""
        if not len(validation):
            return None
        network = self.objective.networks[self.objective.averaged]
        kept = {key: value.detach().clone() for key, value in network.state_dict().items()}
        network.load_state_dict(self.average)
        fixed = torch.Generator().manual_seed(0)
        rows = torch.as_tensor(validation)[torch.randint(len(validation), (1024,), generator=fixed)]
        with torch.no_grad():
            loss = float(self.objective.validation_loss(source.batch(rows, fixed, augmented=False), fixed))
        network.load_state_dict(kept)
        return self.processes.mean([loss])[0]  # one number for all, or some would stop earlier than others

    def adopt_average(self) -> None:
        """The best averaged weights become the network's."""
        self.objective.networks[self.objective.averaged].load_state_dict(self.best or self.average)

    def save(self, path: Path | None) -> None:
        """Write the checkpoint, whole or not at all; to be called by every process, after the same step."""
        if path is None:
            return
        random = self.processes.gather(self.random.get_state())
        if not self.processes.is_main:
            return
        content = {
            "version": CHECKPOINT_VERSION,
            "step": self.step,
            "history": self.history,
            "networks": self.objective.networks.state_dict(),
            "optimisers": {name: optimiser.state_dict() for name, optimiser in self.optimisers.items()},
            "average": self.average,
            "best": self.best,
            "best_loss": self.best_loss,
            "waited": self.waited,
            "random": random,
        }
        partial = path.with_suffix(".partial")
        torch.save(content, partial)
        with partial.open("rb") as written:
            os.fsync(written.fileno())
        os.replace(partial, path)

    def load(self, path: Path | None) -> None:
        """Go on from a checkpoint, if there is one, also with another number of processes than wrote it. Raises InputError
        when it is another version's or damaged, or processes do not see the same one.
        """
        if path is None:
            return
        content = _read_checkpoint(path) if path.is_file() else None
        # this also waits until all have read: only then may the first step write
        seen = self.processes.gather(torch.tensor([-1 if content is None else content["step"]]))
        if len(seen.unique()) > 1:
            raise InputError(f"not every process sees {path}; give a folder that all of them share")
        if content is None:
            return
        try:
            self.objective.networks.load_state_dict(content["networks"])
        except RuntimeError as error:
            raise InputError(f"{path} is of a network of another size; remove it to begin anew") from error
        for name, optimiser in self.optimisers.items():
            optimiser.load_state_dict(content["optimisers"][name])
        device = self.processes.device
        self.average = {key: value.to(device) for key, value in content["average"].items()}
        self.best = None if content["best"] is None else {key: value.to(device) for key, value in content["best"].items()}
        self.step, self.history, self.waited, self.best_loss = (content[key] for key in ("step", "history", "waited", "best_loss"))
        if len(content["random"]) == self.processes.count:
            self.random.set_state(content["random"][self.processes.index].clone())  # torch reads views from their storage's start
            return
        self.random = self.processes.random_anew(self.seed, self.step)
        if self.processes.is_main:
            were, now = len(content["random"]), self.processes.count
            tqdm.write(
                f"{path} was written with a process count of {were}, not {now}: from step {self.step} on random numbers are drawn anew"
            )


def _read_checkpoint(path: Path) -> dict[str, Any]:
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        version = content["version"]
    except Exception as error:
        raise InputError(f"{path} is damaged ({str(error).splitlines()[0][:100]}); remove it to begin anew") from error
    if version != CHECKPOINT_VERSION:
        raise InputError(
            f"{path} is a checkpoint of version {version}, this synthgait writes {CHECKPOINT_VERSION}; remove it to begin anew"
        )
    return content


def _betas(objective: Objective) -> tuple[float, float]:
    return getattr(objective, "betas", (0.9, 0.99))


def _schedule(step: int, recipe: TrainingRecipe) -> float:
    """Linear warm-up, then half a cosine to zero (Loshchilov & Hutter, ICLR 2017)."""
    if step < recipe.warmup_steps:
        return (step + 1) / recipe.warmup_steps
    return 0.5 * (1 + math.cos(math.pi * (step - recipe.warmup_steps) / max(1, recipe.steps - recipe.warmup_steps)))
