"""Our kinematics and IMU against OpenSim's, at random states of three people; OpenSim runs in its own process."""

from __future__ import annotations

import numpy as np
import pandas as pd

from opensim_process import in_opensim
from synthgait.anthropometry import build_model
from synthgait.kinematics import Skeleton, body_motion, centre_of_mass_motion, point_motion
from synthgait.sensors import IMU
from synthgait.subjects import Subject
from synthgait.walks import Motion, Walks

_PEOPLE = (
    Subject("man"),
    Subject("girl", age_years=7.0, sex="female", height_m=1.22, mass_kg=23.0, knee_varus_rad=-0.06),
    Subject("old_woman", age_years=80.0, sex="female", height_m=1.58, mass_kg=70.0, leg_length_m=0.85, knee_varus_rad=0.08),
)
_IMU_PLACES = ("lower_back", "foot_l", "shank_r")


def _by_opensim(model, q, qd):
    """Per state: OpenSim's accelerations; landmarks' position, velocity, acceleration; bodies' rotation,
    angular velocity and acceleration; centre of mass; IMU signals.
    """
    import opensim

    from synthgait.opensim_model import build

    osim = build(model)
    sensors = {}
    for place in _IMU_PLACES:
        landmark = next(lm for lm in model.landmarks if lm.name == place)
        body = osim.getBodySet().get(landmark.body)
        place_on_body = opensim.Transform(opensim.Vec3(*(float(v) for v in landmark.location_m)))
        frame = opensim.PhysicalOffsetFrame(f"{place}_frame", body, place_on_body)
        osim.addComponent(frame)
        frame._markAdopted()
        sensors[place] = opensim.IMU()
        sensors[place].setName(f"{place}_imu")
        sensors[place].connectSocket_frame(frame)
        osim.addComponent(sensors[place])
        sensors[place]._markAdopted()
    state = osim.initSystem()
    found = []
    for positions, speeds in zip(q, qd, strict=True):
        for name, value, speed in zip(model.coordinates, positions, speeds, strict=True):
            coordinate = osim.getCoordinateSet().get(name)
            coordinate.setValue(state, float(value), False)
            coordinate.setSpeedValue(state, float(speed))
        osim.realizeAcceleration(state)
        at = {"qdd": np.array([osim.getCoordinateSet().get(n).getAccelerationValue(state) for n in model.coordinates])}
        for landmark in model.landmarks:
            marker = osim.getMarkerSet().get(landmark.name)
            at[landmark.name] = np.array(
                [
                    v.to_numpy()
                    for v in (marker.getLocationInGround(state), marker.getVelocityInGround(state), marker.getAccelerationInGround(state))
                ]
            )
        for body in model.bodies:
            frame = osim.getBodySet().get(body.name)
            rotation = frame.getTransformInGround(state).R()
            at["R " + body.name] = np.array([[rotation.get(i, j) for j in range(3)] for i in range(3)])
            at["w " + body.name] = np.array(
                [frame.getAngularVelocityInGround(state).to_numpy(), frame.getAngularAccelerationInGround(state).to_numpy()]
            )
        at["com"] = np.array([osim.calcMassCenterPosition(state).to_numpy(), osim.calcMassCenterAcceleration(state).to_numpy()])
        for place, sensor in sensors.items():
            at["imu " + place] = np.concatenate(
                [sensor.calcAccelerometerSignal(state).to_numpy(), sensor.calcGyroscopeSignal(state).to_numpy()]
            )
        found.append(at)
    return found


def test_kinematics_and_imu_agree_with_opensim():
    rng = np.random.default_rng(0)
    for subject in _PEOPLE:
        model = build_model(subject)
        q, qd = (rng.normal(0.0, s, (8, len(model.coordinates))) for s in (0.15, 1.5))
        q[:, model.coordinates.index("pelvis_ty")] += 2.0  # off the floor, where contact forces would drown the rest
        theirs = in_opensim(_by_opensim, model, q, qd)
        qdd = np.array([at["qdd"] for at in theirs])
        points, bodies = point_motion(model, q, qd, qdd), body_motion(model, q, qd, qdd)
        mass = centre_of_mass_motion(model, q, qd, qdd)
        motion = Motion(q[None], qd[None], qdd[None], Skeleton.of([model]), np.array([100.0]))
        walks = Walks(pd.DataFrame({"trial_id": ["one"]}), kind="walks", sampling_rate_hz=100.0, motion=motion)
        for name, point in points.items():
            for ours, k in ((point.position_m, 0), (point.velocity_mps, 1), (point.acceleration_mps2, 2)):
                expected = np.array([at[name][k] for at in theirs])
                np.testing.assert_allclose(ours, expected, atol=1e-9 * max(1.0, np.abs(expected).max()), err_msg=name)
        for name, body in bodies.items():
            np.testing.assert_allclose(body.rotation, [at["R " + name] for at in theirs], atol=1e-12)
            np.testing.assert_allclose(body.angular_velocity_radps, [at["w " + name][0] for at in theirs], atol=1e-9)
            expected = np.array([at["w " + name][1] for at in theirs])
            np.testing.assert_allclose(body.angular_acceleration_radps2, expected, atol=1e-9 * max(1.0, np.abs(expected).max()))
        np.testing.assert_allclose(mass.position_m, [at["com"][0] for at in theirs], atol=1e-9)
        expected = np.array([at["com"][1] for at in theirs])
        np.testing.assert_allclose(mass.acceleration_mps2, expected, atol=1e-9 * np.abs(expected).max())
        for place in _IMU_PLACES:
            ours = IMU(place).record(walks).signals[f"imu_{place}"][0]
            np.testing.assert_allclose(ours, [at["imu " + place] for at in theirs], rtol=2e-6, atol=1e-5, err_msg=place)
