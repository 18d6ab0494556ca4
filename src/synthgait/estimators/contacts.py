"""When feet land and leave the ground.

In: the channels of one recording, the estimate of its strides. Out: gait events in time order.

Landings are read from the signal itself (``signal_events``: the trunk's bounce, the foot's jolt, the shank's turn, the
farthest ankle), which needs no learning; lift-offs follow each landing by the stance time that the network estimates of
that side. Sensors in which a landing is not to be seen (thigh, joint angles, a side view) give none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from synthgait import signal_events
from synthgait.conventions import SIDES
from synthgait.estimators.features.trunk import imu
from synthgait.estimators.features.windows import WORKING_RATE_HZ, to_working_rate

#: A landing belongs to the walking that was judged when it lies within so many strides of a window's middle.
_NEAR_STRIDES = 0.75


def gait_events(signals: Mapping[str, np.ndarray], sampling_rate_hz: float, sensor: str, found: Mapping[str, Any]) -> dict[str, list[Any]]:
    """Events of the strides that were judged.

    Args:
        signals: channel -> (T,). sensor: that was read. found: what ``terms.summarise`` tells of it.

    Returns ``time_s`` (from the first sample), ``side`` ("r", "l", or "" where a sensor does not tell) and ``event``
    ("initial_contact" or "final_contact"), lists of one length.
    """
    time_s, side = _landings(signals, sampling_rate_hz, sensor, float(found["stride_time_s"]))
    centre = np.asarray(found["strides"]["time_s"], float)
    if not len(time_s) or not len(centre):
        return {"time_s": [], "side": [], "event": []}
    near = np.abs(time_s[:, None] - centre[None]).min(1) <= _NEAR_STRIDES * float(found["stride_time_s"])
    events = []
    for at, of in zip(time_s[near], side[near], strict=True):
        events.append((float(at), str(of), "initial_contact"))
        stance = [found[f"stance_time_{s}_s"] for s in ([of] if of else SIDES)]
        events.append((float(at + np.mean(stance)), str(of), "final_contact"))
    last = (len(next(iter(signals.values()))) - 1) / sampling_rate_hz
    events = sorted(event for event in events if event[0] <= last)
    return {name: [event[i] for event in events] for i, name in enumerate(("time_s", "side", "event"))}


def _landings(signals: Mapping[str, np.ndarray], rate: float, sensor: str, stride_time_s: float) -> tuple[np.ndarray, np.ndarray]:
    if sensor == "lower_back":
        values = imu(signals, sensor)
        contacts = signal_events.lower_back_contacts(values[:, :3], values[:, 3:], rate, stride_time_s)
        return contacts.time_s, contacts.side
    if sensor in ("foot", "shank"):
        worn: Sequence[str] = [s for s in SIDES if f"{sensor}_{s}_acc_x" in signals]
        values_of = {s: imu(signals, f"{sensor}_{s}") for s in worn}
        if rate < WORKING_RATE_HZ:  # between few samples a foot lands unseen
            values_of, rate = {s: to_working_rate(values, rate) for s, values in values_of.items()}, WORKING_RATE_HZ
        foot, shank = signal_events.foot_initial_contacts, signal_events.shank_initial_contacts
        times = {s: foot(v[:, :3], v[:, 3:], rate) if sensor == "foot" else shank(v[:, 3:], rate) for s, v in values_of.items()}
        return np.concatenate(list(times.values())), np.concatenate([np.full(len(t), s) for s, t in times.items()])
    if sensor == "keypoints_3d":
        joints = ("ankle_l", "ankle_r", "knee_l", "knee_r", "hip_l", "hip_r", "pelvis", "toe_l", "toe_r", "heel_l", "heel_r")
        there = [joint for joint in joints if f"{joint}_z" in signals]
        if {"ankle_l", "ankle_r"} <= set(there):
            points = {joint: np.stack([np.asarray(signals[f"{joint}_{axis}"], float) for axis in "xyz"], 1) for joint in there}
            contacts = signal_events.keypoint_contacts(points, rate)
            return contacts.time_s, contacts.side
    return np.zeros(0), np.zeros(0, "<U1")
