"""Augmentation: more strides for training, from a generator alone or around strides that one has.

In: a trained generator, conditions, strides or some of their channels (arrays in ``Trials``), a seed. Out:
strides as ``Trials`` (NumPy arrays and a table), and a PyTorch ``Dataset`` over them.

Nothing here is a model of its own. A relative of a stride keeps what is its own: its distance, in the
generator's latent space, from the mean that the generator's prior expects of such a person under such
conditions is carried over to other conditions. Forces are then balanced with the motion and every
plausibility check is made, as for generated strides; what breaks a limit is marked, not hidden.
``fill`` draws the channels that strides lack; the other functions need whole strides with every signal
group of the generator.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch

from synthgait.conventions import CONDITION_PREFIX, FREE_MOMENT, SAMPLES_PER_STRIDE
from synthgait.errors import InputError
from synthgait.gait import gait_events, typical_cadence_spm
from synthgait.generators.base import BLOCK, StrideGenerator
from synthgait.generators.bodies import People
from synthgait.generators.conditions import CATEGORICAL, COLUMNS, Value, condition_table, with_stride_length
from synthgait.generators.filling import Observation
from synthgait.generators.footing import Footing
from synthgait.generators.plausibility import Balance, broken_limits, measure
from synthgait.generators.representation import LOADED_BW, StrideRepresentation, Walker
from synthgait.trials import Trials

#: How firmly soles that slide are held, one after the other.
_FIRMNESS = (1.0, 2.0)


def strides(model: StrideGenerator, n: int, seed: int, **conditions: Value) -> Trials:
    """``n`` plausible strides of new people under conditions (``generators.conditions.COLUMNS``).

    Those that break a plausibility limit are left out and others drawn in their place. The same model,
    seed and conditions give the same strides.

    Raises InputError: a condition that the model cannot meet, or fewer than one stride in twenty is plausible.
    """
    if n < 1:
        raise InputError(f"{n} strides were asked for; ask for at least 1")
    kept: list[Trials] = []
    count, first = 0, 0
    while count < n:
        if first > 20 * n + 1000:
            raise InputError(f"only {count} of {first} strides are plausible under these conditions; widen them")
        wanted = max(n - count, 1)
        drawn = model.sample(wanted, seed=seed, first=first, **conditions)  # type: ignore[arg-type]
        good = drawn.certified()
        first, count = first + wanted, count + len(good)
        kept += [good] if len(good) else []
    return Trials.concatenate(kept)


def at_speeds(model: StrideGenerator, source: Trials, walking_speed_mps: Sequence[float]) -> Trials:
    """The same people at other speeds: N strides and M speeds give N * M strides, source by source.

    Everybody keeps what sets their cadence apart from the typical one at a speed (see
    ``gait.typical_cadence_spm``).

    Raises InputError as ``relatives``.
    """
    if not len(walking_speed_mps):
        raise InputError("no walking speed is given; give at least one in m/s")
    repeated = source.select(np.repeat(np.arange(len(source)), len(walking_speed_mps)))
    speeds = np.tile(np.asarray(walking_speed_mps, float), len(source))
    if not np.all(speeds > 0):
        raise InputError("a walking speed is not positive; give speeds in m/s")
    heights, before = repeated.table["height_m"].to_numpy(float), repeated.table["walking_speed_mps"].to_numpy(float)
    time = repeated.table["stride_time_s"].to_numpy(float) * typical_cadence_spm(before, heights) / typical_cadence_spm(speeds, heights)
    return relatives(model, repeated, walking_speed_mps=speeds, stride_time_s=time)


def on_body(model: StrideGenerator, source: Trials, *, height_m: float, mass_kg: float) -> Trials:
    """The same gaits on another body, at the same dimensionless speed and cadence (Hof, Gait Posture
    1996;4:222); the leg keeps its share of the height.

    Raises InputError as ``relatives``.
    """
    table = source.table
    scale = height_m / table["height_m"].to_numpy(float)
    return relatives(
        model,
        source,
        height_m=height_m,
        mass_kg=mass_kg,
        leg_length_m=table["leg_length_m"].to_numpy(float) * scale,
        walking_speed_mps=table["walking_speed_mps"].to_numpy(float) * np.sqrt(scale),
        stride_time_s=table["stride_time_s"].to_numpy(float) * np.sqrt(scale),
    )


def relatives(model: StrideGenerator, source: Trials, **changed: Any) -> Trials:
    """One stride per stride of ``source``, with some conditions changed and the rest of the person kept.

    Args:
        source: N strides of 100 phases with every signal group that the model knows.
        changed: columns of ``generators.conditions.COLUMNS``, one value or N.

    Returns ``Trials`` of kind "synthetic"; ``source_trial_id`` names the stride each one descends from,
    ``condition_*`` hold what was asked for. Unchanged conditions give the stride back, as well as the
    generator's code can hold it.

    Raises InputError: a column that is no condition, a trial without a gait, or strides that the model cannot read.
    """
    source.refuse_failed()
    code = model.representation
    for group, names in code.channels.items():
        if source.channels.get(group) != names or source.signals[group].shape[1] != SAMPLES_PER_STRIDE:
            raise InputError(f"the strides lack signal group {group!r} with the model's channels at {SAMPLES_PER_STRIDE} phases")
    before = condition_table(source.table)
    after = _with(model, before, changed)
    # the code is made for datasets and refuses fewer than four strides
    whole = source.select(np.resize(np.arange(len(source)), max(len(source), 4)))
    own = code.encode(whole)[: len(source)] - model.prior.mean(model.space.encode(before))
    codes = model.space.encode(after)
    signals = code.decode(_standing(model, model.prior.mean(codes) + own, codes, after), Walker.of(after))
    ids = [f"{trial}-relative-{i:06d}" for i, trial in enumerate(_names(source, "trial_id"))]
    return _checked(model, source, signals, after, ids, seed=-1, balance="forces")  # nothing is drawn


def _with(model: StrideGenerator, before: pd.DataFrame, changed: Mapping[str, Any]) -> pd.DataFrame:
    """Conditions with some columns changed to one value or N. Raises InputError where a model cannot meet them."""
    unknown = sorted(set(changed) - set(COLUMNS))
    if unknown:
        raise InputError(f"{unknown[0]!r} is no condition of a stride; change any of {', '.join(COLUMNS)}")
    after = before.copy()
    for name, value in changed.items():
        try:
            after[name] = np.asarray(value, str if name in CATEGORICAL else float)
        except ValueError:
            raise InputError(f"{name} is {value!r}; give one value, or one for each of the {len(before)} strides") from None
    for name in set(COLUMNS) - set(CATEGORICAL):
        if not np.isfinite(after[name]).all():
            raise InputError(f"{name} is not known of every stride; fill the column in")
    model.space.check_categories(after)
    for name in changed:
        if name not in CATEGORICAL:
            model.space.check_request({name: (float(after[name].min()), float(after[name].max()))})
    return after


def _names(source: Trials, column: str) -> list[str]:
    """Identities of strides, numbers where the table has none."""
    return [str(name) for name in source.table[column]] if column in source.table else [f"{i:06d}" for i in range(len(source))]


def _standing(model: StrideGenerator, latents: np.ndarray, codes: np.ndarray, conditions: pd.DataFrame) -> np.ndarray:
    """Latents (N, D) under conditions, moved where loaded soles would slide, more firmly where that is not enough."""
    table = with_stride_length(conditions).reset_index(drop=True)
    people, out = People.of(table), latents.copy()
    for firmness in _FIRMNESS if model.holds_feet else ():
        strides = Trials(table, model.representation.decode(out, Walker.of(table)), dict(model.representation.channels))
        slides = np.flatnonzero(measure(strides, model.limits, people=people)["foot_skate_mps"] > model.limits.foot_skate_mps)
        if not len(slides):
            break
        some = table.iloc[slides]
        out[slides] = model.held(latents[slides], codes[slides], some, People.of(some), firmness)
    return out


def _held_around(
    model: StrideGenerator,
    latents: np.ndarray,
    codes: np.ndarray,
    conditions: pd.DataFrame,
    observed: Observation,
    source: Trials,
    known: Sequence[str],
) -> np.ndarray:
    """Latents (N, D) moved, as far as what is known leaves them free, until soles hold under the coordinates that are given."""
    code = model.representation
    fixed = [name for group in ("pelvis", "joint_angles") for name in code.channels[group] if name in known]
    if len(fixed) == len(code.channels["pelvis"]) + len(code.channels["joint_angles"]):
        return latents
    table = with_stride_length(conditions)
    footing = Footing(code, observed.root(model.prior.root), fixed)
    skeleton, scale = People.of(table).skeleton, model.prior.scale(codes)
    # once: held on, soles slide hardly less, and hidden pelvises come to lie farther from the true ones
    return footing.hold(latents, table, skeleton, scale, most_mps=model.limits.foot_skate_mps, given=source)


def fill(model: StrideGenerator, source: Trials, seed: int, *, known: Sequence[str] | None = None, draws: int = 1) -> Trials:
    """Whole strides whose known channels are those given, the others drawn from what the model has learned.

    With a diffusion the drawing is guided at every step, with other methods it is exact for the Gaussian
    that they start from; see ``generators.filling``.

    Args:
        source: N strides of 100 phases from right initial contact, with as many of the model's channels as
            there are (SI, radians); a channel with NaN in it is unknown for that stride. The table has
            ``generators.conditions.COLUMNS``. The centre of pressure, which is NaN where a foot is in the
            air, is known where it is given while its foot is loaded, beside vertical force and pelvis.
        known: names of the channels that count as known; None is all.
        draws: strides per stride of the source; how they differ tells how little the known channels say.

    Returns N * draws ``Trials`` of kind "synthetic", source by source, known channels bit by bit as given;
    otherwise as ``relatives``. The ground reaction is balanced with the motion only where none of it is known.

    Raises InputError: a channel that the model does not know, a stride without any known channel, or
    strides that are not 100 phases.
    """
    source.refuse_failed()
    code = model.representation
    channels = [name for names in code.channels.values() for name in names]
    unknown = sorted(set(known or ()) - set(channels))
    if unknown:
        raise InputError(f"{unknown[0]!r} is no channel of this generator; it has {', '.join(channels)}")
    if draws < 1:
        raise InputError(f"{draws} draws were asked for; ask for at least 1")
    given = _known_channels(code, source, channels if known is None else known)
    if not given.any(1).all():
        row = int(np.flatnonzero(~given.any(1))[0])
        raise InputError(f"stride {_names(source, 'trial_id')[row]!r} has no channel that is known throughout; leave it out")
    conditions = _with(model, condition_table(source.table), {})
    parts = []
    forces = np.array([name.startswith(("ground_reaction", "centre_of_pressure")) for name in channels])
    for pattern in np.unique(given, axis=0):
        alike = np.flatnonzero((given == pattern).all(1))
        rows = np.repeat(alike, draws)
        repeated, asked = source.select(rows), conditions.iloc[rows].reset_index(drop=True)
        codes = model.space.encode(asked)
        here = [name for name, is_known in zip(channels, pattern, strict=True) if is_known]
        observed = Observation.of(model, _known_alone(code, repeated, here), here, codes)
        rngs = [np.random.default_rng([seed, int(row), draw]) for row in alike for draw in range(draws)]
        latents = model.prior.latents(codes, model.white_given(codes, observed, rngs))
        if model.holds_feet:
            latents = _held_around(model, latents, codes, asked, observed, repeated, here)
        signals = _put_back(code.decode(latents, Walker.of(repeated.table)), repeated, here, code)
        names = [f"{trial}-filled-{i % draws:06d}" for i, trial in enumerate(_names(repeated, "trial_id"))]
        balance: Balance | None = None if (pattern & forces).any() else "forces"
        parts.append((rows, _checked(model, repeated, signals, asked, names, seed, balance)))
    order = np.argsort(np.concatenate([rows for rows, _ in parts]), kind="stable")
    return Trials.concatenate([made for _, made in parts]).select(order)


def _known_channels(code: StrideRepresentation, source: Trials, known: Sequence[str]) -> np.ndarray:
    """(N, channels of the code) whether a stride's channel is known throughout."""
    there: dict[str, np.ndarray] = {}
    for group, names in code.channels.items():
        if group in source.signals and source.signals[group].shape[1] != SAMPLES_PER_STRIDE:
            raise InputError(f"{group} has {source.signals[group].shape[1]} samples; give strides of {SAMPLES_PER_STRIDE} phases")
        for name in names:
            has = name in known and group in source.signals and name in source.channels[group]
            there[name] = np.isfinite(source.channel(name)).all(1) if has else np.zeros(len(source), bool)
    weight = Walker.of(source.table).weight_n
    for name in code.channels.get("centre_of_pressure", ()):
        if name in known and "centre_of_pressure" in source.signals and name in source.channels["centre_of_pressure"]:
            force = f"ground_reaction_y_{name[-1]}"
            base = there[force] & there["pelvis_tx"] & there["pelvis_tz"]
            loaded = source.channel(force) > LOADED_BW * weight[:, None] if base.any() else np.zeros((1, 1), bool)
            there[name] = base & (np.isfinite(source.channel(name)) | ~loaded).all(1)
    return np.stack(list(there.values()), 1)


def _known_alone(code: StrideRepresentation, source: Trials, known: Sequence[str]) -> Trials:
    """The strides with every group of the code, zero where nothing is known."""
    signals = {}
    for group, names in code.channels.items():
        blank = np.zeros((len(source), SAMPLES_PER_STRIDE), np.float32)
        signals[group] = np.stack([source.channel(name) if name in known else blank for name in names], 2)
    return Trials(source.table, signals, dict(code.channels))


def _put_back(signals: dict[str, np.ndarray], source: Trials, known: Sequence[str], code: StrideRepresentation) -> dict[str, np.ndarray]:
    """The signals with known channels as given; a drawn centre of pressure goes where the known pelvis goes."""
    points = code.channels.get("centre_of_pressure", ())
    for group, names in code.channels.items():
        for name in known:
            if name not in names:
                continue
            mine = signals[group][:, :, names.index(name)]
            for k, point in enumerate(points):
                if name in ("pelvis_tx", "pelvis_tz") and f"_{name[-1]}_" in point and point not in known:
                    signals["centre_of_pressure"][:, :, k] += source.channel(name) - mine
            mine[:] = source.channel(name)
    return signals


def _checked(
    model: StrideGenerator,
    source: Trials,
    signals: dict[str, np.ndarray],
    asked: pd.DataFrame,
    names: list[str],
    seed: int,
    balance: Balance | None,
) -> Trials:
    """Strides made of strides, row by row, with their measures, status and events."""
    table = asked.assign(
        trial_id=names,
        subject_id=_names(source, "subject_id"),
        source_trial_id=_names(source, "trial_id"),
        stride_length_m=asked["walking_speed_mps"] * asked["stride_time_s"],
    )
    table = pd.concat([table, asked.add_prefix(CONDITION_PREFIX)], axis=1)
    made = Trials(table, signals, dict(model.representation.channels), kind="synthetic")
    measures = measure(made, model.limits, balance=balance)
    if "free_moment" not in made.signals:  # forces that are known are not balanced: nobody knows theirs
        made.signals["free_moment"] = np.full((len(made), SAMPLES_PER_STRIDE, len(FREE_MOMENT)), np.nan, np.float32)
        made.channels["free_moment"] = FREE_MOMENT
    broken = broken_limits(measures, model.limits)
    made.table = made.table.assign(**{str(name): measures[name].to_numpy() for name in measures})
    made.table["status"], made.table["status_message"] = np.where(broken == "", "ok", "implausible"), broken.to_numpy()
    made.table["seed"] = seed
    made.events = gait_events(made)
    return made


_Pair = tuple[torch.Tensor, torch.Tensor]


def tensors(source: Trials, channels: Sequence[str], targets: Sequence[str]) -> _Pair:
    """Channels of any signal group (N, C, T) and numeric columns of the table (N, K), float32.

    Raises InputError: a trial without a gait, a channel or column that the strides do not have, a channel with NaN in it, or a
    column that is no number.
    """
    source.refuse_failed()
    missing = [name for name in targets if name not in source.table]
    if missing:
        raise InputError(f"the table has no column {missing[0]!r}; give columns it has as targets")
    try:
        stacked = np.stack([source.channel(name) for name in channels], axis=1)
    except KeyError as error:
        raise InputError(f"{error.args[0]}; give channels that the strides have") from error
    if not np.isfinite(stacked).all():
        raise InputError("a channel is not defined throughout (the centre of pressure of an unloaded foot); leave it out")
    try:
        wanted = source.table[list(targets)].to_numpy(np.float32, copy=True)
    except ValueError:
        raise InputError(f"a target among {', '.join(targets)} is no number; give numeric columns") from None
    return torch.from_numpy(np.ascontiguousarray(stacked, np.float32)), torch.from_numpy(wanted)


class StrideDataset(torch.utils.data.Dataset[_Pair]):
    """Strides as pairs (channels (C, T), targets (K,)), float32, for a PyTorch ``DataLoader``.

    Args as of ``tensors``, and its errors.
    """

    def __init__(self, source: Trials, channels: Sequence[str], targets: Sequence[str] = ("walking_speed_mps",)) -> None:
        self.signals, self.targets = tensors(source, channels, targets)

    def __len__(self) -> int:
        return len(self.signals)

    def __getitem__(self, index: int) -> _Pair:
        return self.signals[index], self.targets[index]


class EndlessStrides(torch.utils.data.IterableDataset[_Pair]):
    """New people's strides for as long as a training lasts, made as they are asked for; those that break a limit are left out.

    Pairs as of ``StrideDataset``. The same model, seed, conditions and number of loader workers give the same strides in the
    same order; no two workers give the same.

    Args:
        channels, targets: as of ``tensors``.
        conditions: as of ``strides``.

    Raises InputError: as ``tensors``, or a condition that the model cannot meet.
    """

    def __init__(
        self,
        model: StrideGenerator,
        seed: int,
        channels: Sequence[str],
        targets: Sequence[str] = ("walking_speed_mps",),
        **conditions: Value,
    ) -> None:
        model.space.check_request(conditions)
        self.model, self.seed, self.channels, self.targets, self.conditions = model, seed, channels, targets, conditions

    def __iter__(self) -> Iterator[_Pair]:
        worker = torch.utils.data.get_worker_info()
        block, blocks = (0, 1) if worker is None else (worker.id, worker.num_workers)
        while True:
            drawn = self.model.sample(BLOCK, seed=self.seed, first=block * BLOCK, **self.conditions).certified()  # type: ignore[arg-type]
            if len(drawn):
                yield from zip(*tensors(drawn, self.channels, self.targets), strict=True)
            block += blocks
