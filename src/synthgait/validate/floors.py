"""What trivial and classical means reach, so that beating them means something.

In: recordings. Out: estimates under the names of ``recordings.TRUTH``. One contract: a floor says by
``reads`` which sensors it can use, ``fit`` sees recordings of *other* people only (most need none),
and ``predict`` reads one recording. None is tuned on real recordings; those that fit (a mean, a
line) do so leaving the person out, and are reported as floors.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Protocol

import numpy as np
from scipy.signal import butter, sosfiltfilt

from synthgait import signal_events
from synthgait.conventions import GRAVITY_MPS2
from synthgait.errors import InputError
from synthgait.estimators.features import limbs
from synthgait.estimators.features.windows import Body
from synthgait.gait import dimensionless_speed
from synthgait.inertial import foot_strides
from synthgait.recordings.base import Recording

#: Leg length over body height where only height is known (hip joint centre to floor; the same 0.5235
#: that ``subjects.draw_subject`` uses).
_LEG_OF_HEIGHT = 0.5235


class Floor(Protocol):
    """One baseline. ``name`` is what follows ``floor:`` in the table."""

    name: str

    def reads(self, recording: Recording, sensor: str) -> bool:
        """True when the floor applies to this sensor of this recording."""
        ...

    def fit(self, others: Sequence[Recording]) -> Floor:
        """Learn from recordings of other people, once for every person."""
        ...

    def predict(self, recording: Recording) -> dict[str, float]:
        """Estimates. Raises InputError when the recording shows no walking."""
        ...


class Mean:
    """The mean truth of the other people, each person counting once."""

    name = "mean"

    def __init__(self) -> None:
        self._mean: dict[str, float] = {}

    def reads(self, recording: Recording, sensor: str) -> bool:
        return True

    def fit(self, others: Sequence[Recording]) -> Mean:
        people: dict[str, dict[str, list[float]]] = {}
        for recording in others:
            for quantity, value in recording.truth.items():
                people.setdefault(quantity, {}).setdefault(recording.subject_id, []).append(value)
        self._mean = {q: float(np.mean([np.mean(v) for v in values.values()])) for q, values in people.items()}
        return self

    def predict(self, recording: Recording) -> dict[str, float]:
        return dict(self._mean)


class CadenceHeight:
    """Speed from the *true* cadence and body height: a line through the other people in the
    dimensionless numbers speed / sqrt(g h) and cadence * sqrt(h / g) (Hof, Gait Posture 1996;4:222).
    """

    name = "cadence_height"

    def __init__(self) -> None:
        self._line: np.ndarray | None = None

    def reads(self, recording: Recording, sensor: str) -> bool:
        return recording.height_m is not None and "stride_time_s" in recording.truth

    def fit(self, others: Sequence[Recording]) -> CadenceHeight:
        usable = [r for r in others if self.reads(r, "") and "walking_speed_mps" in r.truth]
        self._line = None
        if len({r.subject_id for r in usable}) >= 2:
            x = np.array([self._cadence(r) for r in usable])
            y = np.array([dimensionless_speed(r.truth["walking_speed_mps"], float(r.height_m or 0)) for r in usable])
            self._line = np.polyfit(x, y, 1)
        return self

    @staticmethod
    def _cadence(recording: Recording) -> float:
        return 2.0 / recording.truth["stride_time_s"] * float(np.sqrt((recording.height_m or np.nan) / GRAVITY_MPS2))

    def predict(self, recording: Recording) -> dict[str, float]:
        if self._line is None:
            raise InputError("cadence_height needs at least two other people with height and stride time")
        speed = float(np.polyval(self._line, self._cadence(recording))) * float(np.sqrt(GRAVITY_MPS2 * (recording.height_m or np.nan)))
        stride = speed * recording.truth["stride_time_s"]
        return {"walking_speed_mps": speed, "stride_length_m": stride, "step_length_m": stride / 2}


class InvertedPendulum:
    """Lower back: the trunk rises over the stance leg (Zijlstra & Hof, Gait Posture 2003;18:1).

    Step length = 1.25 * 2 sqrt(2 l h - h^2) with leg length l and vertical excursion h of a step,
    from twice integrated vertical acceleration, high-passed at 0.1 Hz (4th order, zero phase).
    """

    name = "inverted_pendulum"
    _FACTOR = 1.25

    def reads(self, recording: Recording, sensor: str) -> bool:
        return sensor == "lower_back" and (recording.height_m is not None or recording.leg_length_m is not None)

    def fit(self, others: Sequence[Recording]) -> InvertedPendulum:
        return self

    def predict(self, recording: Recording) -> dict[str, float]:
        walk = recording.section()
        rate = float(walk.sampling_rate_hz or 0.0)
        contacts = signal_events.lower_back_contacts(*walk.imu("lower_back"), rate)
        if len(contacts.time_s) < 3:
            raise InputError(f"recording {recording.name} shows no steps at the lower back")
        # integrate the whole recording, so that the filters' ends lie outside the walking section
        upward = signal_events.vertical_acceleration(recording.imu("lower_back")[0], rate)
        high = butter(4, 0.1, "highpass", fs=rate, output="sos")
        pad = int(min(len(upward) - 1, 5 * rate))
        velocity = sosfiltfilt(high, np.cumsum(upward) / rate, padlen=pad)
        first = round((recording.start_s or 0.0) * rate)
        height = sosfiltfilt(high, np.cumsum(velocity) / rate, padlen=pad)[first:]
        leg = recording.leg_length_m or _LEG_OF_HEIGHT * float(recording.height_m or np.nan)
        index = np.round(contacts.time_s * rate).astype(int)
        excursion = np.array([np.ptp(height[a : b + 1]) for a, b in itertools.pairwise(index)])
        excursion = np.minimum(excursion, leg)
        lengths = self._FACTOR * 2 * np.sqrt(2 * leg * excursion - excursion**2)
        durations, _ = signal_events.step_times_s(contacts)
        step_length, step_time = float(np.median(lengths)), float(np.median(durations))
        return _both(step_length / step_time, step_length, step_time)


class ZeroVelocity:
    """Feet: strapdown integration between stances (``inertial.foot_strides``), mean of the feet there are."""

    name = "zero_velocity"

    def reads(self, recording: Recording, sensor: str) -> bool:
        # where the truth itself comes from this integration there is nothing to compare
        return sensor in ("feet", "foot") and "zero-velocity" not in recording.reference_source

    def fit(self, others: Sequence[Recording]) -> ZeroVelocity:
        return self

    def predict(self, recording: Recording) -> dict[str, float]:
        walk = recording.section()
        speeds, lengths, times = [], [], []
        for placement in ("foot_l", "foot_r"):
            if placement in walk.placements:
                strides = foot_strides(*walk.imu(placement), float(walk.sampling_rate_hz or 0.0))
                if len(strides.length_m):
                    duration = strides.end_s - strides.start_s
                    speeds.append(float(strides.length_m.sum() / duration.sum()))
                    lengths.append(float(strides.length_m.mean()))
                    times.append(float(duration.mean()))
        if not speeds:
            raise InputError(f"recording {recording.name} shows no strides at the feet")
        estimates = _both(float(np.mean(speeds)), float(np.mean(lengths)) / 2, float(np.mean(times)) / 2)
        if "stride time from the feet" in recording.reference_source:
            # that truth is this very integration's; comparing it would show nothing
            return {q: v for q, v in estimates.items() if q not in ("step_time_s", "stride_time_s", "cadence_spm")}
        return estimates


class ShankIntegration:
    """Shanks: integration from an ankle that rests in stance (Li et al., J Biomech 2010;43:1640), the physical estimate that
    the networks correct.
    """

    name = "shank_integration"

    def reads(self, recording: Recording, sensor: str) -> bool:
        return sensor in ("shanks", "shank")

    def fit(self, others: Sequence[Recording]) -> ShankIntegration:
        return self

    def predict(self, recording: Recording) -> dict[str, float]:
        walk = recording.section()
        body = Body(recording.height_m, recording.leg_length_m)
        windows = limbs.featurise(walk.signals, float(walk.sampling_rate_hz or 0.0), body, "shank")
        stride, stride_time = body.length_m * float(np.mean(np.exp(windows.base))), float(np.mean(windows.stride_time_s))
        return _both(stride / stride_time, stride / 2, stride_time / 2)


class AnkleDistance:
    """Key points: distance of the ankles along the walk at initial contact, and the time between contacts."""

    name = "ankle_distance"

    def reads(self, recording: Recording, sensor: str) -> bool:
        return recording.kind == "keypoints_3d" and not recording.pixels and {"ankle_l", "ankle_r"} <= set(recording.joints)

    def fit(self, others: Sequence[Recording]) -> AnkleDistance:
        return self

    def predict(self, recording: Recording) -> dict[str, float]:
        walk = recording.section()
        points, rate = walk.points(), float(walk.sampling_rate_hz or 0.0)
        contacts = signal_events.keypoint_contacts(points, rate)
        durations, _ = signal_events.step_times_s(contacts)
        if len(durations) == 0:
            raise InputError(f"recording {recording.name} shows no steps in its ankles")
        apart = np.abs((points["ankle_r"] - points["ankle_l"]) @ signal_events.forward_axis(points))
        lengths = np.interp(contacts.time_s * rate, np.arange(len(apart)), apart)
        step_length, step_time = float(np.mean(lengths)), float(np.mean(durations))
        return _both(step_length / step_time, step_length, step_time)


class PelvisDisplacement:
    """Key points: how far the pelvis moves per time; needs a world that the walker moves through."""

    name = "pelvis_displacement"

    @staticmethod
    def _moves(recording: Recording) -> bool:
        return recording.variant != "root_relative" and "pelvis" in recording.joints and not recording.way_is_truth

    def reads(self, recording: Recording, sensor: str) -> bool:
        return recording.kind == "keypoints_3d" and not recording.pixels and self._moves(recording)

    def fit(self, others: Sequence[Recording]) -> PelvisDisplacement:
        return self

    def predict(self, recording: Recording) -> dict[str, float]:
        walk = recording.section()
        points, rate = walk.points(), float(walk.sampling_rate_hz or 0.0)
        along = points["pelvis"] @ signal_events.forward_axis(points)
        return {"walking_speed_mps": abs(float(np.polyfit(np.arange(len(along)) / rate, along, 1)[0]))}


def _both(speed: float, step_length: float, step_time: float) -> dict[str, float]:
    return {
        "walking_speed_mps": speed,
        "step_length_m": step_length,
        "stride_length_m": 2 * step_length,
        "step_time_s": step_time,
        "stride_time_s": 2 * step_time,
        "cadence_spm": 60.0 / step_time,
    }


FLOORS: tuple[type, ...] = (Mean, CadenceHeight, InvertedPendulum, ZeroVelocity, ShankIntegration, AnkleDistance, PelvisDisplacement)
