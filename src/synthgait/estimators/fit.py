"""Training on synthetic people, and on nobody else.

In: a recipe (YAML beside this file, a path, or a mapping) and synthetic strides. Out: a
``GaitEstimator``. The only file that a fit opens is the dataset it was given, and that must be of
kind seed, synthetic or walks.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml

from synthgait import storage
from synthgait.errors import InputError
from synthgait.estimators import tasks
from synthgait.estimators.base import GaitEstimator, build_network, ensemble
from synthgait.estimators.networks import BACKBONES, StrideNetwork, one_thread
from synthgait.estimators.sense import Examples, sense
from synthgait.estimators.terms import mean_terms, per_stride
from synthgait.estimators.together import Z90
from synthgait.trials import Trials

RECIPES = Path(__file__).parent / "recipes"
DEFAULTS: dict[str, Any] = {
    "task": "gait_parameters",
    "sensors": ["lower_back"],
    "walks": 600,
    "strides_per_walk": 8,
    "held_out": 0.15,
    "members": 2,
    "members_of": {},
    "network": {"backbone": "cnn", "width": 32, "depth": 3, "widths": {}},
    "steps": 500,
    "steps_of": {},
    "limp_weight_of": {},
    "batch": 128,
    "learning_rate": 0.004,
    "seed": 0,
}
Progress = Callable[[str, int, int], None]
#: Departure of a told share from one half from which on a held-out walker counts as limping: steps that differ by 8 % or more.
_LIMP = 0.02
#: Walks that held-out people take, per walk of as large a share of those that taught: few of them limp.
_HELD_OUT_WALKS = 3
#: How a stride is shared between the sides is the same for nearly everybody, to a hundredth; the few who limp differ by four
#: times that, which a robust loss takes for noise: networks then told an eighth of the asymmetry that there was. Trunks hardly
#: show it, and their narrow networks have other things to learn.
_OF_FEW = tuple(tasks.VALUES.index(name) for name in ("step_length_share_r", "step_time_share_r"))


def read_recipe(recipe: str | Path | Mapping[str, Any]) -> dict[str, Any]:
    """The resolved recipe: a shipped name, a path, or a mapping; defaults filled in.

    Raises:
        InputError: no such recipe, not YAML, an unknown key, or a value that cannot be.
    """
    if isinstance(recipe, Mapping):
        given = dict(recipe)
    else:
        path = Path(recipe) if Path(recipe).suffix in (".yaml", ".yml") else RECIPES / f"{recipe}.yaml"
        if not path.is_file():
            raise InputError(f"there is no recipe {str(recipe)!r}; shipped are {', '.join(sorted(p.stem for p in RECIPES.glob('*.yaml')))}")
        try:
            given = yaml.safe_load(path.read_text())
        except yaml.YAMLError:
            raise InputError(f"{path} is not YAML; compare it with a shipped recipe") from None
        if not isinstance(given, dict):
            raise InputError(f"{path} holds no keys; compare it with a shipped recipe")
    unknown = sorted(set(given) - set(DEFAULTS))
    if unknown:
        raise InputError(f"the recipe has an unknown key {unknown[0]!r}; known are {', '.join(DEFAULTS)}")
    network = {**DEFAULTS["network"], **(given.get("network") or {})}
    resolved = {**DEFAULTS, **given, "network": network}
    _check(resolved)
    return resolved


def _check(recipe: dict[str, Any]) -> None:
    tasks.task_outputs(recipe["task"])
    if not isinstance(recipe["sensors"], list) or not recipe["sensors"]:
        raise InputError("sensors of the recipe is not a list of names; give at least one")
    for name in recipe["sensors"]:
        tasks.sensor_named(name)
        if (general := tasks.SPECIAL.get(name, name)) not in recipe["sensors"]:
            raise InputError(f"sensors of the recipe has {name} without {general}, whose recordings it reads some of; add {general}")
    if set(recipe["network"]) != {"backbone", "width", "depth", "widths"}:
        raise InputError("network of the recipe takes backbone, width, depth and widths")
    width, widths = recipe["network"]["width"], recipe["network"]["widths"]
    by_sensor = ("members_of", "steps_of", "limp_weight_of")
    for key, given in {"widths of the recipe's network": widths, **{f"{key} of the recipe": recipe[key] for key in by_sensor}}.items():
        if not isinstance(given, dict):
            raise InputError(f"{key} are {given!r}; give sensors and numbers, as lower_back: 16")
        for name in given:
            tasks.sensor_named(name)
    for value in (width, *widths.values()):
        # attention has four heads
        if not isinstance(value, int) or isinstance(value, bool) or not 4 <= value <= 1024 or value % 4:
            raise InputError(f"a width of the recipe's network is {value!r}; give a multiple of 4 up to 1024")
    if recipe["network"]["backbone"] not in BACKBONES:
        raise InputError(f"network {recipe['network']['backbone']!r} is unknown; choose one of {', '.join(BACKBONES)}")
    numbers: dict[str, tuple[Any, float, float]] = {}
    for key, low, high in (
        ("walks", 8, 10**7), ("strides_per_walk", 1, 1000), ("held_out", 0.0, 0.9), ("members_of", 1, 40), ("members", 1, 40),
        ("steps_of", 1, 10**7), ("steps", 1, 10**7), ("limp_weight_of", 0.01, 1000.0), ("batch", 2, 10**5),
        ("learning_rate", 1e-7, 1.0), ("seed", 0, 2**63),
    ):  # fmt: skip
        values = {f"{key} {name}": value for name, value in recipe[key].items()} if key in by_sensor else {key: recipe[key]}
        numbers |= {name: (value, low, high) for name, value in values.items()}
    for key, (value, low, high) in numbers.items():
        whole = not key.startswith(("held_out", "learning_rate", "limp_weight_of"))
        if isinstance(value, bool) or not isinstance(value, int if whole else (int, float)) or not low <= value <= high:
            raise InputError(f"{key} of the recipe is {value!r}; give {'a whole number of ' * whole}{low:g} to {high:g}")


def for_sensor(recipe: Mapping[str, Any], sensor: str) -> dict[str, Any]:
    """The recipe with the sensor's own number of steps."""
    return {**recipe, "steps": recipe["steps_of"].get(sensor, recipe["steps"])}


def fit(
    recipe: str | Path | Mapping[str, Any], data: Trials | str | Path, *, seed: int | None = None, progress: Progress | None = None
) -> GaitEstimator:
    """Train an estimator on synthetic strides.

    Args:
        recipe: name of a shipped recipe ("gait_parameters", "muscle_activation"), a path, or a mapping.
        data: strides of kind seed or synthetic, or the path of such a file.
        seed: replaces the recipe's. progress: called as (what, done, total).

    Raises:
        InputError: a bad recipe; data that are real recordings, or fewer than two people.
    """
    resolved = read_recipe(recipe)
    if seed is not None:
        if seed < 0:
            raise InputError(f"seed is {seed}; give a whole number from 0 on")
        resolved["seed"] = int(seed)
    trials = data if isinstance(data, Trials) else storage.read(data)
    if trials.kind not in ("seed", "synthetic"):
        raise InputError(f"the data are of kind {trials.kind!r}; an estimator is fitted on strides of kind seed or synthetic only")
    trials = trials.certified()
    people = np.unique(trials.table["subject_id"].astype(str))
    if len(people) < 2:
        raise InputError(f"the data have {len(people)} people with usable strides; at least 2 are needed, so that one can be held out")
    root = np.random.SeedSequence(resolved["seed"])
    split_rng = np.random.default_rng(root.spawn(1)[0])
    held = set(split_rng.permutation(people)[: max(round(resolved["held_out"] * len(people)), 1)])
    is_held = trials.table["subject_id"].astype(str).isin(held).to_numpy()
    taught, kept_out = trials.select(~is_held), trials.select(is_held)
    networks: dict[str, list[StrideNetwork]] = {}
    errors: dict[str, dict[str, float]] = {}
    for name in resolved["sensors"]:
        # A child seed per sensor's name, so that adding a sensor changes no other.
        key = np.random.SeedSequence([resolved["seed"], *name.encode()])
        train_seed, held_seed, network_seed = key.spawn(3)
        share = max(resolved["held_out"], 0.1)
        common = {"task": resolved["task"], "strides": resolved["strides_per_walk"]}
        # as many windows of every sensor
        walks = resolved["walks"] * (1 if tasks.sensor_named(name).worn else resolved["strides_per_walk"])
        count = resolved["members_of"].get(name, resolved["members"])
        networks[name] = []
        # what a network makes of other people hangs on the walks that it saw: every member has its own
        for i, (state, own) in enumerate(zip(network_seed.generate_state(count), train_seed.spawn(count), strict=True)):
            training = sense(taught, name, np.random.default_rng(own), walks=walks, **common)
            networks[name].append(train(training, for_sensor(resolved, name), int(state), progress, f"{name} {i + 1}/{count}"))
        held_walks = max(int(_HELD_OUT_WALKS * share * walks), 16)
        check = sense(kept_out, name, np.random.default_rng(held_seed), walks=held_walks, **common)
        errors[name] = calibrate(networks[name], check, resolved["task"])
    fitted_on = {
        name: [float(trials.table[name].min()), float(trials.table[name].max())] for name in ("walking_speed_mps", "stride_time_s")
    }
    return GaitEstimator(resolved["task"], networks, {**resolved, "held_out_errors": errors, "fitted_on": fitted_on})


@one_thread()
def train(
    examples: Examples,
    recipe: Mapping[str, Any],
    seed: int,
    progress: Progress | None = None,
    label: str = "",
    *,
    start: StrideNetwork | None = None,
) -> StrideNetwork:
    """One network. Targets that are NaN have no say. Everything random comes from ``seed``; a copy of
    ``start`` is trained on where one is given, with its own standardisation.
    """
    course = learning(examples, recipe, seed, start=start)
    for step in range(recipe["steps"]):
        network = next(course)
        if progress is not None:
            progress(label, step + 1, recipe["steps"])
    return network.eval()


def learning(
    examples: Examples, recipe: Mapping[str, Any], seed: int, *, start: StrideNetwork | None = None
) -> Generator[StrideNetwork, Examples | None, None]:
    """The steps of ``train``, one at a time: yields the network after each. Examples that are sent in take the place of
    those before, whose standardisation stays.
    """
    rng = np.random.default_rng(seed)
    if start is None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            network = build_network(recipe["task"], examples.sensor, recipe["network"])
        standardise(network, examples)
    else:
        network = deepcopy(start)
    network.train()
    steps = recipe["steps"]
    of_few = {} if examples.sensor in tasks.TRUNK else dict.fromkeys(_OF_FEW, recipe["limp_weight_of"].get(examples.sensor, 1.0))

    def loss(step: int) -> torch.Tensor:
        batch = examples.batch(rng, recipe["batch"])
        out = network(batch.cycles, batch.present, batch.scalars)
        # Squared error first, so that hard cases are not explained away as noise before they are learnt.
        sharp = step > 0.4 * steps
        of_values = _loss(out.values, out.value_log_sd, (batch.values - network.value_mean) / network.value_sd, sharp, of_few)
        return of_values + _loss(out.curves, out.curve_log_sd, (batch.curves - network.curve_mean) / network.curve_sd, sharp)

    for _ in descend(list(network.parameters()), loss, steps, recipe["learning_rate"]):
        examples = (yield network) or examples


def descend(parameters: list[torch.nn.Parameter], loss: Callable[[int], torch.Tensor], steps: int, learning_rate: float) -> Iterator[float]:
    """AdamW under a one-cycle schedule with clipped gradients; yields the loss of each of ``steps`` steps."""
    optimiser = torch.optim.AdamW(parameters, lr=learning_rate, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, learning_rate, total_steps=steps + 1, pct_start=0.15)
    for step in range(steps):
        value = loss(step)
        optimiser.zero_grad()
        value.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step()
        schedule.step()
        yield float(value.detach())


def _loss(
    mean: torch.Tensor, log_sd: torch.Tensor, target: torch.Tensor, sharp: bool, of_few: Mapping[int, float] | None = None
) -> torch.Tensor:
    """Huber's error, then the beta-weighted Gaussian likelihood with beta 1/2 (Seitzer et al., ICLR 2022); in the columns
    ``of_few`` squared error throughout, to which the likelihood with beta 1 comes down, times the weight given.
    """
    if not mean.numel():
        return mean.sum()
    known = torch.isfinite(target)
    error = torch.where(known, mean - torch.nan_to_num(target), torch.zeros_like(mean))
    weight = known.to(mean.dtype) / known.sum().clamp(min=1)
    share = torch.zeros(mean.shape[1], *[1] * (mean.ndim - 2))
    for column, times in (of_few or {}).items():
        share[column] = times
    few = share > 0.0
    weight = weight * torch.where(few, share, 1.0)
    if not sharp:
        return (weight * torch.where(few, 0.5 * error**2, nn_huber(error))).sum() + 1e-4 * (log_sd**2).mean()
    likelihood = 0.5 * (error * torch.exp(-log_sd)) ** 2 + log_sd
    return (weight * likelihood * torch.exp(torch.where(few, 2.0, 1.0) * log_sd).detach()).sum()


def nn_huber(error: torch.Tensor) -> torch.Tensor:
    """Huber's function with its corner at one standard deviation."""
    size = error.abs()
    return torch.where(size < 1.0, 0.5 * error**2, size - 0.5)


def standardise(network: StrideNetwork, examples: Examples) -> None:
    """Set the buffers of a network from its training data: synthetic people, or the real ones of a baseline."""

    def put(name: str, array: np.ndarray, axes: tuple[int, ...], keep: bool) -> None:
        if not array.size:
            return
        known = np.isfinite(array)
        count = np.maximum(known.sum(axis=axes, keepdims=True), 1)
        mean = np.where(known, array, 0.0).sum(axis=axes, keepdims=True) / count
        sd = np.sqrt((np.where(known, array - mean, 0.0) ** 2).sum(axis=axes, keepdims=True) / count)
        mean, sd = (mean[0], sd[0]) if keep else (mean.ravel(), sd.ravel())
        getattr(network, f"{name}_mean").copy_(torch.from_numpy(np.asarray(mean, np.float32)))
        getattr(network, f"{name}_sd").copy_(torch.from_numpy(np.maximum(np.asarray(sd, np.float32), 1e-4)))

    seen = np.where(examples.present[:, :, None], examples.cycles, np.nan)
    put("channel", seen, (0, 2), True)
    put("scalar", examples.scalars, (0,), False)
    put("value", examples.values, (0,), False)
    put("curve", examples.curves, (0, 2), True)


def _mean(rows: np.ndarray) -> np.ndarray:
    """Mean of the known rows per column, NaN where a column has none."""
    return np.array([np.mean(column[np.isfinite(column)]) if np.isfinite(column).any() else np.nan for column in rows.T])


def calibrate(members: list[StrideNetwork], check: Examples, task: str) -> dict[str, float]:
    """Make 90 % intervals true on held-out synthetic people, and of shares between the sides on those who limp too;
    returns the errors there.

    For values the error of a walk is that of its mean, because that is what a recording reports.
    """
    for member in members:
        member.value_calibration.fill_(1.0)
        member.curve_calibration.fill_(1.0)
        member.uneven_calibration.zero_()
    values, value_sd, curves, curve_sd = ensemble(members, check.cycles, check.present, check.scalars)
    walks = [np.flatnonzero(check.walk == walk) for walk in np.unique(check.walk)]
    if task == "muscle_activation":
        ratio = np.abs(curves - check.curves) / np.maximum(curve_sd, 1e-9)
        factor = np.nanquantile(ratio, 0.9, axis=(0, 2))[:, None] / Z90
        for member in members:
            member.curve_calibration.copy_(torch.from_numpy(np.clip(factor, 0.2, 5.0)))
        activation = slice(0, len(tasks.MUSCLES))
        correlation = [
            np.corrcoef(a.ravel(), b.ravel())[0, 1] for a, b in zip(curves[:, activation], check.curves[:, activation], strict=True)
        ]
        return {
            "activation_mae": float(np.nanmean(np.abs(curves - check.curves)[:, activation])),
            "correlation": float(np.nanmean(correlation)),
        }
    ratio_column, sensor = tasks.VALUES.index("log_stride_ratio"), tasks.sensor_named(check.sensor)
    told = values.copy()
    told[:, ratio_column] = tasks.believed(values[:, ratio_column], sensor)
    error = np.array([_mean(told[rows] - check.values[rows]) for rows in walks])
    spread = np.array([np.mean(value_sd[rows], axis=0) for rows in walks])
    ratio = np.abs(error) / np.maximum(spread, 1e-9)
    factor = np.ones(ratio.shape[1])
    for column in range(ratio.shape[1]):
        finite = ratio[np.isfinite(ratio[:, column]), column]
        if len(finite):
            factor[column] = np.clip(np.quantile(finite, 0.9) / Z90, 0.2, 5.0)
    uneven = np.zeros_like(factor)
    for column in _OF_FEW:
        departure = np.array([abs(np.mean(told[rows, column]) - 0.5) for rows in walks])
        limp = np.isfinite(error[:, column]) & (departure > _LIMP)
        # what is missing of each squared error, in squares of the departure
        missing = (error[limp, column] / Z90) ** 2 - (factor[column] * spread[limp, column]) ** 2
        if len(missing):
            uneven[column] = np.sqrt(np.clip(np.quantile(missing / departure[limp] ** 2, 0.9), 0.0, 4.0))
    for member in members:
        member.value_calibration.copy_(torch.from_numpy(factor))
        member.uneven_calibration.copy_(torch.from_numpy(uneven))
    speed, step, base = [], [], []
    for rows in walks:
        windows = check.windows[check.walk[rows[0]]]
        terms = per_stride(values[rows], value_sd[rows], windows, sensor)[0]
        truth = check.truth[check.walk[rows[0]]]
        told_of_walk = mean_terms(terms)
        plain = windows.body.length_m * np.exp(windows.base).mean() / windows.stride_time_s.mean()
        speed.append(told_of_walk["walking_speed_mps"] - truth["walking_speed_mps"])
        step.append(told_of_walk["step_length_m"] - 0.5 * truth["stride_length_m"])
        base.append(plain - truth["walking_speed_mps"])
    return {
        "walking_speed_mae_mps": float(np.mean(np.abs(speed))),
        "walking_speed_bias_mps": float(np.mean(speed)),
        "step_length_mae_m": float(np.mean(np.abs(step))),
        "uncorrected_walking_speed_mae_mps": float(np.mean(np.abs(base))),
    }
