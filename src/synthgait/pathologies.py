"""Pathologies: from a name, a severity and a side to changes of a body and of its task.

In: the tables of ``simulations/pathologies/*.yaml``, a healthy model and a ``Subject``. Out: the
changed ``MusculoskeletalModel`` and ``WalkingTask``. Severity interpolates linearly between the
healthy value at 0 and the table's at 1. "crouch+equinus" is both at once: their changes are made in turn, at the
same severity and on the same side, so that factors on the same number multiply and shifts add up.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from synthgait.bundled import folder, one_sentence, read_yaml
from synthgait.conventions import LEG_COORDINATES, LEG_MUSCLES, LUMBAR_COORDINATES, SIDES
from synthgait.errors import InputError
from synthgait.musculoskeletal import MusculoskeletalModel
from synthgait.subjects import Subject

if TYPE_CHECKING:  # only the type: who builds bodies must not reach the solver's side
    from synthgait.simulate.task import WalkingTask

#: What a table may call several muscles at once.
MUSCLE_GROUPS: dict[str, tuple[str, ...]] = {
    "all": LEG_MUSCLES,
    "plantarflexors": ("soleus", "gastrocnemius_medialis", "gastrocnemius_lateralis", "tibialis_posterior", "peroneus_longus"),
    "triceps_surae": ("soleus", "gastrocnemius_medialis", "gastrocnemius_lateralis"),
    "dorsiflexors": ("tibialis_anterior",),
    "knee_extensors": ("vastus_lateralis", "vastus_medialis", "rectus_femoris"),
    "hamstrings": ("semimembranosus", "biceps_femoris_long"),
    "knee_flexors": ("semimembranosus", "biceps_femoris_long", "biceps_femoris_short", "gracilis"),
    "hip_extensors": ("gluteus_maximus_superior", "gluteus_maximus_inferior", "adductor_magnus_distal"),
    "hip_flexors": ("iliacus", "psoas", "rectus_femoris"),
    "hip_abductors": ("gluteus_medius_anterior", "gluteus_medius_middle", "gluteus_medius_posterior", "tensor_fasciae_latae"),
    "hip_adductors": ("adductor_longus", "adductor_magnus_proximal", "adductor_magnus_distal"),
}
MuscleParameter = Literal[
    "max_isometric_force_n",
    "optimal_fibre_length_m",
    "tendon_slack_length_m",
    "max_contraction_velocity_per_s",
    "deactivation_time_constant_s",
    "passive_fibre_strain",
    "fibre_damping",
    "tendon_strain",
]
PassiveParameter = Literal["k1_nm", "k2_per_rad", "theta1_rad", "k3_nm", "k4_per_rad", "theta2_rad", "damping_nms_per_rad"]
TaskParameter = Literal[
    "walking_speed_mps",
    "excitation_weight",
    "activation_weight",
    "acceleration_weight",
    "lumbar_weight",
    "tracking_weight",
    "trunk_weight",
    "trunk_lean_rad",
    "minimum_step_width_m",
]


#: Angles that both sides share.
_ONE_CURVE = ("pelvis_tilt", "pelvis_list", "pelvis_rotation")


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Change(_Strict):
    """One line of a table: a factor or a shift at severity 1, and where it comes from."""

    factor_at_severity_1: float | None = Field(None, gt=0.0, le=10.0)
    shift_at_severity_1: float | None = None
    source: str = Field(min_length=10)

    @model_validator(mode="after")
    def _one_of_both(self) -> _Change:
        if (self.factor_at_severity_1 is None) == (self.shift_at_severity_1 is None):
            raise ValueError("give either factor_at_severity_1 or shift_at_severity_1")
        return self

    def changed(self, value: float, severity: float) -> float:
        """The healthy value moved towards the table's."""
        if self.factor_at_severity_1 is not None:
            return value * (1.0 + severity * (self.factor_at_severity_1 - 1.0))
        return value + severity * (self.shift_at_severity_1 or 0.0)


class MuscleChange(_Change):
    """A change of muscles, by name or by a name of ``MUSCLE_GROUPS``, on a side."""

    parameter: MuscleParameter
    muscles: tuple[str, ...] = Field(min_length=1)
    side: Literal["affected", "unaffected", "both"] = "affected"

    @model_validator(mode="after")
    def _known(self) -> MuscleChange:
        for name in self.muscles:
            if name not in LEG_MUSCLES and name not in MUSCLE_GROUPS:
                raise ValueError(f"there is no muscle {name!r}; groups are {', '.join(MUSCLE_GROUPS)}")
        return self

    @property
    def names(self) -> tuple[str, ...]:
        """The muscles without side, groups taken apart."""
        return tuple(dict.fromkeys(muscle for name in self.muscles for muscle in MUSCLE_GROUPS.get(name, (name,))))


class PassiveChange(_Change):
    """A change of passive joint moments; theta1 is where the upper end of the range begins to resist,
    theta2 the lower."""

    parameter: PassiveParameter
    coordinates: tuple[Literal[(*LEG_COORDINATES, *LUMBAR_COORDINATES)], ...] = Field(min_length=1)  # type: ignore[valid-type]
    side: Literal["affected", "unaffected", "both"] = "affected"


class AlignmentChange(_Change):
    """A change of the knee's frontal alignment, varus positive."""

    parameter: Literal["knee_varus_rad"]
    side: Literal["affected", "unaffected", "both"] = "affected"


class TaskChange(_Change):
    """A change of what is asked of the walker."""

    parameter: TaskParameter


class LoadChange(_Change):
    """What the contact load of a painful joint costs the walker, 0 in health (``WalkingTask.joint_load``)."""

    parameter: Literal["joint_load_weight"]
    joint: Literal["hip", "knee"]
    side: Literal["affected", "unaffected", "both"] = "affected"

    @model_validator(mode="after")
    def _a_cost(self) -> LoadChange:
        if not (self.shift_at_severity_1 or 0.0) > 0.0:
            raise ValueError("a joint_load_weight needs shift_at_severity_1, above 0")
        return self


class HabitChange(_Change):
    """A change of the textbook angles that the walker is pulled to, as patients' published curves differ from
    healthy ones, in rad; of the affected side's share of the cycle in stance, at the expense of the other's; or of
    what the heel carries of the foot's load, and how far the pelvis drops while that leg carries it, as factors.
    """

    angles: tuple[Literal[(*LEG_COORDINATES, "pelvis_tilt", "pelvis_list", "pelvis_rotation")], ...] = ()  # type: ignore[valid-type]
    phase: Literal["stance_fraction"] | None = None
    share: Literal["heel", "pelvis_drop"] | None = None
    side: Literal["affected", "unaffected", "both"] = "affected"

    @model_validator(mode="after")
    def _something(self) -> HabitChange:
        if bool(self.angles) + (self.phase is not None) + (self.share is not None) != 1:
            raise ValueError("give one of angles, phase and share")
        if self.phase is not None and self.shift_at_severity_1 is None:
            raise ValueError("a stance_fraction needs shift_at_severity_1")
        if self.share is not None and self.factor_at_severity_1 is None:
            raise ValueError(f"a share ({self.share}) needs factor_at_severity_1")
        return self

    @property
    def curves(self) -> tuple[str, ...]:
        """The curves that change, without side; none where it is a phase."""
        return self.angles or ((self.share,) if self.share else ())


class Pathology(_Strict):
    """One table of ``simulations/pathologies``.

    ``sides`` are the affected sides that occur, ``age_years`` the ages drawn where a study gives none, ``changes``
    those of the body, ``task`` those of the walking task and ``habits`` those of the curves it is pulled to.
    """

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    title: str
    description: str
    sides: tuple[Literal["left", "right", "both"], ...] = Field(min_length=1)
    age_years: tuple[float, float]
    changes: tuple[MuscleChange | PassiveChange | AlignmentChange, ...] = ()
    task: tuple[TaskChange | LoadChange, ...] = ()
    habits: tuple[HabitChange, ...] = ()


def load(path: str | Path) -> Pathology:
    """Read one table. Raises InputError naming the file, the key and what is wrong with it."""
    path = Path(path)
    content = read_yaml(path)
    # Each line says by its keys of which kind it is, so that an error names one kind only.
    kinds: dict[str, type[MuscleChange | PassiveChange | AlignmentChange]] = {"muscles": MuscleChange, "coordinates": PassiveChange}
    try:
        lines = content.get("changes") or []
        changes = [next((k for key, k in kinds.items() if key in line), AlignmentChange).model_validate(line) for line in lines]
        task = [(LoadChange if "joint" in line else TaskChange).model_validate(line) for line in content.get("task") or []]
        return Pathology.model_validate(content | {"changes": changes, "task": task})
    except ValidationError as error:
        raise InputError(f"{path}: {one_sentence(error)}") from error


@cache
def tables() -> dict[str, Pathology]:
    """All pathologies by name."""
    found = [load(path) for path in sorted((folder("simulations") / "pathologies").glob("*.yaml"))]
    return {pathology.name: pathology for pathology in found}


def get(name: str) -> Pathology:
    """One pathology. Raises InputError when there is none of that name."""
    if name not in tables():
        raise InputError(f"there is no pathology {name!r}; there are {', '.join(tables())}")
    return tables()[name]


def parts(name: str) -> tuple[Pathology, ...]:
    """The tables of a pathology or of a combination ("crouch+equinus").

    Raises:
        InputError: one of them does not exist, or they are not in alphabetical order, each once.
    """
    names = name.split("+")
    if names != sorted(set(names)):
        raise InputError(f"write the combination {name!r} in alphabetical order, each once: {'+'.join(sorted(set(names)))!r}")
    return tuple(get(one) for one in names)


def sides(name: str) -> tuple[str, ...]:
    """The affected sides that occur, of a combination those that all its parts share. Raises InputError."""
    first, *others = parts(name)
    shared = tuple(side for side in first.sides if all(side in other.sides for other in others))
    if not shared:
        raise InputError(f"no side can have all of {name!r}; see the sides in the tables of simulations/pathologies")
    return shared


def age_years(name: str) -> tuple[float, float]:
    """The ages a study may draw, of a combination those that all its parts share. Raises InputError."""
    lows, highs = zip(*(table.age_years for table in parts(name)), strict=True)
    if max(lows) > min(highs):
        raise InputError(f"nobody is of an age for all of {name!r}; see age_years in the tables of simulations/pathologies")
    return max(lows), min(highs)


def apply(model: MusculoskeletalModel, subject: Subject) -> MusculoskeletalModel:
    """The subject's body with its pathology, from the healthy one.

    Raises:
        InputError: the pathology does not exist.
    """
    if subject.pathology == "none":
        return model
    for change in (change for table in parts(subject.pathology) for change in table.changes):
        where = _sides(change.side, subject.affected_side)
        if isinstance(change, MuscleChange):
            wanted = {f"{name}_{side}" for name in change.names for side in where}
            muscles = tuple(_changed(m, change, subject.severity) if m.name in wanted else m for m in model.muscles)
            model = replace(model, muscles=muscles)
        elif isinstance(change, PassiveChange):
            wanted = {c if c in LUMBAR_COORDINATES else f"{c}_{side}" for c in change.coordinates for side in where}
            moments = tuple(_changed(p, change, subject.severity) if p.coordinate in wanted else p for p in model.passive_moments)
            model = replace(model, passive_moments=moments)
    return aligned(model, _leg_varus_rad(subject.pathology, subject.affected_side, subject.severity, subject.knee_varus_rad))


def aligned(model: MusculoskeletalModel, varus_rad: Mapping[str, float]) -> MusculoskeletalModel:
    """The body with the knees' frontal alignment, varus positive, by side."""
    # rotation about +X takes the right knee into varus
    turned = {"knee_r": varus_rad["r"], "knee_l": -varus_rad["l"]}
    joints = (replace(j, parent_rotation_rad=(turned[j.name], *j.parent_rotation_rad[1:])) if j.name in turned else j for j in model.joints)
    return replace(model, joints=tuple(joints))


def knee_varus_rad(people: pd.DataFrame) -> dict[str, np.ndarray]:
    """Frontal alignment (N,) of the knees that walked, by side: people's own (column ``knee_varus_rad``, 0 where there is none)
    as their pathology changes it. A pathology that has no table changes nothing.
    """
    own = people["knee_varus_rad"].to_numpy(float) if "knee_varus_rad" in people else np.zeros(len(people))
    varus = {side: own.copy() for side in SIDES}
    if "pathology" in people:
        names, affected, severity = (people[name].to_numpy() for name in ("pathology", "affected_side", "severity"))
        for name in set(names) - {"none"}:
            for side in set(affected[names == name]) if set(str(name).split("+")) <= set(tables()) else ():
                rows = np.flatnonzero((names == name) & (affected == side))
                for leg, values in _leg_varus_rad(name, side, severity[rows].astype(float), own[rows]).items():
                    varus[leg][rows] = values
    return varus


def _leg_varus_rad(pathology: str, affected_side: str, severity: Any, own: Any) -> dict[str, Any]:
    varus = dict.fromkeys(SIDES, own)
    for change in (change for table in (parts(pathology) if pathology != "none" else ()) for change in table.changes):
        if isinstance(change, AlignmentChange):
            for side in _sides(change.side, affected_side):
                varus[side] = change.changed(varus[side], severity)
    return varus


def apply_to_task(task: WalkingTask, subject: Subject) -> WalkingTask:
    """The task as the pathology changes it."""
    if subject.pathology == "none":
        return task
    loads: dict[str, float] = dict(task.joint_load)
    for change in (change for table in parts(subject.pathology) for change in table.task):
        if isinstance(change, LoadChange):
            for joint in (f"{change.joint}_{side}" for side in _sides(change.side, subject.affected_side)):
                loads[joint] = change.changed(loads.get(joint, 0.0), subject.severity)
            continue
        task = replace(task, **{str(change.parameter): change.changed(getattr(task, change.parameter), subject.severity)})  # type: ignore[arg-type]
    curves = {name: (factor, shift) for name, factor, shift in task.habits}
    for habit in (habit for table in parts(subject.pathology) for habit in table.habits):
        where = list(_sides(habit.side, subject.affected_side))
        if habit.phase is not None and len(where) == 1:
            later = habit.changed(0.0, subject.severity) * (1.0 if where == ["r"] else -1.0)
            task = replace(task, left_contact_phase=task.left_contact_phase + later)
        for name in dict.fromkeys(n if n in _ONE_CURVE else f"{n}_{side}" for n in habit.curves for side in where):
            factor, shift = curves.get(name, (1.0, 0.0))
            if habit.factor_at_severity_1 is not None:
                curves[name] = (habit.changed(factor, subject.severity), shift)
            else:
                curves[name] = (factor, habit.changed(shift, subject.severity))
    habits = tuple((name, *change) for name, change in curves.items() if change != (1.0, 0.0))
    return replace(task, habits=habits, joint_load=tuple((joint, weight) for joint, weight in loads.items() if weight))


def _sides(side: str, affected_side: str) -> Iterable[str]:
    affected = {"left": ("l",), "right": ("r",), "both": SIDES}[affected_side]
    if side == "both":
        return SIDES
    return affected if side == "affected" else tuple(s for s in SIDES if s not in affected)


def _changed(part: Any, change: MuscleChange | PassiveChange, severity: float) -> Any:
    name = change.parameter
    return replace(part, **{name: change.changed(getattr(part, name), severity)})
