"""Networks trained on real people: they learn, never from the person they read, and leave nothing but numbers."""

from __future__ import annotations

import ast
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import synthgait
from standin_recordings import standin_people
from synthgait.errors import InputError
from synthgait.validate import real_trained, run

CONFIG = {"network": {"backbone": "cnn", "width": 16, "depth": 2}, "batch": 32, "steps": 60}


pytestmark = pytest.mark.usefixtures("one_torch_thread")


class Reads:
    """An estimator as far as the verb asks, whose own estimates are always 1 m/s."""

    sensors = ("lower_back",)
    config = CONFIG

    def predict(self, recording: Any, *, sensor: str | None = None, **how: Any) -> dict[str, Any]:
        return {"walking_speed_mps": 1.0}


def test_everybody_is_estimated_by_others_and_better_than_by_their_mean() -> None:
    table = run.pairs(standin_people(10), Reads(), real_baseline=True, progress=False)
    speed = table[table["quantity"] == "walking_speed_mps"]
    ours = speed[speed["method"] == "real_trained"]
    assert len(ours) == 20 and set(ours["subject_id"]) == {f"person-{i}" for i in range(10)}
    rows = {row["method"]: row for row in run.rows(table) if row["quantity"] == "walking_speed_mps"}
    assert rows["real_trained"]["mae"] < 0.7 * rows["floor:mean"]["mae"]
    assert {"zero_shot", "real_trained", "floor:mean"} <= set(rows)


def test_no_person_is_on_both_sides(monkeypatch: pytest.MonkeyPatch) -> None:
    pairs: list[tuple[set[str], set[str]]] = []
    own = real_trained.estimates_of

    def watched(test: Any, training: Any, *given: Any, **named: Any) -> Any:
        pairs.append(({s.person for s in test}, {s.person for s in training}))
        return own(test, training, *given, **named)

    monkeypatch.setattr(real_trained, "estimates_of", watched)
    monkeypatch.setattr(real_trained, "MOST_FOLDS", 3)
    views = [("lower_back", r) for r in standin_people(5)]
    told = list(real_trained.left_out(views, CONFIG | {"steps": 2}))
    assert len(told) == 10 and len(pairs) == 3
    assert all(not test & training and test | training == {f"person-{i}" for i in range(5)} for test, training in pairs)
    seen = real_trained.see(views)
    with pytest.raises(ValueError, match="trained on and tested"):
        own(seen, seen, real_trained.recipe_of(CONFIG), seed=0)


def test_too_few_people_give_no_rows_and_unreadable_recordings_a_reason() -> None:
    assert list(real_trained.left_out([("lower_back", r) for r in standin_people(3)], CONFIG)) == []
    people = standin_people(4)
    still = {name: np.full(800, 9.80665 if name.endswith("acc_y") else 1e-3) for name in people[0].signals}
    views = [("lower_back", r) for r in [*people, replace(people[0], recording_id="still", signals=still)]]
    told = {view.recording_id: outcome for view, outcome in real_trained.left_out(views, CONFIG | {"steps": 2})}
    assert isinstance(told["still"], InputError) and len(told) == 9
    for outcome in (outcome for name, outcome in told.items() if name != "still"):
        steady = {name: value for name, value in outcome.items() if name != "all_strides"}
        assert all(isinstance(value, float) for value in steady.values()) and set(outcome["all_strides"]) == set(steady)


_AUDITED = """
import sys
written = []
def hook(event, args):
    if event == "open" and isinstance(args[0], str) and isinstance(args[1], str) and set(args[1]) & set("wax+"):
        written.append(args[0])
    if event in ("os.rename", "shutil.copyfile", "pickle.find_class"):
        written.append(str(args))
sys.path.insert(0, sys.argv[1])
from test_real_trained import CONFIG
from standin_recordings import standin_people
from synthgait.validate import real_trained
views = [("lower_back", r) for r in standin_people(4)]
sys.addaudithook(hook)
told = list(real_trained.left_out(views, CONFIG | {"steps": 2}))
import gc, torch
from synthgait.estimators.networks import StrideNetwork
gc.collect()
print(len(told), written, sum(isinstance(o, (StrideNetwork, torch.nn.Parameter)) for o in gc.get_objects()))
open(sys.argv[2], "w").close()
print(len(written))
"""


def test_nothing_is_written_and_no_network_outlives_the_call(tmp_path: Path) -> None:
    """An audit hook sees every file opened for writing; the garbage collector knows every network alive."""
    here = str(Path(__file__).parent)
    done = subprocess.run(
        [sys.executable, "-c", _AUDITED, here, str(tmp_path / "canary")],
        env={"PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1", "PYTHONPATH": ":".join([here, *sys.path]), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["8", "[]", "0", "1"]


def test_only_validation_reaches_fits_on_real_people_and_it_cannot_save() -> None:
    root = Path(synthgait.__file__).parent
    users = set()
    for path in root.rglob("*.py"):
        tree = ast.parse(path.read_text())
        names = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
        names |= {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom) for alias in node.names}
        if "real_trained" in " ".join(names):
            users.add(path.relative_to(root).as_posix())
        if path.stem == "real_trained":
            assert not names & {"save", "save_file", "GaitEstimator", "open", "write_bytes", "dump", "dumps", "state_dict"}
    assert users <= {"validate/run.py", "validate/ablation.py"}
