"""Schreiber & Moissenet 2019 as gait cycles: joint angles, ground reaction and EMG of healthy adults.

In: the folder ``schreiber_moissenet_2019``. Out: one ``Cycle`` per walk and leg, in the names, signs and
axes of ``conventions``, as a yardstick for simulated curves.

Joint angles come from segment frames of our own: long axis between joint centres (hip centres after
Harrington et al., J Biomech 2007;40:595), sideways axis between the epicondyles, the malleoli or the first
and fifth metatarsal heads; Cardan angles Z-X-Y (flexion, adduction, rotation: Wu et al., J Biomech
2002;35:543). Sagittal angles are zero in the person's own standing trial, so that neither marker placement nor
anatomy shifts them; the others are as geometry gives them, since people stand with their feet apart.
Cycles begin at initial contact as the dataset has it from its force plates.

Ankle power is the moment of the plate's force about the middle of the malleoli, along the sideways axis of the
shank, times the ankle's angular velocity; the foot's own weight and inertia and the plate's free moment are left
out. Angles are low-passed at 6 Hz for it, as the EMG is (second order, forwards and backwards).
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from scipy.signal import butter, sosfiltfilt

from synthgait.conventions import GRAVITY_MPS2
from synthgait.errors import InputError
from synthgait.recordings import schreiber
from synthgait.recordings.refusals import require_some, warn
from synthgait.recordings.tables import number

PERCENT = np.arange(101.0)
#: Angles whose zero is the standing trial.
_FROM_STANDING = ("pelvis_tilt", "hip_flexion", "knee_flexion", "ankle_dorsiflexion")
#: Share of body weight from which on a plate's centre of pressure is believed, and the low-pass of angles in Hz.
_LOADED, _SMOOTH_HZ = 0.05, 6.0


@dataclass(frozen=True)
class Cycle:
    """One gait cycle of one leg, 0 to 100 percent.

    ``curves``: channel of ``conventions`` without its side -> (101,), rad; ``ground_reaction_{x,y,z}`` in
    body weights where the foot hit a plate; all as if of the right leg. ``emg``: muscle -> (101,), each
    scaled to its person's maximum; empty for the left leg. ``numbers``, where they could be measured:
    ``step_width_m`` (heel to heel where they land, mean of the walk's steps), ``step_length_per_leg`` (mean
    step over leg length, hip centre to floor) and ``push_off_w_per_kg`` (largest power that the ankle gives).
    """

    subject_id: str
    walk_id: str
    side: str
    walking_speed_mps: float
    stride_time_s: float
    curves: dict[str, np.ndarray]
    emg: dict[str, np.ndarray]
    numbers: dict[str, float] = field(default_factory=dict)


def cycles(folder: Path) -> list[Cycle]:
    """Every whole cycle. Raises InputError where the folder is not this dataset or a person stood in no trial."""
    standing, legs = {}, {}
    for path in sorted(folder.rglob("*_ST.c3d")):
        markers, _ = schreiber._markers(schreiber._open(path), path)
        still = {m: np.nanmean(_world(xyz, 1.0), axis=0)[None] for m, xyz in markers.items()}
        # the direction a person faces: forward from the back of the pelvis
        facing = still["L_IAS"] + still["R_IAS"] - still["L_IPS"] - still["R_IPS"]
        turn = -1.0 if facing[0, 0] < 0 else 1.0
        still = {m: xyz * np.array([turn, 1.0, turn]) for m, xyz in still.items()}
        standing[path.stem.split("_")[0]] = {side: _angles(still, side) for side in "rl"}
        legs[path.stem.split("_")[0]] = schreiber._leg_length(path)
    people = schreiber._people(folder)
    walks, largest, refused = schreiber._walks(folder)
    require_some(walks, refused, folder)
    warn(refused, folder)
    found = []
    for walk in walks:
        if walk.subject not in standing:
            raise InputError(f"{folder} has no standing trial {walk.subject}_ST.c3d; joint angles need it for their zero")
        mass = number(people.get(walk.subject, {}), "mass", f"anthropometrics.csv of {walk.subject}")
        plates = _plates(walk, mass * GRAVITY_MPS2) if mass else {}
        truth = schreiber._truth(walk)
        width, leg = _step_width(walk), legs[walk.subject]
        for label, side in (("Right", "r"), ("Left", "l")):
            strikes = walk.strikes[label]
            if len(strikes) < 2:
                continue
            times = np.interp(PERCENT, (0.0, 100.0), strikes[:2])
            curves = {}
            for name, values in _angles(walk.markers, side).items():
                zero = standing[walk.subject][side][name][0] if name in _FROM_STANDING else 0.0
                curves[name] = np.interp(times, np.arange(len(values)) / walk.rate, values) - zero
            speed, stride_time = truth["walking_speed_mps"], strikes[1] - strikes[0]
            numbers = {} if width is None else {"step_width_m": width}
            if leg is not None:
                numbers["step_length_per_leg"] = 0.5 * speed * stride_time / leg
            if side in plates:
                rate, force, _ = plates[side]
                sign = np.array([1.0, 1.0, 1.0 if side == "r" else -1.0])
                sampled = np.stack([np.interp(times, np.arange(len(force)) / rate, column) for column in force.T], axis=1) * sign
                if sampled[:, 1].max() > 0.5:  # the plate may lie under a step before or after the cycle
                    curves |= {f"ground_reaction_{axis}": sampled[:, i] for i, axis in enumerate("xyz")}
                    numbers["push_off_w_per_kg"] = float(_ankle_power(walk, side, plates[side], times).max())
            emg = {
                muscle[:-2]: np.interp(times, np.arange(len(e)) / walk.envelope_rate, e) / largest[walk.subject, muscle]
                for muscle, e in walk.envelopes.items()
                if muscle.endswith(f"_{side}")
            }
            found.append(Cycle(walk.subject, walk.path.stem, side, speed, stride_time, curves, emg, numbers))
    return found


def _world(xyz: np.ndarray, sign: float) -> np.ndarray:
    """Laboratory axes (x along the walkway, z up) to X along the walk, Y up, Z right."""
    return np.column_stack([sign * xyz[:, 0], xyz[:, 2], -sign * xyz[:, 1]])


def _frame(up: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Rotation matrices (T, 3, 3) with Y along ``up`` and Z as near to ``right`` as can be."""
    y = up / np.linalg.norm(up, axis=1, keepdims=True)
    x = np.cross(y, right)
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    return np.stack([x, y, np.cross(x, y)], axis=2)


def _cardan(rotation: np.ndarray) -> np.ndarray:
    """Angles (T, 3) of R = Rz(a) Rx(b) Ry(c)."""
    a = np.arctan2(-rotation[:, 0, 1], rotation[:, 1, 1])
    b = np.arcsin(np.clip(rotation[:, 2, 1], -1.0, 1.0))
    c = np.arctan2(-rotation[:, 2, 0], rotation[:, 2, 2])
    return np.stack([a, b, c], axis=1)


def _angles(markers: dict[str, np.ndarray], side: str) -> dict[str, np.ndarray]:
    """Angles (T,) of pelvis and one leg, with the signs that the right leg has."""
    letter, sign = side.upper(), 1.0 if side == "r" else -1.0

    def middle(*names: str) -> np.ndarray:
        return np.mean([markers[f"{letter}_{name}"] for name in names], axis=0)

    def across(outer: str, inner: str) -> np.ndarray:
        """To the right, from the marker on one side of the segment to the other."""
        return sign * (markers[f"{letter}_{outer}"] - markers[f"{letter}_{inner}"])

    front = 0.5 * (markers["L_IAS"] + markers["R_IAS"])
    back = 0.5 * (markers["L_IPS"] + markers["R_IPS"])
    right = markers["R_IAS"] - markers["L_IAS"]
    pelvis = _frame(np.cross(right, front - back), right)
    hip = schreiber._hip_centres(markers)[side]
    thigh = _frame(hip - middle("FLE", "FME"), across("FLE", "FME"))
    shank, foot = _shank_and_foot(markers, side)

    def between(parent: np.ndarray, child: np.ndarray) -> np.ndarray:
        return _cardan(np.swapaxes(parent, 1, 2) @ child)

    tilt, lean, turn = _cardan(pelvis).T
    flexion, adduction, rotation = between(pelvis, thigh).T
    return {
        "pelvis_tilt": tilt,
        "pelvis_list": sign * lean,
        "pelvis_rotation": sign * turn,
        "hip_flexion": flexion,
        "hip_adduction": sign * adduction,
        "hip_internal_rotation": sign * rotation,
        "knee_flexion": -between(thigh, shank)[:, 0],
        "ankle_dorsiflexion": between(shank, foot)[:, 0],
    }


def _step_width(walk: schreiber._Walk) -> float | None:
    """Sideways distance of the heels in m, each where it lands, mean of the walk's steps; None without a step."""
    strikes = sorted((time, side) for side, times in walk.strikes.items() for time in times)
    widths = []
    for (before, other), (time, side) in itertools.pairwise(strikes):
        if side != other:
            places = {}
            for at, which in ((before, other), (time, side)):
                heel = walk.markers[f"{which[0]}_FCC"]
                places[which] = heel[min(len(heel) - 1, round(at * walk.rate)), 2]
            widths.append(places["Right"] - places["Left"])
    return float(np.mean(widths)) if widths else None


def _shank_and_foot(markers: dict[str, np.ndarray], side: str) -> tuple[np.ndarray, np.ndarray]:
    """Frames (T, 3, 3) of shank and foot, with Z to the right on both sides."""
    letter, sign = side.upper(), 1.0 if side == "r" else -1.0
    m = {name: markers[f"{letter}_{name}"] for name in ("FLE", "FME", "FAL", "TAM", "FM1", "FM5", "FCC")}
    knee, ankle = np.mean([m["FLE"], m["FME"]], axis=0), np.mean([m["FAL"], m["TAM"]], axis=0)
    forward, across = np.mean([m["FM1"], m["FM5"]], axis=0) - m["FCC"], sign * (m["FM5"] - m["FM1"])
    return _frame(knee - ankle, sign * (m["FAL"] - m["TAM"])), _frame(np.cross(across, forward), across)


def _ankle_power(walk: schreiber._Walk, side: str, plate: tuple[float, np.ndarray, np.ndarray], times: np.ndarray) -> np.ndarray:
    """Power that an ankle gives at these times, (len(times),) in W/kg; 0 where the plate is hardly loaded."""
    rate, force_bw, centre_m = plate
    markers = walk.markers
    shank, foot = _shank_and_foot(markers, side)
    angle = _cardan(np.swapaxes(shank, 1, 2) @ foot)[:, 0]
    smooth = sosfiltfilt(butter(2, _SMOOTH_HZ, fs=walk.rate, output="sos"), angle)
    ankle = 0.5 * (markers[f"{side.upper()}_FAL"] + markers[f"{side.upper()}_TAM"])

    def at(values: np.ndarray, per_s: float) -> np.ndarray:
        samples = np.arange(len(values)) / per_s
        return np.stack([np.interp(times, samples, column) for column in values.T], axis=1)

    force = at(force_bw, rate)
    moment = np.cross(at(np.nan_to_num(centre_m), rate) - at(ankle, walk.rate), GRAVITY_MPS2 * force)
    velocity = np.interp(times, np.arange(len(smooth)) / walk.rate, np.gradient(smooth) * walk.rate)
    return np.where(force[:, 1] > _LOADED, -(moment * at(shank[:, :, 2], walk.rate)).sum(axis=1) * velocity, 0.0)


def _plates(walk: schreiber._Walk, weight_n: float) -> dict[str, tuple[float, np.ndarray, np.ndarray]]:
    """Side -> rate, force on that foot (T, 3) in body weights and its centre of pressure (T, 3) in m, of the plate that it stood on."""
    import ezc3d

    c3d = ezc3d.c3d(str(walk.path), extract_forceplat_data=True)
    rate = float(c3d["parameters"]["ANALOG"]["RATE"]["value"][0])
    x = np.mean([c3d["data"]["points"][0, list(c3d["parameters"]["POINT"]["LABELS"]["value"]).index(m)] for m in schreiber._PELVIS], axis=0)
    sign = 1.0 if np.nanmean(np.diff(x)) >= 0 else -1.0
    found = {}
    for plate in c3d["data"]["platform"]:
        force = _world(np.asarray(plate["force"]).T, sign)
        if not np.isfinite(force).all() or force[:, 1].max() < 0.5 * weight_n:
            continue
        loaded = int(np.argmax(force[:, 1]))
        centres = _world(np.asarray(plate["center_of_pressure"]).T * 0.001, sign)
        frame = min(round(loaded / rate * walk.rate), len(walk.markers["R_FCC"]) - 1)
        reach = {s.lower(): 0.5 * (walk.markers[f"{s}_FCC"][frame] + walk.markers[f"{s}_FM2"][frame]) for s in "RL"}
        found[min(reach, key=lambda s: float(np.linalg.norm((reach[s] - centres[loaded])[[0, 2]])))] = (rate, force / weight_n, centres)
    return found
