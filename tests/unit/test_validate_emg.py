"""EMG agreement: known answers, and rows with the keys of every validation."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from row_keys import ROW_KEYS
from synthgait.errors import InputError
from synthgait.recordings import Recording
from synthgait.validate import emg, run

PHASE = np.arange(100) / 100


def burst(centre: float, width: float = 0.08) -> np.ndarray:
    """One burst of activity on the circle of the cycle, (100,)."""
    apart = np.angle(np.exp(2j * np.pi * (PHASE - centre))) / (2 * np.pi)
    return np.exp(-0.5 * (apart / width) ** 2)


SHAPES = {"soleus": burst(0.45), "tibialis_anterior": burst(0.98), "gluteus_medius": burst(0.1)}


def recorded(
    person: str, shapes: dict[str, np.ndarray], speed: float = 1.2, side: str = "r", number: int = 0, **changes: object
) -> Recording:
    curves = {f"{muscle}_{side}": np.append(curve, curve[0]) for muscle, curve in shapes.items()}
    values: dict[str, object] = {
        "dataset": "d",
        "recording_id": f"{person}_{number}",
        "subject_id": person,
        "kind": "joint_angles",
        "signals": {"hip_flexion_r": 0.4 * np.cos(2 * np.pi * PHASE), "knee_flexion_r": 0.3 - 0.3 * np.cos(2 * np.pi * PHASE)},
        "sampling_rate_hz": 100.0,
        "pathology": "none",
        "truth": {"walking_speed_mps": speed},
        "emg": pd.DataFrame({"percent": np.arange(101.0)} | curves),
        "emg_side": side,
    }
    return Recording(**(values | changes))  # type: ignore[arg-type]


class Known:
    """Predicts the shapes above three times as large, its tibialis anterior upside down."""

    task = emg.TASK
    sensors = ("joint_angles",)

    def predict(self, recording: Recording, *, sensor: str | None = None, reference_side: str = "own") -> dict[str, object]:
        if recording.subject_id == "unreadable":
            raise InputError("no walking found")
        curves = SHAPES | {"tibialis_anterior": 1.0 - SHAPES["tibialis_anterior"]}
        half = {"r": {"r": 0, "l": 50}, "l": {"l": 0, "r": 50}}[reference_side]
        return {"emg": {f"{muscle}_{side}": np.roll(3.0 * curve, half[side]) for muscle, curve in curves.items() for side in "rl"}}


def test_curves_are_scaled_before_they_are_compared() -> None:
    r, mae, bias = emg.compare(SHAPES["soleus"], 7.0 * SHAPES["soleus"])
    assert r == pytest.approx(1.0) and mae == pytest.approx(0.0, abs=1e-12) and bias == pytest.approx(0.0, abs=1e-12)
    r, mae, _ = emg.compare(SHAPES["soleus"], np.roll(SHAPES["soleus"], 50))
    assert r < -0.2 and mae > 0.1
    assert emg.compare(SHAPES["soleus"], np.ones(100))[0] == 0.0


def test_onset_is_where_the_main_burst_rises_half_way() -> None:
    phase = np.arange(100) / 100
    for shift in (0.0, 0.25, 0.83):
        triangle = 0.2 + np.clip(1.0 - np.abs((phase - 0.3 - shift + 0.5) % 1.0 - 0.5) / 0.1, 0.0, None)
        small = 0.4 * np.clip(1.0 - np.abs((phase - 0.8 - shift + 0.5) % 1.0 - 0.5) / 0.1, 0.0, None)
        assert emg.onset(triangle + small) == pytest.approx((0.25 + shift) % 1.0, abs=1e-9)
    late = emg._later(SHAPES["soleus"], np.roll(SHAPES["soleus"], 7))
    assert np.isnan(late[0]) and late[1:] == (pytest.approx(0.07), pytest.approx(0.07))
    assert emg._later(SHAPES["soleus"], np.roll(SHAPES["soleus"], -7))[2] == pytest.approx(-0.07)


@pytest.mark.parametrize("side", ["r", "l"])
def test_rows_of_known_predictions(side: str) -> None:
    people = [recorded("a", SHAPES, side=side), recorded("b", SHAPES, side=side), recorded("unreadable", SHAPES, side=side)]
    table = run.pairs(people, Known(), progress=False, floors=())
    rows = {(row["quantity"], row["method"]): row for row in run.rows(table)}
    assert rows["muscle_activation_r_soleus", "zero_shot"]["r"] == pytest.approx(1.0)
    assert rows["muscle_activation_r_soleus", "zero_shot"]["mae"] == pytest.approx(0.0, abs=1e-9)
    assert rows["muscle_activation_r_tibialis_anterior", "zero_shot"]["r"] == pytest.approx(-1.0)
    mean = rows["muscle_activation_r", "zero_shot"]
    assert mean["r"] == pytest.approx(1.0 / 3.0)
    assert (mean["n_recordings"], mean["n_people"], mean["n_failed"]) == (2, 2, 1)
    assert set(mean) >= ROW_KEYS and mean["icc"] is None
    begun = rows["muscle_activation_onset_soleus", "zero_shot"]
    assert begun["mae"] == pytest.approx(0.0, abs=1e-9) and begun["r"] is None and begun["n_recordings"] == 2
    assert rows["muscle_activation_onset", "zero_shot"]["n_failed"] == 1
    assert table.loc[table["subject_id"] == "unreadable", "reason"].eq("no walking found").all()


def test_mean_envelope_is_of_other_people_at_like_speed() -> None:
    slow, fast = {"soleus": burst(0.2)}, {"soleus": burst(0.6)}
    others = [recorded("a", slow, 0.6), recorded("a", fast, 1.6, number=1), recorded("b", slow, 0.6), recorded("b", fast, 1.6, number=1)]
    near_slow = emg.mean_envelope(others, recorded("c", {}, 0.6))["soleus/own"]
    assert emg.compare(near_slow, burst(0.2))[0] > 0.99
    assert emg.compare(emg.mean_envelope(others, recorded("c", {}, 1.6))["soleus/own"], burst(0.6))[0] > 0.99
    # a person counts once, however many recordings there are
    many = [recorded("a", slow, 1.2, number=i) for i in range(9)] + [recorded("b", fast, 1.2)]
    assert emg.mean_envelope(many, recorded("c", {}, 1.2))["soleus/own"] == pytest.approx(0.5 * (burst(0.2) + burst(0.6)))
    # own curves are never used, and the floor is a row
    table = run.pairs([recorded("a", slow, 1.2), recorded("b", fast, 1.2)], None, progress=False)
    floor = table[(table["method"] == "floor:mean_envelope") & (table["quantity"] == "muscle_activation_r_soleus")]
    assert len(floor) == 2 and (floor["curve_r"] < 0.2).all()


def test_a_muscle_nobody_else_has_comes_from_other_datasets() -> None:
    own = [recorded("a", {"soleus": burst(0.4)})]
    far = [recorded("z", {"soleus": burst(0.9), "peroneus": burst(0.5)}, dataset="e")]
    found = emg.mean_envelope(own + far, recorded("b", {}))
    assert found["soleus/own"] == pytest.approx(burst(0.4)) and found["peroneus/own"] == pytest.approx(burst(0.5))


def test_the_other_side_keeps_its_own_place_in_the_cycle() -> None:
    view = recorded("a", SHAPES)
    assert view.emg is not None
    view.emg["soleus_l"] = np.append(burst(0.95), burst(0.95)[0])
    found = emg.measured(view)
    assert found["soleus/own"] == pytest.approx(SHAPES["soleus"]) and found["soleus/other"] == pytest.approx(burst(0.95))
