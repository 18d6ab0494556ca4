"""Gait events read from sensor signals: where someone walks, turns, and when a foot lands.

In: accelerations (T, 3) in m/s^2 with gravity, angular velocities (T, 3) in rad/s, or key points
(T, 3) in m, and the sampling rate. Out: times in s from the first sample, and sections of them.

Nothing here assumes how a sensor's axes are mounted: "up" is found from gravity. Thresholds are
fractions of what the signal itself shows or limits of human walking; none was tuned on a recording.
"""

from __future__ import annotations

import itertools
from typing import NamedTuple

import numpy as np
from scipy.ndimage import uniform_filter1d
from scipy.signal import butter, find_peaks, sosfiltfilt

from synthgait.conventions import GRAVITY_MPS2

#: Step frequencies of human walking, 1/s: 24 to 180 steps per minute.
STEP_FREQUENCY_RANGE_HZ = (0.4, 3.0)
#: A turn is a change of heading by more than this, faster than people drift on a straight path
#: (45 deg at more than 15 deg/s: the rule of El-Gohary et al., Sensors 2014;14:356).
TURN_ANGLE_RAD = np.deg2rad(45.0)
TURN_RATE_RADPS = np.deg2rad(15.0)
#: Walking shakes the trunk by at least this much (standard deviation of the acceleration's norm over
#: a second); quiet standing stays an order of magnitude below. Hickey et al., Physiol Meas 2017;38:N1
#: put the border between standing and walking in the same place.
WALKING_DEVIATION_MPS2 = 0.5


#: How much of a step after the trunk's rise through zero a foot lands: the median of 60 simulated walkers of all kinds
#: (half of them between 0.08 and 0.17).
_LANDING_AFTER_RISE = 0.141
#: Hips are this far apart at least, in legs.
LEAST_HIPS_LEGS = 0.03
#: What lies farther apart is no step but a stop (``estimators.terms`` has the same border in strides).
_STOPPED_STEPS = 1.5


class Contacts(NamedTuple):
    """Initial contacts of both feet in time order: ``time_s`` (N,) and ``side`` (N,), "l", "r" or "" (unknown)."""

    time_s: np.ndarray
    side: np.ndarray


def low_pass(signal: np.ndarray, cutoff_hz: float, sampling_rate_hz: float, order: int = 2) -> np.ndarray:
    """Zero-phase Butterworth low-pass along the first axis; unchanged where the cutoff is above half the rate."""
    if cutoff_hz >= 0.49 * sampling_rate_hz:
        return np.asarray(signal, float)
    sections = butter(order, cutoff_hz, fs=sampling_rate_hz, output="sos")
    return sosfiltfilt(sections, signal, axis=0, padlen=_pad(len(signal), sampling_rate_hz, cutoff_hz))


def band_pass(signal: np.ndarray, low_hz: float, high_hz: float, sampling_rate_hz: float, order: int = 2) -> np.ndarray:
    """Zero-phase Butterworth band-pass along the first axis."""
    sections = butter(order, (low_hz, min(high_hz, 0.49 * sampling_rate_hz)), btype="bandpass", fs=sampling_rate_hz, output="sos")
    return sosfiltfilt(sections, signal, axis=0, padlen=_pad(len(signal), sampling_rate_hz, low_hz))


def _pad(samples: int, sampling_rate_hz: float, cutoff_hz: float) -> int:
    return int(min(samples - 1, 3 * sampling_rate_hz / cutoff_hz))


def up_direction(acceleration: np.ndarray, sampling_rate_hz: float) -> np.ndarray:
    """Unit vector (T, 3) that points up in the sensor frame: the acceleration below 0.25 Hz, where a
    walker's own acceleration averages out over whole steps.
    """
    slow = low_pass(acceleration, 0.25, sampling_rate_hz) if len(acceleration) > 6 * sampling_rate_hz else acceleration.mean(0)[None]
    return np.broadcast_to(slow / np.linalg.norm(slow, axis=1, keepdims=True), acceleration.shape)


def vertical_acceleration(acceleration: np.ndarray, sampling_rate_hz: float) -> np.ndarray:
    """Upward acceleration (T,) without gravity, m/s^2."""
    up = up_direction(acceleration, sampling_rate_hz)
    return np.einsum("ij,ij->i", acceleration, up) - GRAVITY_MPS2


def step_frequency_hz(signal: np.ndarray, sampling_rate_hz: float, limits_hz: tuple[float, float] = STEP_FREQUENCY_RANGE_HZ) -> float:
    """Rate at which a signal (T,) repeats itself, from its autocorrelation; NaN where it does not.

    The first lag whose (unbiased) autocorrelation peak reaches 0.7 of the highest one, so that every
    step counts and not every second one.
    """
    centred = signal - signal.mean()
    n = len(centred)
    spectrum = np.abs(np.fft.rfft(centred, 2 * n)) ** 2
    correlation = np.fft.irfft(spectrum)[:n] / np.arange(n, 0, -1)
    if correlation[0] <= 0:
        return float("nan")
    correlation /= correlation[0]
    first, last = int(sampling_rate_hz / limits_hz[1]), min(int(sampling_rate_hz / limits_hz[0]), int(0.8 * n))
    peaks, _ = find_peaks(correlation[: last + 1])
    peaks = peaks[peaks >= first]
    if len(peaks) == 0:
        return float("nan")
    lag = int(peaks[np.argmax(correlation[peaks] >= 0.7 * correlation[peaks].max())])
    left, middle, right = correlation[lag - 1 : lag + 2]
    offset = 0.5 * (left - right) / (left - 2 * middle + right)
    return float(sampling_rate_hz / (lag + offset))


def walking_sections(acceleration: np.ndarray, sampling_rate_hz: float, minimum_s: float = 3.0) -> list[tuple[float, float]]:
    """Sections (start_s, end_s) in which the trunk is shaken as in walking for at least ``minimum_s``.

    Breaks below 1.5 s do not end a section.
    """
    norm = np.linalg.norm(acceleration, axis=1)
    window = max(3, round(sampling_rate_hz))
    mean = uniform_filter1d(norm, window)
    deviation = np.sqrt(np.maximum(uniform_filter1d(norm**2, window) - mean**2, 0.0))
    return _sections(deviation > WALKING_DEVIATION_MPS2, sampling_rate_hz, break_s=1.5, minimum_s=minimum_s)


def turns(acceleration: np.ndarray, angular_velocity: np.ndarray, sampling_rate_hz: float) -> list[tuple[float, float]]:
    """Sections (start_s, end_s) in which the trunk turns about the vertical by more than 45 deg."""
    up = up_direction(acceleration, sampling_rate_hz)
    yaw = low_pass(np.einsum("ij,ij->i", angular_velocity, up), 0.5, sampling_rate_hz)
    found = []
    for start_s, end_s in _sections(np.abs(yaw) > TURN_RATE_RADPS, sampling_rate_hz, break_s=0.05, minimum_s=0.3):
        part = yaw[round(start_s * sampling_rate_hz) : round(end_s * sampling_rate_hz)]
        if abs(part.sum()) / sampling_rate_hz > TURN_ANGLE_RAD:
            found.append((start_s, end_s))
    return found


def _sections(active: np.ndarray, sampling_rate_hz: float, break_s: float, minimum_s: float) -> list[tuple[float, float]]:
    edges = np.flatnonzero(np.diff(np.r_[0, active.astype(np.int8), 0]))
    merged: list[list[int]] = []
    for start, end in zip(edges[::2], edges[1::2], strict=True):
        if merged and start - merged[-1][1] < break_s * sampling_rate_hz:
            merged[-1][1] = int(end)
        else:
            merged.append([int(start), int(end)])
    return [(a / sampling_rate_hz, b / sampling_rate_hz) for a, b in merged if b - a >= minimum_s * sampling_rate_hz]


def lower_back_contacts(
    acceleration: np.ndarray, angular_velocity: np.ndarray, sampling_rate_hz: float, stride_time_s: float | None = None
) -> Contacts:
    """Initial contacts from a sensor on the lower back, whose rise and fall tells the step frequency where no stride time does:
    with a limp it may repeat only once a stride.

    The trunk falls until the foot lands and is pushed up afterwards, so a contact goes with the rise of the
    upward acceleration, filtered around the step frequency, through zero (McCamley et al., Gait Posture
    2012;36:316, use the same idea with a wavelet); it comes ``_LANDING_AFTER_RISE`` of a step later. The
    side is that to which the trunk moves meanwhile, because the landing foot will carry it. (Which way the pelvis turns
    tells it of fast walkers only: of slow ones it turns the other way, Bruijn et al., Gait Posture 2008;27:455.)
    """
    upward = vertical_acceleration(acceleration, sampling_rate_hz)
    if stride_time_s is None:
        frequency = step_frequency_hz(low_pass(upward, 5.0, sampling_rate_hz), sampling_rate_hz)
    else:
        frequency = 2.0 / stride_time_s
    if not np.isfinite(frequency):
        return Contacts(np.zeros(0), np.zeros(0, "<U1"))
    # one oscillation per step: from each of its lowest points to the next crossing of zero, to a fraction of a sample
    wave = band_pass(upward, 0.5 * frequency, 1.6 * frequency, sampling_rate_hz)
    lows, _ = find_peaks(-wave, distance=max(1, int(0.6 * sampling_rate_hz / frequency)), height=0.2 * np.std(wave))
    rises = np.flatnonzero((wave[:-1] < 0) & (wave[1:] >= 0))
    after = np.searchsorted(rises, lows)
    rises = np.unique(rises[after[after < len(rises)]])
    crossing = rises - wave[rises] / (wave[rises + 1] - wave[rises])
    time_s = crossing / sampling_rate_hz + _LANDING_AFTER_RISE / frequency
    inside = time_s <= (len(wave) - 1) / sampling_rate_hz
    time_s, landed = time_s[inside], np.round(time_s[inside] * sampling_rate_hz).astype(int)
    sideways = _sideways(acceleration, angular_velocity, frequency, sampling_rate_hz)[landed]
    # the steps before and after go the other way; after a stop either foot may land first
    vote, follows = sideways.copy(), np.diff(time_s) < _STOPPED_STEPS / frequency
    vote[1:] -= 0.5 * follows * sideways[:-1]
    vote[:-1] -= 0.5 * follows * sideways[1:]
    return Contacts(time_s, np.where(vote > 0, "r", "l"))


def shaken_axis(force_step: np.ndarray, force_stride: np.ndarray, turn_step: np.ndarray, turn_stride: np.ndarray) -> np.ndarray:
    """Unit vector (2,) of the horizontal axis along which a trunk is shaken once a step, while across it the trunk sways and about
    it rolls once a stride; which way is forward is left open. From horizontal scatters (2, 2) of specific force and of angular
    velocity, of what repeats once a step and of what repeats once a stride only.
    """
    linear = (force_step - force_stride) / (np.trace(force_step + force_stride) + 1e-12)
    angular = (turn_stride - turn_step) / (np.trace(turn_step + turn_stride) + 1e-12)
    axis: np.ndarray = np.linalg.eigh(linear + angular)[1][:, 1]
    return axis


def _sideways(acceleration: np.ndarray, angular_velocity: np.ndarray, step_frequency: float, sampling_rate_hz: float) -> np.ndarray:
    """Velocity (T,) to the right with which a trunk sways once a stride.

    Forward is along the ``shaken_axis``, where it slows down while it rises. What rolling lets in of gravity is taken out of the
    sway.
    """
    limits = {"step": (0.75 * step_frequency, 1.6 * step_frequency), "stride": (0.3 * step_frequency, 0.75 * step_frequency)}
    up = acceleration.mean(axis=0) / np.linalg.norm(acceleration.mean(axis=0))
    level = np.linalg.svd(up[None])[2][1:]
    once = {
        (name, per): band_pass(values @ level.T, *limits[per], sampling_rate_hz)
        for name, values in (("force", acceleration), ("turn", angular_velocity))
        for per in limits
    }
    scatter = {key: values.T @ values for key, values in once.items()}
    ahead = shaken_axis(*(scatter[key] for key in once))
    rising = np.cumsum(band_pass(acceleration @ up, *limits["step"], sampling_rate_hz))
    if (once["force", "step"] @ ahead) @ rising > 0:
        ahead = -ahead
    forward = ahead @ level
    roll = _integral(once["turn", "stride"] @ ahead, limits["stride"][0], sampling_rate_hz)
    felt = once["force", "stride"] @ (level @ np.cross(forward, up))
    return _integral(felt + GRAVITY_MPS2 * roll, limits["stride"][0], sampling_rate_hz)


def _integral(signal: np.ndarray, slowest_hz: float, sampling_rate_hz: float) -> np.ndarray:
    """Integral over time of a signal (T,) that has nothing below a frequency."""
    total = np.cumsum(signal) / sampling_rate_hz
    return total - low_pass(total, slowest_hz, sampling_rate_hz)


def _vertex(signal: np.ndarray, peaks: np.ndarray) -> np.ndarray:
    """Positions of the peaks in samples, refined by the parabola through three samples."""
    inner = np.clip(peaks, 1, len(signal) - 2)
    left, middle, right = signal[inner - 1], signal[inner], signal[inner + 1]
    curvature = left - 2 * middle + right
    offset = np.where(curvature < 0, 0.5 * (left - right) / np.where(curvature < 0, curvature, 1.0), 0.0)
    return inner + np.clip(offset, -1.0, 1.0)


def foot_mid_stances(acceleration: np.ndarray, angular_velocity: np.ndarray, sampling_rate_hz: float) -> np.ndarray:
    """Samples (N,) at which a foot (or a shank) stands still between two swings, one per stride.

    A swing is a burst of rotation; between two bursts the stillest 0.1 s is the middle of stance.
    """
    rotation = np.linalg.norm(low_pass(angular_velocity, 8.0, sampling_rate_hz), axis=1)
    frequency = stride_frequency_hz(angular_velocity, sampling_rate_hz)
    if not np.isfinite(frequency):
        return np.zeros(0, np.int64)
    envelope = low_pass(rotation, 2.5 * frequency, sampling_rate_hz)
    swings, _ = find_peaks(envelope, distance=max(1, int(0.55 * sampling_rate_hz / frequency)), height=0.4 * np.percentile(envelope, 95))
    window = max(3, round(0.1 * sampling_rate_hz))
    shaking = np.linalg.norm(acceleration, axis=1) - GRAVITY_MPS2
    # rotation in rad/s and acceleration over gravity count about alike in a moving foot
    restless = uniform_filter1d(rotation**2 + (shaking / GRAVITY_MPS2) ** 2, window)
    margin = int(0.1 * sampling_rate_hz / frequency)
    bounds = np.r_[max(0, swings[0] - int(0.8 * sampling_rate_hz / frequency)), swings] if len(swings) else swings
    bounds = np.r_[bounds, min(len(rotation) - 1, bounds[-1] + int(0.8 * sampling_rate_hz / frequency))] if len(swings) else bounds
    still = []
    for before, after in itertools.pairwise(bounds):
        a, b = (before + margin, after - margin) if after - before > 3 * margin else (before, after)
        if b - a > window:
            still.append(a + int(np.argmin(restless[a:b])))
    # a recording may begin or end within a swing, where nothing is still
    if len(still) > 3:
        usual = 5.0 * float(np.median(restless[still]))
        still = [s for i, s in enumerate(still) if 0 < i < len(still) - 1 or restless[s] <= usual + 1e-3]
    return np.array(still, np.int64)


def stride_frequency_hz(angular_velocity: np.ndarray, sampling_rate_hz: float) -> float:
    """Strides per second of a sensor on a leg, from the repetition of its rotation; NaN where there is none."""
    rotation = _sagittal_rotation(angular_velocity, 5.0, sampling_rate_hz)
    return step_frequency_hz(rotation, sampling_rate_hz, (0.5 * STEP_FREQUENCY_RANGE_HZ[0], 0.5 * STEP_FREQUENCY_RANGE_HZ[1]))


def _sagittal_rotation(angular_velocity: np.ndarray, cutoff_hz: float, sampling_rate_hz: float) -> np.ndarray:
    """(T,) of a sensor on a leg, without its mean: about the axis that rotates most, the mediolateral one, in either sense."""
    smooth = low_pass(angular_velocity, cutoff_hz, sampling_rate_hz)
    smooth = smooth - smooth.mean(axis=0)
    return smooth @ np.linalg.svd(smooth, full_matrices=False)[2][0]


def foot_initial_contacts(acceleration: np.ndarray, angular_velocity: np.ndarray, sampling_rate_hz: float) -> np.ndarray:
    """Times (N,) in s at which a foot sensor's foot lands, one per stride.

    After the middle of swing the foot's pitch rotation changes sign and the landing shakes the
    sensor: the contact is the strongest change of acceleration between swing and the next stance.
    """
    still = foot_mid_stances(acceleration, angular_velocity, sampling_rate_hz)
    if len(still) < 2:
        return np.zeros(0)
    jerk = np.linalg.norm(np.gradient(low_pass(acceleration, 20.0, sampling_rate_hz), axis=0), axis=1)
    rotation = np.linalg.norm(low_pass(angular_velocity, 8.0, sampling_rate_hz), axis=1)
    times = []
    for before, after in itertools.pairwise(still):
        # the two bursts of rotation around toe-off and landing; landing lies in the second half, toe-off in the first
        # even where the foot is stillest soon after it has landed
        middle = before + int(0.53 * (after - before))
        moving = middle + np.flatnonzero(rotation[middle:after] > 0.25 * rotation[before:after].max())
        if len(moving):
            first, last = moving[0], min(moving[-1] + 1, after)
            times.append(_vertex(jerk, np.array([first + int(np.argmax(jerk[first:last]))]))[0] / sampling_rate_hz)
    return np.array(times)


def shank_initial_contacts(angular_velocity: np.ndarray, sampling_rate_hz: float) -> np.ndarray:
    """Times (N,) in s at which the foot under a shank sensor lands, one per stride: the first minimum of its rotation in
    the sagittal plane after the peak of mid-swing (Aminian et al., J Biomech 2002;35:689).
    """
    frequency = stride_frequency_hz(angular_velocity, sampling_rate_hz)
    if not np.isfinite(frequency):
        return np.zeros(0)
    rotation = _sagittal_rotation(angular_velocity, 10.0, sampling_rate_hz)
    rotation *= np.sign(np.mean(rotation**3))  # a swing is quicker than the stance that it is undone in
    stride = sampling_rate_hz / frequency
    swings, _ = find_peaks(rotation, distance=max(1, int(0.55 * stride)), height=0.4 * np.percentile(rotation, 97))
    minima, _ = find_peaks(-rotation)
    minima = minima[rotation[minima] < 0]
    after = np.searchsorted(minima, swings, side="right")
    swings, after = swings[after < len(minima)], after[after < len(minima)]
    first = minima[after][minima[after] < swings + 0.35 * stride]
    return _vertex(-rotation, first) / sampling_rate_hz


def forward_axis(points: dict[str, np.ndarray]) -> np.ndarray:
    """Unit vector (3,), horizontal, in which a walker of key points (T, 3) (Y up) progresses.

    From the displacement of the pelvis (or the mean of all points) where it moves by more than half a
    metre; else the direction in which the ankles swing, pointing to where toes point and knees bend.
    """
    centre = points["pelvis"] if "pelvis" in points else np.mean(list(points.values()), axis=0)
    tail = max(1, len(centre) // 10)
    travel = (centre[-tail:].mean(0) - centre[:tail].mean(0)) * np.array([1.0, 0.0, 1.0])
    if np.linalg.norm(travel) > 0.5:
        return travel / np.linalg.norm(travel)
    apart = (points["ankle_r"] - points["ankle_l"]) * np.array([1.0, 0.0, 1.0])
    axis = np.linalg.svd(apart - apart.mean(0), full_matrices=False)[2][0]
    ahead = 0.0
    for side in ("l", "r"):
        knee, ankle = points.get(f"knee_{side}"), points[f"ankle_{side}"]
        hip = points.get(f"hip_{side}", points.get("pelvis"))
        if knee is not None and hip is not None:
            ahead += float(np.mean((knee - 0.5 * (hip + ankle)) @ axis))
        if f"toe_{side}" in points:
            ahead += float(np.mean((points[f"toe_{side}"] - points.get(f"heel_{side}", ankle)) @ axis))
    return axis if ahead >= 0 else -axis


def _facing(points: dict[str, np.ndarray], sampling_rate_hz: float) -> np.ndarray | None:
    """Unit vectors (T, 3), horizontal, across the line of the hips, to where knees bend; None where that line is not to be seen."""
    if not {"hip_r", "hip_l", "knee_r", "knee_l"} <= set(points):
        return None
    right = low_pass(points["hip_r"] - points["hip_l"], STEP_FREQUENCY_RANGE_HZ[0], sampling_rate_hz)
    facing = np.cross((0.0, 1.0, 0.0), right)
    width = np.linalg.norm(facing, axis=1, keepdims=True)
    if np.median(width) < LEAST_HIPS_LEGS * np.median((points["hip_r"] - points["ankle_r"])[:, 1]):
        return None
    facing /= width + 1e-9
    bend = sum(points[f"knee_{s}"] - 0.5 * (points[f"hip_{s}"] + points[f"ankle_{s}"]) for s in ("r", "l"))
    return facing if np.sum(facing * bend) >= 0 else -facing


def keypoint_contacts(points: dict[str, np.ndarray], sampling_rate_hz: float) -> Contacts:
    """Initial contacts from key points ``ankle_l``, ``ankle_r`` (T, 3): a foot lands when it is farthest
    in front of the other one (Zeni et al., Gait Posture 2008;27:710, take the distance to the sacrum). In front is where
    the walker goes; where that is not the way that he or she faces all along (to and fro, round a bend, borne back by a belt),
    where they face.
    """
    forward = forward_axis(points)
    facing = _facing(points, sampling_rate_hz)
    if facing is not None and (facing @ forward).min() < np.cos(TURN_ANGLE_RAD):
        forward = facing
    ahead = np.sum((points["ankle_r"] - points["ankle_l"]) * forward, axis=1)
    apart = low_pass(ahead, 6.0, sampling_rate_hz)
    times, sides = [], []
    least = 0.4 * np.percentile(np.abs(apart), 95)
    for sign, side in ((1.0, "r"), (-1.0, "l")):
        peaks, _ = find_peaks(sign * apart, height=least, distance=max(1, int(0.4 * sampling_rate_hz)))
        times.append(_vertex(sign * apart, peaks) / sampling_rate_hz)
        sides.append(np.full(len(peaks), side))
    time_s, side_ = np.concatenate(times), np.concatenate(sides)
    order = np.argsort(time_s)
    return Contacts(time_s[order], side_[order])


def step_times_s(contacts: Contacts, longest_s: float = 2.5) -> tuple[np.ndarray, np.ndarray]:
    """Durations (N,) of the steps between consecutive contacts and the side that ends each; two contacts
    of one side in a row, or farther apart than ``longest_s``, are no step.
    """
    duration = np.diff(contacts.time_s)
    other = (contacts.side[1:] != contacts.side[:-1]) | (contacts.side[1:] == "")
    keep = other & (duration < longest_s)
    return duration[keep], contacts.side[1:][keep]
