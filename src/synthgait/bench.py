"""How fast walking is simulated: our solver beside OpenSim Moco, and certified gaits per core-hour.

In: nothing but limits. Out: one dictionary of figures and a text. Both engines get the same planar body,
mesh, guess and tolerance in one run, one thread each; three-dimensional gaits are those of a study, with
their certificates, failures counted. A mesh study tells what the mesh does to the curves.
"""

from __future__ import annotations

import resource
import threading
import time
from dataclasses import replace
from typing import Any

import numpy as np

from synthgait.anthropometry import build_model
from synthgait.conventions import GRAVITY_MPS2, PELVIS_COORDINATES, SIDES
from synthgait.errors import InputError
from synthgait.gait import side_force, stride_from_solution
from synthgait.musculoskeletal import MusculoskeletalModel
from synthgait.planar import planar
from synthgait.simulate.sweep import Steps, solve_one
from synthgait.simulate.task import WalkingSolution, WalkingTask
from synthgait.simulate.workers import Side, SideDied, call, close_all
from synthgait.studies import PlannedTrial, Study
from synthgait.subjects import Subject

#: The planar problem: a prescribed stride time, and no terms that Moco lacks (see ``moco``) or pays for with a
#: gradient by finite differences.
TASK = WalkingTask(walking_speed_mps=1.2, stride_time_s=1.1, intervals=8, acceleration_weight=0.0, tracking_weight=0.0)
#: IPOPT's tolerances for both engines (convergence, constraints).
CONVERGENCE, CONSTRAINTS = 1e-5, 1e-5
#: Velocity at which friction begins to slide on the planar problem's floor, in m/s. Walks would rest on the kink of the studies'
#: 0.1 m/s, about which Moco's steps circle until its 2,000 iterations are used up; no sole comes near this one.
_SLIDING_MPS = 0.5


def bench_simulate(
    study: str = "quick", *, moco_limit_s: float = 900.0, cold: bool = True, max_symmetric: int = 8, max_asymmetric: int = 4
) -> dict[str, Any]:
    """Time both engines on the planar problem, and ours on a study.

    Args:
        study: the study whose first gaits are timed.
        moco_limit_s: wall-clock time after which one Moco solve is ended; its ratio then is a lower bound.
        cold: also solve from textbook curves, not only from a disturbed solution.
        max_symmetric, max_asymmetric: how many gaits of each kind are timed.

    Returns:
        ``warm_ratio, cold_ratio`` (Moco's CPU time over ours), ``cost_relative_difference`` (Moco's cost
        over ours, less 1, warm), ``gaits_per_core_hour`` with ``symmetric`` and ``asymmetric`` (None where no
        gait of that kind was timed), ``planar`` with status, cost, iterations, CPU and wall time of every
        solve, and ``moco_limit_s``.

    Raises:
        InputError: the limit is no time.
    """
    if not 0.0 < moco_limit_s < np.inf:
        raise InputError(f"the limit of a Moco solve is {moco_limit_s:g} s; give a number above 0")
    told: dict[str, Any] = {"moco_limit_s": moco_limit_s, "planar": bench_planar(moco_limit_s, cold)}
    for start in ("warm", "cold") if cold else ("warm",):
        ours, moco = told["planar"][f"{start}_casadi"], told["planar"][f"{start}_moco"]
        told[f"{start}_ratio"] = moco["cpu_s"] / ours["cpu_s"]
    ours, moco = told["planar"]["warm_casadi"], told["planar"]["warm_moco"]
    told["cost_relative_difference"] = moco["cost"] / ours["cost"] - 1.0 if moco["status"] == "ok" else None
    return told | bench_study(study, max_symmetric, max_asymmetric)


def bench_planar(moco_limit_s: float, cold: bool) -> dict[str, dict[str, Any]]:
    """``warm_casadi, warm_moco`` and with ``cold`` the same from textbook curves: status, cost, iterations, cpu_s, wall_s.

    Warm is our own solution with every activation halved (the problem has several optima: with all of them set to 0.1
    the engines end in different ones, and neither costs nor times compare); a first solve that is not timed has
    built our programme, as one that belongs to a sweep finds it.
    """
    walker = planar(build_model(Subject("adult")))
    body = replace(walker, contacts=tuple(replace(contact, transition_velocity_mps=_SLIDING_MPS) for contact in walker.contacts))
    side = Side()
    try:
        solution, _ = side.call("synthgait.bench:solve_with_casadi", body, TASK, None, False)
        warm = replace(solution, activation=0.5 * solution.activation, excitation=0.5 * solution.excitation)
        told = {"warm_casadi": _told(*side.call("synthgait.bench:solve_with_casadi", body, TASK, warm, False))}
        if cold:
            told["cold_casadi"] = _told(*side.call("synthgait.bench:solve_with_casadi", body, TASK, None, True))
    finally:
        side.close()
    told["warm_moco"] = _with_moco(body, warm, moco_limit_s)
    if cold:
        told["cold_moco"] = _with_moco(body, None, moco_limit_s)
    return told


def solve_with_casadi(model: MusculoskeletalModel, task: WalkingTask, guess: WalkingSolution | None, cold: bool) -> tuple[Any, float]:
    """Solution and CPU seconds; runs in a process for casadi."""
    from synthgait.simulate.solve import solve_walking

    options = {"tol": CONVERGENCE, "dual_inf_tol": CONVERGENCE, "compl_inf_tol": CONVERGENCE, "constr_viol_tol": CONSTRAINTS}
    # the barrier may fall as low as Moco's; the studies end it where it still adds 1 % to the cost
    options["mu_min"] = 1e-11
    started = time.process_time()
    solution = solve_walking(model, task, guess, cold=cold, options=options | {"max_iter": 2000})
    return solution, time.process_time() - started


def solve_with_moco(model: MusculoskeletalModel, task: WalkingTask, guess: WalkingSolution | None) -> tuple[Any, float]:
    """Solution and CPU seconds; runs in a process for opensim."""
    from synthgait import moco

    settings = moco.MocoSettings(convergence_tolerance=CONVERGENCE, constraint_tolerance=CONSTRAINTS)
    started = time.process_time()
    solution = moco.solve_here(model, task, guess, settings)
    return solution, time.process_time() - started


def _with_moco(body: MusculoskeletalModel, guess: WalkingSolution | None, limit_s: float) -> dict[str, Any]:
    """One Moco solve, ended after ``limit_s`` of wall-clock time."""
    side = Side()
    timer = threading.Timer(limit_s, side.close)
    timer.start()
    before, started = _children_cpu_s(), time.perf_counter()
    try:
        return _told(*side.call("synthgait.bench:solve_with_moco", body, TASK, guess))
    except SideDied:
        side.close()
        spent = _children_cpu_s() - before
        wall = time.perf_counter() - started
        return {"status": "stopped at the limit", "cost": None, "iterations": None, "cpu_s": spent, "wall_s": wall}
    finally:
        timer.cancel()
        side.close()


def _children_cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _told(solution: WalkingSolution, cpu_s: float) -> dict[str, Any]:
    return {
        "status": solution.status,
        "cost": solution.cost,
        "iterations": solution.iterations,
        "cpu_s": cpu_s,
        "wall_s": solution.wall_s,
    }


# -- a study ---------------------------------------------------------------------------------------------


def bench_study(study: str = "quick", max_symmetric: int = 8, max_asymmetric: int = 4) -> dict[str, Any]:
    """Certified gaits per core-hour over the first gaits of a study, each started as its plan says.

    CPU time is that of both sides and of this process; what is done once (loading libraries, building the
    programmes of both kinds) is told apart as ``start_cpu_s``. The equations are compiled, as those of a study of
    many gaits are, which takes two minutes where they never were and is not counted.

    Returns ``gaits_per_core_hour`` with ``symmetric`` and ``asymmetric``, ``compiled`` (False without a C
    compiler), and ``gaits``: rows ``trial_id, symmetric, status, cpu_s``.
    """
    chosen = _first(Study.load(study).plan(), {True: max_symmetric, False: max_asymmetric})
    solutions: dict[str, bytes | None] = {}
    rows: list[dict[str, Any]] = []
    start = 0.0
    try:
        compiled = bool(call("casadi", "synthgait.simulate.solve:compile_walking", chosen[0].model()))
        for symmetric in (True, False):
            first = next((t for t in chosen if t.task.symmetric == symmetric), None)
            if first is not None:
                # the same solve once before, so that the programme stands and is not counted
                start += _timed(first, None)[1]
        for trial in chosen:
            guess = solutions.get(trial.parent) if trial.parent else None
            outcome, spent = _timed(trial, guess)
            solutions[trial.trial_id] = outcome.solution or guess
            status = str(outcome.trials.table.loc[0, "status"])
            rows.append({"trial_id": trial.trial_id, "symmetric": trial.task.symmetric, "status": status, "cpu_s": spent})
    finally:
        close_all()
    rates: dict[str, float | None] = {}
    for name, symmetric in (("symmetric", True), ("asymmetric", False)):
        of = [row for row in rows if row["symmetric"] == symmetric]
        rates[name] = 3600.0 * sum(row["status"] == "ok" for row in of) / sum(row["cpu_s"] for row in of) if of else None
    return {"gaits_per_core_hour": rates, "compiled": compiled, "gaits": rows, "start_cpu_s": start}


def _first(plan: list[PlannedTrial], most: dict[bool, int]) -> list[PlannedTrial]:
    """The first trials of each kind whose parents are among them."""
    chosen: list[PlannedTrial] = []
    left = dict(most)
    known: set[str | None] = {None}
    for trial in plan:
        if left[trial.task.symmetric] > 0 and trial.parent in known:
            left[trial.task.symmetric] -= 1
            known.add(trial.trial_id)
            chosen.append(trial)
    return chosen


def _timed(trial: PlannedTrial, guess: bytes | None) -> tuple[Any, float]:
    """What came of a trial, and the CPU seconds of this process and of both sides."""
    before = _all_cpu_s()
    outcome = solve_one(trial, guess, Steps())
    return outcome, _all_cpu_s() - before


def _all_cpu_s() -> float:
    return time.process_time() + sum(call(side, "time:process_time") for side in ("casadi", "opensim"))


# -- the mesh --------------------------------------------------------------------------------------------


def bench_mesh(model: MusculoskeletalModel | None = None, task: WalkingTask | None = None, finer: int = 3) -> dict[str, Any]:
    """How far a gait's curves lie from those of the same gait on a finer mesh.

    Args:
        model, task: by default a healthy adult at 1.2 m/s on the mesh and the soles of the studies.
        finer: how many times more intervals the other mesh has.

    Returns:
        ``worst_angle_deg`` and ``worst_force_percent_bw``, the largest differences at any instant of the cycle of
        any joint or pelvis angle and of any ground reaction component, and ``rms_angle_deg`` and
        ``rms_force_percent_bw``, the root mean squares over the cycle of the curves that differ most, all of the 100
        samples that datasets hold; ``nodes_angle_deg`` and ``nodes_force_percent_bw``, the largest differences at the
        nodes of the coarser mesh, where nothing is interpolated; ``curves``: rows ``quantity, worst, at_percent, rms,
        unit``; ``meshes``: rows ``intervals, status, iterations, cost, stride_time_s, cpu_s``.
    """
    person, task = Subject("adult"), task or WalkingTask(walking_speed_mps=1.2)
    body = model or PlannedTrial("adult", person, task, None, 0).model()
    side, strides, meshes, walks = Side(), [], [], []
    try:
        guess = None
        for each in (task, replace(task, intervals=finer * task.intervals)):
            before = side.call("time:process_time")
            guess = side.call("synthgait.simulate.solve:solve_walking", body, each, guess)
            row = {name: getattr(guess, name) for name in ("status", "iterations", "cost", "stride_time_s")}
            meshes.append({"intervals": each.intervals} | row | {"cpu_s": side.call("time:process_time") - before})
            strides.append(stride_from_solution(body, person, each, guess))
            walks.append(guess)
    finally:
        side.close()
    weight = GRAVITY_MPS2 * float(body.mass_kg)
    turning = [i for i, name in enumerate(body.coordinates) if name not in PELVIS_COORDINATES[3:]]
    coarse, fine = (
        (walk.coordinates[::every, turning], np.stack([side_force(body, walk.contact_force[::every], foot) for foot in SIDES]))
        for walk, every in zip(walks, (1, finer), strict=True)
    )
    at_nodes = {
        "nodes_angle_deg": float(np.rad2deg(np.abs(fine[0] - coarse[0]).max())),
        "nodes_force_percent_bw": float(100 * np.abs(fine[1] - coarse[1]).max() / weight),
    }
    curves = []
    scales = {"joint_angles": ("deg", 180 / np.pi), "pelvis": ("deg", 180 / np.pi), "ground_reaction": ("% BW", 100 / weight)}
    for group, (unit, scale) in scales.items():
        for name in strides[0].channels[group]:
            if not name.startswith("pelvis_t") or name == "pelvis_tilt":
                miss = scale * np.abs(strides[1].channel(name)[0] - strides[0].channel(name)[0]).astype(float)
                sizes = {"worst": float(miss.max()), "at_percent": int(miss.argmax()), "rms": float(np.sqrt((miss**2).mean()))}
                curves.append({"quantity": name, "unit": unit} | sizes)
    most = {(unit, key): max(row[key] for row in curves if row["unit"] == unit) for unit in ("deg", "% BW") for key in ("worst", "rms")}
    told = {
        f"{key}_{name}": most[unit, key] for key in ("worst", "rms") for unit, name in (("deg", "angle_deg"), ("% BW", "force_percent_bw"))
    }
    return told | at_nodes | {"curves": curves, "meshes": meshes}


def mesh_text(told: dict[str, Any]) -> str:
    """The figures for people."""
    lines = [f"{'intervals':>10}{'status':>15}{'iterations':>12}{'cost':>10}{'stride s':>10}{'CPU s':>8}"]
    for row in told["meshes"]:
        numbers = f"{row['iterations']:12d}{row['cost']:10.4f}{row['stride_time_s']:10.4f}{row['cpu_s']:8.1f}"
        lines.append(f"{row['intervals']:10d}{row['status']:>15}{numbers}")
    lines.append(f"{'differences that are largest':28}{'worst':>8}{'at %':>6}{'rms':>8}")
    for row in sorted(told["curves"], key=lambda row: -row["worst"])[:8]:
        lines.append(f"{row['quantity']:28}{row['worst']:8.2f}{row['at_percent']:6d}{row['rms']:8.2f} {row['unit']}")
    lines.append(f"angles: at most {told['worst_angle_deg']:.2f} deg (rms {told['rms_angle_deg']:.2f})")
    lines.append(f"ground reaction: at most {told['worst_force_percent_bw']:.2f} % of body weight (rms {told['rms_force_percent_bw']:.2f})")
    lines.append(f"at the nodes: at most {told['nodes_angle_deg']:.2f} deg and {told['nodes_force_percent_bw']:.2f} % of body weight")
    return "\n".join(lines)


def as_text(told: dict[str, Any]) -> str:
    """The figures for people."""
    lines = [f"{'planar problem':16}{'status':>22}{'cost':>10}{'iterations':>12}{'CPU s':>10}{'wall s':>10}"]
    for name, row in told["planar"].items():
        cost = "–" if row["cost"] is None else f"{row['cost']:.5f}"
        lines.append(f"{name:16}{row['status']:>22}{cost:>10}{row['iterations'] or '–':>12}{row['cpu_s']:10.2f}{row['wall_s']:10.2f}")
    for start in ("warm", "cold"):
        if f"{start}_ratio" in told:
            bound = "at least " if told["planar"][f"{start}_moco"]["status"] != "ok" else ""
            lines.append(f"{start}: Moco takes {bound}{told[f'{start}_ratio']:.0f} times the CPU time")
    if told["cost_relative_difference"] is not None:
        lines.append(f"Moco's cost is {100 * told['cost_relative_difference']:+.2f} % of ours")
    for name, rate in told["gaits_per_core_hour"].items():
        of = [row for row in told["gaits"] if row["symmetric"] == (name == "symmetric")]
        if rate is not None:
            good = sum(row["status"] == "ok" for row in of)
            lines.append(f"{rate:.0f} certified {name} 3-D gaits per core-hour ({good} of {len(of)} certified)")
    return "\n".join(lines)
