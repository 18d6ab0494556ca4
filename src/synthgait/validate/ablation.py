"""What synthetic data is worth: the same network from different teachers, tested on the same real recordings.

In: seed strides, generated strides where there are any, real recordings. Out: rows of ``run.rows`` with three
more keys: ``arm``, ``n_strides`` (synthetic strides learnt from) and ``n_real_people``.

Arms trained on nobody (method ``zero_shot``), all of one recipe:

- ``seed``, ``generated``: simulated strides only, or generated ones; ``generated`` (without generated strides:
  ``seed``) also with fewer strides, and with more than memory holds;
- ``without_pathology``: healthy people only, as many strides;
- ``without_sensor_randomisation``: the same strides through ideal sensors, nothing added to a window.

Arms trained on real people (method ``real_trained``), people left out, see ``real_trained``:

- ``real_only``: 1, 2, 4 people and nothing else;
- ``pretrained``: the same people, the network beginning as the best-fed zero-shot arm;
- ``pretrained_masked``: the same people, the network beginning with what filling in hidden parts of the same
  synthetic strides taught it (``estimators.pretrain``).
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from tqdm import tqdm

from synthgait import storage
from synthgait.conventions import IMU_CHANNELS, SIDES
from synthgait.errors import InputError
from synthgait.estimators import GaitEstimator, read_recipe, tasks
from synthgait.estimators.features.windows import Body, Windows
from synthgait.estimators.fit import for_sensor, learning, train
from synthgait.estimators.networks import StrideNetwork, one_thread
from synthgait.estimators.pretrain import masked_reconstruction
from synthgait.estimators.sense import Batch, Examples, assemble, sense
from synthgait.recordings.base import Recording
from synthgait.sensors import IMU, Markers
from synthgait.trials import Trials
from synthgait.validate import real_trained, run
from synthgait.walks import walk

#: Going on from a trained network takes fewer and smaller steps than learning from nothing.
_FINE_TUNING = {"steps": 0.4, "learning_rate": 0.25}
_WALKS_AT_ONCE = 32
#: Strides that are held in memory together. Where there are more to learn from, they pass by in parts of that many.
_TOGETHER = 10_240
#: Strides of a walk of those that pass by: the fewest that repeat. There is one walk for every stride.
_SHORT_WALK = 3


@dataclass(frozen=True)
class Ablation:
    """What is compared.

    Args:
        sensors: of the estimator; special networks of the recipe that read some of their recordings come along.
        strides: numbers of strides to learn from; those beyond the data are left out. More than some ten thousand pass by in
            parts, each stride seen about once.
        people: numbers of real people to train on; empty trains on none.
        recipe: as ``estimators.read_recipe`` takes it; a walk is sensed for every stride, at least ``walks``.
    """

    sensors: tuple[str, ...] = ("lower_back",)
    strides: tuple[int, ...] = (100, 1_000, 10_000)
    people: tuple[int, ...] = (1, 2, 4)
    recipe: Any = "gait_parameters"
    resolved: dict[str, Any] = field(init=False)

    def __post_init__(self) -> None:
        for name in self.sensors:
            tasks.sensor_named(name)
        if any(n < 20 for n in self.strides) or any(n < 1 for n in self.people):
            raise InputError("an ablation takes at least 20 strides and at least one person")
        recipe = read_recipe(self.recipe)
        if recipe["task"] != "gait_parameters":
            raise InputError(f"the recipe is of {recipe['task']}; an ablation takes one of gait_parameters")
        object.__setattr__(self, "resolved", recipe)


def ablate(
    settings: Ablation, recordings: Sequence[Recording], seed_dataset: Trials, generated: Sequence[Path] = (), *, progress: bool = True
) -> list[dict[str, Any]]:
    """Train every arm and test it on the recordings. ``generated`` are the files of generated strides, if there are any.

    Raises InputError where no recording has one of the sensors and a truth.
    """
    views = [view for recording in recordings for view in run.sensor_views(recording)]
    usable = [v for v in views if v[1] in settings.sensors and v[2].truth and v[2].sampling_rate_hz is not None]
    if not usable:
        raise InputError(f"no recording has {' or '.join(settings.sensors)} and a truth; name another sensor or folder")
    chosen = list({id(r): r for r in recordings if any(name in settings.sensors for _, name, _ in run.sensor_views(r))}.values())
    result: list[dict[str, Any]] = []
    starts: dict[str, dict[str, StrideNetwork]] = {}
    held = Trials.concatenate(list(_parts(generated, _TOGETHER))) if generated else None
    arms = _arms(settings, seed_dataset.certified(), held)
    jobs: list[tuple[str, int, Callable[..., list[StrideNetwork]]]] = [
        (name, len(strides), partial(fitted, strides, recipe=settings.resolved, ideal=ideal)) for name, strides, ideal in arms
    ]
    many = [n for n in sorted(settings.strides) if _TOGETHER < n <= _count(generated)]
    jobs += [("generated", n, partial(streamed, generated, n, recipe=settings.resolved)) for n in many]
    special = [name for name in settings.resolved["sensors"] if tasks.SPECIAL.get(name) in settings.sensors]
    for name, n_strides, networks in tqdm(jobs, desc="train on synthetic people", disable=not progress):
        estimator = GaitEstimator("gait_parameters", {s: networks(sensor=s) for s in (*settings.sensors, *special)})
        table = run.pairs(chosen, estimator, floors=(), progress=False)
        result += [row | {"arm": name, "n_strides": n_strides, "n_real_people": 0} for row in run.rows(table)]
        if not starts and settings.people:
            starts = {
                s: {"pretrained": estimator.networks[s][0], "pretrained_masked": masked(arms[0][1], s, settings.resolved)}
                for s in settings.sensors
            }
    together: dict[tuple[str, str, str], list[Recording]] = {}
    for label, sensor, view in usable:
        together.setdefault((view.dataset, label, sensor), []).append(view)
    for (_, label, sensor), members in tqdm(together.items() if settings.people else (), desc="train on real people", disable=not progress):
        result += _with_people(settings, label, sensor, members, starts[sensor], len(arms[0][1]))
    return result


def _arms(settings: Ablation, seed_dataset: Trials, generated: Trials | None) -> list[tuple[str, Trials, bool]]:
    """(name, strides, ideal sensors). The first has all strides; a subset holds the smaller ones."""
    source, name = (seed_dataset, "seed") if generated is None else (generated, "generated")
    order = np.random.default_rng(settings.resolved["seed"]).permutation(len(source))
    healthy = order[(source.table["pathology"] == "none").to_numpy()[order]]
    most = max((n for n in settings.strides if n <= _TOGETHER), default=_TOGETHER)
    arms = [(name, source.select(order[:most]), False)]
    arms += [(name, source.select(order[:n]), False) for n in settings.strides if n < min(len(source), most)]
    # as many strides in both, so that only what they are differs
    count = min(len(healthy), most)
    if count >= 2 and len(healthy) < len(source):
        arms += [("without_pathology", source.select(healthy[:count]), False), (name, source.select(order[:count]), False)]
    arms += [("without_sensor_randomisation", arms[0][1], True)]
    if generated is not None:
        arms += [("seed", seed_dataset, False)]
    different: dict[tuple[str, int], tuple[str, Trials, bool]] = {}
    for arm in arms:
        different.setdefault((arm[0], len(arm[1])), arm)
    return list(different.values())


def fitted(strides: Trials, sensor: str, recipe: Mapping[str, Any], *, ideal: bool = False) -> list[StrideNetwork]:
    """Networks for one sensor from all of these strides; nobody is held out, because real people test them."""
    sensing, learning = np.random.SeedSequence([recipe["seed"], *sensor.encode()]).spawn(2)
    make = exact if ideal else partial(sense, task="gait_parameters")
    walks = max(len(strides), recipe["walks"])
    examples = make(strides, sensor, np.random.default_rng(sensing), walks=walks, strides=recipe["strides_per_walk"])
    return [train(examples, for_sensor(recipe, sensor), int(state)) for state in learning.generate_state(recipe["members"])]


@one_thread()
def streamed(files: Sequence[Path], count: int, sensor: str, recipe: Mapping[str, Any]) -> list[StrideNetwork]:
    """Networks for one sensor from the first ``count`` strides of files that pass by in parts: one walk of each, as
    many windows learnt from as there are strides, and memory for one part only.
    """
    sensing, learnt = np.random.SeedSequence([recipe["seed"], *sensor.encode()]).spawn(2)
    rng = np.random.default_rng(sensing)
    steps = max(for_sensor(recipe, sensor)["steps"], -(-count // recipe["batch"]))
    courses: list[Generator[StrideNetwork, Examples | None, None]] = []
    networks: list[StrideNetwork] = []
    passed = done = 0
    for part in _parts(files, count):
        examples = sense(part, sensor, rng, task="gait_parameters", walks=len(part), strides=_SHORT_WALK)
        if not courses:
            courses = [learning(examples, {**recipe, "steps": steps}, int(s)) for s in learnt.generate_state(recipe["members"])]
            networks, done = [next(course) for course in courses], 1
        passed += len(part)
        for _ in range(steps * passed // count - done):
            networks = [course.send(examples) for course in courses]
        done = steps * passed // count
    return [network.eval() for network in networks]


def _count(files: Sequence[Path]) -> int:
    """Usable strides of the files together."""
    return sum(int(storage.describe(path)["n_ok"]) for path in files)


def _parts(files: Sequence[Path], count: int) -> Iterator[Trials]:
    """The first ``count`` usable strides of the files, in parts of some ``_TOGETHER``."""
    waiting: list[Trials] = []
    for batch in (batch.certified() for path in files for batch in storage.iterate(path, batch=min(_TOGETHER, 1024))):
        waiting.append(batch.select(np.arange(min(len(batch), count))))
        count -= len(waiting[-1])
        if not count or sum(map(len, waiting)) >= _TOGETHER:
            yield Trials.concatenate(waiting)
            waiting = []
        if not count:
            return
    if waiting:
        yield Trials.concatenate(waiting)


def masked(strides: Trials, sensor: str, recipe: Mapping[str, Any]) -> StrideNetwork:
    """A network that has only filled in hidden parts of the strides through random sensors."""
    sensing, learning = np.random.SeedSequence([recipe["seed"], *sensor.encode()]).spawn(2)
    walks = max(len(strides), recipe["walks"])
    examples = sense(
        strides, sensor, np.random.default_rng(sensing), task="gait_parameters", walks=walks, strides=recipe["strides_per_walk"]
    )
    return masked_reconstruction(examples, recipe, int(learning.generate_state(1)[0]))[0]


class _Exact(Examples):
    """Examples whose batches are the windows as they are."""

    def batch(self, rng: np.random.Generator, size: int) -> Batch:
        rows = rng.integers(len(self.cycles), size=size)
        given = (self.cycles, self.present, self.scalars, self.values, self.curves)
        return Batch(*(torch.from_numpy(array[rows]) for array in given))


def exact(trials: Trials, sensor: str, rng: np.random.Generator, *, walks: int, strides: int) -> Examples:
    """As ``sense``, through ideal sensors in known places, of people whose height is known."""
    rows = rng.choice(len(trials), size=walks, replace=walks > len(trials))
    order = rows[np.argsort(trials.table["stride_time_s"].to_numpy(float)[rows], kind="stable")]
    kind = tasks.sensor_named(sensor)
    tables, windows = [], []
    for start in range(0, len(order), _WALKS_AT_ONCE):
        part = trials.select(order[start : start + _WALKS_AT_ONCE])
        continuous = walk(part, max(strides, 3) * float(part.table["stride_time_s"].max()), rng)
        tables.append(continuous.table)
        recorded = _ideal(continuous, kind)
        for i, height in enumerate(continuous.table["height_m"].to_numpy(float)):
            windows.append(_windows({name: values[i] for name, values in recorded.items()}, kind, height))
    found = assemble(sensor, "gait_parameters", Trials(pd.concat(tables, ignore_index=True)), windows)
    return _Exact(**vars(found))


def _windows(signals: Mapping[str, np.ndarray], kind: tasks.Sensor, height_m: float) -> Windows | None:
    try:
        return kind.featurise(signals, 100.0, Body(height_m=height_m))
    except InputError:
        return None


def _ideal(walks: Trials, kind: tasks.Sensor) -> dict[str, np.ndarray]:
    """Channel -> (N, T), as a sensor without errors tells it."""
    if kind.name == "joint_angles":
        groups = {"joint_angles": (walks.channels["joint_angles"], walks.signals["joint_angles"])}
    elif kind.name.startswith("keypoints"):
        readings = Markers("joints", root_relative=True).record(walks)
        kept = [i for i, c in enumerate(readings.channels["keypoints_3d"]) if not (kind.flat and c.endswith("_z"))]
        names = tuple(readings.channels["keypoints_3d"][i] for i in kept)
        groups = {"keypoints": (names, readings.signals["keypoints_3d"][:, :, kept])}
    else:
        sided = kind.channels[0].endswith(("_r", "_l"))
        groups = {
            place: (tuple(f"{place}_{channel}" for channel in IMU_CHANNELS), IMU(place).record(walks).signals[f"imu_{place}"])
            for place in ([f"{kind.name}_{side}" for side in SIDES] if sided else [kind.name])
        }
    return {name: values[:, :, i].astype(float) for names, values in groups.values() for i, name in enumerate(names)}


def _with_people(
    settings: Ablation, label: str, sensor: str, views: Sequence[Recording], starts: Mapping[str, StrideNetwork], n_strides: int
) -> list[dict[str, Any]]:
    """Rows of the arms trained on real people of one dataset and sensor."""
    seen = real_trained.see((sensor, view) for view in views)
    usable = [s for s in seen if real_trained.usable(s)]
    people = sorted({s.person for s in usable})
    if len(people) < real_trained.LEAST_PEOPLE:
        return []
    scratch = real_trained.recipe_of(settings.resolved)
    tuning = scratch | {
        "steps": max(round(_FINE_TUNING["steps"] * scratch["steps"]), 1),
        "learning_rate": _FINE_TUNING["learning_rate"] * scratch["learning_rate"],
    }
    # heads that have learnt nothing yet need all the steps
    arms: list[tuple[str, Mapping[str, Any], StrideNetwork | None]] = [
        ("real_only", scratch, None),
        ("pretrained", tuning, starts["pretrained"]),
        ("pretrained_masked", scratch, starts["pretrained_masked"]),
    ]
    result: list[dict[str, Any]] = []
    rng = np.random.default_rng(settings.resolved["seed"])
    folds = np.array_split(rng.permutation(people), min(len(people), real_trained.MOST_FOLDS))
    for count in (n for n in settings.people if n < len(people)):
        rows: dict[str, list[dict[str, Any]]] = {arm: [] for arm, *_ in arms}
        for number, fold in enumerate(folds):
            others = [person for person in people if person not in set(fold)]
            taught = set(rng.choice(others, size=min(count, len(others)), replace=False))
            tested = [s for s in seen if s.person in set(fold)]
            training = [s for s in usable if s.person in taught]
            for arm, recipe, start in arms:
                for view, outcome in real_trained.estimates_of(tested, training, recipe, seed=number, start=start):
                    rows[arm] += run.compared(view, label, real_trained.METHOD, partial(run.outcome_of, outcome))
        for arm, found in rows.items():
            told = {"arm": arm, "n_strides": 0 if arm == "real_only" else n_strides, "n_real_people": count}
            result += [row | told for row in run.rows(pd.DataFrame(found))]
    return result


def as_text(rows: Sequence[Mapping[str, Any]], quantities: Sequence[str] = ("walking_speed_mps", "step_length_m")) -> str:
    """The rows as a table for people."""
    lines = []
    heading = None
    for row in sorted(rows, key=lambda r: (r["dataset"], r["sensor"], r["group"], r["quantity"], r["n_real_people"])):
        if row["quantity"] not in quantities or row["mae"] is None:
            continue
        title = f"{row['dataset']} · {row['sensor']} · {row['group']} · {row['quantity']}"
        if title != heading:
            lines += ["", title, f"  {'arm':30} {'strides':>8} {'real people':>12} {'n':>4} {'MAE':>7} {'bias':>7} {'r':>6}"]
            heading = title
        r = "–" if row["r"] is None else f"{row['r']:.2f}"
        numbers = f"{row['n_strides']:8d} {row['n_real_people']:12d} {row['n_recordings']:4d} {row['mae']:7.3f} {row['bias']:+7.3f} {r:>6}"
        lines.append(f"  {row['arm']:30} {numbers}")
    return "\n".join(lines).strip("\n")
