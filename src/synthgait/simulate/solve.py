"""Solve one walking problem: first guess or warm start, IPOPT, and the stride that comes out.

In: a body, a ``WalkingTask`` and, where there is one, the solution of a neighbour. Out: a
``WalkingSolution`` over the whole stride. Loads casadi: run it in a process without opensim.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from importlib import resources
from typing import Any

import casadi as ca
import numpy as np

from synthgait.conventions import GRAVITY_MPS2, mirror_name
from synthgait.errors import InputError
from synthgait.musculoskeletal import MusculoskeletalModel, hip_to_ankle_m, map_numbers, parameters
from synthgait.simulate.normative import (
    froude_speed,
    periodic_derivative,
    pulled_angle,
    pulled_ground_reaction,
    pulled_stride_time_s,
    pulled_velocity_mps,
    stride_time_bounds_s,
    typical_stride_time_s,
)
from synthgait.simulate.problem import LOAD_WEIGHTS, TASK, Layout, WalkingProblem
from synthgait.simulate.task import WalkingSolution, WalkingTask
from synthgait.textbook import reference_activation

_IPOPT = {
    "max_iter": 200,
    "tol": 1e-4,
    "constr_viol_tol": 1e-7,
    "dual_inf_tol": 1e-2,
    "compl_inf_tol": 1e-4,
    "acceptable_iter": 0,
    "mu_strategy": "adaptive",
    # the default lets Newton's steps circle about the kink where friction begins to slide
    "adaptive_mu_globalization": "kkt-error",
    "linear_solver": "mumps",
    "mumps_pivot_order": 5,
    "nlp_scaling_method": "none",
    "print_level": 0,
    "sb": "yes",
}
# How IPOPT starts. A barrier that begins high pushes every activation off its bound, so near a neighbour's
# walk it is capped, and more so where only friction changes.
_STARTS: dict[str, dict[str, float]] = {
    "near": {"mu_max": 1e-3, "bound_push": 1e-4, "bound_frac": 1e-4, "mu_min": 1e-5, "max_iter": 70},
    "cold": {},
    "there": {"mu_max": 1e-5, "bound_push": 1e-6, "bound_frac": 1e-6, "mu_min": 1e-5, "max_iter": 25},
}


# Many walks rest on the kink where friction begins to slide, and Newton's steps circle about it. So every walk is
# found on a floor whose kink is rounded: (factor on the velocity at which sliding begins, half-width of the rounding in
# shares of that velocity). Where it is not found there, more slippery floors lead to it, each starting from the last.
# From it the kink is sharpened as far as Newton's steps follow, at last to OpenSim's own law; a node at the kink feels
# a quarter of the last half-width, and OpenSim's certificate says whether that is too much.
_ROUNDED = (1.0, 0.1)
_LEADING = ((6.0, 0.3), (3.0, 0.15), _ROUNDED)
_SHARPER = ((1.0, 0.02), (1.0, 0.005), (1.0, 0.0))


def _on_floor(p: np.ndarray, names: Sequence[str], slower: float, half_width: float) -> np.ndarray:
    """The parameters on a floor where sliding begins at a higher velocity and less abruptly."""
    p = p.copy()
    p[[i for i, name in enumerate(names) if name.endswith("transition_velocity_mps")]] *= slower
    p[len(names) + TASK.index("friction_rounding")] = half_width
    return p


def _structure(model: MusculoskeletalModel) -> MusculoskeletalModel:
    """The model with every parameter set to 1: equal for all bodies of one structure."""
    free = set(parameters(model))
    generic = map_numbers(model, lambda path, value: 1.0 if path in free else value)
    return replace(generic, name="", landmarks=())


@lru_cache(maxsize=4)
def _problem(structure: MusculoskeletalModel, intervals: int, symmetric: bool) -> WalkingProblem:
    return WalkingProblem(structure, intervals, symmetric)


@lru_cache(maxsize=8)
def _solver(structure: MusculoskeletalModel, intervals: int, symmetric: bool, start: str, options: tuple = ()) -> ca.Function:
    problem = _problem(structure, intervals, symmetric)
    ipopt = _IPOPT | _STARTS[start] | dict(options)
    derivatives = {"grad_f": problem._gradient, "jac_g": problem._jacobian, "hess_lag": problem._hessian}
    # compiled functions have no derivatives but those given
    lean = {"print_time": False, "error_on_fail": False, "calc_lam_p": False, "no_nlp_grad": True}
    settings: dict[str, Any] = {**derivatives, "ipopt": ipopt, **lean}
    programme: Any = problem.nlp
    return ca.nlpsol("walk", "ipopt", programme, settings)


def solve_walking(
    model: MusculoskeletalModel,
    task: WalkingTask,
    guess: WalkingSolution | None = None,
    *,
    cold: bool = False,
    options: dict | None = None,
) -> WalkingSolution:
    """Find the walk of least cost.

    Args:
        model: the body; both sides equal when ``task.symmetric``.
        guess: a neighbour's solution for a body of the same structure; the bundled walk of a generic adult is
            tried too where it leads nowhere, and first where there is none.
        cold: start from textbook curves instead, as the first walk ever did.
        options: IPOPT options that replace the defaults.

    Raises:
        InputError: a symmetric task for a body, habits or joint loads whose sides differ; the load of an unknown joint.
    """
    if task.symmetric and not _is_symmetric(model):
        raise InputError("the task is symmetric but the body's sides differ; set symmetric to false")
    if task.symmetric and not _is_even(task):
        raise InputError("the task is symmetric but its habits or joint_load differ between the sides; set symmetric to false")
    for joint, _ in task.joint_load:
        if joint not in LOAD_WEIGHTS:
            raise InputError(f"joint_load names {joint!r}; the joints are {', '.join(LOAD_WEIGHTS)}")
    started = time.perf_counter()
    intervals = task.intervals if task.symmetric else 2 * task.intervals
    structure = _structure(model)
    problem = _problem(structure, intervals, task.symmetric)
    layout = problem.layout
    phases = problem.fraction * np.arange(intervals) / intervals
    reference = _reference(model, task, phases)
    p = np.concatenate([list(parameters(model).values()), _task_values(model, task), reference.T.ravel()])
    neighbours = guess is not None
    if guess is None and not cold:
        guess = bundled_walk(model)
    lower, upper = _bounds(model, layout, intervals)
    low_time, high_time = stride_time_bounds_s(model, task)
    low_g, high_g = _constraint_bounds(problem, task, model)
    bounds = {"lbx": np.append(lower.ravel(), low_time), "ubx": np.append(upper.ravel(), high_time), "lbg": low_g, "ubg": high_g}
    own_options = tuple(sorted((options or {}).items()))
    # sharpening is tried, not persevered with
    own_when_sharper = tuple(option for option in own_options if option[0] != "max_iter")
    iterations, why = 0, ""

    def start_from(walk: WalkingSolution | None) -> np.ndarray:
        if walk is None:
            nodes, stride_time = _textbook_guess(problem, p, reference, model, task)
        else:
            nodes, stride_time = _from_solution(problem, p, walk, model, task)
        return np.append((nodes / layout.scale).ravel(), stride_time)

    def attempt(start: Any, floor: tuple[float, float], how: str) -> Any:
        nonlocal iterations, why
        solver = _solver(structure, intervals, task.symmetric, how, own_when_sharper if how == "there" else own_options)
        result = solver(x0=start, p=_on_floor(p, problem.parameter_names, *floor), **bounds)
        stats = solver.stats()
        iterations += int(stats["iter_count"])
        why = "" if stats["success"] and stats["return_status"] == "Solve_Succeeded" else stats["return_status"]
        return result

    start = start_from(guess)
    result = attempt(start, _ROUNDED, "cold" if guess is None else "near")
    if why and neighbours and not cold and (other := bundled_walk(model)) is not None:
        result = attempt(start_from(other), _ROUNDED, "near")
    if why and guess is not None:
        for floor in _LEADING:
            result = attempt(start, floor, "near")
            if why:
                break
            start = result["x"]
    if not why:
        for floor in _SHARPER:
            sharper = attempt(result["x"], floor, "there")
            if why:
                why = ""
                break
            result = sharper
    x = np.array(result["x"]).ravel()
    nodes = x[:-1].reshape(intervals, layout.size) * layout.scale
    return _solution(
        problem,
        p,
        nodes,
        float(x[-1]),
        task,
        hip_to_ankle_m(model),
        status="not_converged" if why else "ok",
        message=f"IPOPT stopped after {iterations} iterations: {why}" if why else "",
        iterations=iterations,
        cost=float(result["f"]),
        wall_s=time.perf_counter() - started,
    )


def compile_walking(model: MusculoskeletalModel) -> bool:
    """Compile the equations of bodies of this structure into the user's cache, unless they are there: two
    minutes once, then two fifths off every solve. Results are the same bits. False without a C compiler.
    """
    return _problem(_structure(model), 2, False).compile()


def bundled_walk(model: MusculoskeletalModel) -> WalkingSolution | None:
    """The walk that comes with synthgait, where the body has its structure: 1.25 m/s, 1.75 m, 72 kg."""
    walk = WalkingSolution.from_bytes(resources.files("synthgait").joinpath("data/first_walk.npz").read_bytes())
    fits = walk.coordinates.shape[1] == len(model.coordinates) and walk.activation.shape[1] == len(model.muscles)
    return walk if fits else None


def _reference(model: MusculoskeletalModel, task: WalkingTask, phases: np.ndarray) -> np.ndarray:
    """Reference angles, ground reaction (4 for each foot), activation and velocity of the pelvis of every node, (D + 8 + M + 3, K)."""
    speed = froude_speed(model, task)
    at = task.left_contact_phase
    angles = [pulled_angle(name, speed, task, phases) for name in model.coordinates]
    ground = [pulled_ground_reaction(speed, task, phases, left).T for left in (False, True)]
    activity = [reference_activation(m.name, speed, phases, at) for m in model.muscles]
    moves = [pulled_velocity_mps(axis, model, task, phases) for axis in range(3)]
    silent = np.zeros(len(phases))
    return np.vstack([*angles, *ground, *(silent if a is None else a for a in activity), *moves])


def _is_symmetric(model: MusculoskeletalModel) -> bool:
    """Whether every number of a right-side part equals its left twin's (lateral signs aside)."""
    values = parameters(model)

    def twin(path: str) -> str:
        return ".".join(mirror_name(part) for part in path.split("."))

    return all(np.isclose(abs(values[path]), abs(values[twin(path)]), rtol=1e-9) for path in values if twin(path) in values)


def _is_even(task: WalkingTask) -> bool:
    """Whether habits and joint loads are the same on both sides."""
    asked: dict[str, tuple[float, ...]] = {name: (factor, shift) for name, factor, shift in task.habits}
    asked |= {name: (weight,) for name, weight in task.joint_load}
    return all(asked.get(mirror_name(name)) == values for name, values in asked.items())


def _task_values(model: MusculoskeletalModel, task: WalkingTask) -> list[float]:
    angle = np.arctan(task.slope)
    values = task.as_dict() | {
        "gravity_x_mps2": -GRAVITY_MPS2 * np.sin(angle),
        "gravity_y_mps2": -GRAVITY_MPS2 * np.cos(angle),
        "friction_rounding": 0.0,
        "reference_stride_time_s": pulled_stride_time_s(model, task),
    }
    values |= dict.fromkeys(LOAD_WEIGHTS.values(), 0.0) | {LOAD_WEIGHTS[joint]: weight for joint, weight in task.joint_load}
    return [float(values[name]) for name in TASK]


def _bounds(model: MusculoskeletalModel, layout: Layout, intervals: int) -> tuple[np.ndarray, np.ndarray]:
    lower, upper = np.empty(layout.size), np.empty(layout.size)
    ranges = np.array([model.joint_range(c) for c in model.coordinates])
    limits = {"v": (-30.0, 30.0), "a": (-1000.0, 1000.0), "act": (0.01, 1.0), "exc": (0.01, 1.0), "ten": (0.0, 1.5), "rate": (-50.0, 50.0)}
    lower[layout.slices["q"]], upper[layout.slices["q"]] = ranges.T
    for name, (low, high) in (limits | {"lum": (-1.0, 1.0)}).items():
        lower[layout.slices[name]], upper[layout.slices[name]] = low, high
    lower, upper = np.tile(lower / layout.scale, (intervals, 1)), np.tile(upper / layout.scale, (intervals, 1))
    tx = model.coordinates.index("pelvis_tx")
    lower[0, tx] = upper[0, tx] = 0.0
    return lower, upper


def _constraint_bounds(problem: WalkingProblem, task: WalkingTask, model: MusculoskeletalModel) -> tuple[np.ndarray, np.ndarray]:
    low, high = np.zeros(problem.n_constraints), np.zeros(problem.n_constraints)
    if problem.n_gaps:
        # foot, toe and knee: the big toes point inwards of the ankles, the knees are closer than the hips
        width = task.minimum_step_width_m
        low[-3:] = width, width - 0.04, 0.75 * width
        high[-3:] = np.inf
    defects = np.zeros(problem.n_defects * problem.intervals)
    return np.concatenate([np.tile(low, problem.intervals), defects]), np.concatenate([np.tile(high, problem.intervals), defects])


def _textbook_guess(problem: WalkingProblem, p: np.ndarray, reference: np.ndarray, model: MusculoskeletalModel, task: WalkingTask):
    """Nodes (K, size) in physical units and a stride time, from textbook joint angles."""
    layout, k = problem.layout, problem.intervals
    names = list(model.coordinates)
    stride_time = float(np.clip(typical_stride_time_s(model, task), *stride_time_bounds_s(model, task)))
    nodes = np.zeros((k, layout.size))
    nodes[:, layout.slices["act"]] = nodes[:, layout.slices["exc"]] = 0.05
    nodes[:, layout.slices["ten"]] = 0.1
    q = reference[: len(names)].T.copy()
    nodes[:, layout.slices["q"]] = q
    # Stand on the lowest sphere of each instant, then keep the slow part of that height.
    heights = _lowest_point(problem, p, nodes)
    full = np.tile(-heights, 2) if problem.symmetric else -heights
    spectrum = np.fft.rfft(full)
    spectrum[3:] = 0
    q[:, names.index("pelvis_ty")] = np.fft.irfft(spectrum, len(full))[:k] - 0.004
    nodes[:, layout.slices["q"]] = q
    index, sign = layout.mirror(problem.template)
    whole = np.vstack([q, (nodes[:, index] * sign)[:, layout.slices["q"]]]) if problem.symmetric else q
    speeds = periodic_derivative(whole, stride_time)
    nodes[:, layout.slices["a"]] = periodic_derivative(speeds, stride_time)[:k]
    speeds[:, names.index("pelvis_tx")] += task.walking_speed_mps
    nodes[:, layout.slices["v"]] = speeds[:k]
    return nodes, stride_time


def _lowest_point(problem: WalkingProblem, p: np.ndarray, nodes: np.ndarray) -> np.ndarray:
    """Height in m of the lowest sphere's bottom at every node, (K,); the contact point lies half as deep."""
    points = np.array(problem.outputs.map(problem.intervals)(*_node_arguments(problem, p, nodes))[3])
    return 2.0 * points[1].reshape(problem.intervals, -1).min(axis=1)


def _node_arguments(problem: WalkingProblem, p: np.ndarray, nodes: np.ndarray):
    k, n_body = problem.intervals, len(problem.parameter_names)
    reference = p[n_body + len(TASK) :].reshape(k, -1).T
    tile = [np.tile(part[:, None], (1, k)) for part in (p[:n_body], p[n_body : n_body + len(TASK)])]
    return (nodes / problem.layout.scale).T, reference, *tile


def _from_solution(problem: WalkingProblem, p: np.ndarray, guess: WalkingSolution, model: MusculoskeletalModel, task: WalkingTask):
    """Nodes and stride time from a neighbour's stride of any mesh, moved to this body and speed.

    The stride is slowed or sped up so that the feet stay planted at the new speed, translations go with
    the length of the leg, and the pelvis is raised or lowered until the floor carries the body.
    """
    layout, names = problem.layout, list(model.coordinates)
    phases = problem.fraction * np.arange(problem.intervals) / problem.intervals
    at = guess.time_s / guess.stride_time_s
    tx, ty, tz = (names.index(n) if n in names else None for n in ("pelvis_tx", "pelvis_ty", "pelvis_tz"))
    length = guess.coordinates[-1, tx] - guess.coordinates[0, tx]
    size = hip_to_ankle_m(model) / guess.hip_to_ankle_m
    stride_time = float(np.clip(length * size / task.walking_speed_mps, *stride_time_bounds_s(model, task)))
    slower = stride_time / guess.stride_time_s
    q, v, a = guess.coordinates.copy(), guess.speeds.copy(), guess.accelerations.copy()
    q[:, tx] -= at * length
    v[:, tx] -= length / guess.stride_time_s
    for column in (c for c in (tx, ty, tz) if c is not None):
        q[:, column] *= size
        v[:, column] *= size
        a[:, column] *= size
    v[:, tx] += task.walking_speed_mps * slower
    groups = {
        "q": q,
        "v": v / slower,
        "a": a / slower**2,
        "act": guess.activation,
        "exc": guess.excitation,
        "ten": guess.tendon_force[:, list(layout.compliant)],
        "rate": guess.tendon_force_rate[:, list(layout.compliant)] / slower,
        "lum": guess.actuator_control,
    }
    nodes = np.empty((len(phases), layout.size))
    for name, values in groups.items():
        for i, column in enumerate(values.T):
            nodes[:, layout.slices[name].start + i] = np.interp(phases, at, column)
    _stand(problem, p, nodes, layout.slices["q"].start + ty, float(model.mass_kg) * GRAVITY_MPS2)
    return nodes, stride_time


def _stand(problem: WalkingProblem, p: np.ndarray, nodes: np.ndarray, ty: int, weight_n: float) -> None:
    """Shift the pelvis height of all nodes, in place, until the mean vertical force is the weight."""
    low, high = -0.15, 0.15
    start = nodes[:, ty].copy()
    for _ in range(14):
        middle = 0.5 * (low + high)
        nodes[:, ty] = start + middle
        force = np.array(problem.outputs.map(problem.intervals)(*_node_arguments(problem, p, nodes))[2])
        if force[1].sum() / problem.intervals > weight_n:
            low = middle
        else:
            high = middle


def _solution(
    problem: WalkingProblem, p: np.ndarray, nodes: np.ndarray, stride_time: float, task: WalkingTask, leg: float, **facts
) -> WalkingSolution:
    """The whole stride: the half stride and its mirror image, or the whole one, closed at the end."""
    layout, model, k = problem.layout, problem.template, problem.intervals
    index, sign = layout.mirror(model)
    results = problem.outputs.map(k)(*_node_arguments(problem, p, nodes))
    moment, force = (np.array(r).T for r in results[:2])
    contact = [np.moveaxis(np.array(r).reshape(3, k, -1), 0, 2) for r in results[2:4]]  # (K, S, 3)
    time_s = np.linspace(0.0, stride_time, (2 * k if problem.symmetric else k) + 1)
    if problem.symmetric:
        d = len(model.coordinates)
        names = [c.name for c in model.contacts]
        swap = [names.index(mirror_name(n)) for n in names]
        muscles = [m.name for m in model.muscles]
        other = [muscles.index(mirror_name(n)) for n in muscles]
        nodes = np.vstack([nodes, nodes[:, index] * sign])
        moment = np.vstack([moment, (moment[:, index[:d]] * sign[:d])])
        force = np.vstack([force, force[:, other]])
        contact = [np.concatenate([c, c[:, swap] * np.array([1.0, 1.0, -1.0])]) for c in contact]
    nodes, moment, force, contact_force, contact_point = (np.concatenate([v, v[:1]]) for v in (nodes, moment, force, *contact))
    forward = task.walking_speed_mps * time_s
    q = nodes[:, layout.slices["q"]].copy()
    q[:, list(model.coordinates).index("pelvis_tx")] += forward
    # contact points came from nodes without the steady progression
    contact_point = contact_point.copy()
    contact_point[:, :, 0] += forward[:, None]
    tendon, rate = np.zeros((len(nodes), len(model.muscles))), np.zeros((len(nodes), len(model.muscles)))
    tendon[:, list(layout.compliant)] = nodes[:, layout.slices["ten"]]
    rate[:, list(layout.compliant)] = nodes[:, layout.slices["rate"]]
    return WalkingSolution(
        stride_time_s=stride_time,
        hip_to_ankle_m=leg,
        time_s=time_s,
        coordinates=q,
        speeds=nodes[:, layout.slices["v"]],
        accelerations=nodes[:, layout.slices["a"]],
        activation=nodes[:, layout.slices["act"]],
        excitation=nodes[:, layout.slices["exc"]],
        tendon_force=tendon,
        tendon_force_rate=rate,
        muscle_force=force,
        actuator_control=nodes[:, layout.slices["lum"]],
        contact_force=contact_force,
        contact_point=contact_point,
        joint_moment=moment,
        **facts,
    )
