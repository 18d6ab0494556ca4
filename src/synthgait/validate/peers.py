"""Other people's algorithms through our own evaluation, where they are installed.

In: recordings with a lower-back or foot sensor. Out: estimates under our names. The packages are an
optional extra (``pip install synthgait[peers]``); nothing here is imported without being asked for.
"""

from __future__ import annotations

import importlib
import warnings
from typing import Any

import numpy as np
import pandas as pd

from synthgait.errors import InputError
from synthgait.recordings.base import Recording
from synthgait.signal_events import foot_mid_stances, up_direction


class Mobgap:
    """mobgap's blocks for one lower-back sensor with the walking section given: initial contacts
    (Ionescu et al.), cadence (Shin) and stride length (Zijlstra), as its recommended pipelines set
    them: the "healthy" one for healthy people, the "impaired" one for the others.
    """

    name = "mobgap"

    def reads(self, recording: Recording, sensor: str) -> bool:
        """Lower-back sensors of people whose height is known (sensor height = 0.53 of it)."""
        return sensor == "lower_back" and recording.height_m is not None and bool(recording.truth)

    def predict(self, recording: Recording) -> dict[str, float]:
        """Speed, stride length, step and stride time of the walking section. Raises InputError without steps."""
        from mobgap.pipeline import MobilisedPipelineHealthy, MobilisedPipelineImpaired
        from mobgap.utils.conversions import to_body_frame

        rate = float(recording.sampling_rate_hz or 0.0)
        walk = recording.section()
        data = to_body_frame(_mobgap_frame(walk, rate))
        whole = MobilisedPipelineHealthy() if recording.group == "healthy" else MobilisedPipelineImpaired()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return self._blocks(whole, data, rate, recording)

    def _blocks(self, whole: Any, data: pd.DataFrame, rate: float, recording: Recording) -> dict[str, float]:
        contacts = whole.initial_contact_detection.clone().detect(data, sampling_rate_hz=rate).ic_list_
        if len(contacts) < 4:
            raise InputError(f"mobgap finds {len(contacts)} steps in recording {recording.name}")
        whole_span = contacts.assign(ic=contacts["ic"] - contacts["ic"].iloc[0])
        first, last = int(contacts["ic"].iloc[0]), int(contacts["ic"].iloc[-1]) + 1
        part = data.iloc[first:last]
        cadence = whole.cadence_calculation.clone().calculate(part, initial_contacts=whole_span, sampling_rate_hz=rate).cadence_per_sec_
        length = whole.stride_length_calculation.clone().calculate(
            part, initial_contacts=whole_span, sampling_rate_hz=rate, sensor_height_m=0.53 * float(recording.height_m or np.nan)
        )
        stride = float(np.nanmean(length.stride_length_per_sec_["stride_length_m"]))
        steps_per_minute = float(np.nanmean(cadence["cadence_spm"]))
        step_time = 60.0 / steps_per_minute
        estimates = {
            "walking_speed_mps": stride * steps_per_minute / 120.0,
            "stride_length_m": stride,
            "step_length_m": stride / 2,
            "step_time_s": step_time,
            "stride_time_s": 2 * step_time,
            "cadence_spm": steps_per_minute,
        }
        if not np.all(np.isfinite(list(estimates.values()))):
            raise InputError(f"mobgap gives no number for recording {recording.name}")
        return estimates


def _mobgap_frame(walk: Recording, rate: float) -> pd.DataFrame:
    """mobgap's sensor frame, x up. The blocks used here read the vertical acceleration only, so the two
    horizontal axes are any pair across it.
    """
    acceleration, rotation = walk.imu("lower_back")
    up = up_direction(acceleration, rate).mean(0)
    across = np.linalg.svd((up / np.linalg.norm(up))[None])[2][1:]
    axes = np.vstack([up / np.linalg.norm(up), across]).T
    values = np.hstack([acceleration @ axes, rotation @ axes])
    return pd.DataFrame(values, columns=["acc_x", "acc_y", "acc_z", "gyr_x", "gyr_y", "gyr_z"])


class Gaitmap:
    """gaitmap's trajectory of each stride of each foot as its defaults set it (gyroscope integration, and
    forward-backward integration of the acceleration between two mid-stances).

    The mid-stances are ours (``signal_events.foot_mid_stances``): gaitmap's own stride segmentation is in
    the AGPL package ``gaitmap_mad``, which is not used.
    """

    name = "gaitmap"

    def reads(self, recording: Recording, sensor: str) -> bool:
        """Feet, but where the truth itself comes from such an integration."""
        return sensor in ("feet", "foot") and "zero-velocity" not in recording.reference_source and bool(recording.truth)

    def predict(self, recording: Recording) -> dict[str, float]:
        """Speed, stride length and stride time of the walking section, mean of the feet. Raises InputError without strides."""
        walk = recording.section()
        rate = float(walk.sampling_rate_hz or 0.0)
        feet = [self._foot(*walk.imu(p), rate) for p in ("foot_l", "foot_r") if p in walk.placements]
        lengths, times = (np.concatenate([foot[i] for foot in feet]) for i in (0, 1))
        if not len(lengths):
            raise InputError(f"gaitmap gets no strides of recording {recording.name}")
        stride, time = float(lengths.mean()), float(times.mean())
        estimates = {"walking_speed_mps": float(lengths.sum() / times.sum()), "stride_length_m": stride, "step_length_m": stride / 2}
        if "stride time from the feet" not in recording.reference_source:
            estimates |= {"step_time_s": time / 2, "stride_time_s": time, "cadence_spm": 120.0 / time}
        return estimates

    def _foot(self, acceleration: np.ndarray, rotation: np.ndarray, rate: float) -> tuple[np.ndarray, np.ndarray]:
        """Length (N,) and duration (N,) of the strides of one foot."""
        from gaitmap.trajectory_reconstruction import StrideLevelTrajectory

        still = foot_mid_stances(acceleration, rotation, rate)
        times = np.diff(still) / rate
        walked = (times > 0.4) & (times < _LONGEST_STRIDE_S)
        if not walked.any():
            return np.zeros(0), np.zeros(0)
        start, end = still[:-1][walked], still[1:][walked]
        strides = pd.DataFrame({"s_id": np.arange(len(start)), "start": start, "end": end, "min_vel": start})
        values = np.hstack([acceleration, np.rad2deg(rotation)])
        data = _Writable(values, columns=["acc_x", "acc_y", "acc_z", "gyr_x", "gyr_y", "gyr_z"])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = StrideLevelTrajectory().estimate(data, strides, sampling_rate_hz=rate).position_
        last = found.groupby(level="s_id").last().loc[strides["s_id"], ["pos_x", "pos_y"]]
        return np.linalg.norm(last.to_numpy(float), axis=1), times[walked]


class _Writable(pd.DataFrame):
    """A table whose arrays are copies: those of pandas 3 may not be written to, and scipy's rotations, which gaitmap calls with
    them, refuse that.
    """

    @property
    def _constructor(self) -> type[_Writable]:
        return _Writable

    def to_numpy(self, *args: Any, **options: Any) -> np.ndarray:
        return np.array(super().to_numpy(*args, **options))


def asked(peer: Any, recording: Recording) -> dict[str, float]:
    """What a peer says of a recording. Whatever goes wrong inside it, as with versions of pandas or numpy that it does
    not know, is an InputError, so that one peer's fault costs its own row and not the whole table.
    """
    try:
        return peer.predict(recording)
    except InputError:
        raise
    except Exception as error:
        told = str(error).strip().splitlines() or [""]
        raise InputError(f"{peer.name} fails on recording {recording.name} ({type(error).__name__}: {told[0][:120]})") from error


#: A longer time between two stances is a pause (the limit of ``inertial.foot_strides``).
_LONGEST_STRIDE_S = 3.5
#: Package -> peer.
PEERS: dict[str, type] = {"mobgap": Mobgap, "gaitmap": Gaitmap}


def available() -> tuple[list[Any], list[str]]:
    """The peers that are installed, and one sentence for each that is not."""
    found, missing = [], []
    for package, peer in PEERS.items():
        try:
            importlib.import_module(package)
            found.append(peer())
        except ImportError:
            missing.append(f"{package} is not installed, so its rows are left out (pip install 'synthgait[peers]').")
    return found, missing
