"""Heel-strike transients: the shock wave of a footfall, which rigid bodies and a solver's mesh lack.

In: contact times, a placement, a random generator. Out: acceleration and angular velocity to add to
what the rigid segment does.

At every initial contact the sensor rings: velocity V exp(-zeta w t) sin(w t), which begins and ends at
zero, so that integrated speed is untouched; the first peak of its acceleration is V w. Shocks of
5 g at the tibia and 0.5 g at the skull with hard heels, half of both with resilient ones: Light, McLellan
& Klenerman (J Biomech 1980;13:477). Between them the share falls with the way from the heel; the foot
itself gets one and a half times the tibia's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

#: Share of the tibia's shock.
SHARE = {
    "foot": 1.5,
    "heel": 1.5,
    "toe": 1.5,
    "ankle": 1.2,
    "shank": 1.0,
    "thigh": 0.5,
    "lower_back": 0.25,
    "sternum": 0.15,
    "head": 0.1,
    "wrist": 0.1,
}
_LEVER_M = 0.15  # what turns a foot's or shank's shock into turning: the heel's distance from the sensor
_LENGTH_S = 0.35  # after which the ringing has gone


@dataclass(frozen=True)
class Impact:
    """Footfalls of a kind of shoe and floor; limits are uniform per person.

    Args:
        tibia_peak_mps2: first peak at the tibia at 1.3 m/s; it goes with walking speed.
        frequency_hz, damping: of the ringing.
        step_cv: relative variation from step to step.
    """

    name: str = "soft_shoes"
    tibia_peak_mps2: tuple[float, float] = (10.0, 30.0)
    frequency_hz: tuple[float, float] = (10.0, 25.0)
    damping: tuple[float, float] = (0.2, 0.5)
    step_cv: float = 0.3


def share_of(placement: str) -> float:
    """Share of the tibia's shock at a placement; places that are not in the table get the lower back's."""
    return next((share for name, share in SHARE.items() if placement.startswith(name)), SHARE["lower_back"])


def add_impacts(
    force: np.ndarray,
    spin: np.ndarray,
    contacts_s: Sequence[np.ndarray],
    rate_hz: np.ndarray,
    speed_mps: np.ndarray,
    placement: str,
    impact: Impact,
    rng: np.random.Generator,
) -> None:
    """Add the ringing of every contact, in place.

    Args:
        force, spin: (3, n, T) specific force and angular velocity in segment axes.
        contacts_s: n arrays of contact times that reach the sensor.
        rate_hz, speed_mps: (n,).
    """
    share, turns = share_of(placement), placement.startswith(("foot", "heel", "toe", "ankle", "shank"))
    samples = force.shape[2]
    for n, contacts in enumerate(contacts_s):
        peak, frequency, damping = (rng.uniform(*limits) for limits in (impact.tibia_peak_mps2, impact.frequency_hz, impact.damping))
        w = 2 * np.pi * frequency
        lean = np.array([rng.normal(-0.3, 0.4), 1.0, rng.normal(0.0, 0.3)])  # up and a little backward
        lean /= np.linalg.norm(lean)
        axis = np.array([rng.normal(0.0, 0.5), rng.normal(0.0, 0.3), 1.0])  # mostly pitch
        axis /= np.linalg.norm(axis)
        count = int(_LENGTH_S * rate_hz[n])
        for contact in contacts:
            size = share * peak * speed_mps[n] / 1.3 * np.exp(impact.step_cv * rng.standard_normal())
            first = int(np.ceil(contact * rate_hz[n]))
            index = np.arange(max(first, 0), min(first + count, samples))
            t = index / rate_hz[n] - contact
            decay = np.exp(-damping * w * t)
            force[:, n, index] += np.outer(lean, size * decay * (np.cos(w * t) - damping * np.sin(w * t)))
            if turns:
                spin[:, n, index] -= np.outer(axis, size / (w * _LEVER_M) * decay * np.sin(w * t))
