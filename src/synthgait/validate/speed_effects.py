"""How a walk changes with walking speed: simulated adults, real ones and what is published.

In: healthy adults of a seed dataset, real cycles, the table of Fukuchi et al. Out: rows of six quantities.

Relations are straight lines over speed within people: slopes are of what differs from each person's own mean, as
people differ by more than speeds do (where nobody walked at two speeds, of all together). Beside them stand the same
people of Schreiber & Moissenet and what is published (``published``).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from synthgait.conventions import COORDINATES, GRAVITY_MPS2
from synthgait.gait import typical_cadence_spm
from synthgait.kinematics import degree_motion
from synthgait.recordings.schreiber_cycles import Cycle
from synthgait.trials import Trials
from synthgait.walks import motion_of

#: Of the cadence that is usual at a speed.
_CADENCE_WINDOW = 0.10
#: Speeds that a line over speed is drawn through, and where its height is told, m/s.
_LINE_MPS, _LEVEL_MPS = (0.6, 1.9), 1.2
#: What is told against speed, and in which unit.
RELATIONS = {
    "step_length_per_leg": "1",
    "cadence_spm": "steps/min",
    "step_width_m": "m",
    "peak_knee_flexion_rad": "rad",
    "push_off_power_w_per_kg": "W/kg",
    "peak_vertical_force_bw": "body weights",
}
#: Largest knee flexion in swing, deg, from speed v in km/h: b0 + b1 v + b2 v^2, no effect of height. Koopman et al.,
#: J Biomech 2014;47:1447 (15 adults of 47 to 68 years, 0.5 to 5 km/h); coefficients as github.com/roboticslab-uc3m/
#: comms-server has them in data_knee/regEq.csv, row "max. swing", which its gait-generator.py draws by that method.
_KOOPMAN_SWING_KNEE_DEG = (38.1104, 9.74369, -1.10481)
#: Speed in leg lengths/s and step width in leg lengths of younger and older adults asked to walk slowly, as they
#: prefer, and fast on a floor without obstacles: J NeuroEng Rehabil 2012;9:69, table 1.
_STEP_WIDTH = ((1.069, 0.146), (1.545, 0.140), (2.495, 0.139))
_LEG_M = 0.9
#: Speed in m/s and largest vertical force in body weights, walking and running on a straight line: Keller et al.,
#: Clin Biomech 1996;11:253, abstract (23 people, 1.5 to 6 m/s).
_VERTICAL_FORCE = ((1.5, 1.2), (6.0, 2.5))


def natural_cadence(trials: Trials) -> np.ndarray:
    """Which trials walk with about the cadence that people of that height choose at that speed."""
    cadence, speed, height = (trials.table[name].to_numpy(float) for name in ("cadence_spm", "walking_speed_mps", "height_m"))
    return np.abs(cadence / typical_cadence_spm(speed, height) - 1.0) < _CADENCE_WINDOW


def relations(walked: Trials, cycles: Sequence[Cycle], adults: pd.DataFrame) -> list[dict[str, Any]]:
    """How six quantities change with walking speed (0.6 to 1.9 m/s): simulated adults of natural cadence, the people of
    Schreiber & Moissenet, and what is published.

    Args:
        walked: healthy adults.
        cycles: of ``schreiber_cycles``; of a foot that hit no plate without force and push-off.
        adults: the table of Fukuchi et al. (``recordings.reference_table``).

    Returns one row for each of ``RELATIONS``: ``quantity``, ``unit``; ``slope_simulated``, ``slope_real`` and
    ``slope_published`` in that unit per m/s; ``at_1_2_mps_simulated``, ``_real`` and ``_published``, the line's height
    at 1.2 m/s; ``source`` of what is published, "none found" where nothing is; ``n_simulated`` strides,
    ``n_cycles`` of ``n_people`` real people. Slopes and heights are None where there is no line.
    """
    natural = walked.select(natural_cadence(walked))
    table = natural.table
    weight = table["mass_kg"].to_numpy(float)[:, None] * GRAVITY_MPS2
    simulated: dict[str, np.ndarray] = {
        "step_length_per_leg": 0.5 * table["stride_length_m"].to_numpy(float) / table["leg_length_m"].to_numpy(float),
        "cadence_spm": table["cadence_spm"].to_numpy(float),
        "step_width_m": table["step_width_m"].to_numpy(float),
        "peak_knee_flexion_rad": natural.channel("knee_flexion_r").max(axis=1).astype(float),
        "push_off_power_w_per_kg": push_off_w_per_kg(natural),
        "peak_vertical_force_bw": (natural.channel("ground_reaction_y_r") / weight).max(axis=1).astype(float),
    }
    real = pd.DataFrame([_of_cycle(cycle) for cycle in cycles], columns=["person", "speed", *RELATIONS])
    told = published(adults)
    rows = []
    for quantity, unit in RELATIONS.items():
        ours = _line(table["walking_speed_mps"].to_numpy(float), simulated[quantity], table["subject_id"].astype(str).to_numpy())
        theirs = _line(real["speed"].to_numpy(float), real[quantity].to_numpy(float), real["person"].to_numpy())
        slope, level, source = told[quantity]
        rows.append(
            {
                "quantity": quantity,
                "unit": unit,
                "slope_simulated": ours.slope,
                "slope_real": theirs.slope,
                "slope_published": slope,
                "at_1_2_mps_simulated": ours.level,
                "at_1_2_mps_real": theirs.level,
                "at_1_2_mps_published": level,
                "source": source,
                "n_simulated": ours.n,
                "n_cycles": theirs.n,
                "n_people": theirs.people,
            }
        )
    return rows


def published(adults: pd.DataFrame) -> dict[str, tuple[float | None, float | None, str]]:
    """Quantity of ``RELATIONS`` -> published slope per m/s, height at 1.2 m/s (None where the source does not reach
    down to it) and source. Step length and cadence are the lines of the 43 people of Fukuchi et al., within people as
    ours are. A curved relation is drawn as the straight line through the speeds it holds for.

    Args:
        adults: the table of Fukuchi et al. (``recordings.reference_table``).
    """
    speed, people = adults["walking_speed_mps"].to_numpy(float), adults["subject_id"].to_numpy()
    steps = _line(speed, (adults["step_length_m"] / adults["leg_length_m"]).to_numpy(float), people)
    cadence = _line(speed, adults["cadence_spm"].to_numpy(float), people)
    fukuchi = f"Fukuchi et al., PeerJ 2018;6:e4640: table of {steps.people} adults"
    walked = np.linspace(_LINE_MPS[0], 5.0 / 3.6, 50)
    knee = np.polyfit(walked, np.deg2rad(np.polyval(_KOOPMAN_SWING_KNEE_DEG[::-1], 3.6 * walked)), 1)
    width_speeds, widths = _LEG_M * np.array(_STEP_WIDTH).T
    width = np.polyfit(width_speeds, widths, 1)
    force_speeds, forces = np.array(_VERTICAL_FORCE).T
    force = np.polyfit(force_speeds, forces, 1)
    return {
        "step_length_per_leg": (steps.slope, steps.level, fukuchi),
        "cadence_spm": (cadence.slope, cadence.level, fukuchi),
        "step_width_m": (
            float(width[0]),
            float(np.polyval(width, _LEVEL_MPS)),
            "J NeuroEng Rehabil 2012;9:69: means at three speeds, 0.96 to 2.25 m/s for a leg of 0.9 m",
        ),
        "peak_knee_flexion_rad": (
            float(knee[0]),
            float(np.polyval(knee, _LEVEL_MPS)),
            "Koopman et al., J Biomech 2014;47:1447: regression of 15 adults, 0.6 to 1.39 m/s",
        ),
        "push_off_power_w_per_kg": (None, None, "none found"),
        "peak_vertical_force_bw": (
            float(force[0]),
            None,
            "Keller et al., Clin Biomech 1996;11:253: 23 people walking and running, 1.5 to 6 m/s",
        ),
    }


def _of_cycle(cycle: Cycle) -> dict[str, Any]:
    """Person, speed in m/s and what a real cycle has of ``RELATIONS``, NaN where it was not measured."""
    force = cycle.curves.get("ground_reaction_y")
    return {
        "person": cycle.subject_id,
        "speed": cycle.walking_speed_mps,
        "step_length_per_leg": cycle.numbers.get("step_length_per_leg", np.nan),
        "cadence_spm": 120.0 / cycle.stride_time_s,
        "step_width_m": cycle.numbers.get("step_width_m", np.nan),
        "peak_knee_flexion_rad": float(cycle.curves["knee_flexion"].max()),
        "push_off_power_w_per_kg": cycle.numbers.get("push_off_w_per_kg", np.nan),
        "peak_vertical_force_bw": np.nan if force is None else float(force.max()),
    }


def push_off_w_per_kg(strides: Trials) -> np.ndarray:
    """Largest power (N,) that the right ankle gives, from the moment of the ground's force about it; the foot's own weight and
    inertia are left out, as they matter in the air.
    """
    if not len(strides):
        return np.zeros(0)
    motion = motion_of(strides)
    ankle = degree_motion(motion.skeleton, motion.coordinates, motion.speeds, ["foot_r"])[1]["ankle_dorsiflexion_r"]
    force = np.stack([strides.channel(f"ground_reaction_{axis}_r") for axis in "xyz"]).astype(float)
    pressure = [np.nan_to_num(strides.channel(f"centre_of_pressure_{axis}_r")) for axis in "xz"]
    lever = np.stack([pressure[0], np.zeros_like(pressure[0]), pressure[1]]) - ankle.place_m
    moment = np.cross(lever, force, axis=0)
    moment[1] += np.nan_to_num(strides.channel("free_moment_r"))
    power = -(moment * ankle.axis).sum(axis=0) * motion.speeds[:, :, COORDINATES.index("ankle_dorsiflexion_r")]
    return power.max(axis=1) / strides.table["mass_kg"].to_numpy(float)


class _Line(NamedTuple):
    """A straight line over speed: change per m/s, height at 1.2 m/s, gaits and people behind it."""

    slope: float | None
    level: float | None
    n: int
    people: int


def _line(speed_mps: np.ndarray, values: np.ndarray, people: np.ndarray) -> _Line:
    """The line within people (N,), through the mean of all; of all together where nobody walked at two speeds."""
    kept = np.isfinite(values) & (speed_mps >= _LINE_MPS[0]) & (speed_mps <= _LINE_MPS[1])
    frame = pd.DataFrame({"speed": speed_mps[kept], "value": values[kept]})
    n, who = len(frame), people[kept]
    if n < 3 or np.ptp(frame["speed"]) == 0.0:
        return _Line(None, None, n, len(set(who)))
    own = frame - frame.groupby(who).transform("mean")
    if np.allclose(own["speed"], 0.0):
        own = frame - frame.mean()
    slope = float((own["speed"] * own["value"]).sum() / (own["speed"] ** 2).sum())
    return _Line(slope, float(frame["value"].mean() + slope * (_LEVEL_MPS - frame["speed"].mean())), n, len(set(who)))


_COLUMNS = (("simulated", 10), ("real", 8), ("published", 10))
_SHORT = {"1": "", "steps/min": "1/min", "body weights": "BW"}


def as_text(rows: Sequence[dict[str, Any]]) -> list[str]:
    """The relations to speed as lines of text, angles in degrees, and the sources below."""
    if not rows:
        return []
    heads = "".join(f"{who:>{width}}" for who, width in _COLUMNS)
    lines = [
        f"{'against walking speed':34}{'slope per m/s':>28}{'at 1.2 m/s':>28}",
        f"{'':34}{heads}{heads}{'strides':>10}{'cycles':>8}{'people':>8}",
    ]
    for row in rows:
        angle = row["unit"] == "rad"

        def told(key: str, width: int, row: dict[str, Any] = row, angle: bool = angle) -> str:
            value = row[key]
            return f"{'' if value is None else f'{np.rad2deg(value) if angle else value:.3f}':>{width}}"

        numbers = "".join(told(f"{what}_{who}", w) for what in ("slope", "at_1_2_mps") for who, w in _COLUMNS)
        counts = f"{row['n_simulated']:10d}{row['n_cycles']:8d}{row['n_people']:8d}"
        lines.append(
            f"{row['quantity'].removesuffix('_rad'):26}{'deg' if angle else _SHORT.get(row['unit'], row['unit']):8}{numbers}{counts}"
        )
    lines.append("lines within people, from 0.6 to 1.9 m/s; real: Schreiber & Moissenet; published:")
    lines += [f"  {row['quantity'].removesuffix('_rad')}: {row['source']}" for row in rows]
    return lines
