"""Force plates and pressure insoles.

In: walks with ``ground_reaction`` (and ``centre_of_pressure``) and a random generator. Out: ``Trials``
with group ``force_plate`` (forces in N and centre of pressure in m, per foot) or ``insole`` (vertical
force per foot and its place along the foot).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from synthgait.conventions import CENTRE_OF_PRESSURE, GRAVITY_MPS2, GROUND_REACTION, SIDES
from synthgait.errors import InputError
from synthgait.kinematics import point_motion
from synthgait.sensors.base import chosen, needs_rng, recording
from synthgait.trials import Trials
from synthgait.walks import motion_of


@dataclass(frozen=True)
class PlateSpecification:
    """Errors of a force plate. The default has none.

    Args:
        noise_n: white noise per axis; threshold_n: below this vertical force nothing is loaded (20 N
            is usual: Zeni et al., Gait Posture 2008;27:710).
        pressure_noise_n_m: noise of the plate's moments, so that the centre of pressure is worst where the
            force is small.
    """

    name: str = "ideal"
    noise_n: float = 0.0
    threshold_n: float = 20.0
    pressure_noise_n_m: float = 0.0

    @property
    def random(self) -> bool:
        """True when two recordings of the same walk differ."""
        return self.noise_n > 0 or self.pressure_noise_n_m > 0


@dataclass(frozen=True)
class InsoleSpecification:
    """Errors of an insole. The default has none.

    Args:
        gain_sd: standard deviation of the logarithm of the gain, per foot and person.
        noise_share: white noise in body weights.
    """

    name: str = "ideal"
    gain_sd: float = 0.0
    noise_share: float = 0.0

    @property
    def random(self) -> bool:
        """True when two recordings of the same walk differ."""
        return self.gain_sd > 0 or self.noise_share > 0


class ForcePlate:
    """Plates (or an instrumented treadmill) under the whole walk, one per foot.

    Args:
        sensor: ``PlateSpecification`` or a name of ``simulations/sensors/force_plate.yaml``; the default is ideal.
    """

    def __init__(self, sensor: PlateSpecification | str | None = None) -> None:
        self.sensor = chosen(PlateSpecification, "force_plate", sensor)

    def record(self, walks: Trials, rng: np.random.Generator | None = None) -> Trials:
        """Group ``force_plate`` (N, T, 10). Raises InputError without forces, or without rng for noise."""
        force, pressure = _loads(walks)
        spec = self.sensor
        if spec.random:
            rng = needs_rng(rng, "this force plate")
        for i in range(2):
            own, point = force[..., 3 * i : 3 * i + 3], pressure[..., 2 * i : 2 * i + 2]
            if rng is not None:
                own += spec.noise_n * rng.standard_normal(own.shape)
                point += spec.pressure_noise_n_m * rng.standard_normal(point.shape) / np.maximum(own[..., 1:2], spec.threshold_n)
            unloaded = own[..., 1] < spec.threshold_n
            own[unloaded] = 0.0
            point[unloaded] = np.nan
        array = np.concatenate([force, pressure], axis=-1)
        return recording(walks, {"force_plate": array}, {"force_plate": GROUND_REACTION + CENTRE_OF_PRESSURE}, walks.sampling_rate_hz)


class Insole:
    """Pressure insoles: vertical force and where along the foot it acts.

    Args:
        sensor: ``InsoleSpecification`` or a name of ``simulations/sensors/insole.yaml``; the default is ideal.
    """

    channels = tuple(f"{name}_{side}" for side in SIDES for name in ("insole_force", "insole_pressure"))

    def __init__(self, sensor: InsoleSpecification | str | None = None) -> None:
        self.sensor = chosen(InsoleSpecification, "insole", sensor)

    def record(self, walks: Trials, rng: np.random.Generator | None = None) -> Trials:
        """Group ``insole`` (N, T, 4): force in N, place 0 (heel) to 1 (toe), NaN while unloaded."""
        spec = self.sensor
        if spec.random:
            rng = needs_rng(rng, "this insole")
        force, pressure = _loads(walks)
        motion = motion_of(walks)
        feet = point_motion(motion.skeleton, motion.coordinates, points=[f"{p}_{s}" for p in ("heel", "toe") for s in SIDES])
        weight = GRAVITY_MPS2 * walks.table["mass_kg"].to_numpy(float)[:, None]
        columns = []
        for i, side in enumerate(SIDES):
            vertical = np.maximum(force[..., 3 * i + 1], 0.0)
            if rng is not None:
                vertical = vertical * np.exp(spec.gain_sd * rng.standard_normal((len(walks), 1)))
                vertical = np.maximum(vertical + spec.noise_share * weight * rng.standard_normal(vertical.shape), 0.0)
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
