"""Stand-ins for the solver and the certificate: plain arithmetic that depends on body, task and guess."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import numpy as np

from synthgait.musculoskeletal import MusculoskeletalModel
from synthgait.simulate.task import WalkingSolution, WalkingTask

NODES = 41


def solve(model: MusculoskeletalModel, task: WalkingTask, guess: WalkingSolution | None) -> WalkingSolution:
    """A stiff-legged stride; every tenth speed does not converge; carries a trace of its guess."""
    time.sleep(float(os.environ.get("STANDIN_SECONDS", "0")))
    stride_time = task.stride_time_s or 1.1
    phase = np.linspace(0.0, 1.0, NODES)
    names = model.coordinates
    trace = 0.001 + (0.0 if guess is None else 0.9 * float(guess.coordinates[5, names.index("lumbar_rotation")]))
    coordinates = np.zeros((NODES, len(names)))
    for side, shift in (("r", 0.0), ("l", 0.5)):
        coordinates[:, names.index(f"hip_flexion_{side}")] = 0.4 * np.cos(2 * np.pi * (phase - shift))
    coordinates[:, names.index("pelvis_tx")] = task.walking_speed_mps * stride_time * phase
    coordinates[:, names.index("pelvis_ty")] = 0.9
    coordinates[:, names.index("lumbar_rotation")] = trace
    speeds = np.gradient(coordinates, stride_time * phase, axis=0)
    weight = float(model.mass_kg) * 9.80665
    force = np.zeros((NODES, len(model.contacts), 3))
    point = np.zeros_like(force)
    for i, contact in enumerate(model.contacts):
        load = np.sin(2 * np.pi * (phase - (0.0 if contact.name.endswith("_r") else 0.5)) - 0.3)
        force[:, i, 1] = 0.4 * weight * np.clip(load, 0.0, None)
        point[:, i, 0] = coordinates[:, names.index("pelvis_tx")]
    muscles = np.full((NODES, len(model.muscles)), 0.1)
    failed = int(task.walking_speed_mps * 1000) % 10 == 3
    return WalkingSolution(
        status="not_converged" if failed else "ok",
        message="the stand-in does not like this speed" if failed else "",
        iterations=3,
        cost=1.0,
        wall_s=time.time(),
        stride_time_s=stride_time,
        hip_to_ankle_m=0.8,
        time_s=stride_time * phase,
        coordinates=coordinates,
        speeds=speeds,
        accelerations=0.0 * speeds,
        activation=muscles,
        excitation=muscles,
        tendon_force=0.0 * muscles,
        tendon_force_rate=0.0 * muscles,
        muscle_force=100.0 * muscles,
        actuator_control=np.zeros((NODES, len(model.actuators))),
        contact_force=force,
        contact_point=point,
        joint_moment=0.0 * coordinates,
    )


def solve_or_die(model: MusculoskeletalModel, task: WalkingTask, guess: WalkingSolution | None) -> WalkingSolution:
    """Kills its own process: always for the slowest speeds, once for the others."""
    once = Path(os.environ["STANDIN_FOLDER"]) / f"died_{task.walking_speed_mps}"
    if task.walking_speed_mps < 0.8 or not once.exists():
        once.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return solve(model, task, guess)


def solve_wrong(model: MusculoskeletalModel, task: WalkingTask, guess: WalkingSolution | None) -> WalkingSolution:
    """Raises what nobody foresaw."""
    raise ZeroDivisionError("nobody foresaw this")


def certify(model: MusculoskeletalModel, solution: WalkingSolution, slope: float = 0.0) -> dict[str, float | str | bool]:
    """Agrees, except with people of more than 78 kg."""
    agrees = float(model.mass_kg) < 78.0
    return {
        "certificate_acceleration_error": 1e-9,
        "certificate_ok": agrees,
        "certificate_message": "too heavy" if not agrees else "agrees",
    }


def echo(value: object) -> object:
    """What it was given."""
    print("libraries print what they like")
    return value
