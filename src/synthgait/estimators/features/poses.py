"""Key points (3-D, or 2-D in one camera's picture) and joint angles.

In: ``<joint>_{x,y[,z]}`` with Y up, in any unit, or joint angles in rad. Out: ``Windows``.

Poses are taken relative to the hips and in units of their own leg (the vertical from hip to ankle
in mid-stance, which a compressed depth does not change), so unit and scale are never used. How far the
hips travel is kept beside, unseen by the networks. It is in legs too: what a single camera's pose
network has wrong in its metre it has wrong in the body's size as well. Up is the mean line from the
ankles to the hips over a stride, however a camera is tilted. Forward is the horizontal axis along which
the ankles pass each other, towards the side the knees bend to. The physical estimate is the speed at
which the standing foot goes backwards under the hips. How far the depth is compressed shows in thighs
and shanks that seem shorter when they lean: ``depth`` is the stretch along the walk that would make
them rigid. In a picture that comes from the view as well (``features.pictures``): what it does not show of the walk's length
is taken from what is usual, and the networks put right what is wrong with that.

Joint angles lose their mean (zeros differ between laboratories); a two-segment leg turns them
into the same quantities. Segment lengths are fractions of the hip's height after de Leva (J Biomech
1996;29:1223): thigh 0.47, shank 0.45.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from synthgait.conventions import SIDES
from synthgait.errors import InputError
from synthgait.estimators.features import footholds, pictures
from synthgait.estimators.features import windows as w
from synthgait.kinematics import spectral_derivative
from synthgait.signal_events import LEAST_HIPS_LEGS, keypoint_contacts

#: A recording of fewer strides is timed by its landings, if these say the same to within that share.
_FEW_STRIDES, _LANDINGS_AGREE = 2.2, 0.15
_EDGE_S = 0.1
#: What is relative to the hips, in space, hardly drifts within so long, and a filter bends what is near an end.
_DRIFTS_S = 12.0
#: Cosine of the angle by which a camera may be tilted; beyond it another axis is up.
_LEAST_UPRIGHT = 0.7
#: Way of the hips and way of the feet under them tell of the same walk within a factor of two.
_SAME_WALK = np.log(2.0)
#: A leg told by its points and one told by the walker's size are the same within that logarithm: people of one height have legs
#: that differ by 3 % (standard deviation, Pheasant, Bodyspace, 1986).
_SAME_SIZE = 0.08
_JOINTS = ("shoulder", "knee", "ankle", "heel", "toe")
POSE_CHANNELS = tuple(f"{joint}_{axis}_{side}" for side in SIDES for joint in _JOINTS for axis in ("forward", "up", "right"))
POSE_SCALARS = ("stride_time", "size", "size_known", "base", "depth", "ankle_distance")
#: In a picture, where the hips are apart as far as the view is oblique.
PICTURE_CHANNELS = tuple(f"{joint}_{axis}_{side}" for side in SIDES for joint in ("hip", *_JOINTS) for axis in ("forward", "up"))
PICTURE_SCALARS = (*POSE_SCALARS, "obliquity")
_ANGLES = ("hip_flexion", "knee_flexion", "ankle_dorsiflexion")
ANGLE_CHANNELS = tuple(f"{name}_{side}" for side in SIDES for name in _ANGLES)
ANGLE_SCALARS = ("stride_time", "size", "size_known", "base", "opening")
#: Hip to ankle over hip to floor (ankle 0.08 of it above the floor, de Leva 1996).
ANKLE_SHARE = 0.92
_THIGH, _SHANK = 0.47, 0.45
#: Knees bend while hips swing forward: that correlation of a knee's angle with its hip's velocity is 0.4 to 0.9 in simulated
#: walks, so beyond this, to either side, their signs are told.
_SWINGS_TOGETHER = 0.2
#: Knees are bent on average over a stride (by 0.2 rad and more); zeros of laboratories differ by a few degrees.
_LEAST_KNEE_RAD = -0.15


def featurise_pose(
    signals: Mapping[str, np.ndarray], sampling_rate_hz: float, body: w.Body, *, metric: bool, oblique: bool = False
) -> w.Windows:
    """Windows of key points; ``metric`` says that their unit is the metre (then an unknown size is read off), ``oblique`` that a
    picture may be taken from anywhere.
    """
    axes = ("x", "y", "z") if "ankle_r_z" in signals else ("x", "y")
    needed = [f"{joint}_{side}_{axis}" for joint in ("hip", "knee", "ankle") for side in SIDES for axis in axes]
    for name in needed:
        if name not in signals:
            raise InputError(f"the pose has no {name!r}; hips, knees and ankles of both sides are needed")
    names = [f"{joint}_{side}" for side in SIDES for joint in ("hip", *_JOINTS) if f"{joint}_{side}_x" in signals]
    flat = np.stack([np.asarray(signals[f"{name}_{axis}"], float) for name in names for axis in axes], axis=1)
    points = w.to_working_rate(flat, sampling_rate_hz).reshape(-1, len(names), len(axes))
    if points.shape[2] == 2:
        points = np.concatenate([points, np.zeros((*points.shape[:2], 1))], axis=2)
    place = {name: column for column, name in enumerate(names)}
    hips = 0.5 * (points[:, place["hip_r"]] + points[:, place["hip_l"]])
    ankles = points[:, [place["ankle_r"], place["ankle_l"]]]
    points = points - hips[:, None]
    in_plane = len(axes) == 2
    tall = pictures.size(points, place) if in_plane else np.ones(len(points))
    steady = pictures.evened(points, tall) if in_plane else points
    moving = w.band(steady.reshape(len(points), -1), shortest_s=4.0 if in_plane else _DRIFTS_S)
    centre, period, score = w.stride_times(moving)
    if not len(centre):
        centre, period, score = w.single_stride(moving)
    if not len(centre):
        raise w.NoWalking("no walking found: nothing in the recording repeats like strides")
    walks = w.moving_strides(steady.reshape(len(points), -1), centre, period)
    centre, period, score = centre[walks], period[walks], score[walks]
    if len(points) < _FEW_STRIDES * np.median(period) * w.WORKING_RATE_HZ:
        period = _between_landings({name: points[:, column] for name, column in place.items()}, period)
    flat = points.reshape(len(points), -1)
    inverse = pictures.growth(tall, centre, period) if in_plane else None
    coefficients = w.fourier(flat, centre, period) if inverse is None else pictures.fourier(flat, inverse, centre, period)
    coefficients = coefficients.reshape(len(centre), 1 + w.HARMONICS, len(names), 3)
    way = None if in_plane else _way(hips, centre, period)
    crosses = in_plane and pictures.crosses(hips[:, 0], leg_of(points, place))
    shown = Shown(1.0 if metric else None, in_plane, crosses, oblique, way, ankles, inverse)
    return pose_windows(names, coefficients, period, centre, score, body, shown)


def _way(hips: np.ndarray, centre: np.ndarray, period: np.ndarray) -> np.ndarray:
    """How far (N,) the hips (T, 3) go in a stride, from their mean velocity within a stride of each centre."""
    time = np.arange(len(hips)) / w.WORKING_RATE_HZ
    near = (slice(*np.searchsorted(time, (middle - stride, middle + stride))) for middle, stride in zip(centre, period, strict=True))
    return np.array([np.linalg.norm(np.polyfit(time[part], hips[part], 1)[0]) for part in near]) * period


def _between_landings(points: dict[str, np.ndarray], period: np.ndarray) -> np.ndarray:
    """Stride times (N,) from landings where they agree with those of the signal's repetition: a piece of little more
    than a stride shows both its landings, but hardly repeats.
    """
    found = keypoint_contacts(points, w.WORKING_RATE_HZ)
    end_s = (len(next(iter(points.values()))) - 1) / w.WORKING_RATE_HZ
    # a filter bends what is near an end
    inside = (found.time_s > _EDGE_S) & (found.time_s < end_s - _EDGE_S)
    # from a foot's landing to its next, as the steps of a limp differ
    strides = np.concatenate([np.diff(found.time_s[inside & (found.side == side)]) for side in SIDES])
    if not len(strides) or abs(strides.mean() / np.median(period) - 1.0) > _LANDINGS_AGREE:
        return period
    return np.full_like(period, strides.mean())


def leg_of(points: np.ndarray, place: Mapping[str, int]) -> float:
    """Height of the hip over the ankle in mid-stance, from points (T, P, 3): the unit of a pose."""
    drop = np.stack([points[:, place[f"hip_{s}"], 1] - points[:, place[f"ankle_{s}"], 1] for s in SIDES], axis=1)
    return float(np.mean(np.percentile(drop, 90, axis=0)))


class Shown(NamedTuple):
    """How a recording shows points.

    ``unit_m`` is their unit where it is known, and gives the size of an unknown body. ``flat`` says that they are of a picture,
    which the walker ``crosses`` or not, and which is taken from the side or may be ``oblique``. Of the recording's world:
    ``way`` (N,) is what the hips travel in a stride, ``ankles`` (T, 2, 3) where the right and the left one go, ``inverse`` (N, 2)
    the inverse of the size in a picture and its change per second.
    """

    unit_m: float | None = None
    flat: bool = False
    crosses: bool = False
    oblique: bool = False
    way: np.ndarray | None = None
    ankles: np.ndarray | None = None
    inverse: np.ndarray | None = None


def pose_windows(
    names: list[str],
    coefficients: np.ndarray,
    period: np.ndarray,
    centre: np.ndarray,
    score: np.ndarray,
    body: w.Body,
    shown: Shown,
) -> w.Windows:
    """Windows from Fourier coefficients (N, 1 + HARMONICS, len(names), 3) of points relative to the hips."""
    flat, oblique, inverse = shown.flat, shown.oblique, shown.inverse
    place = {name: column for column, name in enumerate(names)}
    coefficients = _upright(coefficients, place)
    leg = leg_of(w.cycles(coefficients.reshape(*coefficients.shape[:2], -1), mean=True).reshape(-1, len(names), 3), place)
    coefficients = coefficients / leg
    if shown.unit_m is not None and not body.known and 0.3 < leg * shown.unit_m < 1.2:
        body = w.Body(leg_length_m=leg * shown.unit_m / ANKLE_SHARE)
    forward = _forward(coefficients, place)
    right = np.cross(forward, np.array([0.0, 1.0, 0.0]))
    turned = np.stack(
        [np.einsum("nkpi,ni->nkp", coefficients, axis) for axis in (forward, np.tile([0.0, 1.0, 0.0], (len(forward), 1)), right)], -1
    )
    channels = PICTURE_CHANNELS if oblique else POSE_CHANNELS
    cycles = np.zeros((len(centre), len(channels), w.CYCLE_SAMPLES), np.float32)
    present = np.zeros(len(channels), bool)
    whole = w.cycles(turned.reshape(len(centre), 1 + w.HARMONICS, -1), mean=True).reshape(len(centre), -1, len(names), 3)
    for column, channel in enumerate(channels):
        joint, axis, side = channel.rsplit("_", 2)
        if f"{joint}_{side}" in place and not (axis == "right" and flat):
            cycles[:, column] = whole[:, :, place[f"{joint}_{side}"], ("forward", "up", "right").index(axis)]
            present[column] = True
    under_hips = whole[:, :, [place["ankle_r"], place["ankle_l"]], 0]
    travel = np.clip(_backward_travel(under_hips) * ANKLE_SHARE, 0.05, 5.0)
    sine = pictures.sine(whole, place) if flat else np.zeros(len(centre))
    if shown.crosses:  # what is seen aside of a picture's middle is turned, but as long
        sine = np.full_like(sine, pictures.mean_sine(sine))
    base = np.log(pictures.stride_seen(travel, sine, body.dimensionless_time(period)) if oblique else travel)
    depth = _depth(whole, place)
    apart = under_hips[:, :, 0] - under_hips[:, :, 1]
    of_view = [np.clip(np.abs(sine), 0.0, 1.3)] if oblique else []
    scalars = w.common_scalars(period, base, body, depth, 0.5 * (apart.max(axis=1) - apart.min(axis=1)), *of_view)
    steps = None if shown.ankles is None else footholds.shares(shown.ankles, apart, forward, centre, period)
    travelled, in_metres = _travelled(shown, leg, base, body, steps)
    out = w.Windows(cycles, present, scalars, base, period, centre, score, body, travelled, steps, in_metres=in_metres)
    across = (turned[:, 0, place["hip_r"], 2] - turned[:, 0, place["hip_l"], 2]).real
    out.mirrored = not flat and bool(np.median(across) < -LEAST_HIPS_LEGS)
    if inverse is None or steps is None:
        return out
    away = np.abs(inverse[:, 1]) * period / (np.median(inverse[:, 0]) * leg) * ANKLE_SHARE
    out.in_picture = np.stack([travel, away, np.clip(np.abs(sine), 0.0, 1.0)], axis=1)
    out.footholds = pictures.unsure_footholds(steps, sine, np.exp(base), inverse[:, 1] / inverse[:, 0] * period)
    return out


def through_the_world(stride: np.ndarray, base: np.ndarray) -> np.ndarray:
    """Log of the hips' way (N,), NaN where it is not the walker's: root-relative poses, treadmills, cameras that follow."""
    travelled = np.log(np.maximum(stride, 1e-6))
    return np.where(np.abs(travelled - base) < _SAME_WALK, travelled, np.nan)


def _travelled(
    shown: Shown, leg: float, base: np.ndarray, body: w.Body, steps: np.ndarray | None
) -> tuple[np.ndarray | None, np.ndarray | None]:
    """``Windows.travelled`` of a pose whose ``leg`` is so long, and where it is ``in_metres``: in legs, or in metres over the
    walker's size where feet rest as motion capture's do and both nearly agree.
    """
    if shown.way is None:
        return None, None
    legs = through_the_world(shown.way / leg * ANKLE_SHARE, base)
    if shown.unit_m is None or steps is None:
        return legs, None
    metres = np.log(np.maximum(shown.way * shown.unit_m / body.length_m, 1e-6))
    agreed = (steps[:, 1] < footholds.AT_REST) & (np.abs(metres - legs) < _SAME_SIZE)
    return np.where(agreed, metres, legs), agreed


def _upright(coefficients: np.ndarray, place: dict[str, int]) -> np.ndarray:
    """Each window turned the shortest way that sets the mean of its ankles under the hips."""
    up = -(coefficients[:, 0, place["ankle_r"]] + coefficients[:, 0, place["ankle_l"]]).real
    up /= np.linalg.norm(up, axis=1, keepdims=True)
    if not np.median(up[:, 1]) >= _LEAST_UPRIGHT:
        raise InputError("the ankles are not below the hips, give or take 45 degrees; give poses with the y axis up")
    half = up + np.array([0.0, 1.0, 0.0])
    half /= np.linalg.norm(half, axis=1, keepdims=True)
    # half a turn about the bisector of this line and the vertical, then half a turn about the vertical
    turned = np.array([-1.0, 1.0, -1.0])[:, None] * (2 * half[:, :, None] * half[:, None, :] - np.eye(3))
    return np.einsum("nij,nkpj->nkpi", turned, coefficients)


def _forward(coefficients: np.ndarray, place: dict[str, int]) -> np.ndarray:
    """Unit vectors (N, 3), horizontal."""
    passing = (coefficients[:, 1:, place["ankle_r"]] - coefficients[:, 1:, place["ankle_l"]])[:, :, [0, 2]]
    axis = np.linalg.eigh(np.einsum("nki,nkj->nij", passing, passing.conj()).real)[1][:, :, 1]
    bend = sum(
        coefficients[:, 0, place[f"knee_{s}"]].real
        - 0.5 * (coefficients[:, 0, place[f"hip_{s}"]] + coefficients[:, 0, place[f"ankle_{s}"]]).real
        for s in SIDES
    )
    sense = np.sign(np.einsum("ni,ni->n", axis, bend[:, [0, 2]]))
    axis = axis * np.where(sense == 0, 1.0, sense)[:, None]
    return np.stack([axis[:, 0], np.zeros(len(axis)), axis[:, 1]], axis=1)


def _backward_travel(positions: np.ndarray) -> np.ndarray:
    """Way (N,) that the foot going backwards faster covers in a stride, from positions (N, samples, 2 sides)."""
    change = -spectral_derivative(positions, 1.0)
    return change.max(axis=2).mean(axis=1)


def _depth(whole: np.ndarray, place: dict[str, int]) -> np.ndarray:
    """Log stretch along the walk that makes thighs and shanks keep their length, (N,), within +-0.7."""
    numerator, denominator = np.zeros(len(whole)), np.zeros(len(whole))
    for side in SIDES:
        for upper, lower in (("hip", "knee"), ("knee", "ankle")):
            segment = (whole[:, :, place[f"{upper}_{side}"]] - whole[:, :, place[f"{lower}_{side}"]]) ** 2
            along = segment[:, :, 0] - segment[:, :, 0].mean(axis=1, keepdims=True)
            across = segment[:, :, 1:].sum(axis=2)
            numerator -= (along * (across - across.mean(axis=1, keepdims=True))).sum(axis=1)
            denominator += (along**2).sum(axis=1)
    return 0.5 * np.log(np.clip(numerator / np.maximum(denominator, 1e-9), 0.25, 4.0))


def featurise_angles(signals: Mapping[str, np.ndarray], sampling_rate_hz: float, body: w.Body) -> w.Windows:
    """Windows of sagittal joint angles, one side or both; hip and knee of a side are needed."""
    sides = [side for side in SIDES if f"hip_flexion_{side}" in signals and f"knee_flexion_{side}" in signals]
    if not sides:
        raise InputError("the recording has no hip_flexion and knee_flexion of one side; give joint angles in rad")
    names = [name for name in ANGLE_CHANNELS if name in signals and name[-1] in sides]
    raw = np.stack([np.asarray(signals[name], float) for name in names], axis=1)
    if np.nanmax(np.abs(raw)) > 7.0:
        raise InputError("joint angles look like degrees; convert them to rad")
    duration = (len(raw) - 1) / sampling_rate_hz
    if _closes(raw, duration):
        return one_cycle(names, raw[:-1], duration, body)
    values = w.to_working_rate(raw, sampling_rate_hz)
    moving = w.band(values)
    centre, period, score = w.stride_times(moving / (moving.std(axis=0) + 1e-9))
    if not len(centre):
        centre, period, score = w.single_stride(moving)
    if not len(centre):
        raise w.NoWalking("no walking found: nothing in the recording repeats like strides")
    walks = w.moving_strides(values, centre, period)
    centre, period, score = centre[walks], period[walks], score[walks]
    coefficients = w.fourier(values, centre, period)
    _check_signs(names, coefficients)
    return angle_windows(names, coefficients, period, centre, score, body)


def _closes(values: np.ndarray, duration_s: float) -> bool:
    """True for exactly one cycle whose last sample repeats the first: of a stride's length, and all
    channels end within 8 % of their range of where they began, nowhere else all at once.
    """
    low, high = w.STRIDE_TIME_LIMITS_S
    if not low <= duration_s <= high:
        return False
    away = np.abs(values - values[0]) / (np.ptp(values, axis=0) + 1e-9)
    edge = max(len(values) // 8, 1)
    return bool((away[-1] < 0.08).all() and away[edge:-edge].max(axis=1).min() > 0.08)


def one_cycle(names: list[str], values: np.ndarray, stride_time_s: float, body: w.Body) -> w.Windows:
    """One window from joint angles (T, len(names)) over exactly one cycle, the closing sample left out."""
    coefficients = (np.fft.rfft(values, axis=0) / len(values))[None, : w.HARMONICS + 1]
    _check_signs(names, coefficients)
    one = np.ones(1)
    return angle_windows(names, coefficients, stride_time_s * one, 0 * one, one, body)


def _check_signs(names: list[str], coefficients: np.ndarray) -> None:
    """Raise InputError where a knee is bent while its hip extends, or both are the other way round."""
    for side in (name[-1] for name in names if name.startswith("knee_flexion")):
        hip, knee = (coefficients[:, :, names.index(f"{joint}_flexion_{side}")] for joint in ("hip", "knee"))
        order = np.arange(1, hip.shape[1])
        speed, bend = 1j * order * hip[:, 1:], knee[:, 1:]
        size = np.sqrt((np.abs(speed) ** 2).sum(axis=1) * (np.abs(bend) ** 2).sum(axis=1)) + 1e-12
        swings = float(np.median((speed * bend.conj()).real.sum(axis=1) / size))
        if swings < -_SWINGS_TOGETHER:
            raise InputError(f"hip_flexion_{side} falls where knee_flexion_{side} bends: one has the opposite sign; flexion is positive")
        if swings > _SWINGS_TOGETHER and np.median(knee[:, 0].real) < _LEAST_KNEE_RAD:
            raise InputError(f"hip_flexion_{side} and knee_flexion_{side} have the opposite sign; flexion is positive")


def angle_windows(
    names: list[str], coefficients: np.ndarray, period: np.ndarray, centre: np.ndarray, score: np.ndarray, body: w.Body
) -> w.Windows:
    """Windows from Fourier coefficients (N, 1 + HARMONICS, len(names)) of joint angles."""
    curves = w.cycles(coefficients)
    cycles = np.zeros((len(centre), len(ANGLE_CHANNELS), w.CYCLE_SAMPLES), np.float32)
    present = np.zeros(len(ANGLE_CHANNELS), bool)
    for column, name in enumerate(names):
        cycles[:, ANGLE_CHANNELS.index(name)] = curves[:, :, column]
        present[ANGLE_CHANNELS.index(name)] = True
    half = w.CYCLE_SAMPLES // 2
    feet, openings = [], []
    for side in SIDES:
        seen = side if f"hip_flexion_{side}" in names else ("l" if side == "r" else "r")
        hip, knee = (curves[:, :, names.index(f"{joint}_{seen}")] for joint in ("hip_flexion", "knee_flexion"))
        if seen != side:  # the side that is missing walks half a stride later
            hip, knee = np.roll(hip, half, axis=1), np.roll(knee, half, axis=1)
        knee = knee - knee.min(axis=1, keepdims=True) + 0.05
        # A hip of which the mean over the stride is 0.15 rad of flexion (Winter 1991) against the vertical.
        thigh = hip + 0.15
        feet.append(_THIGH * np.sin(thigh) + _SHANK * np.sin(thigh - knee))
        openings.append(np.ptp(hip, axis=1))
    base = np.log(np.clip(_backward_travel(np.stack(feet, axis=2)), 0.05, 5.0))
    return w.Windows(cycles, present, w.common_scalars(period, base, body, np.mean(openings, axis=0)), base, period, centre, score, body)
