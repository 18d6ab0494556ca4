"""Sensor datasets: every instrument is set as asked, and what is not there or does nothing is named."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from analytic_walker import analytic_population
from synthgait import cli, sensing, storage
from synthgait.bundled import folder
from synthgait.errors import InputError
from synthgait.estimators import sense as training
from synthgait.sensors import KEYPOINT_SETS, base
from synthgait.sensors.camera import VIEWS_RAD
from synthgait.trials import Trials


@pytest.fixture(scope="module")
def strides() -> Trials:
    return analytic_population(2, seed=3)


def _sensed(strides: Trials, folder: Path, name: str, **settings: object) -> Trials:
    (path,) = sensing.sense(strides, [name], folder, duration_s=3.0, settings=sensing.Settings(**settings))  # type: ignore[arg-type]
    return storage.read(path)


def test_mountings_and_impacts_change_what_an_imu_reads(strides: Trials, tmp_path: Path) -> None:
    plain = _sensed(strides, tmp_path, "shank_r").signals["imu_shank_r"]
    for settings in ({"mounting": "strapped"}, {"impact": "hard_heels"}, {"imu_class": "phone"}):
        one, two = (_sensed(strides, tmp_path, "shank_r", **settings).signals["imu_shank_r"] for _ in range(2))
        assert np.abs(one - plain).max() > 0.5
        np.testing.assert_array_equal(one, two)


def test_cameras_film_from_every_view_with_every_set(strides: Trials, tmp_path: Path) -> None:
    for points, names in KEYPOINT_SETS.items():
        filmed = _sensed(strides, tmp_path, "camera", view="back_left", keypoints=points, panning=True)
        assert filmed.signals["keypoint_confidence"].shape[2] == len(names)
        assert _sensed(strides, tmp_path, "keypoints_3d", keypoints=points).signals["keypoints_3d"].shape[2] == 3 * len(names)
    assert {"front", "back", "left", "right", "front_left", "front_right", "back_left", "back_right"} == set(VIEWS_RAD)
    made = [sensing.instrument(f"camera_{view}") for view in VIEWS_RAD]
    assert [camera.azimuth_rad for camera in made] == list(VIEWS_RAD.values())  # type: ignore[attr-defined]


def test_emg_is_raw_where_asked(strides: Trials, tmp_path: Path) -> None:
    envelope, raw = (_sensed(strides, tmp_path, "emg", emg=kind) for kind in sensing.EMG_KINDS)
    assert envelope.sampling_rate_hz == 100.0 and raw.sampling_rate_hz == 1000.0
    assert envelope.signals["emg"].min() >= 0.0 > raw.signals["emg"].min()


def test_classes_of_errors(strides: Trials, tmp_path: Path) -> None:
    exact = _sensed(strides, tmp_path, "insole")
    errors = sensing.error_classes(["insole=consumer"])
    assert not np.array_equal(
        _sensed(strides, tmp_path, "insole", errors=errors).signals["insole"], exact.signals["insole"], equal_nan=True
    )


def test_bad_words_are_one_sentence_with_the_known_ones(
    strides: Trials, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    data = tmp_path / "strides.h5"
    storage.write(strides, data)
    for words, known in (
        ("--mounting glued", "taped, strapped, pocket"), ("--impact stilettos", "hard_heels, soft_shoes, any"),
        ("--imu-class toy", "research, consumer, phone"), ("--sensor camera --view above", "front, front_right"),
        ("--sensor camera --keypoints coco_18", "coco_17, body_25"), ("--sensor emg --emg loud", "envelope, raw"),
        ("--sensor nose", "camera_back_left"), ("--errors camera", "camera=good_video"),
        ("--sensor insole --errors insole=toy", "research, consumer"), ("--sensor emg --mounting taped", "the setting mounting"),
        ("--sensor camera_front --view back", "the setting view"), ("--errors emg=wearable", "the setting emg"),
    ):  # fmt: skip
        monkeypatch.setattr(sys, "argv", ["synthgait", "sense", str(data), "-o", str(tmp_path / "out"), *words.split()])
        with pytest.raises(SystemExit) as end:
            cli.main()
        told = capsys.readouterr().err
        assert end.value.code == 2 and told.count("\n") == 1 and known in told, told
        assert not (tmp_path / "out").exists()


def test_a_declaration_that_cannot_be_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of trainings, which have the most numbers; the other classes are read in the same way."""
    whole = (folder("simulations") / "sensors" / "training.yaml").read_text()
    (tmp_path / "sensors").mkdir()
    monkeypatch.setattr(base, "folder", lambda _: tmp_path)
    for old, new, named in (
        ("  gain_sd: 0.05", "  gain_ds: 0.05", "unknown key 'gain_ds'"), ("  gain_sd: 0.05\n", "", "'gain_sd' is missing"),
        ("one_sided_chance: 0.25", "one_sided_chance: 1.5", "one_sided_chance"),
        ("lifted_harmonics: 2", "lifted_harmonics: 2.5", "lifted_harmonics"),
        ("toe_: 0.5", "toe_: often", "missing_chance.toe_"), ("[0.65, 1.05]", "[0.65]", "lifted_squeeze"),
    ):  # fmt: skip
        assert whole.count(old) == 1, old
        (tmp_path / "sensors" / "training.yaml").write_text(whole.replace(old, new))
        with pytest.raises(InputError, match=named):
            base.declared(training.Variation, "training", "usual")


def test_muscles_are_not_taught_by_walks(strides: Trials) -> None:
    with pytest.raises(InputError, match=r"lower_back.*joint_angles"):
        training.sense(strides, "lower_back", np.random.default_rng(0), task="muscle_activation", walks=4, strides=3)
