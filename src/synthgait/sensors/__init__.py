"""Virtual sensors: what an instrument would record of a walk.

In: walks or strides, as ``Trials``; parameters in the constructor, data and randomness in
``record(walks, rng)``. Out: ``Trials`` with the sensor's channels, the walks' table and events.
"""

from synthgait.sensors.base import merge
from synthgait.sensors.camera import Camera, PoseNoise
from synthgait.sensors.emg import EMG, EmgSpecification
from synthgait.sensors.force_plate import ForcePlate, Insole, InsoleSpecification, PlateSpecification
from synthgait.sensors.impact import Impact
from synthgait.sensors.imu import IMU, ImuSpecification, Mounting
from synthgait.sensors.keypoints import KEYPOINT_SETS, Markers, MarkerSpecification

__all__ = [
    "EMG",
    "IMU",
    "KEYPOINT_SETS",
    "Camera",
    "EmgSpecification",
    "ForcePlate",
    "Impact",
    "ImuSpecification",
    "Insole",
    "InsoleSpecification",
    "MarkerSpecification",
    "Markers",
    "Mounting",
    "PlateSpecification",
    "PoseNoise",
    "merge",
]
