"""The command line: one sentence and exit code 2 for bad input, figures by machine, nothing written over."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from importlib import resources
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from synthgait import bundled, cli, inspection, storage
from synthgait.conventions import SIGNAL_GROUPS
from synthgait.simulate import sweep
from synthgait.trials import Trials


def run(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    """Exit code of the console script's entry point, in this process."""
    monkeypatch.setattr(sys, "argv", ["synthgait", *map(str, arguments)])
    with pytest.raises(SystemExit) as end:
        cli.main()
    return int(end.value.code or 0)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    table = pd.DataFrame({"trial_id": list("abcdef"), "subject_id": list("uvwxyz"), "pathology": "none", "status": "ok"})
    signal = np.ones((6, 5, len(SIGNAL_GROUPS["pelvis"].channels)), np.float32)
    storage.write(Trials(table, {"pelvis": signal}), tmp_path / "data.h5")
    return tmp_path / "data.h5"


def test_bad_input_is_one_sentence_and_exit_code_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, data: Path
) -> None:
    study = tmp_path / "bad.yaml"
    study.write_text("name: bad\nsed: 1\n")
    cut = tmp_path / "cut.h5"
    cut.write_bytes(data.read_bytes()[:5000])
    for arguments in (
        ("simulate", study),
        ("simulate", tmp_path / "none.yaml"),
        ("inspect", tmp_path / "none.h5"),
        ("pack", cut, "-o", tmp_path / "out.h5"),
        ("copy", "nothing"),
        ("release", tmp_path / "folder"),
        ("release", tmp_path, "--verify"),
        ("release", tmp_path, "--verify", "--data", data),
        ("simulate", "quick", "-o", data),
        ("simulate", "quick", "-o", data / "x"),
        ("simulate", "quick", "-o", "/proc/x"),
        ("simulate", "quick", "-o", tmp_path / "run", "--workers", 2, "--scheduler", "tcp://127.0.0.1:9"),
        ("simulate", "quick", "-o", tmp_path / "run", "--workers", 0),
        ("sense", data, "-o", tmp_path / "sensed", "--seed", -1),
        ("inspect", data, "--json", tmp_path),
        ("inspect", data, "--json", data / "told.json"),
    ):
        before = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
        assert run(monkeypatch, *arguments) == 2
        told = capsys.readouterr()
        assert told.err.startswith("synthgait: ") and told.err.count("\n") == 1 and "Traceback" not in told.err
        assert {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()} == before


def test_a_fit_that_cannot_be_is_told_before_the_work(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, data: Path
) -> None:
    for arguments, words in ((("-o", data), "name a folder"), (("-o", tmp_path / "fitted", "--seed", -1), "seed is -1")):
        assert run(monkeypatch, "fit", "muscle_activation", "--data", data, *arguments) == 2
        told = capsys.readouterr().err.splitlines()[-1]
        assert told.startswith("synthgait: ") and words in told


def test_what_cannot_be_written_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, data: Path
) -> None:
    told = {}
    for arguments in (
        ("inspect", data, "--json", tmp_path),
        ("inspect", data, "--json", data / "told.json"),
        ("inspect", data, "--json", "/proc/told.json"),
        ("pack", data, "-o", data / "out.h5"),
        ("copy", "quick", "--target", data / "quick.yaml"),
        ("release", data / "folder", "--data", data),
        ("validate", "coverage", "--data", data, "--figures", data / "figures"),
    ):
        assert run(monkeypatch, *arguments) == 2, arguments
        told[arguments] = capsys.readouterr()
        assert told[arguments].err.startswith("synthgait: ") and told[arguments].err.count("\n") == 1
    # a target that cannot be is refused before the work
    assert [bool(output.out) for output in told.values()] == [False, False, True, *[False] * 4]
    assert [p.name for p in tmp_path.iterdir()] == ["data.h5"]


def test_inspect_writes_figures(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, data: Path) -> None:
    assert run(monkeypatch, "inspect", data, "--json", "-") == 0
    told = json.loads(capsys.readouterr().out)
    expected = {"kind": "seed", "format_version": "1.0", "n_trials": 6, "n_ok": 6, "n_subjects": 6, "by_pathology": {"none": 6}}
    assert told | expected == told
    cut = tmp_path / "cut.h5"
    cut.write_bytes(data.read_bytes()[: data.stat().st_size // 2])
    assert run(monkeypatch, "inspect", cut, "--json", tmp_path / "told.json") == 1
    told = json.loads((tmp_path / "told.json").read_text())
    assert told["kind"] == "broken" and "cut.h5" in told["problem"] and told["n_trials"] == 0


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut", b"\x89HDF\r\n\x1a\n", b"groups: [", b"nothing of ours"])
def test_inspect_tells_broken_files(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, content: bytes
) -> None:
    path = tmp_path / "file.yaml"
    path.write_bytes(content)
    assert run(monkeypatch, "inspect", path) == 1
    assert "broken" in capsys.readouterr().out


def test_inspect_tells_damaged_solutions(tmp_path: Path) -> None:
    whole = resources.files("synthgait").joinpath("data/first_walk.npz").read_bytes()
    path, rng = tmp_path / "walk.npz", np.random.default_rng(0)
    path.write_bytes(whole)
    assert inspection.inspect(path)["kind"] == "solution"
    # where an archive says how its parts are packed: every such header, and the list of them at its end
    headers = [found.start() for found in re.finditer(b"PK", whole)]
    kinds = []
    for start in headers:
        hit = bytearray(whole)
        hit[start + rng.integers(6, 12)] ^= 1 << rng.integers(8)
        path.write_bytes(hit)
        kinds.append(inspection.inspect(path)["kind"])
    assert set(kinds) <= {"solution", "broken"} and kinds.count("broken") > 5


def test_inspect_tells_folders(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    weights = tmp_path / "weights.safetensors"
    save_file({"w": np.ones((3, 4), np.float32)}, weights)
    (tmp_path / "config.json").write_text(json.dumps({"estimator_version": "1", "task": "speed"}))
    assert run(monkeypatch, "inspect", tmp_path, "--json", "-") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["kind"] == "estimator" and told["format_version"] == "1" and told["weights"] == ["weights.safetensors"]
    weights.write_bytes(weights.read_bytes()[:-5])
    assert run(monkeypatch, "inspect", tmp_path) == 1
    assert "cut short" in capsys.readouterr().out


def test_list_copy_and_pack(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, data: Path) -> None:
    assert run(monkeypatch, "list") == 0
    listed = capsys.readouterr().out
    assert "simulations/quick" in listed and "Classes: laboratory, wearable." in listed
    assert run(monkeypatch, "copy", "quick", "--target", tmp_path) == 0
    assert (tmp_path / "quick.yaml").read_text().startswith("name: quick")
    assert run(monkeypatch, "copy", "quick", "--target", tmp_path) == 2
    assert run(monkeypatch, "pack", data, "-o", tmp_path / "out.h5") == 0
    assert len(storage.read(tmp_path / "out.h5")) == 6


def test_release_and_verify(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, data: Path) -> None:
    assert run(monkeypatch, "release", tmp_path / "r", "--data", data, "--json", "-") == 0
    made = json.loads(capsys.readouterr().out)
    assert run(monkeypatch, "release", tmp_path / "r", "--verify", "--json", "-") == 0
    assert json.loads(capsys.readouterr().out) == made and made["n_ok"] == 6


def test_the_command_loads_neither_casadi_nor_opensim() -> None:
    modules = "synthgait.cli, synthgait.simulate.sweep, synthgait.release, synthgait.inspection"
    code = f"import sys, {modules}; print({{'casadi', 'opensim', 'torch'}} & set(sys.modules))"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "set()"


@pytest.mark.parametrize("address", ["foo", "ucx://a:b", "tcp://127.0.0.1:99999"])
def test_an_address_where_no_scheduler_can_be_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, address: str
) -> None:
    assert run(monkeypatch, "simulate", "quick", "-o", tmp_path / "run", "--scheduler", address) == 2
    told = capsys.readouterr().err.splitlines()[-1]
    assert told.startswith(f"synthgait: no dask scheduler answers at {address!r}") and "tcp://HOST:PORT" in told


def test_a_stopped_sweep_says_that_it_goes_on(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    def stopped(*_: object) -> Path:
        raise KeyboardInterrupt

    monkeypatch.setattr(sweep, "run", stopped)
    assert run(monkeypatch, "simulate", "seed_v1", "-o", tmp_path / "run") == 130
    clipped, told = capsys.readouterr().err.splitlines()
    assert "25 of 1884 trials is clipped" in clipped and "the same command goes on" in told and str(tmp_path / "run") in told


def test_inspect_tells_what_came_of_trials(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    table = pd.DataFrame(
        {
            "trial_id": list("abc"),
            "subject_id": ["u", "u", "v"],
            "pathology": "none",
            "status": ["ok", "ok", "not_certified"],
            "certificate_defect_error": [1e-12, 3e-12, 0.5],
        }
    )
    storage.write(Trials(table), tmp_path / "seed.h5")
    assert run(monkeypatch, "inspect", tmp_path / "seed.h5", "--json", tmp_path / "told.json") == 0
    told, shown = json.loads((tmp_path / "told.json").read_text()), capsys.readouterr().out.splitlines()
    same = {"tried": 3, "certified": 2, "people": 1}
    assert told["yield"] == {"none": same, "all": same}
    assert told["certificate"] == {"certificate_defect_error": 3e-12}, "of the certified trials only"
    assert "none 3 2 67 % 1" in [" ".join(line.split()) for line in shown] and shown[-1].split()[1] == "3.0e-12"
    assert run(monkeypatch, "inspect", bundled.folder("simulations") / "seed_v1.yaml") == 0
    assert "25 of 1884 trials is clipped" in capsys.readouterr().out
