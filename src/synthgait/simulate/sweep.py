"""Run a study's plan on the cores of this machine or of a cluster.

In: a ``Study`` and a folder. Out: one unit file per trial, the solutions that later trials start
from, and the packed dataset.

``<out>/units/<trial_id>.h5`` is written once and atomically when the trial is over, whatever became
of it; a resumed run skips the units that are there and whole. A trial starts from its parent's
solution, or where the parent failed from the nearest ancestor that did not, so that results depend
neither on the number of workers nor on interruptions nor on whose turn it is. All pathologies and groups
advance together: a sweep that has to be ended early holds some of each. Wall-clock times stay out of the units.
"""

from __future__ import annotations

import contextlib
import heapq
import logging
import os
import platform
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import pandas as pd
from tqdm import tqdm

from synthgait import gait, storage
from synthgait.conventions import CERTIFICATE_PREFIX, SIGNAL_GROUPS
from synthgait.errors import InputError
from synthgait.simulate.task import WalkingSolution
from synthgait.simulate.workers import SideDied, call, close_all
from synthgait.studies import PlannedTrial, Study
from synthgait.trials import Trials

#: Gaits from which on compiling the equations (two minutes, where they are not yet) is repaid.
_WORTH_COMPILING = 60
_GOLDEN = (5**0.5 - 1) / 2
#: Status pages of dask are for this machine only.
_LOOPBACK = {"dashboard_address": "127.0.0.1:0", "worker_dashboard_address": "127.0.0.1:0"}


@dataclass(frozen=True)
class Steps:
    """Where each step of a trial runs: ``module:function``, in the process that its library needs."""

    casadi: str = "synthgait.simulate.solve:solve_walking"
    moco: str = "synthgait.moco:solve_walking"
    certify: str = "synthgait.certify:certify"

    def solver(self, engine: str) -> tuple[str, str]:
        """Process and function of an engine."""
        return ("opensim", self.moco) if engine == "moco" else ("casadi", self.casadi)


@dataclass(frozen=True)
class _Outcome:
    """What came of a trial: the row (with signals where it is a gait) and the solution to start others from."""

    trials: Trials
    solution: bytes | None


def run(
    study: Study,
    out_dir: str | Path,
    workers: int = 1,
    scheduler: str | None = None,
    progress: bool = True,
    steps: Steps | None = None,
) -> Path:
    """Solve, certify and pack every trial of a study.

    Args:
        out_dir: folder of the run; an interrupted run of the same study is continued.
        workers: trials at a time on this machine.
        scheduler: address of a running ``dask.distributed`` scheduler to use instead.
        steps: other functions than synthgait's own.

    Returns:
        The packed dataset, ``<out_dir>/<study name>.h5``.

    Raises:
        InputError: the folder holds another study's run or cannot be one, or no scheduler answers or its cluster fails.
    """
    out = Path(out_dir)
    if scheduler is None and workers < 1:
        raise InputError(f"workers is {workers}; give at least 1")
    _claim(study, out)
    plan = study.plan()
    settled = _settled(plan, out)
    waiting = [(i, trial) for i, trial in enumerate(plan) if trial.trial_id not in settled]
    bar = tqdm(total=len(plan), initial=len(settled), desc=f"simulate {study.name}", unit="gait", disable=not progress)
    try:
        if waiting:
            with _executor(workers, scheduler) as (submit, finished, capacity):
                if steps is None and scheduler is None and len(waiting) >= _WORTH_COMPILING:
                    call("casadi", "synthgait.simulate.solve:compile_walking", waiting[0][1].model())
                _run_waiting(plan, settled, out, steps or Steps(), submit, finished, capacity, bar)
    finally:
        bar.close()
    return _pack(study, plan, out)


def _run_waiting(
    plan: list[PlannedTrial],
    settled: dict[str, bool],
    out: Path,
    steps: Steps,
    submit: Callable[..., None],
    finished: Callable[[], _Outcome],
    capacity: int,
    bar: tqdm,
) -> None:
    parents = {trial.trial_id: trial.parent for trial in plan}
    children: dict[str | None, list[int]] = {}
    turns = _turns(plan)
    ready: list[tuple[float, int]] = []
    for i, trial in enumerate(plan):
        if trial.trial_id in settled:
            continue
        if trial.parent is None or trial.parent in settled:
            heapq.heappush(ready, (turns[i], i))
        else:
            children.setdefault(trial.parent, []).append(i)
    running = 0
    while ready or running:
        while ready and running < capacity:
            trial = plan[heapq.heappop(ready)[1]]
            submit(solve_one, trial, _guess(trial.parent, parents, settled, out), steps)
            running += 1
        outcome = finished()
        running -= 1
        trial_id = str(outcome.trials.table.loc[0, "trial_id"])
        settled[trial_id] = _save(outcome, trial_id, out)
        for child in children.pop(trial_id, []):
            heapq.heappush(ready, (turns[child], child))
        bar.update()
        bar.set_postfix_str(f"yield {100 * sum(settled.values()) / len(settled):.0f} %")


def _turns(plan: list[PlannedTrial]) -> list[float]:
    """When each trial is due, 0 to 1: steps of the golden ratio through the plan of its pathology leave no group, age or
    speed out for long."""
    seen: Counter[str] = Counter()
    turns = []
    for pathology in (trial.subject.pathology for trial in plan):
        turns.append(seen[pathology] * _GOLDEN % 1.0)
        seen[pathology] += 1
    return turns


def solve_one(trial: PlannedTrial, guess: bytes | None, steps: Steps) -> _Outcome:
    """One trial from guess to certificate, in the worker's own processes."""
    row = trial.row()
    try:
        model = trial.model()
        side, function = steps.solver(trial.engine)
        start = None if guess is None else WalkingSolution.from_bytes(guess)
        solution = call(side, function, model, trial.task, start)
        if not solution.ok:
            return _failed(row, solution.status, solution.message)
        certificate = call("opensim", steps.certify, model, solution, trial.task.slope)
        agrees = bool(certificate.pop(CERTIFICATE_PREFIX + "ok"))
        told = str(certificate.pop(CERTIFICATE_PREFIX + "message"))
        row |= certificate
        if not agrees:
            return _failed(row, "not_certified", told)
        stride = gait.stride_from_solution(model, trial.subject, trial.task, solution)
        if odd := gait.oddities(stride)[0]:  # no gait to keep, but one to start others from
            return _Outcome(_failed(row, "implausible", f"{odd[0].upper()}{odd[1:]}.").trials, solution.to_bytes())
    except SideDied as error:
        return _failed(row, "error", f"{error}, twice")
    except InputError as error:
        return _failed(row, "implausible", str(error))
    except Exception as error:
        # A trial that fails in an unforeseen way is a row like any other failure; the sweep goes on.
        details = getattr(error, "details", None)
        if details:
            print(f"{trial.trial_id}:\n{details}", file=sys.stderr)
        return _failed(row, "error", f"{getattr(error, 'kind', type(error).__name__)}: {error}")
    realised = {name: stride.table.loc[0, name] for name in stride.table.columns}
    table = pd.DataFrame([realised | row | {"status": "ok", "status_message": told}])
    signals = {group: stride.signals[group] for group in SIGNAL_GROUPS if group in stride.signals}
    channels = {group: stride.channels[group] for group in signals}
    return _Outcome(Trials(table, signals, channels, stride.events), solution.to_bytes())


def _failed(row: dict[str, Any], status: str, message: str) -> _Outcome:
    # Long messages are cut: the column is 512 bytes.
    text = message.encode()[:500].decode(errors="ignore")
    return _Outcome(Trials(pd.DataFrame([row | {"status": status, "status_message": text}])), None)


# -- files -------------------------------------------------------------------------------------------


def _claim(study: Study, out: Path) -> None:
    """Write the configuration into a new folder, or see that the folder is this study's.

    Raises:
        InputError: it is another's, or cannot be made or written.
    """
    mark = out / "config.sha256"
    try:
        if mark.exists():
            if mark.read_text().strip() != study.config_sha256:
                raise InputError(f"{out} holds a run of another configuration; give another folder or remove it")
        elif (out / "units").exists():
            raise InputError(f"{out} has units but no config.sha256; give another folder or remove it")
        out.mkdir(parents=True, exist_ok=True)
        # before the folders: killed between, the run can still go on
        _write_atomically(out / "config.json", study.resolved().encode())
        _write_atomically(mark, (study.config_sha256 + "\n").encode())
        for name in ("units", "solutions"):
            (out / name).mkdir(exist_ok=True)
            for leftover in (out / name).glob("*.partial"):
                leftover.unlink()
    except OSError as error:
        raise InputError(f"{out} cannot be the folder of a run ({error.strerror}); give another one with -o") from error


def _settled(plan: list[PlannedTrial], out: Path) -> dict[str, bool]:
    """The trials that are over: id -> whether it is a gait. A unit that does not check is done again, and all that follow from it."""
    settled = {}
    for trial in plan:
        unit = _unit(out, trial.trial_id)
        # one whose parent has to be done again may start from another solution, and is done again too
        if not unit.exists() or (trial.parent is not None and trial.parent not in settled):
            continue
        try:
            settled[trial.trial_id] = check_unit(unit)
        except InputError:
            unit.unlink()
    return settled


def check_unit(unit: Path) -> bool:
    """Whether the trial of a run's unit is a gait. Raises InputError where unit or solution is damaged or missing, so that
    ``run`` does the trial again."""
    storage.check(unit)
    ok = storage.describe(unit)["n_ok"] == 1
    if ok:
        WalkingSolution.from_bytes(_solution(unit.parents[1], unit.stem))
    return ok


def _guess(parent: str | None, parents: dict[str, str | None], settled: dict[str, bool], out: Path) -> bytes | None:
    """The solution of the nearest ancestor that is a gait."""
    while parent is not None and not settled[parent]:
        parent = parents[parent]
    return None if parent is None else _solution(out, parent).read_bytes()


def _save(outcome: _Outcome, trial_id: str, out: Path) -> bool:
    # The unit comes last: where it is, the solution is.
    if outcome.solution is not None:
        _write_atomically(_solution(out, trial_id), outcome.solution)
    storage.write(outcome.trials, _unit(out, trial_id))
    return outcome.solution is not None


def _unit(out: Path, trial_id: str) -> Path:
    return out / "units" / f"{trial_id}.h5"


def _solution(out: Path, trial_id: str) -> Path:
    return out / "solutions" / f"{trial_id}.npz"


def _write_atomically(path: Path, block: bytes) -> None:
    partial = path.with_name(path.name + ".partial")
    with partial.open("wb") as file:
        file.write(block)
        file.flush()
        os.fsync(file.fileno())
    os.replace(partial, path)


def _pack(study: Study, plan: list[PlannedTrial], out: Path) -> Path:
    path = out / f"{study.name}.h5"
    libraries = ("casadi", "opensim", "numpy", "scipy", "h5py")
    environment = [f"python {platform.python_version()}", *(f"{name} {metadata.version(name)}" for name in libraries)]
    provenance = {"config": study.resolved(), "config_sha256": study.config_sha256, "environment": "\n".join(environment)}
    attributes = {"name": study.name, "license": "CC-BY-4.0"}
    storage.pack([_unit(out, trial.trial_id) for trial in plan], path, attributes=attributes, provenance=provenance)
    return path


# -- where trials run ----------------------------------------------------------------------------------


@contextlib.contextmanager
def _executor(n_workers: int, scheduler: str | None) -> Iterator[tuple[Callable[..., None], Callable[[], _Outcome], int]]:
    """Functions that submit a call and wait for the next result, and how many calls to keep going.

    On this machine the dask workers are threads: each keeps its casadi and its opensim process, where
    all the work is done.
    """
    import dask
    from distributed import Client, LocalCluster, as_completed

    settings = {
        "distributed.worker.memory.terminate": False,
        "distributed.admin.tick.limit": "1h",
        "distributed.scheduler.worker-saturation": 1.0,
    }
    with contextlib.ExitStack() as stack:
        stack.enter_context(dask.config.set(settings))
        # they tell of every trial that is cancelled when a sweep is stopped, and with a traceback of a scheduler that is gone
        for name, level in (("distributed.worker.state_machine", logging.ERROR), ("distributed.client", logging.CRITICAL)):
            told_by = logging.getLogger(name)
            stack.callback(told_by.setLevel, told_by.level)
            told_by.setLevel(level)
        if scheduler is None:
            stack.callback(close_all)
            cluster: Any = stack.enter_context(
                LocalCluster(n_workers=n_workers, threads_per_worker=1, processes=False, memory_limit=None, **_LOOPBACK)
            )
            client = stack.enter_context(Client(cluster))
            capacity = n_workers
        else:
            try:
                client = stack.enter_context(Client(scheduler, timeout="5s"))
            except Exception as error:
                # each of dask's transports fails in its own way at what is no address
                why = " ".join(str(error).split()) or type(error).__name__
                mend = "start one there (an address is tcp://HOST:PORT) or leave --scheduler out"
                raise InputError(f"no dask scheduler answers at {scheduler!r} ({why}); {mend}") from error
            capacity = 2 * max(1, sum(client.nthreads().values()))
        stack.callback(close_all)
        futures = as_completed()

        def submit(function: Any, *arguments: Any) -> None:
            futures.add(client.submit(function, *arguments, pure=False, retries=3))

        def finished() -> _Outcome:
            future = next(futures)
            try:
                outcome = future.result()
            except Exception as error:
                # whatever a trial does is an outcome; what comes here instead is the cluster's
                if scheduler is None:
                    raise
                why = " ".join(str(error).split()) or type(error).__name__
                mend = "see to it, and the same command goes on from there"
                raise InputError(f"the dask cluster of {scheduler} lost a trial ({why}); {mend}") from error
            future.release()
            return outcome

        yield submit, finished, capacity
