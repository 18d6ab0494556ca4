"""Virtual sensors: what an instrument would record of a walk.

In: walks or strides, as ``Trials``; parameters in the constructor, data and randomness in
``record(walks, rng)``. Out: ``Trials`` with the sensor's channels, the walks' table and events.
"""

from synthgait.sensors.base import merge
from synthgait.sensors.imu import IMU, ImuSpecification, Mounting

__all__ = ["IMU", "ImuSpecification", "Mounting", "merge"]
