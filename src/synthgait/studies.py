"""Studies: what is simulated, declared in YAML, and the deterministic plan that follows from it.

In: a study of ``simulations/*.yaml``. Out: ``Study`` and its ``PlannedTrial`` rows: one row, one
child seed and one warm-start parent per trial.

The plan is a continuation tree: the minimum spanning tree of all trials over what the solver finds
near (size, speed, cadence, pathology and its severity), grown from the trial most like a healthy
adult at 1.2 m/s, so that every parent is the nearest trial that comes earlier in the plan.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

import synthgait
from synthgait import ages, bundled, pathologies
from synthgait.anthropometry import build_model
from synthgait.conventions import CONDITION_PREFIX, GRAVITY_MPS2
from synthgait.errors import InputError
from synthgait.gait import dimensionless_speed, leg_length_m, typical_cadence_spm
from synthgait.musculoskeletal import MusculoskeletalModel
from synthgait.simulate.normative import personal_habits
from synthgait.simulate.task import Habits, WalkingTask
from synthgait.subjects import (
    AGE_RANGE_YEARS,
    HEIGHT_RANGE_M,
    KNEE_VARUS_RANGE_RAD,
    MASS_RANGE_KG,
    STRENGTH_RANGE,
    Subject,
    draw_subject,
    typical_height_m,
)

ENGINES = ("casadi", "moco")
#: Limits of a prescribed stride time: outside them nobody walks.
STRIDE_TIME_LIMITS_S = (0.55, 2.6)
#: Speed over the square root of gravity times leg length: outside these limits nobody walks (people run from about 0.7 on: Kram
#: et al., J Exp Biol 1997;200:821).
FROUDE_LIMITS = (0.03, 0.75)
_PRICE, _ANY_WEIGHT = (0.01, 20.0), (0.0, 20.0)
#: Heel and shoe over the model's own stiffness, as the seed's on average: on softer soles feet roll where they should lie flat.
SOLES = 3.0
#: Limits of what a task may ask for (modelling choice): effort has a price, people walk, floors are walked on in shoes.
TASK_LIMITS = {
    "excitation_weight": _PRICE,
    "activation_weight": _PRICE,
    "acceleration_weight": _ANY_WEIGHT,
    "lumbar_weight": _ANY_WEIGHT,
    "tracking_weight": _ANY_WEIGHT,
    "trunk_weight": _ANY_WEIGHT,
    "trunk_lean_rad": (-0.3, 0.7),
    "minimum_step_width_m": (0.0, 0.3),
    "contact_stiffness_factor": (0.2, 5.0),
    "slope": (-0.15, 0.15),
}
#: What a group may fix of its people's bodies, by the name of the table's column, and its limits.
BODY_LIMITS = {
    "height_m": HEIGHT_RANGE_M,
    "mass_kg": MASS_RANGE_KG,
    "knee_varus_rad": KNEE_VARUS_RANGE_RAD,
    "strength": STRENGTH_RANGE,
}
#: Of a height that is asked for, over the median of that age and sex, and of body mass index in kg/m2 (modelling choice).
_HEIGHT_FACTORS, _BODY_MASS_INDEX = (0.75, 1.25), (10.0, 60.0)
#: Keys of a group that came later than the seed's studies: unset, they leave configurations and their hashes as they were.
_LATER_KEYS = (*BODY_LIMITS, "step_length_factor")
#: Letters of a name of a study or of a group: both and a number are a person's, which a dataset keeps in 128 bytes.
_LONGEST_NAME = 60
#: Trials of one study. Planning them takes a quarter of an hour, and goes with the square of their number.
MOST_TRIALS = 100_000
#: What counts as one step of continuation in each direction of the plan's space.
_NEAR = {"speed": 0.05, "cadence": 0.10, "size": 0.10, "strength": 0.20, "severity": 0.25, "lean": 0.15, "weights": 0.7, "contact": 0.4}
_OTHER_PATHOLOGY, _OTHER_SIDE, _FREE_STRIDE_TIME = 1.5, 6.0, 1.0


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


Range = tuple[float, float]


def _check_range(name: str, value: float | Range, limits: Range) -> None:
    """Raise ValueError, one sentence, unless the number or the range lies within the limits."""
    low, high = value if isinstance(value, tuple) else (value, value)
    if limits[0] <= low <= high <= limits[1]:
        return
    shown, give = (f"[{low:g}, {high:g}]", "two rising numbers") if isinstance(value, tuple) else (f"{low:g}", "a number")
    hint = ""
    if name.endswith("_rad") and limits[0] <= np.deg2rad(low) <= np.deg2rad(high) <= limits[1]:
        hint = f" (radians: {high:g} degrees are {np.deg2rad(high):.3f})"
    elif name == "slope" and limits[0] <= low / 100 <= high / 100 <= limits[1]:
        hint = f" (rise over run: {high:g} % are {high / 100:g}, {high:g} degrees {np.tan(np.deg2rad(high)):.3f})"
    raise ValueError(f"{name} is {shown}; give {give} within {limits[0]:g} to {limits[1]:g}{hint}")


def _drawn(rng: np.random.Generator, value: float | Range) -> float:
    """The number, or one uniform in the range."""
    return float(rng.uniform(*value)) if isinstance(value, tuple) else float(value)


class TaskRanges(_Strict):
    """How the task is varied: every value is a number or a range [low, high] that trials draw from, within ``TASK_LIMITS``."""

    intervals: int = Field(30, ge=8, le=200)
    excitation_weight: float | Range = 1.0
    activation_weight: float | Range = 1.0
    acceleration_weight: float | Range = 1.0
    lumbar_weight: float | Range = 1.0
    tracking_weight: float | Range = 1.0
    trunk_weight: float | Range = 1.0
    trunk_lean_rad: float | Range = 0.10
    #: for a height of 1.75 m; goes with the person's
    minimum_step_width_m: float | Range = 0.07
    contact_stiffness_factor: float | Range = SOLES
    slope: float | Range = 0.0

    @model_validator(mode="after")
    def _possible(self) -> TaskRanges:
        for name, limits in TASK_LIMITS.items():
            _check_range(name, getattr(self, name), limits)
        return self

    def draw(self, rng: np.random.Generator) -> dict[str, float]:
        """One value of each, uniform in its range."""
        return {name: _drawn(rng, value) for name, value in self.model_dump(exclude={"intervals"}).items()}


class Group(_Strict):
    """People of one kind and how each of them walks.

    ``subjects`` people with ages spread evenly over ``age_years``; each walks ``trials_per_subject``
    times, with speeds spread evenly over ``walking_speed_mps`` or over ``froude_speed`` (speed over the
    square root of gravity times leg length), and cadences that are drawn, independently of speed, from
    ``cadence_factor`` times the self-chosen one, or step lengths from ``step_length_factor`` times the
    self-chosen one, which at a given speed is the reciprocal; a share ``free_cadence`` of the trials chooses
    its own cadence. ``height_m``, ``mass_kg``, ``knee_varus_rad`` and ``strength`` are a number or a range that each
    person's is drawn from, and unset as ``draw_subject`` draws them. Each person's own curves lie ``personal_habits``
    published standard deviations beside the textbook's (``normative.personal_habits``). Severities and sides take turns.
    ``pathology`` may join several tables: "crouch+equinus".
    """

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=_LONGEST_NAME)
    subjects: int = Field(ge=1, le=100_000)
    trials_per_subject: int = Field(1, ge=1, le=1000)
    age_years: Range | None = None
    sexes: tuple[Literal["female", "male"], ...] = Field(("female", "male"), min_length=1)
    pathology: str = "none"
    severities: tuple[float, ...] = ()
    sides: tuple[Literal["left", "right", "both"], ...] = ()
    walking_speed_mps: Range | None = None
    froude_speed: Range | None = None
    cadence_factor: Range = (1.0, 1.0)
    step_length_factor: Range | None = None
    free_cadence: float = Field(1.0, ge=0.0, le=1.0)
    personal_habits: float = Field(0.0, ge=0.0, le=3.0)
    height_m: float | Range | None = None
    mass_kg: float | Range | None = None
    knee_varus_rad: float | Range | None = None
    strength: float | Range | None = None
    task: TaskRanges = Field(default_factory=lambda: TaskRanges.model_validate({}))

    @model_validator(mode="after")
    def _possible(self) -> Group:
        if (self.walking_speed_mps is None) == (self.froude_speed is None):
            raise ValueError("give either walking_speed_mps or froude_speed")
        if self.age_years is None and self.pathology == "none":
            raise ValueError("a group without a pathology needs age_years")
        if self.age_years is not None:
            _check_range("age_years", self.age_years, AGE_RANGE_YEARS)
        _check_range("walking_speed_mps", self.walking_speed_mps or (1, 1), (0.1, 2.2))
        _check_range("froude_speed", self.froude_speed or (0.4, 0.4), FROUDE_LIMITS)
        _check_range("cadence_factor", self.cadence_factor, (0.5, 2.5))
        for name, value in self.body.items():
            _check_range(name, value, BODY_LIMITS[name])
        self._check_steps()
        if self.pathology == "none" and (self.severities or self.sides):
            raise ValueError("severities and sides need a pathology")
        if self.pathology != "none":
            known = pathologies.sides(self.pathology)
            if not self.severities or not all(0.0 < s <= 1.0 for s in self.severities):
                raise ValueError("severities of a pathology are numbers above 0, at most 1")
            for side in self.sides:
                if side not in known:
                    raise ValueError(f"{self.pathology} does not occur on side {side!r}; its sides are {', '.join(known)}")
            pathologies.age_years(self.pathology)
        return self

    def _check_steps(self) -> None:
        if self.step_length_factor is not None:
            _check_range("step_length_factor", self.step_length_factor, (0.4, 2.0))
            if "cadence_factor" in self.model_fields_set:
                raise ValueError("at a given speed cadence_factor and step_length_factor are each other's reciprocal; give one of them")
        asked = self.cadence_factor != (1.0, 1.0) or self.step_length_factor is not None
        if asked and self.free_cadence == 1.0:
            name = "cadence_factor" if self.step_length_factor is None else "step_length_factor"
            raise ValueError(f"{name} is asked of nobody, as free_cadence is 1; give free_cadence too, as 0 for all trials to be asked")

    @property
    def body(self) -> dict[str, float | Range]:
        """What is said of the people's bodies, by name."""
        return {name: value for name in BODY_LIMITS if (value := getattr(self, name)) is not None}

    @property
    def ages(self) -> Range:
        """The group's own ages, or the pathology's."""
        return self.age_years or pathologies.age_years(self.pathology)


class Declaration(_Strict):
    """A study as written in its YAML."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=_LONGEST_NAME)
    description: str
    seed: int = Field(ge=0)
    engine: Literal["casadi", "moco"] = "casadi"
    groups: tuple[Group, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _possible(self) -> Declaration:
        names = [group.name for group in self.groups]
        if len(set(names)) != len(names):
            raise ValueError("two groups have the same name")
        trials = sum(group.subjects * group.trials_per_subject for group in self.groups)
        if trials > MOST_TRIALS:
            raise ValueError(f"the groups ask for {trials} trials; give at most {MOST_TRIALS}, or write several studies")
        return self


@dataclass(frozen=True)
class PlannedTrial:
    """One row of the plan.

    Attributes:
        parent: ``trial_id`` of an earlier trial to start from, or None for the bundled first guess.
        seed: the trial's own random seed.
        cadence_factor: asked cadence over the self-chosen one, None where the walker chooses.
        contact_stiffness_factor: stiffness of heel and shoe over the model's own.
    """

    trial_id: str
    subject: Subject
    task: WalkingTask
    parent: str | None
    seed: int
    engine: str = "casadi"
    cadence_factor: float | None = None
    contact_stiffness_factor: float = SOLES

    def model(self) -> MusculoskeletalModel:
        """The body that walks: the subject's, with its pathology and its shoes."""
        model = pathologies.apply(build_model(self.subject), self.subject)
        if self.contact_stiffness_factor == 1.0:
            return model
        contacts = tuple(replace(c, stiffness_pa=c.stiffness_pa * self.contact_stiffness_factor) for c in model.contacts)
        return replace(model, contacts=contacts)

    def row(self) -> dict[str, Any]:
        """The trial's columns: who, and what was asked (``condition_*``; NaN where the walker chose)."""
        subject = self.subject.as_dict()
        subject.pop("extra")
        asked = {k: v for k, v in self.task.as_dict().items() if k not in ("intervals", "stride_time_bounds_s", "habits", "joint_load")}
        asked["symmetric"] = float(self.task.symmetric)
        asked |= {"cadence_factor": self.cadence_factor, "contact_stiffness_factor": self.contact_stiffness_factor}
        conditions = {CONDITION_PREFIX + name: np.nan if value is None else float(value) for name, value in asked.items()}
        own = {"trial_id": self.trial_id, "leg_length_m": leg_length_m(self.subject), "seed": self.seed, "source_trial_id": ""}
        return subject | own | conditions

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for the plan's hash."""
        fields = ("trial_id", "parent", "seed", "engine", "cadence_factor", "contact_stiffness_factor")
        return {name: getattr(self, name) for name in fields} | {"subject": self.subject.as_dict(), "task": self.task.as_dict()}


@dataclass(frozen=True)
class Study:
    """A declared study and its plan."""

    declaration: Declaration

    @classmethod
    def load(cls, path: str | Path) -> Study:
        """Read a study: a path, or the name of a bundled one.

        Raises:
            InputError: one sentence naming the file, the key and the mend.
        """
        path = Path(path)
        if not path.suffix and not path.exists():
            own = bundled.folder("simulations") / f"{path}.yaml"
            path = own if own.exists() else path
        try:
            return cls(Declaration.model_validate(bundled.read_yaml(path)))
        except ValidationError as error:
            raise InputError(f"{path}: {bundled.one_sentence(error)}") from error

    @property
    def name(self) -> str:
        """The study's name."""
        return self.declaration.name

    def resolved(self) -> str:
        """The whole configuration with every default and the tables of pathologies and ages that it uses, as JSON."""
        used = {group.pathology for group in self.declaration.groups} - {"none"}
        tables = {table.name: table.model_dump(mode="json") for name in used for table in pathologies.parts(name)}
        healthy = {name: table.model_dump(mode="json") for name, table in ages.tables().items()}
        study = self.declaration.model_dump(mode="json")
        for group in study["groups"]:
            for key in _LATER_KEYS:
                if group[key] is None:
                    del group[key]
        content = {
            "study": study,
            "pathologies": tables,
            "ages": healthy,
            "synthgait_version": synthgait.__version__,
        }
        return json.dumps(content, indent=1, sort_keys=True)

    @cached_property
    def config_sha256(self) -> str:
        """Hash of the configuration and of the plan that follows from it."""
        plan = json.dumps([trial.as_dict() for trial in self.plan()], sort_keys=True)
        return hashlib.sha256((self.resolved() + plan).encode()).hexdigest()

    def plan(self) -> list[PlannedTrial]:
        """All trials in the order in which they can be solved; the same study gives the same plan."""
        return self._plan

    def remark(self) -> str:
        """One sentence on trials that are not asked for the cadence that was drawn, or an empty text."""
        low, high = STRIDE_TIME_LIMITS_S
        clipped = sum(trial.task.stride_time_s in STRIDE_TIME_LIMITS_S for trial in self.plan())
        if not clipped:
            return ""
        return f"the cadence of {clipped} of {len(self.plan())} trials is clipped: a prescribed stride takes {low:g} to {high:g} s"

    @cached_property
    def _plan(self) -> list[PlannedTrial]:
        drawn: list[PlannedTrial] = []
        seeds = np.random.SeedSequence(self.declaration.seed).spawn(len(self.declaration.groups))
        for group, seed in zip(self.declaration.groups, seeds, strict=True):
            drawn += self._draw_group(group, seed)
        order, parents = _continuation_tree(drawn)
        names = {index: f"{self.name}_{position:05d}" for position, index in enumerate(order)}
        return [
            replace(drawn[index], trial_id=names[index], parent=None if parent is None else names[parent])
            for index, parent in zip(order, parents, strict=True)
        ]

    def _draw_group(self, group: Group, seed: np.random.SeedSequence) -> list[PlannedTrial]:
        trials = []
        low, high = group.ages
        for i, own_seed in enumerate(seed.spawn(group.subjects)):
            subject_seed, *trial_seeds, habits_seed = own_seed.spawn(2 + group.trials_per_subject)
            rng = np.random.default_rng(subject_seed)
            band = (low + (high - low) * i / group.subjects, low + (high - low) * (i + 1) / group.subjects)
            ill = {}
            if group.pathology != "none":
                sides = group.sides or pathologies.sides(group.pathology)
                severity = group.severities[i % len(group.severities)]
                side = sides[i // len(group.severities) % len(sides)]
                ill = {"pathology": group.pathology, "severity": severity, "affected_side": side}
            sex = group.sexes[i % len(group.sexes)]
            body = {}
            if group.body:
                # a seed of their own: all else is drawn as for a group that says nothing of bodies
                body_rng = np.random.default_rng(own_seed.spawn(1)[0])
                body = {name: _drawn(body_rng, value) for name, value in group.body.items()}
            subject = draw_subject(rng, f"{self.name}_{group.name}_{i:04d}", age_years=band, sex=sex, **ill, **body)
            if body:
                self._check_body(group, subject)
            strata = rng.permutation(group.trials_per_subject)
            habits = personal_habits(np.random.default_rng(habits_seed), group.personal_habits)
            for stratum, trial_seed in zip(strata, trial_seeds, strict=True):
                trials.append(self._draw_trial(group, subject, habits, int(stratum), i, trial_seed))
        return trials

    def _check_body(self, group: Group, subject: Subject) -> None:
        """Raise InputError where height, mass, age and sex, each possible, are not together."""
        person = f"{self.name}: group {group.name!r} asks for a {subject.sex} of {subject.age_years:.0f} years"
        median = typical_height_m(subject.age_years, subject.sex)
        low, high = (factor * median for factor in _HEIGHT_FACTORS)
        if not low <= subject.height_m <= high:
            raise InputError(f"{person} and {subject.height_m:.2f} m; give a height_m within {low:.2f} to {high:.2f}, or other age_years")
        low, high = (index * subject.height_m**2 for index in _BODY_MASS_INDEX)
        if not low <= subject.mass_kg <= high:
            person += f", {subject.height_m:.2f} m and {subject.mass_kg:.0f} kg"
            raise InputError(f"{person}; give a mass_kg within {low:.0f} to {high:.0f}, or another height_m")

    def _draw_trial(
        self, group: Group, subject: Subject, habits: Habits, stratum: int, person: int, seed: np.random.SeedSequence
    ) -> PlannedTrial:
        rng = np.random.default_rng(seed)
        low, high = group.walking_speed_mps or group.froude_speed or (1.2, 1.2)
        # The golden ratio takes the persons' offsets evenly through a stratum.
        offset = (0.618034 * (person + 1) + rng.uniform(0.0, 0.25)) % 1.0
        speed = low + (high - low) * (stratum + offset) / group.trials_per_subject
        if group.froude_speed is not None:
            speed *= float(np.sqrt(GRAVITY_MPS2 * leg_length_m(subject)))
        elif (froude := dimensionless_speed(speed, leg_length_m(subject))) > FROUDE_LIMITS[1]:
            asked = (
                f"{self.name}: group {group.name!r} asks a person of {subject.age_years:.0f} years and {subject.height_m:.2f} m to walk at"
            )
            told = f"{speed:.2f} m/s, a froude_speed of {froude:.2f}, and people run above {FROUDE_LIMITS[1]:g}"
            raise InputError(f"{asked} {told}; lower walking_speed_mps or give froude_speed")
        drawn = group.task.draw(rng)
        stiffness = drawn.pop("contact_stiffness_factor")
        drawn["minimum_step_width_m"] *= subject.height_m / 1.75
        one_sided = subject.affected_side in ("left", "right")
        task = WalkingTask(float(speed), symmetric=not one_sided, intervals=group.task.intervals, habits=habits, **drawn)  # type: ignore[arg-type]
        task = pathologies.apply_to_task(task, subject)
        factor = _drawn(rng, group.step_length_factor or group.cadence_factor)
        factor = factor if group.step_length_factor is None else 1.0 / factor
        free = bool(rng.uniform() < group.free_cadence)
        if not free:
            own = 120.0 / typical_cadence_spm(task.walking_speed_mps, subject.height_m)
            stride_time = float(np.clip(own / factor, *STRIDE_TIME_LIMITS_S))
            factor = own / stride_time
            task = replace(task, stride_time_s=stride_time)
        number = int(rng.integers(2**31))
        return PlannedTrial("", subject, task, None, number, self.declaration.engine, None if free else factor, stiffness)


def _features(trials: list[PlannedTrial]) -> np.ndarray:
    """Where each trial lies, in steps of continuation, (N, F)."""
    rows = []
    for trial in trials:
        subject, task = trial.subject, trial.task
        weights = [task.excitation_weight, task.activation_weight, task.acceleration_weight, task.lumbar_weight, task.trunk_weight]
        rows.append(
            [
                dimensionless_speed(task.walking_speed_mps, leg_length_m(subject)) / _NEAR["speed"],
                0.0 if trial.cadence_factor is None else np.log(trial.cadence_factor) / _NEAR["cadence"],
                0.0 if trial.cadence_factor is None else _FREE_STRIDE_TIME,
                np.log(subject.height_m) / _NEAR["size"],
                np.log(subject.mass_kg / subject.height_m**2) / (2 * _NEAR["size"]),
                np.log(subject.strength) / _NEAR["strength"],
                task.trunk_lean_rad / _NEAR["lean"],
                task.minimum_step_width_m / 0.05,
                task.tracking_weight / _NEAR["weights"],
                *(np.log(max(weight, 1e-3)) / _NEAR["weights"] for weight in weights),
                np.log(trial.contact_stiffness_factor) / _NEAR["contact"],
                1e3 * task.intervals + 1e6 * (trial.engine == "moco"),
            ]
        )
    return np.array(rows)


def _continuation_tree(trials: list[PlannedTrial]) -> tuple[list[int], list[int | None]]:
    """Prim's minimum spanning tree: order of growth and, for each, the parent's index."""
    features = _features(trials)
    severity = np.array([trial.subject.severity for trial in trials]) / _NEAR["severity"]
    names = {name: i for i, name in enumerate(sorted({trial.subject.pathology for trial in trials}))}
    kind = np.array([names[trial.subject.pathology] for trial in trials])
    side = np.array([("none", "left", "right", "both").index(trial.subject.affected_side) for trial in trials])
    ill = kind != names.get("none", -1)

    def distances(i: int) -> np.ndarray:
        """From trial i to all others; from one pathology to another it is by way of health."""
        squares = ((features - features[i]) ** 2).sum(axis=1)
        same = kind == kind[i]
        between = np.where(same, np.abs(severity - severity[i]), severity + severity[i] + _OTHER_PATHOLOGY)
        between += np.where(ill & ill[i] & (side != side[i]), _OTHER_SIDE, 0.0)
        return np.sqrt(squares + between**2)

    adult = WalkingTask(1.2)
    middle = PlannedTrial("", Subject("reference"), adult, None, 0, trials[0].engine)
    from_middle = np.sqrt(
        ((features - _features([replace(middle, task=replace(adult, intervals=trials[0].task.intervals))])) ** 2).sum(axis=1)
    )
    root = int(np.argmin(from_middle + severity + np.where(ill, _OTHER_PATHOLOGY, 0.0)))
    order: list[int] = [root]
    parents: list[int | None] = [None]
    nearest, parent_of = distances(root), np.full(len(trials), root)
    nearest[root] = np.inf
    for _ in range(len(trials) - 1):
        new = int(np.argmin(nearest))
        order.append(new)
        parents.append(int(parent_of[new]))
        reach = distances(new)
        closer = (reach < nearest) & np.isfinite(nearest)
        nearest, parent_of = np.where(closer, reach, nearest), np.where(closer, new, parent_of)
        nearest[new] = np.inf
    return order, parents
