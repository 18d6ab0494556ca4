"""IMUs on shanks, thighs, ankles or feet, one side or both, mounted any way round.

In: specific force and angular velocity of ``<segment>_l`` and ``<segment>_r``. Out: ``Windows`` in
each segment's mean sagittal frame.

Up is the mean specific force over whole strides; the axis pointing right is the horizontal axis the
limb swings about. Positive turning about it brings the limb's lower end forward; the swing is
faster than the way back (its rate is skewed to the positive), which settles the sense. Feet have
their stride length by zero-velocity integration (``inertial``) as the physical estimate;
shanks and thighs the step of a compass whose legs open by the segment's range of angle.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from synthgait.conventions import GRAVITY_MPS2, SIDES
from synthgait.errors import InputError
from synthgait.estimators.features import trunk
from synthgait.estimators.features import windows as w
from synthgait.inertial import foot_strides

_PER_SIDE = ("angle", "rate", "acc_up", "acc_forward")
CHANNELS = tuple(f"{name}_{side}" for side in SIDES for name in _PER_SIDE)
SCALARS = ("stride_time", "size", "size_known", "base", "range_r", "range_l")


def featurise(signals: Mapping[str, np.ndarray], sampling_rate_hz: float, body: w.Body, segment: str) -> w.Windows:
    """Windows of the given segment's IMUs, whichever of the two are there."""
    sides = [side for side in SIDES if f"{segment}_{side}_acc_x" in signals]
    if not sides:
        raise InputError(f"the recording has no IMU on a {segment}; give {segment}_l_acc_x ... or {segment}_r_acc_x ...")
    values = {}
    for side in sides:
        raw = trunk.imu(signals, f"{segment}_{side}")
        trunk.check_units(raw, 20.0)  # a fast foot swings through 15 m/s^2 half of the time
        values[side] = w.to_working_rate(raw, sampling_rate_hz)
    votes = []
    for one in values.values():
        moving = w.band(one)
        votes += [moving[:, :3] / (moving[:, :3].std() + 1e-9), moving[:, 3:] / (moving[:, 3:].std() + 1e-9)]
    centre, period, score = w.stride_times(np.concatenate(votes, axis=1))
    if not len(centre):
        raise w.NoWalking("no walking found: nothing in the recording repeats like strides")
    keep = np.ones(len(centre), bool)
    bases = []
    for one in values.values():
        if segment == "foot":
            bases.append(_integrated(one, centre, period, body))
        else:
            mean = w.fourier(one, centre, period)[:, 0].real
            turning = np.abs((mean[:, 3:] * mean[:, :3]).sum(axis=1)) / np.linalg.norm(mean[:, :3], axis=1) * period
            keep &= turning < trunk.TURN_RAD
    if bases:
        keep &= np.isfinite(bases).any(axis=0)
    if not keep.any():
        raise w.NoWalking("no straight walking found in the recording")
    centre, period, score = centre[keep], period[keep], score[keep]
    cycles = np.zeros((len(centre), len(CHANNELS), w.CYCLE_SAMPLES), np.float32)
    present = np.zeros(len(CHANNELS), bool)
    ranges: dict[str, np.ndarray] = {}
    for side, one in values.items():
        channels, ranges[side] = _sagittal(one, centre, period, body)
        start = SIDES.index(side) * len(_PER_SIDE)
        cycles[:, start : start + len(_PER_SIDE)] = channels
        present[start : start + len(_PER_SIDE)] = True
    opening: np.ndarray = np.mean(list(ranges.values()), axis=0)
    base = np.nanmean([b[keep] for b in bases], axis=0) if bases else np.log(4.0 * np.sin(np.clip(opening, 0.05, 2.5) / 2.0))
    scalars = w.common_scalars(period, base, body, *(ranges.get(side, opening) for side in SIDES))
    return w.Windows(cycles, present, scalars, base, period, centre, score, body)


def _sagittal(values: np.ndarray, centre: np.ndarray, period: np.ndarray, body: w.Body) -> tuple[np.ndarray, np.ndarray]:
    coefficients = w.fourier(values, centre, period)
    up = coefficients[:, 0, :3].real
    frames = trunk.rotation_to_up(up, np.eye(3)[int(np.argmin(np.abs(up.mean(axis=0))))])
    acc = np.einsum("nij,nkj->nki", frames, coefficients[:, :, :3])
    gyr = np.einsum("nij,nkj->nki", frames, coefficients[:, :, 3:])
    horizontal = gyr[:, 1:, 1:]
    axis = np.linalg.eigh(np.einsum("nki,nkj->ij", horizontal, horizontal.conj()).real)[1][:, 1]
    rate = w.cycles((gyr[:, :, 1:] @ axis)[:, :, None])[:, :, 0]
    if (rate**3).sum() < 0:
        axis, rate = -axis, -rate
    # forward = up x right, with horizontal 2 = up x horizontal 1
    forward = np.array([-axis[1], axis[0]])
    turning = (gyr[:, :, 1:] @ axis)[:, :, None]
    angle = w.cycles(w.integrate(turning, period))[:, :, 0]
    acc_up = w.cycles(acc[:, :, :1])[:, :, 0] / GRAVITY_MPS2
    acc_forward = w.cycles((acc[:, :, 1:] @ forward)[:, :, None])[:, :, 0] / GRAVITY_MPS2
    rate = rate * np.sqrt(body.length_m / GRAVITY_MPS2)
    return np.stack([angle, rate, acc_up, acc_forward], axis=1), np.ptp(angle, axis=1)


def _integrated(values: np.ndarray, centre: np.ndarray, period: np.ndarray, body: w.Body) -> np.ndarray:
    """Log stride length over leg length around each centre, NaN in turns and where no stride was integrated."""
    strides = foot_strides(values[:, :3], values[:, 3:], w.WORKING_RATE_HZ)
    straight = np.abs(strides.heading_rad) < trunk.TURN_RAD
    middle = 0.5 * (strides.start_s + strides.end_s)
    out = np.full(len(centre), np.nan)
    for row, (t, stride_time) in enumerate(zip(centre, period, strict=True)):
        near = straight & (np.abs(middle - t) < 1.1 * stride_time)
        if near.any():
            speed = strides.length_m[near].sum() / (strides.end_s - strides.start_s)[near].sum()
            out[row] = np.log(max(speed * stride_time / body.length_m, 0.02))
    return out
