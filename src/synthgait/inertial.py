"""From a foot's inertial sensor to its path: orientation and zero-velocity integration.

In: acceleration (T, 3) in m/s^2 with gravity and angular velocity (T, 3) in rad/s of a sensor on a
foot, its sampling rate. Out: displacement of every stride in m. On a treadmill the belt is the frame
in which a standing foot rests, so the same integration gives the distance walked.
"""

from __future__ import annotations

import itertools
from typing import NamedTuple

import numpy as np
from scipy.spatial.transform import Rotation

from synthgait.conventions import GRAVITY_MPS2
from synthgait.signal_events import foot_mid_stances


class FootStrides(NamedTuple):
    """One row per stride of one foot: ``start_s``, ``end_s`` (N,) at the middle of stance, horizontal
    ``length_m`` (N,), and ``heading_rad`` (N,), the change of heading over the stride.
    """

    start_s: np.ndarray
    end_s: np.ndarray
    length_m: np.ndarray
    heading_rad: np.ndarray


def level(acceleration: np.ndarray) -> Rotation:
    """Rotation from sensor axes to a frame whose Y is up, from the acceleration (3,) at rest."""
    up = acceleration / np.linalg.norm(acceleration)
    rotation, _ = Rotation.align_vectors([[0.0, 1.0, 0.0]], [up])
    return rotation


def orientations(start: Rotation, angular_velocity: np.ndarray, sampling_rate_hz: float) -> Rotation:
    """Orientations (T,) by integrating angular velocity (T, 3) from the first one, midpoint rule."""
    steps = 0.5 * (angular_velocity[1:] + angular_velocity[:-1]) / sampling_rate_hz
    quaternions = np.empty((len(angular_velocity), 4))
    current = start
    quaternions[0] = current.as_quat()
    increments = Rotation.from_rotvec(steps).as_quat()
    q = quaternions[0].copy()
    for i, (bx, by, bz, bw) in enumerate(increments, start=1):
        ax, ay, az, aw = q
        q = np.array(
            (
                aw * bx + ax * bw + ay * bz - az * by,
                aw * by - ax * bz + ay * bw + az * bx,
                aw * bz + ax * by - ay * bx + az * bw,
                aw * bw - ax * bx - ay * by - az * bz,
            )
        )
        quaternions[i] = q
    return Rotation.from_quat(quaternions)


def foot_strides(acceleration: np.ndarray, angular_velocity: np.ndarray, sampling_rate_hz: float, longest_s: float = 3.5) -> FootStrides:
    """Strides of one foot from the middle of one stance to the next.

    Between two rests the orientation is integrated from gravity at the first one; what its up
    direction misses at the second is taken back linearly in time, then gravity is subtracted and
    velocity is integrated and brought to zero at both ends (zero-velocity update, linear de-drift).
    """
    still = foot_mid_stances(acceleration, angular_velocity, sampling_rate_hz)
    half = max(1, round(0.03 * sampling_rate_hz))
    gain = _gravity_gain(acceleration, still, half)
    rows = []
    for start, end in itertools.pairwise(still):
        if not 0.4 * sampling_rate_hz < end - start < longest_s * sampling_rate_hz or start < half:
            continue
        a, w = gain * acceleration[start : end + 1], angular_velocity[start : end + 1]
        first = level(acceleration[start - half : start + half + 1].mean(0))
        attitude = orientations(first, w, sampling_rate_hz)
        last_up = attitude[-1].apply(acceleration[end - half : end + half + 1].mean(0))
        last_up /= np.linalg.norm(last_up)
        # rotation that brings the measured up at the end to the vertical, spread over the stride
        axis = np.cross(last_up, (0.0, 1.0, 0.0))
        sine = np.linalg.norm(axis)
        angle = np.arctan2(sine, last_up[1])
        share = np.linspace(0.0, 1.0, len(a))[:, None]
        correction = Rotation.from_rotvec(share * angle * axis / max(sine, 1e-12))
        world = (correction * attitude).apply(a) - (0.0, GRAVITY_MPS2, 0.0)
        velocity = np.vstack([np.zeros(3), np.cumsum(0.5 * (world[1:] + world[:-1]), axis=0)]) / sampling_rate_hz
        velocity -= share * velocity[-1]
        path = 0.5 * (velocity[1:] + velocity[:-1]).sum(0) / sampling_rate_hz
        turn = (correction[-1] * attitude[-1] * first.inv()).as_rotvec()[1]
        rows.append((start / sampling_rate_hz, end / sampling_rate_hz, float(np.hypot(path[0], path[2])), turn))
    table = np.array(rows).reshape(-1, 4)
    return FootStrides(table[:, 0], table[:, 1], table[:, 2], table[:, 3])


def _gravity_gain(acceleration: np.ndarray, still: np.ndarray, half: int) -> float:
    """Scale that makes the accelerometer read gravity at rest (median over stances)."""
    if len(still) == 0:
        return 1.0
    norms = [np.linalg.norm(acceleration[max(0, s - half) : s + half + 1].mean(0)) for s in still]
    return float(np.clip(GRAVITY_MPS2 / np.median(norms), 0.9, 1.1))
