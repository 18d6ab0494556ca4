"""OpenSim's own optimal-control solver behind the same door as ours, for comparison and users' models.

In: a ``MusculoskeletalModel``, a ``WalkingTask`` and perhaps a guess. Out: a ``WalkingSolution``.

The problem is that of ``simulate.problem``: trapezoidal rule, implicit dynamics, half a stride closed
by the mirror or a whole one closed on itself, the mean over time of the same cost terms with the same
shares, but for two: the soft pulls to textbook ground reaction and to the usual stride time are not in Moco's cost (those
to joint angles, activations and the velocity of the pelvis are), so the two agree at tracking_weight 0. Moco
differentiates by finite differences, so it is much slower.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import numpy as np
import opensim

from synthgait import opensim_model
from synthgait.certify import OpenSimBody, on_slope
from synthgait.conventions import mirror_name, mirror_sign
from synthgait.errors import InputError
from synthgait.musculoskeletal import MusculoskeletalModel, hip_to_ankle_m
from synthgait.simulate.normative import (
    activity_weights,
    froude_speed,
    periodic_derivative,
    pull_weights,
    pulled_angle,
    pulled_velocity_mps,
    stride_time_bounds_s,
    typical_stride_time_s,
)
from synthgait.simulate.task import COST_SHARES, PELVIS_MOVES, WalkingSolution, WalkingTask
from synthgait.simulate.workers import Side, SideDied, SideError
from synthgait.textbook import reference_activation

PROGRESSION = "pelvis_tx"
#: Bounds as the CasADi engine has them.
_ACTIVATION, _SPEED, _ACCELERATION = (0.01, 1.0), (-30.0, 30.0), (-1000.0, 1000.0)
_TENDON_FORCE, _TENDON_RATE, _CONTROL = (0.0, 1.5), (-50.0, 50.0), (-1.0, 1.0)


@dataclass(frozen=True)
class MocoSettings:
    """How hard Moco tries.

    Args:
        max_iterations, convergence_tolerance, constraint_tolerance: IPOPT's.
        finite_differences: "forward", "central" or "backward".
    """

    max_iterations: int = 2000
    convergence_tolerance: float = 1e-3
    constraint_tolerance: float = 1e-5
    finite_differences: str = "forward"


def solve_walking(
    model: MusculoskeletalModel, task: WalkingTask, guess: WalkingSolution | None = None, settings: MocoSettings | None = None
) -> WalkingSolution:
    """Find the walk of least cost with MocoCasADiSolver, in a fresh process.

    Fresh, because OpenSim 4.6 reads the muscles' time constants once per process (PHYSICS.md). The
    soft pull needs to know when in the stride it is: with a free stride time it points to the
    reference of the guess's stride time.

    Args:
        guess: any engine's solution for this body; None starts from textbook curves.

    Raises:
        InputError: a task or a body that Moco cannot be asked for.
    """
    constants = {(float(m.activation_time_constant_s), float(m.deactivation_time_constant_s)) for m in model.muscles}
    if len(constants) > 1:
        raise InputError("engine moco needs the same activation time constants in all muscles (OpenSim 4.6); take the casadi engine")
    if task.joint_load:
        raise InputError("engine moco does not know the contact load of a joint; take the casadi engine")
    side = Side()
    try:
        return side.call("synthgait.moco:solve_here", model, task, guess, settings or MocoSettings())
    except SideDied as error:
        raise RuntimeError(f"Moco: {error}") from error
    except SideError as error:
        raise (InputError if error.kind == "InputError" else RuntimeError)(str(error)) from error
    finally:
        side.close()


def solve_here(model: MusculoskeletalModel, task: WalkingTask, guess: WalkingSolution | None, settings: MocoSettings) -> WalkingSolution:
    """``solve_walking`` in this process, which should not have used other time constants before."""
    started = time.perf_counter()
    walk = _Walk(model, task)
    if guess is None:
        guess = walk.textbook_guess()
    study = opensim.MocoStudy()
    walk.fill(study.updProblem(), guess.stride_time_s)
    solver = study.initCasADiSolver()
    solver.set_num_mesh_intervals(walk.intervals)
    solver.set_transcription_scheme("trapezoidal")
    solver.set_multibody_dynamics_mode("implicit")
    solver.set_implicit_multibody_acceleration_bounds(opensim.MocoBounds(*_ACCELERATION))
    solver.set_implicit_auxiliary_derivative_bounds(opensim.MocoBounds(*_TENDON_RATE))
    solver.set_optim_max_iterations(settings.max_iterations)
    solver.set_optim_convergence_tolerance(settings.convergence_tolerance)
    solver.set_optim_constraint_tolerance(settings.constraint_tolerance)
    solver.set_optim_finite_difference_scheme(settings.finite_differences)
    solver.set_optim_ipopt_print_level(0)
    solver.set_verbosity(0)
    solver.set_scale_variables_using_bounds(True)  # activations and accelerations differ by 1000
    solver.set_parallel(0)  # one process per core is the sweep's business
    trajectory = solver.createGuess("bounds")
    walk.write_guess(trajectory, guess)
    solver.setGuess(trajectory)
    with _silent():
        found = study.solve()
    status = found.getStatus()
    ok = found.success()
    if not ok:
        found.unseal()
    return walk.solution(
        found,
        status="ok" if ok else "not_converged",
        message="" if ok else f"Moco stopped after {found.getNumIterations()} iterations: {status}",
        iterations=found.getNumIterations(),
        cost=float(found.getObjective()),
        wall_s=time.perf_counter() - started,
    )


class _Walk:
    """Names, bounds and conversions between our arrays and Moco's."""

    def __init__(self, model: MusculoskeletalModel, task: WalkingTask) -> None:
        self.model = on_slope(model, float(np.arctan(task.slope)))
        self.task = task
        self.intervals = task.intervals if task.symmetric else 2 * task.intervals
        self.fraction = 0.5 if task.symmetric else 1.0
        self.coordinate_path = {d.coordinate: f"/jointset/{j.name}/{d.coordinate}" for j in model.joints for d in j.degrees}
        self.muscle_path = [f"/forceset/{m.name}" for m in model.muscles]
        self.motor_path = [f"/forceset/{a.coordinate}{opensim_model.ACTUATOR_SUFFIX}" for a in model.actuators]
        self.compliant = [i for i, m in enumerate(model.muscles) if m.compliant_tendon]
        self.body = OpenSimBody(self.model)

    # -- the problem ------------------------------------------------------------------------------

    def fill(self, problem: opensim.MocoProblem, reference_stride_time_s: float) -> None:
        """Model, bounds, constraints and cost."""
        problem.setModel(opensim_model.build(self.model))
        low, high = stride_time_bounds_s(self.model, self.task)
        problem.setTimeBounds(opensim.MocoInitialBounds(0.0), opensim.MocoFinalBounds(self.fraction * low, self.fraction * high))
        for name, path in self.coordinate_path.items():
            bounds = self.model.joint_range(name)
            start = opensim.MocoInitialBounds(0.0) if name == PROGRESSION else opensim.MocoInitialBounds()
            problem.setStateInfo(f"{path}/value", opensim.MocoBounds(*bounds), start)
            problem.setStateInfo(f"{path}/speed", opensim.MocoBounds(*_SPEED))
        for i, path in enumerate(self.muscle_path):
            problem.setStateInfo(f"{path}/activation", opensim.MocoBounds(*_ACTIVATION))
            problem.setControlInfo(path, opensim.MocoBounds(*_ACTIVATION))
            if i in self.compliant:
                problem.setStateInfo(f"{path}/normalized_tendon_force", opensim.MocoBounds(*_TENDON_FORCE))
        for path in self.motor_path:
            problem.setControlInfo(path, opensim.MocoBounds(*_CONTROL))
        problem.addGoal(self._periodicity())
        speed = opensim.MocoAverageSpeedGoal("speed")
        speed.set_desired_average_speed(self.task.walking_speed_mps)
        problem.addGoal(speed)
        self._add_costs(problem, reference_stride_time_s)
        self._add_clearances(problem)

    def _periodicity(self) -> opensim.MocoPeriodicityGoal:
        """The end is the start: seen in the mirror for half a stride; the progression is left out."""
        goal = opensim.MocoPeriodicityGoal("periodicity")

        def twin(name: str) -> str:
            return mirror_name(name) if self.task.symmetric else name

        def pair(kind: str, first: str, last: str, flips: bool) -> None:
            add = getattr(goal, f"add{'Negated' if flips else ''}{kind}Pair")
            add(opensim.MocoPeriodicityGoalPair(first, last) if first != last else opensim.MocoPeriodicityGoalPair(first))

        for name, path in self.coordinate_path.items():
            flips = self.task.symmetric and mirror_sign(name) < 0
            other = self.coordinate_path[twin(name)]
            if name != PROGRESSION:
                pair("State", f"{path}/value", f"{other}/value", flips)
            pair("State", f"{path}/speed", f"{other}/speed", flips)
        names = [m.name for m in self.model.muscles]
        for i, name in enumerate(names):
            other = self.muscle_path[names.index(twin(name))]
            pair("State", f"{self.muscle_path[i]}/activation", f"{other}/activation", False)
            pair("Control", self.muscle_path[i], other, False)
            if i in self.compliant:
                pair("State", f"{self.muscle_path[i]}/normalized_tendon_force", f"{other}/normalized_tendon_force", False)
        for actuator, path in zip(self.model.actuators, self.motor_path, strict=True):
            pair("Control", path, path, self.task.symmetric and mirror_sign(actuator.coordinate) < 0)
        return goal

    def _add_costs(self, problem: opensim.MocoProblem, reference_stride_time_s: float) -> None:
        """The terms of ``WalkingProblem._cost``, each a mean over time."""
        task, muscles = self.task, len(self.muscle_path)
        own = ("excitation", "activation", "acceleration", "lumbar", "trunk")
        weight = {name: COST_SHARES[name] * getattr(task, f"{name}_weight") for name in own}

        def add(goal: opensim.MocoGoal, goal_weight: float) -> None:
            if goal_weight != 0:
                goal.setWeight(goal_weight)
                goal.setDivideByDuration(True)
                problem.addGoal(goal)

        for name, chosen, other in (("excitation", self.muscle_path, self.motor_path), ("lumbar", self.motor_path, self.muscle_path)):
            goal = opensim.MocoControlGoal(name)
            for path in other:
                goal.setWeightForControl(path, 0.0)
            add(goal, weight[name] / len(chosen) if chosen else 0.0)
        squares = {f"{path}/activation": weight["activation"] / muscles for path in self.muscle_path}
        if "pelvis_tz" in self.coordinate_path:
            squares[f"{self.coordinate_path['pelvis_tz']}/value"] = 1e-3
        goal = opensim.MocoSumSquaredStateGoal("squares")
        squares = {path: w for path, w in squares.items() if w > 0}
        goal.setPattern("|".join(squares))
        for path, w in squares.items():
            goal.setWeightForState(path, w)
        add(goal, 1.0 if squares else 0.0)
        if "lumbar_extension" in self.coordinate_path:
            # The squared angle of the torso against its upright: in the plane (tilt + extension + lean)^2, in
            # space that plus the squares of the sideways and turning sums, to second order. Not by outputs:
            # Moco evaluates a coordinate's value output at a state it has not updated.
            upright = opensim.MocoOrientationTrackingGoal("trunk")
            frames = opensim.StdVectorString()
            frames.append("/bodyset/torso")
            upright.setFramePaths(frames)
            pose = dict.fromkeys(self.coordinate_path, 0.0) | {"lumbar_extension": -task.trunk_lean_rad}
            still = {f"{self.coordinate_path[name]}/value": partial(np.full_like, fill_value=angle) for name, angle in pose.items()}
            upright.setStatesReference(self._table(still, reference_stride_time_s))
            add(upright, weight["trunk"])
        rotations = [d.coordinate for j in self.model.joints for d in j.degrees if d.kind == "rotation"]
        for name in rotations:
            goal = opensim.MocoOutputGoal(f"acceleration_{name}")
            goal.setOutputPath(f"{self.coordinate_path[name]}|acceleration")
            goal.setExponent(2)
            add(goal, weight["acceleration"] / 400.0 / len(rotations))
        if task.tracking_weight > 0:
            pulls = self._pulls()
            goal = opensim.MocoStateTrackingGoal("tracking")
            goal.setReference(self._table({path: curve for path, (_, curve) in pulls.items()}, reference_stride_time_s))
            goal.setPattern("|".join(pulls))
            for path, (w, _) in pulls.items():
                goal.setWeightForState(path, w)
            add(goal, 1.0)

    def _pulls(self) -> dict[str, tuple[float, Callable[[np.ndarray], np.ndarray]]]:
        """State -> weight of its pull and textbook curve over the phase: angles, activations, velocity of the pelvis."""
        task, speed, at = self.task, froude_speed(self.model, self.task), self.task.left_contact_phase
        share = {name: COST_SHARES[name] * task.tracking_weight for name in ("tracking", "activity", *dict(PELVIS_MOVES))}
        pulls: dict[str, tuple[float, Callable[[np.ndarray], np.ndarray]]] = {}
        for axis, (name, coordinate) in enumerate(PELVIS_MOVES):
            if coordinate in self.coordinate_path:
                pulls[f"{self.coordinate_path[coordinate]}/speed"] = (share[name], partial(pulled_velocity_mps, axis, self.model, task))
        for name, w in pull_weights(list(self.coordinate_path)).items():
            pulls[f"{self.coordinate_path[name]}/value"] = (share["tracking"] * w, partial(pulled_angle, name, speed, task))
        # without a textbook curve a muscle has no weight
        for name, w in activity_weights([m.name for m in self.model.muscles]).items():
            curve = partial(reference_activation, name, speed, left_contact_phase=at)
            pulls[f"/forceset/{name}/activation"] = (share["activity"] * w, curve)  # type: ignore[assignment]
        return pulls

    def _table(self, curves: Mapping[str, Callable[[np.ndarray], np.ndarray]], stride_time_s: float) -> opensim.TableProcessor:
        """States against time, past the longest stride there can be, from curves over the phase."""
        time_s = np.arange(-0.1, max(stride_time_bounds_s(self.model, self.task)[1], stride_time_s) + 0.2, 0.01)
        table = opensim.TimeSeriesTable()
        labels = opensim.StdVectorString()
        for path in curves:
            labels.append(path)
        table.setColumnLabels(labels)
        values = np.stack([curve(time_s / stride_time_s) for curve in curves.values()], axis=1)
        for instant, row in zip(time_s, values, strict=True):
            table.appendRow(float(instant), opensim.RowVector.createFromMat(row))
        table.addTableMetaDataString("inDegrees", "no")
        return opensim.TableProcessor(table)

    def _add_clearances(self, problem: opensim.MocoProblem) -> None:
        """Feet and knees keep their lateral distance; a planar body has none."""
        if "hip_adduction_r" not in self.coordinate_path:
            return
        for body, share in (("foot", 1.0), ("tibia", 0.75)):
            gap = opensim.MocoOutputConstraint()
            gap.setName(f"{body}_gap")
            gap.setOutputPath(f"/bodyset/{body}_r|position")
            gap.setSecondOutputPath(f"/bodyset/{body}_l|position")
            gap.setOperation("subtraction")
            gap.setOutputIndex(2)
            info = opensim.MocoConstraintInfo()
            bounds = opensim.StdVectorMocoBounds()
            bounds.append(opensim.MocoBounds(share * self.task.minimum_step_width_m, 2.0))
            info.setBounds(bounds)
            gap.setConstraintInfo(info)
            problem.addPathConstraint(gap)

    # -- guesses and solutions ----------------------------------------------------------------------

    def textbook_guess(self) -> WalkingSolution:
        """A stride of textbook joint angles at textbook cadence, lowest sphere on the floor."""
        names = list(self.coordinate_path)
        stride_time = float(np.clip(typical_stride_time_s(self.model, self.task), *stride_time_bounds_s(self.model, self.task)))
        k, m = 2 * self.task.intervals, len(self.muscle_path)
        q = np.stack([pulled_angle(name, froude_speed(self.model, self.task), self.task, np.arange(k) / k) for name in names], axis=1)
        flat = np.zeros((k, m))
        a, tendon, control = flat + 0.05, flat + 0.1, np.zeros((k, len(self.motor_path)))
        points = self.body.evaluate(q, 0.0 * q, a, tendon, flat, control)["contact_point"]
        # contact points lie halfway between floor and the sphere's lowest point
        spectrum = np.fft.rfft(-2.0 * points[:, :, 1].min(axis=1))
        spectrum[3:] = 0.0
        q[:, names.index("pelvis_ty")] = np.fft.irfft(spectrum, k) - 0.004
        u = periodic_derivative(q, stride_time)
        udot = periodic_derivative(u, stride_time)
        forward = names.index(PROGRESSION)
        u[:, forward] += self.task.walking_speed_mps
        q, u, udot, a, tendon, flat, control = (np.concatenate([v, v[:1]]) for v in (q, u, udot, a, tendon, flat, control))
        time_s = np.linspace(0.0, stride_time, k + 1)
        q[:, forward] += self.task.walking_speed_mps * time_s
        return self._whole(
            time_s, q, u, udot, a, a, tendon, flat, control, status="error", message="", iterations=0, cost=np.nan, wall_s=0.0
        )

    def write_guess(self, trajectory: opensim.MocoTrajectory, guess: WalkingSolution) -> None:
        """The first part of a stride on Moco's mesh."""
        trajectory.resampleWithNumTimes(self.intervals + 1)
        stride_time = self.task.stride_time_s or guess.stride_time_s
        phase = np.linspace(0.0, self.fraction, self.intervals + 1)
        trajectory.setTime(_vector(phase * stride_time))
        q, u = guess.coordinates.copy(), guess.speeds.copy()
        forward = list(self.coordinate_path).index(PROGRESSION)
        speed = (q[-1, forward] - q[0, forward]) / guess.stride_time_s
        change = self.task.walking_speed_mps - speed
        at = guess.time_s / guess.stride_time_s
        # what is more or less than steady progression stays; the steady part becomes the task's
        q[:, forward] += self.task.walking_speed_mps * stride_time * at - speed * guess.time_s - q[0, forward]
        u[:, forward] += change

        def put(setter: str, name: str, values: np.ndarray) -> None:
            getattr(trajectory, setter)(name, _vector(np.interp(phase, at, values)))

        for i, path in enumerate(self.coordinate_path.values()):
            put("setState", f"{path}/value", q[:, i])
            put("setState", f"{path}/speed", u[:, i])
            put("setDerivative", f"{path}/accel", guess.accelerations[:, i])
        for i, path in enumerate(self.muscle_path):
            put("setState", f"{path}/activation", guess.activation[:, i])
            put("setControl", path, guess.excitation[:, i])
            if i in self.compliant:
                put("setState", f"{path}/normalized_tendon_force", guess.tendon_force[:, i])
                put("setDerivative", f"{path}/implicitderiv_normalized_tendon_force", guess.tendon_force_rate[:, i])
        for i, path in enumerate(self.motor_path):
            put("setControl", path, guess.actuator_control[:, i])

    def solution(self, found: opensim.MocoSolution, **facts) -> WalkingSolution:
        """The whole stride of what Moco found."""

        def stack(getter: str, names: list[str]) -> np.ndarray:
            columns = [np.asarray(getattr(found, getter + "Mat")(name), float).ravel() for name in names]
            return np.stack(columns, axis=1) if columns else np.zeros((found.getNumTimes(), 0))

        coordinates, compliant = list(self.coordinate_path.values()), [self.muscle_path[i] for i in self.compliant]
        time_s = np.asarray(found.getTimeMat(), float).ravel()
        q, u = (stack("getState", [f"{p}/{kind}" for p in coordinates]) for kind in ("value", "speed"))
        udot = stack("getDerivative", [f"{p}/accel" for p in coordinates])
        a = stack("getState", [f"{p}/activation" for p in self.muscle_path])
        e, control = stack("getControl", self.muscle_path), stack("getControl", self.motor_path)
        tendon, rate = np.zeros_like(a), np.zeros_like(a)
        tendon[:, self.compliant] = stack("getState", [f"{p}/normalized_tendon_force" for p in compliant])
        rate[:, self.compliant] = stack("getDerivative", [f"{p}/implicitderiv_normalized_tendon_force" for p in compliant])
        if self.task.symmetric:
            time_s, q, u, udot, a, e, tendon, rate, control = self._mirrored(time_s, q, u, udot, a, e, tendon, rate, control)
        return self._whole(time_s, q, u, udot, a, e, tendon, rate, control, **facts)

    def _mirrored(self, time_s: np.ndarray, q: np.ndarray, *parts: np.ndarray) -> list[np.ndarray]:
        """Half a stride and then its mirror image, the middle node once."""
        names, muscles = list(self.coordinate_path), [m.name for m in self.model.muscles]
        motors = [a.coordinate for a in self.model.actuators]
        forward = names.index(PROGRESSION)
        whole = [np.concatenate([time_s, time_s[-1] + time_s[1:]])]
        for values, of in zip((q, *parts), (names, names, names, muscles, muscles, muscles, muscles, motors), strict=True):
            index = [of.index(mirror_name(n)) for n in of]
            sign = np.array([1 if of is muscles else mirror_sign(n) for n in of], float)
            other = (values[:, index] * sign)[1:]
            if values is q:
                other[:, forward] += q[-1, forward] - q[0, forward]
            whole.append(np.concatenate([values, other]))
        return whole

    def _whole(self, time_s, q, u, udot, a, e, tendon, rate, control, **facts) -> WalkingSolution:
        theirs = self.body.evaluate(q, u, a, tendon, rate, control)
        return WalkingSolution(
            stride_time_s=float(time_s[-1] - time_s[0]),
            hip_to_ankle_m=float(hip_to_ankle_m(self.model)),
            time_s=time_s,
            coordinates=q,
            speeds=u,
            accelerations=udot,
            activation=a,
            excitation=e,
            tendon_force=tendon,
            tendon_force_rate=rate,
            muscle_force=theirs["muscle_force"],
            actuator_control=control,
            contact_force=theirs["contact_force"],
            contact_point=theirs["contact_point"],
            joint_moment=theirs["joint_moment"],
            **facts,
        )


@contextmanager
def _silent() -> Iterator[None]:
    """Nothing on the terminal: Moco and IPOPT print from C++ whatever their verbosity is."""
    sys.stdout.flush()
    kept, nowhere = os.dup(1), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    try:
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)
        os.close(nowhere)


def _vector(values: np.ndarray) -> opensim.Vector:
    return opensim.Vector.createFromMat(np.ascontiguousarray(values, float))
