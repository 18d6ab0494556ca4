"""An IMU on the trunk (lower back, sternum, head), mounted any way round.

In: specific force and angular velocity in unknown sensor axes. Out: ``Windows`` in the walker's
own axes (up, forward, right), dimensionless.

Up is the mean specific force over whole strides. Forward is the horizontal axis along which the
body moves once a *step* (even harmonics of the stride) while it sways and rolls once a *stride*
(odd harmonics) about and across it; its sense follows from the inverted pendulum: the body slows
down while it rises, so forward acceleration and upward velocity are anticorrelated. The physical
estimate of step length is the pendulum's, 2 sqrt(2 l h - h^2) with h the vertical excursion of
the trunk (Zijlstra & Hof, Gait Posture 2003;18:1).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from synthgait.conventions import GRAVITY_MPS2
from synthgait.errors import InputError
from synthgait.estimators.features import windows as w
from synthgait.signal_events import shaken_axis

#: Turning rates find the strides, the axes and the turns, but no network sees them: how far a lower back rolls and
#: nods depends on a spine that the simulated body has as one joint. Nor does one see how it surges, which finds the
#: axes too: simulated people surge as one textbook says, real ones each in their own way.
CHANNELS = tuple(f"{what}_{axis}" for what in ("acc", "velocity", "displacement") for axis in ("up", "right"))
SCALARS = ("stride_time", "size", "size_known", "base", "harmonic_ratio")
#: A turn: more than this much heading per stride (rad); straight walking wanders less than half of it.
TURN_RAD = 0.6


def imu(signals: Mapping[str, np.ndarray], placement: str) -> np.ndarray:
    """(T, 6) of one placement from plain channel names. Raises InputError naming what is missing."""
    names = [f"{placement}_{channel}" for channel in ("acc_x", "acc_y", "acc_z", "gyr_x", "gyr_y", "gyr_z")]
    missing = [name for name in names if name not in signals]
    if missing:
        raise InputError(f"the recording has no channel {missing[0]!r}; give {placement}_acc_{{x,y,z}} and {placement}_gyr_{{x,y,z}}")
    return np.stack([np.asarray(signals[name], float) for name in names], axis=1)


def check_units(values: np.ndarray, largest_mps2: float = 14.0) -> None:
    """Raise InputError where the median specific force (T, 6) is not gravity in m/s^2, give or take walking."""
    size = float(np.median(np.linalg.norm(values[:, :3], axis=1)))
    if 0.8 < size < 1.25:
        raise InputError("accelerations look like multiples of g (median 1); convert them to m/s^2")
    if not 7.5 < size < largest_mps2:
        raise InputError(f"accelerations have a median size of {size:.3g}; give specific force in m/s^2 with gravity (about 9.8)")
    if float(np.median(np.linalg.norm(values[:, 3:6], axis=1))) > 12.0:
        raise InputError("angular velocities look like degrees per second; convert them to rad/s")


def rotation_to_up(up: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Rotations (N, 3, 3) sensor -> (up, horizontal 1, horizontal 2); ``up`` (N, 3) need not be of unit length."""
    up = up / np.linalg.norm(up, axis=1, keepdims=True)
    one = reference - (up @ reference)[:, None] * up
    one /= np.linalg.norm(one, axis=1, keepdims=True)
    return np.stack([up, one, np.cross(up, one)], axis=1)


def featurise(signals: Mapping[str, np.ndarray], sampling_rate_hz: float, body: w.Body, placement: str = "lower_back") -> w.Windows:
    """Windows of a trunk IMU; turns are left out. Raises InputError where there is no walking."""
    raw = imu(signals, placement)
    check_units(raw)
    values = w.to_working_rate(raw, sampling_rate_hz)
    vertical = values[:, :3].mean(axis=0)
    frame = rotation_to_up(vertical[None], np.eye(3)[int(np.argmin(np.abs(vertical)))])[0]
    moving = w.band(np.concatenate([values[:, :3] @ frame.T, values[:, 3:] @ frame.T], axis=1))
    spread = np.array([moving[:, part].std() + 1e-9 for part in (slice(0, 1), slice(1, 3), slice(3, 6))])
    # The gyroscope has the clearest once-a-stride pattern, so it gets the larger say.
    votes = np.concatenate([moving[:, :1] / spread[0], moving[:, 1:3] / spread[1], moving[:, 3:] / spread[2]], axis=1)
    centre, period, score = w.stride_times(votes)
    if not len(centre):
        raise w.NoWalking("no walking found: nothing in the recording repeats like strides")
    coefficients = w.fourier(values, centre, period)
    up = coefficients[:, 0, :3].real
    turning = np.abs(np.einsum("nc,nc->n", coefficients[:, 0, 3:].real, up)) / np.linalg.norm(up, axis=1) * period
    straight = turning < TURN_RAD
    if not straight.any():
        raise w.NoWalking("no straight walking found: the recording turns all the time")
    coefficients, centre, period, score = coefficients[straight], centre[straight], period[straight], score[straight]
    up = up[straight]
    frames = rotation_to_up(up, np.eye(3)[int(np.argmin(np.abs(up.mean(axis=0))))])
    acc = np.einsum("nij,nkj->nki", frames, coefficients[:, :, :3])
    gyr = np.einsum("nij,nkj->nki", frames, coefficients[:, :, 3:])
    return _windows(_forward(acc, gyr, period), period, centre, score, body)


def _forward(acc: np.ndarray, gyr: np.ndarray, period: np.ndarray) -> np.ndarray:
    """The accelerations with the horizontal axes turned so that they are forward and right, one angle per recording."""
    even, odd = acc[:, 2::2, 1:], acc[:, 1::2, 1:]
    spin_even, spin_odd = gyr[:, 2::2, 1:], gyr[:, 1::2, 1:]

    def scatter(part: np.ndarray) -> np.ndarray:
        return np.einsum("nki,nkj->ij", part, part.conj()).real

    axis = shaken_axis(*map(scatter, (even, odd, spin_even, spin_odd)))
    velocity_up = w.integrate(acc, period)[:, 2::2, 0]
    along = acc[:, 2::2, 1:] @ axis
    if (along * velocity_up.conj()).real.sum() > 0:
        axis = -axis
    # right = forward x up; with horizontal 2 = up x horizontal 1 it is the forward axis turned by -90 deg.
    turn = np.array([[axis[0], axis[1]], [axis[1], -axis[0]]])
    return np.concatenate([acc[:, :, :1], acc[:, :, 1:] @ turn.T], axis=2)


def _windows(acc: np.ndarray, period: np.ndarray, centre: np.ndarray, score: np.ndarray, body: w.Body) -> w.Windows:
    length = body.length_m
    velocity = w.integrate(acc, period) / np.sqrt(GRAVITY_MPS2 * length)
    displacement = w.integrate(acc, period, 2) / length
    channels = np.concatenate([part[:, :, [0, 2]] for part in (acc / GRAVITY_MPS2, velocity, displacement)], axis=2)
    steps = w.integrate(acc, period, 2)[:, :, :1].copy()
    steps[:, 1::2] = 0.0  # what repeats every stride only is a limp or a lean, not the pendulum of a step
    excursion = np.ptp(w.cycles(steps)[:, :, 0], axis=1)
    rise = np.clip(excursion / length, 1e-3, 0.25)
    base = np.log(4.0 * np.sqrt(2 * rise - rise**2))
    power = np.abs(channels[:, 1:, 0]) ** 2
    ratio = np.log((power[:, 1::2].sum(axis=1) + 1e-8) / (power[:, 0::2].sum(axis=1) + 1e-8))
    return w.Windows(
        w.cycles(channels).transpose(0, 2, 1).astype(np.float32),
        np.ones(len(CHANNELS), bool),
        w.common_scalars(period, base, body, ratio),
        base,
        period,
        centre,
        score,
        body,
    )
