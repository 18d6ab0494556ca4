"""The sweep with a stand-in solver: same bytes whatever the workers and interruptions; failures are rows."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from synthgait import cli, inspection, storage
from synthgait.errors import InputError
from synthgait.simulate import sweep, workers
from synthgait.studies import Study

STANDINS = Path(__file__).parents[1] / "standins"
STEPS = sweep.Steps(casadi="sweep_steps:solve", moco="sweep_steps:solve", certify="sweep_steps:certify")
STUDY = """
name: small
description: a study for the tests
seed: 5
groups:
  - name: people
    subjects: 5
    trials_per_subject: 3
    age_years: [20, 80]
    walking_speed_mps: [0.7, 1.5]
    cadence_factor: [0.8, 1.2]
    free_cadence: 0.3
  - name: stroke
    subjects: 2
    pathology: hemiparesis
    severities: [0.5]
    walking_speed_mps: [1.0, 1.2]
"""


@pytest.fixture(autouse=True)
def _standins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(STANDINS))


@pytest.fixture
def study(tmp_path: Path) -> Study:
    path = tmp_path / "small.yaml"
    path.write_text(STUDY)
    return Study.load(path)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("undisturbed")
    (folder / "small.yaml").write_text(STUDY)
    sys.path.insert(0, str(STANDINS))
    try:
        return sweep.run(Study.load(folder / "small.yaml"), folder / "run", progress=False, steps=STEPS)
    finally:
        sys.path.remove(str(STANDINS))


def same_bytes(packed: Path, undisturbed: Path) -> None:
    """A difference is told by its trials and columns."""
    if packed.read_bytes() != undisturbed.read_bytes():
        ours, theirs = storage.read(packed), storage.read(undisturbed)
        assert ours.table.to_csv() == theirs.table.to_csv()
        for group, array in theirs.signals.items():
            np.testing.assert_array_equal(ours.signals[group], array, err_msg=group)
            # NaN and zero have signs that compare as equal
            assert ours.signals[group].tobytes() == array.tobytes(), f"{group} differs in the sign of NaN or zero"
        assert ours.events.to_csv() == theirs.events.to_csv()
        assert (ours.provenance, ours.channels) == (theirs.provenance, theirs.channels)
        pytest.fail("all that is read is the same, the files' bytes are not")


def test_every_trial_is_a_row_and_failures_say_why(undisturbed: Path, study: Study) -> None:
    trials = storage.read(undisturbed)
    assert list(trials.table["trial_id"]) == [trial.trial_id for trial in study.plan()] and len(trials) == 17
    status = trials.table["status"]
    assert set(status) == {"ok", "not_converged", "not_certified"}
    assert (trials.table.loc[status == "not_certified", "status_message"] == "too heavy").all()
    ok = (status == "ok").to_numpy()
    assert np.isfinite(trials.signals["joint_angles"][ok]).all() and np.isnan(trials.signals["joint_angles"][~ok]).all()
    np.testing.assert_allclose(trials.table.loc[ok, "walking_speed_mps"], trials.table.loc[ok, "condition_walking_speed_mps"], rtol=1e-3)
    assert trials.provenance["config_sha256"] == study.config_sha256


def test_a_child_of_a_failed_trial_starts_from_the_nearest_ancestor_that_walked(undisturbed: Path, study: Study) -> None:
    table = storage.read(undisturbed, groups=[]).table.set_index("trial_id")
    rotation = storage.read(undisturbed, groups=["joint_angles"]).channel("lumbar_rotation")[:, 0]
    trace = dict(zip(table.index, rotation, strict=True))
    parents = {trial.trial_id: trial.parent for trial in study.plan()}
    jumped = 0
    for trial_id in table.index[table["status"] == "ok"]:
        ancestor = parents[trial_id]
        while ancestor is not None and table.loc[ancestor, "status"] != "ok":
            ancestor, jumped = parents[ancestor], jumped + 1
        expected = 0.001 + (0.9 * trace[ancestor] if ancestor else 0.0)
        assert trace[trial_id] == pytest.approx(expected, rel=1e-5)
    assert jumped > 0


def test_two_workers_give_the_same_bytes(undisturbed: Path, study: Study, tmp_path: Path) -> None:
    packed = sweep.run(study, tmp_path / "run", workers=2, progress=False, steps=STEPS)
    same_bytes(packed, undisturbed)


RUN = """
import sys
from synthgait.simulate import sweep
from synthgait.studies import Study
if __name__ == "__main__":
    steps = sweep.Steps(casadi="sweep_steps:solve", certify="sweep_steps:certify")
    sweep.run(Study.load(sys.argv[1]), sys.argv[2], workers=int(sys.argv[3]), progress=False, steps=steps)
"""


def test_killed_ten_times_and_resumed_it_gives_the_same_bytes(undisturbed: Path, study: Study, tmp_path: Path) -> None:
    script = tmp_path / "run.py"
    script.write_text(RUN)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(STANDINS), *sys.path]), "STANDIN_SECONDS": "0.02"}
    units = tmp_path / "run" / "units"
    command = [sys.executable, str(script), str(tmp_path / "small.yaml"), str(tmp_path / "run"), "2"]
    for kill in range(10):
        process = subprocess.Popen(command, env=environment)
        # Killed at ten different moments: after another unit or two, or in the middle of writing one.
        deadline = time.monotonic() + 60
        while len(list(units.glob("*.h5"))) < min(kill + 1, 16) and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.003)
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert len(list(units.glob("*.h5"))) >= 10
    (units / "small_00002.h5").write_bytes((units / "small_00002.h5").read_bytes()[:5000])
    packed = sweep.run(study, tmp_path / "run", progress=False, steps=STEPS)
    same_bytes(packed, undisturbed)


def test_interrupted_it_ends_at_once_and_says_no_more_than_that(study: Study, tmp_path: Path) -> None:
    script = tmp_path / "run.py"
    script.write_text(RUN)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(STANDINS), *sys.path]), "STANDIN_SECONDS": "60"}
    command = [sys.executable, str(script), str(tmp_path / "small.yaml"), str(tmp_path / "run"), "1"]
    # who runs tests in the background may have had them ignore SIGINT
    heeded = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    process = subprocess.Popen(command, env=environment, start_new_session=True, preexec_fn=heeded, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not (tmp_path / "run" / "solutions").exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    # the scheduler and the process that solves take a moment to start
    time.sleep(3.0)
    begun = time.monotonic()
    os.killpg(process.pid, signal.SIGINT)
    try:
        _, told = process.communicate(timeout=20)  # of the minute that the trial would take
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    assert time.monotonic() - begun < 15.0
    assert told.strip().endswith("KeyboardInterrupt") and "CancelledError" not in told


def test_a_call_that_close_all_ended_is_not_made_again() -> None:
    with ThreadPoolExecutor(1) as thread:
        assert thread.submit(workers.call, "a", "sweep_steps:echo", 1).result(timeout=60) == 1
        waiting = thread.submit(workers.call, "a", "time:sleep", 60)
        while not waiting.running():
            time.sleep(0.01)
        time.sleep(0.1)
        workers.close_all()
        with pytest.raises(workers.SideDied):
            waiting.result(timeout=10)
        assert not workers._all
        # later calls have processes again
        assert thread.submit(workers.call, "a", "sweep_steps:echo", 2).result(timeout=60) == 2
    workers.close_all()


def test_a_damaged_solution_is_made_again_and_what_follows_from_it(undisturbed: Path, study: Study, tmp_path: Path) -> None:
    run = Path(shutil.copytree(undisturbed.parent, tmp_path / "run"))
    status = storage.read(undisturbed, groups=[]).table.set_index("trial_id")["status"]
    child = next(t for t in study.plan() if t.parent is not None and status[t.parent] == "ok" and status[t.trial_id] == "ok")
    solution = run / "solutions" / f"{child.parent}.npz"
    solution.write_bytes(solution.read_bytes()[:2000])
    (run / "units" / f"{child.trial_id}.h5").unlink()
    same_bytes(sweep.run(study, run, progress=False, steps=STEPS), undisturbed)


def test_a_run_with_damaged_trials_is_told_and_not_called_broken(undisturbed: Path, study: Study, tmp_path: Path) -> None:
    run = Path(shutil.copytree(undisturbed.parent, tmp_path / "run"))
    whole = inspection.inspect(run)
    table = storage.read(undisturbed, groups=[]).table
    assert (whole["n_trials"], whole["n_ok"], whole["n_damaged"]) == (17, (table["status"] == "ok").sum(), 0)
    assert whole["yield"] == inspection.inspect(undisturbed)["yield"] and whole["certificate"] == {"certificate_acceleration_error": 1e-9}
    unit = run / "units" / "small_00002.h5"
    unit.write_bytes(unit.read_bytes()[:5000])
    told = inspection.inspect(run)
    assert (told["kind"], told["n_trials"], told["n_damaged"]) == ("run", 16, 1)
    assert "small_00002: `synthgait simulate` does damaged trials again" in inspection.text(told)
    same_bytes(sweep.run(study, run, progress=False, steps=STEPS), undisturbed)
    for unit in run.glob("units/*.h5"):
        unit.write_bytes(b"")
    assert inspection.inspect(run)["n_damaged"] == 17


def test_the_verb_ends_with_what_came_of_the_trials(
    study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sweep, "Steps", lambda: STEPS)
    for extra in ([], ["--json", "-"]):
        monkeypatch.setattr(sys, "argv", ["synthgait", "simulate", str(tmp_path / "small.yaml"), "-o", str(tmp_path / "run"), *extra])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        assert not ended.value.code
        shown = capsys.readouterr().out
        if not extra:
            assert [line.partition(" ")[0] for line in shown.splitlines()].count("hemiparesis") == 1
        else:
            assert json.loads(shown)["yield"]["all"]["tried"] == 17


def test_a_sweep_ended_early_holds_some_of_each_pathology(study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done, save = [], sweep._save

    def save_ten(outcome, trial_id: str, out: Path) -> bool:
        done.append(outcome.trials.table.loc[0, "pathology"])
        if len(done) == 10:
            raise KeyboardInterrupt
        return save(outcome, trial_id, out)

    monkeypatch.setattr(sweep, "_save", save_ten)
    with pytest.raises(KeyboardInterrupt):
        sweep.run(study, tmp_path / "run", progress=False, steps=STEPS)
    # the plan has the two stroke trials last of seventeen
    assert "hemiparesis" in done


def test_a_run_stopped_while_it_states_its_study_goes_on(
    undisturbed: Path, study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(path: Path, block: bytes) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(sweep, "_write_atomically", stopped)
        sweep.run(study, tmp_path / "run", progress=False, steps=STEPS)
    same_bytes(sweep.run(study, tmp_path / "run", progress=False, steps=STEPS), undisturbed)


def test_a_running_scheduler_is_used_and_a_killed_dask_worker_loses_nothing(undisturbed: Path, study: Study, tmp_path: Path) -> None:
    import dask
    from distributed import Client, LocalCluster

    environment = {"PYTHONPATH": os.pathsep.join([str(STANDINS), *sys.path]), "STANDIN_SECONDS": "0.3"}
    with (
        dask.config.set({"distributed.nanny.environ": environment}),
        LocalCluster(n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address="127.0.0.1:0") as cluster,
        Client(cluster) as client,
        ThreadPoolExecutor(1) as thread,
    ):
        pids = list(client.run(os.getpid).values())
        packed = thread.submit(sweep.run, study, tmp_path / "run", 1, cluster.scheduler_address, False, STEPS)
        deadline = time.monotonic() + 60
        while len(list((tmp_path / "run").glob("units/*.h5"))) < 4 and time.monotonic() < deadline:
            time.sleep(0.01)
        os.kill(pids[0], signal.SIGKILL)
        same_bytes(packed.result(timeout=120), undisturbed)
    with pytest.raises(InputError, match="no dask scheduler answers"):
        sweep.run(study, tmp_path / "other", scheduler="tcp://127.0.0.1:9", progress=False, steps=STEPS)


def test_a_cluster_that_is_lost_is_one_sentence_and_nothing_is_lost(undisturbed: Path, study: Study, tmp_path: Path) -> None:
    import dask
    from distributed import LocalCluster

    environment = {"PYTHONPATH": os.pathsep.join([str(STANDINS), *sys.path]), "STANDIN_SECONDS": "0.3"}
    with dask.config.set({"distributed.nanny.environ": environment}), ThreadPoolExecutor(1) as thread:
        with LocalCluster(n_workers=1, threads_per_worker=1, host="127.0.0.1", dashboard_address="127.0.0.1:0") as cluster:
            packed = thread.submit(sweep.run, study, tmp_path / "run", 1, cluster.scheduler_address, False, STEPS)
            deadline = time.monotonic() + 60
            while len(list((tmp_path / "run").glob("units/*.h5"))) < 2 and time.monotonic() < deadline:
                time.sleep(0.01)
        with pytest.raises(InputError, match="the same command goes on"):
            packed.result(timeout=60)
    assert len(list((tmp_path / "run").glob("units/*.h5"))) >= 2
    same_bytes(sweep.run(study, tmp_path / "run", progress=False, steps=STEPS), undisturbed)


def test_a_folder_of_another_configuration_is_refused(study: Study, undisturbed: Path, tmp_path: Path) -> None:
    path = tmp_path / "other.yaml"
    path.write_text(STUDY.replace("seed: 5", "seed: 6"))
    before = undisturbed.read_bytes()
    with pytest.raises(InputError, match="another configuration"):
        sweep.run(Study.load(path), undisturbed.parent, progress=False, steps=STEPS)
    assert undisturbed.read_bytes() == before


def test_a_process_that_dies_loses_only_its_trial(study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STANDIN_FOLDER", str(tmp_path))
    trial = study.plan()[0]
    slow = next(t for t in study.plan() if t.task.walking_speed_mps < 0.8)
    steps = sweep.Steps(casadi="sweep_steps:solve_or_die", certify="sweep_steps:certify")
    try:
        assert sweep.solve_one(trial, None, steps).trials.table.loc[0, "status"] == "ok"
        lost = sweep.solve_one(slow, None, steps).trials.table.loc[0]
        assert lost["status"] == "error" and "code -9" in lost["status_message"]
        assert sweep.solve_one(trial, None, steps).trials.table.loc[0, "status"] == "ok"
        wrong = sweep.solve_one(trial, None, sweep.Steps(casadi="sweep_steps:solve_wrong")).trials.table.loc[0]
        assert wrong["status"] == "error" and wrong["status_message"] == "ZeroDivisionError: nobody foresaw this"
    finally:
        workers.close_all()


def test_sides_answer_through_what_libraries_print_and_hold_one_thread() -> None:
    try:
        block = np.arange(1_000_000)
        np.testing.assert_array_equal(workers.call("a", "sweep_steps:echo", block), block)
        assert workers.call("a", "os:getenv", "OMP_NUM_THREADS") == "1"
        assert workers.call("a", "os:getpid") != workers.call("b", "os:getpid")
        assert workers.call("a", "os:getpid") == workers.call("a", "os:getpid")
    finally:
        workers.close_all()
