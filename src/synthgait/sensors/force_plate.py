"""Force plates and pressure insoles.

In: walks with ``ground_reaction`` (and ``centre_of_pressure``) and a random generator. Out: ``Trials``
with group ``force_plate`` (forces in N and centre of pressure in m, per foot) or ``insole`` (vertical
force per foot and its place along the foot).
"""

from __future__ import annotations

import numpy as np

from synthgait.conventions import CENTRE_OF_PRESSURE, GRAVITY_MPS2, GROUND_REACTION, SIDES
from synthgait.errors import InputError
from synthgait.kinematics import point_motion
from synthgait.sensors.base import needs_rng, recording
from synthgait.trials import Trials
from synthgait.walks import motion_of


class ForcePlate:
    """Plates (or an instrumented treadmill) under the whole walk, one per foot.

    Args:
        noise_n: white noise per axis; threshold_n: below this vertical force nothing is loaded (20 N
            is usual: Zeni et al., Gait Posture 2008;27:710).
        pressure_noise_n_m: noise of the plate's moments, so that the centre of pressure is worst where the
            force is small.
    """

    def __init__(self, *, noise_n: float = 0.0, threshold_n: float = 20.0, pressure_noise_n_m: float = 0.0) -> None:
        self.noise_n, self.threshold_n, self.pressure_noise_n_m = noise_n, threshold_n, pressure_noise_n_m

    def record(self, walks: Trials, rng: np.random.Generator | None = None) -> Trials:
        """Group ``force_plate`` (N, T, 10). Raises InputError without forces, or without rng for noise."""
        force, pressure = _loads(walks)
        if self.noise_n or self.pressure_noise_n_m:
            rng = needs_rng(rng, "this force plate")
        for i in range(2):
            own, point = force[..., 3 * i : 3 * i + 3], pressure[..., 2 * i : 2 * i + 2]
            if rng is not None:
                own += self.noise_n * rng.standard_normal(own.shape)
                point += self.pressure_noise_n_m * rng.standard_normal(point.shape) / np.maximum(own[..., 1:2], self.threshold_n)
            unloaded = own[..., 1] < self.threshold_n
            own[unloaded] = 0.0
            point[unloaded] = np.nan
        array = np.concatenate([force, pressure], axis=-1)
        return recording(walks, {"force_plate": array}, {"force_plate": GROUND_REACTION + CENTRE_OF_PRESSURE}, walks.sampling_rate_hz)


class Insole:
    """Pressure insoles: vertical force and where along the foot it acts.

    Args:
        gain_sd: standard deviation of the gain per foot and person (insoles read 10 % low or high:
            Barnett et al., Gait Posture 2001;13:75); noise_share: white noise in body weights.
    """

    channels = tuple(f"{name}_{side}" for side in SIDES for name in ("insole_force", "insole_pressure"))

    def __init__(self, *, gain_sd: float = 0.0, noise_share: float = 0.0) -> None:
        self.gain_sd, self.noise_share = gain_sd, noise_share

    def record(self, walks: Trials, rng: np.random.Generator | None = None) -> Trials:
        """Group ``insole`` (N, T, 4): force in N, place 0 (heel) to 1 (toe), NaN while unloaded."""
        if self.gain_sd or self.noise_share:
            rng = needs_rng(rng, "this insole")
        force, pressure = _loads(walks)
        motion = motion_of(walks)
        feet = point_motion(motion.skeleton, motion.coordinates, points=[f"{p}_{s}" for p in ("heel", "toe") for s in SIDES])
        weight = GRAVITY_MPS2 * walks.table["mass_kg"].to_numpy(float)[:, None]
        columns = []
        for i, side in enumerate(SIDES):
            vertical = np.maximum(force[..., 3 * i + 1], 0.0)
            if rng is not None:
                vertical = vertical * np.exp(self.gain_sd * rng.standard_normal((len(walks), 1)))
                vertical = np.maximum(vertical + self.noise_share * weight * rng.standard_normal(vertical.shape), 0.0)
            heel, toe = (feet[f"{p}_{side}"].position_m[..., [0, 2]] for p in ("heel", "toe"))
            along = toe - heel
            place = np.sum((pressure[..., 2 * i : 2 * i + 2] - heel) * along, axis=-1) / np.sum(along**2, axis=-1)
            columns += [vertical, np.where(vertical > 0.02 * weight, place, np.nan)]
        return recording(walks, {"insole": np.stack(columns, axis=-1)}, {"insole": self.channels}, walks.sampling_rate_hz)


def _loads(walks: Trials) -> tuple[np.ndarray, np.ndarray]:
    """Ground reaction (N, T, 6) and centre of pressure (N, T, 4), float64 copies."""
    for group in ("ground_reaction", "centre_of_pressure"):
        if group not in walks.signals:
            raise InputError(f"the walks have no {group}; forces cannot be derived from motion alone")
    return walks.signals["ground_reaction"].astype(float), walks.signals["centre_of_pressure"].astype(float)
