"""IMUs on shanks, thighs, ankles or feet, one side or both, mounted any way round.

In: specific force and angular velocity of ``<segment>_l`` and ``<segment>_r``. Out: ``Windows`` in
each segment's mean sagittal frame.

Up is the mean specific force over whole strides; the axis pointing right is the horizontal axis the
limb swings about. Positive turning about it brings the limb's lower end forward; the swing is
faster than the way back (its rate is skewed to the positive), which settles the sense. The physical
estimate of stride length is, for feet, that of zero-velocity integration (``inertial``); for shanks that of
integration from an ankle that rests in stance; for thighs the step of a compass whose legs open by the
segment's range of angle.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from synthgait.conventions import GRAVITY_MPS2, SIDES
from synthgait.errors import InputError
from synthgait.estimators.features import trunk
from synthgait.estimators.features import windows as w
from synthgait.inertial import foot_strides

_PER_SIDE = ("angle", "rate", "acc_up", "acc_forward")
CHANNELS = tuple(f"{name}_{side}" for side in SIDES for name in _PER_SIDE)
SCALARS = ("stride_time", "size", "size_known", "base", "range_r", "range_l")
#: How far above the ankle a shank's sensor is, in leg lengths: half of the shank, which is 0.246 of the height where the leg
#: is 0.53 (Drillis & Contini 1966).
_SHANK_HALF = 0.23
#: Share of the stride in which an ankle rests, from foot flat to heel rise (12 to 35 %: Perry & Burnfield, Gait Analysis, 2010).
_RESTING = 0.25


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
    bases = [base[keep] for base in bases]
    ranges: dict[str, np.ndarray] = {}
    for side, one in values.items():
        swing = _sagittal(one, centre, period)
        start = SIDES.index(side) * len(_PER_SIDE)
        cycles[:, start : start + len(_PER_SIDE)] = swing.channels(body)
        present[start : start + len(_PER_SIDE)] = True
        ranges[side] = np.ptp(swing.angle, axis=1)
        if segment == "shank":
            bases.append(_over_the_ankle(swing, period, body))
    opening: np.ndarray = np.mean(list(ranges.values()), axis=0)
    base = np.nanmean(bases, axis=0) if bases else np.log(4.0 * np.sin(np.clip(opening, 0.05, 2.5) / 2.0))
    scalars = w.common_scalars(period, base, body, *(ranges.get(side, opening) for side in SIDES))
    return w.Windows(cycles, present, scalars, base, period, centre, score, body)


class _Swing(NamedTuple):
    """One segment in its mean sagittal frame, (N, S) each: angle without its mean (rad), its rate (rad/s), and specific force
    along the segment (up, with gravity) and across it (forward) in m/s^2.
    """

    angle: np.ndarray
    rate: np.ndarray
    up: np.ndarray
    forward: np.ndarray

    def channels(self, body: w.Body) -> np.ndarray:
        """What networks see, (N, 4, S): dimensionless, forces without their mean."""
        up, forward = ((force - force.mean(axis=1, keepdims=True)) / GRAVITY_MPS2 for force in (self.up, self.forward))
        return np.stack([self.angle, self.rate * np.sqrt(body.length_m / GRAVITY_MPS2), up, forward], axis=1)


def _sagittal(values: np.ndarray, centre: np.ndarray, period: np.ndarray) -> _Swing:
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
    angle = w.cycles(w.integrate((gyr[:, :, 1:] @ axis)[:, :, None], period))[:, :, 0]
    forces = np.stack([acc[:, :, 0], acc[:, :, 1:] @ forward], axis=2)
    return _Swing(angle, rate, *np.moveaxis(w.cycles(forces, mean=True), 2, 0))


def _over_the_ankle(swing: _Swing, period: np.ndarray, body: w.Body) -> np.ndarray:
    """Log stride length over leg length (N,) of shanks that turn over an ankle at rest in stance.

    Over a stride the forward acceleration has no mean, which tells how the segment leans, and integrates to the
    sensor's velocity less that of walking. The ankle's is that and the turning's share; where it rests it is minus
    the walking speed (shank sensors so integrated: Li et al., J Biomech 2010;43:1640).
    """
    across = (swing.forward * np.cos(swing.angle) - swing.up * np.sin(swing.angle)).mean(axis=1)
    along = (swing.forward * np.sin(swing.angle) + swing.up * np.cos(swing.angle)).mean(axis=1)
    lean = swing.angle + np.arctan2(across, along)[:, None]
    acceleration = swing.forward * np.cos(lean) - swing.up * np.sin(lean)
    coefficients = np.fft.rfft(acceleration, axis=1, norm="forward")[:, :, None]
    velocity = w.cycles(w.integrate(coefficients, period))[:, :, 0]
    ankle = velocity + _SHANK_HALF * body.length_m * swing.rate * np.cos(lean)
    resting = np.sort(ankle, axis=1)[:, : round(_RESTING * ankle.shape[1])].mean(axis=1)
    return np.log(np.maximum(-resting * period / body.length_m, 0.02))


def _integrated(values: np.ndarray, centre: np.ndarray, period: np.ndarray, body: w.Body) -> np.ndarray:
    """Log stride length over leg length around each centre, NaN in turns and where no stride was integrated.

    From one rest of a foot to the next it may also have stood: what lasts longer than strides do is not walked all the time.
    """
    strides = foot_strides(values[:, :3], values[:, 3:], w.WORKING_RATE_HZ)
    straight = np.abs(strides.heading_rad) < trunk.TURN_RAD
    middle, lasts = 0.5 * (strides.start_s + strides.end_s), strides.end_s - strides.start_s
    out = np.full(len(centre), np.nan)
    for row, (t, stride_time) in enumerate(zip(centre, period, strict=True)):
        near = straight & (np.abs(middle - t) < 1.1 * stride_time) & (lasts < 1.5 * stride_time)
        if near.any():
            speed = strides.length_m[near].sum() / lasts[near].sum()
            out[row] = np.log(max(speed * stride_time / body.length_m, 0.02))
    return out
