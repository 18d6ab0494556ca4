"""The file format: what is written comes back, equal trials give equal bytes, damage is told."""

from __future__ import annotations

import fcntl
import shutil
import time
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest

from synthgait import chunks, storage
from synthgait.conventions import SIGNAL_GROUPS, TRIAL_COLUMNS
from synthgait.errors import InputError
from synthgait.trials import Trials

GOLDEN = Path(__file__).parents[1] / "golden" / "format_v1.0.h5"


def some_trials(n: int = 5, seed: int = 0, groups: tuple[str, ...] = ("joint_angles", "ground_reaction"), samples: int = 20) -> Trials:
    rng = np.random.default_rng(seed)
    table = pd.DataFrame(
        {
            "trial_id": [f"trial_{seed}_{i}" for i in range(n)],
            "subject_id": [f"person_{i // 2}" for i in range(n)],
            "age_years": rng.uniform(8, 80, n),
            "pathology": ["none", "parkinson"] * (n // 2) + ["none"] * (n % 2),
            "seed": np.arange(n),
            "status": "ok",
            "status_message": "née Müller walked",
            "condition_walking_speed_mps": rng.uniform(0.5, 1.5, n),
        }
    )
    signals = {g: rng.normal(size=(n, samples, len(SIGNAL_GROUPS[g].channels))).astype(np.float32) for g in groups}
    events = pd.DataFrame(
        {
            "trial_index": np.repeat(np.arange(n), 2),
            "event": ["initial_contact", "final_contact"] * n,
            "side": "r",
            "time_s": np.tile([0.0, 0.6], n),
        }
    )
    return Trials(table, signals, events=events, attributes={"name": "test"}, provenance={"config": "a: 1\nβ: 2", "git_commit": "abc"})


def write_golden(path: Path) -> None:
    """How the archived file was made; it must never be made again for version 1.0."""
    storage.write(some_trials(3, seed=1, samples=8), path)


def assert_same(a: Trials, b: Trials) -> None:
    assert a.channels == b.channels
    for group in a.signals:
        np.testing.assert_array_equal(a.signals[group], b.signals[group])
    for name in a.table:
        pd.testing.assert_series_equal(a.table[name].reset_index(drop=True), b.table[name], check_dtype=False)
    pd.testing.assert_frame_equal(a.events.reset_index(drop=True), b.events, check_dtype=False)


def test_what_is_written_comes_back(tmp_path: Path) -> None:
    trials = some_trials()
    storage.write(trials, tmp_path / "a.h5")
    back = storage.read(tmp_path / "a.h5")
    assert_same(trials, back)
    assert back.provenance == trials.provenance and back.attributes["name"] == "test" and back.kind == "seed"
    assert set(TRIAL_COLUMNS) <= set(back.table) and np.isnan(back.table["cadence_spm"]).all()
    assert not list(tmp_path.glob("*.partial"))


def test_a_lock_that_a_starting_process_still_holds_is_no_hindrance(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    storage.write(some_trials(3, seed=1, samples=8), path)
    with path.open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        storage.check(path)
        assert len(storage.read(path)) == 3


def test_rows_and_groups(tmp_path: Path) -> None:
    trials = some_trials(7)
    storage.write(trials, tmp_path / "a.h5")
    back = storage.read(tmp_path / "a.h5", groups=["ground_reaction"], rows=[5, 1, 2])
    expected = trials.select([5, 1, 2])
    assert list(back.signals) == ["ground_reaction"]
    np.testing.assert_array_equal(back.signals["ground_reaction"], expected.signals["ground_reaction"])
    assert list(back.table["trial_id"]) == list(expected.table["trial_id"])
    pd.testing.assert_frame_equal(back.events, expected.events, check_dtype=False)
    mask = np.arange(7) == 3
    assert list(storage.read(tmp_path / "a.h5", groups=[], rows=mask).table["trial_id"]) == ["trial_0_3"]
    whole = Trials.concatenate(list(storage.iterate(tmp_path / "a.h5", batch=2)))
    assert_same(trials, whole)
    with pytest.raises(InputError, match="no signal group"):
        storage.read(tmp_path / "a.h5", groups=["brain_waves"])


def test_equal_trials_give_equal_bytes_however_they_are_appended(tmp_path: Path) -> None:
    trials = some_trials(600)
    storage.write(trials, tmp_path / "a.h5")
    time.sleep(1.1)  # a time stamp would show
    with storage.writer(tmp_path / "b.h5", expected_rows=600) as file:
        for start in range(0, 600, 77):
            file.append(trials.select(np.arange(start, min(600, start + 77))))
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()
    assert_same(trials, storage.read(tmp_path / "b.h5"))


def test_a_writer_that_fails_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    storage.write(some_trials(), path)
    before = path.read_bytes()
    with pytest.raises(ZeroDivisionError), storage.writer(path) as file:
        file.append(some_trials(seed=3))
        raise ZeroDivisionError
    assert path.read_bytes() == before and [p.name for p in tmp_path.iterdir()] == ["a.h5"]


@pytest.mark.parametrize("share", [0.0, 0.02, 0.3, 0.6, 0.99])
def test_a_file_cut_short_is_told(tmp_path: Path, share: float) -> None:
    path = tmp_path / "cut.h5"
    storage.write(some_trials(), path)
    block = path.read_bytes()
    path.write_bytes(block[: int(share * len(block))])
    for reader in (storage.check, storage.read, storage.describe):
        with pytest.raises(InputError, match=r"cut\.h5"):
            reader(path)


def test_a_flipped_byte_of_a_signal_is_found(tmp_path: Path) -> None:
    path = tmp_path / "flip.h5"
    storage.write(some_trials(), path)
    with h5py.File(path) as file:
        start = file["signals/joint_angles"].id.get_chunk_info(2).byte_offset
    block = bytearray(path.read_bytes())
    block[start + 100] ^= 0xFF
    path.write_bytes(bytes(block))
    with pytest.raises(InputError, match="damaged"):
        storage.check(path)


def test_a_chunk_that_hdf5_would_replace_by_zeros_is_found(tmp_path: Path) -> None:
    whole, path = tmp_path / "whole.h5", tmp_path / "a.h5"
    storage.write(some_trials(), whole)
    for name in ("trials/age_years", "events/time_s"):
        shutil.copy(whole, path)
        with h5py.File(path, "r+") as file:
            kind, rows = file[name].dtype, file[name].shape
            del file[name]
            file.create_dataset(name, rows, kind, chunks=(1024,), maxshape=(None,))
        with pytest.raises(InputError, match=f"/{name} is damaged"):
            storage.check(path)


def test_a_column_that_claims_billions_of_rows_is_told_before_they_are_made(tmp_path: Path) -> None:
    for name in ("trials/age_years", "trials/trial_id", "events/time_s"):
        path = tmp_path / f"{name.replace('/', '_')}.h5"
        storage.write(some_trials(), path)
        with h5py.File(path, "r+") as file:
            file[name].resize(2**40, axis=0)
        begun = time.monotonic()
        with pytest.raises(InputError, match=name):
            storage.check(path)
        assert time.monotonic() - begun < 5.0


def test_whatever_byte_is_hit_the_file_is_read_or_told_in_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    storage.write(some_trials(2, samples=4, groups=("ground_reaction",)), path)
    block, rng = path.read_bytes(), np.random.default_rng(0)
    with h5py.File(path) as file:
        stored = [array.id.get_chunk_info(0) for array in file["trials"].values()]
    told = 0
    for place in rng.integers(min(info.byte_offset for info in stored), size=250):
        hit = bytearray(block)
        hit[place] ^= 1 << rng.integers(8)
        path.write_bytes(hit)
        try:
            storage.check(path)
            storage.describe(path)
            storage.read(path)
        except InputError:
            told += 1
    assert told > 20


def test_a_place_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    for path in (tmp_path / "folder", tmp_path / "file" / "a.h5", Path("/proc/a.h5")):
        with pytest.raises(InputError, match=f"{path} cannot be written"):
            storage.write(some_trials(), path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "folder"]
    with pytest.raises(InputError, match="folder is no file"):
        storage.read(tmp_path / "folder")


def test_the_checksum_is_that_of_hdf5(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    storage.write(some_trials(40), path)
    with h5py.File(path) as file:
        for array in file["signals"].values():
            for row in range(len(array)):
                chunk = array.id.read_direct_chunk((row, 0, 0))[1]
                assert chunks.fletcher32(chunk[:-4]) == int.from_bytes(chunk[-4:], "little")
    with h5py.File(tmp_path / "extremes.h5", "w") as file:
        for content in (b"\0" * 8, b"\xff" * 8, b"\xff" * 7, b"\xff\xfe\0\1" * 2, b"\x12\x34\x56"):
            data = file.create_dataset(content.hex(), data=np.frombuffer(content, np.uint8), chunks=(len(content),), fletcher32=True)
            chunk = data.id.read_direct_chunk((0,))[1]
            assert chunks.fletcher32(content) == int.from_bytes(chunk[-4:], "little")


def test_other_files_are_told(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    with pytest.raises(InputError, match="does not exist"):
        storage.read(path)
    with h5py.File(path, "w") as file:
        file["x"] = 1
    with pytest.raises(InputError, match="not a synthgait dataset"):
        storage.read(path)
    storage.write(some_trials(), path)
    with h5py.File(path, "r+") as file:
        file.attrs["format_version"] = "9.0"
    with pytest.raises(InputError, match=r"format_version 9\.0"):
        storage.check(path)


def test_check_finds_broken_rules(tmp_path: Path) -> None:
    trials = some_trials()
    trials.table.loc[1, "trial_id"] = "trial_0_0"
    with pytest.raises(InputError, match="'trial_0_0' twice"):
        storage.write(trials, tmp_path / "a.h5")
    trials = some_trials()
    trials.table["status"] = "wonderful"
    with pytest.raises(InputError, match="wonderful"):
        storage.write(trials, tmp_path / "a.h5")
    trials = some_trials()
    trials.table["subject_id"] = "x" * 500
    with pytest.raises(InputError, match="subject_id"):
        storage.write(trials, tmp_path / "a.h5")
    trials = some_trials()
    trials.table["age_years"] = "old"
    with pytest.raises(InputError, match="age_years"):
        storage.write(trials, tmp_path / "a.h5")
    assert not list(tmp_path.iterdir())


def test_pack_streams_units_and_fills_what_failed(tmp_path: Path) -> None:
    good, failed = some_trials(2, seed=1), Trials(some_trials(1, seed=2).table, provenance={})
    failed.table["status"] = "not_converged"
    good.table["certificate_residual_n"] = 0.5
    storage.write(failed, tmp_path / "0.h5")
    storage.write(good, tmp_path / "1.h5")
    storage.pack([tmp_path / "0.h5", tmp_path / "1.h5"], tmp_path / "all.h5", provenance={"config": "x"})
    back = storage.read(tmp_path / "all.h5")
    assert list(back.table["status"]) == ["not_converged", "ok", "ok"]
    assert np.isnan(back.signals["joint_angles"][0]).all()
    np.testing.assert_array_equal(back.signals["joint_angles"][1:], good.signals["joint_angles"])
    np.testing.assert_array_equal(back.table["certificate_residual_n"], [np.nan, 0.5, 0.5])
    assert set(back.events["trial_index"]) == {1, 2} and back.provenance == {"config": "x"}
    other = some_trials(1, seed=4, groups=("pelvis",))
    storage.write(other, tmp_path / "2.h5")
    with pytest.raises(InputError, match=r"2\.h5"):
        storage.pack([tmp_path / "1.h5", tmp_path / "2.h5"], tmp_path / "bad.h5")


def test_describe(tmp_path: Path) -> None:
    storage.write(some_trials(5), tmp_path / "a.h5")
    told = storage.describe(tmp_path / "a.h5")
    assert (told["kind"], told["format_version"], told["n_trials"], told["n_ok"], told["n_subjects"]) == ("seed", "1.0", 5, 5, 3)
    assert told["by_pathology"] == {"none": 3, "parkinson": 2}


def test_units_of_groups_outside_the_conventions_are_kept(tmp_path: Path) -> None:
    trials = some_trials(2, groups=())
    trials.signals["imu_foot_r"] = np.ones((2, 20, 1), np.float32)
    trials.channels["imu_foot_r"] = ("acc_x",)
    trials.attributes["imu_foot_r@units"] = "m/s^2"
    trials.sampling_rate_hz = 100.0
    storage.write(trials, tmp_path / "a.h5")
    back = storage.read(tmp_path / "a.h5")
    assert back.attributes["imu_foot_r@units"] == "m/s^2" and back.sampling_rate_hz == 100.0


def test_the_archived_file_of_version_1_0_stays_readable(tmp_path: Path) -> None:
    copy = shutil.copy(GOLDEN, tmp_path / "golden.h5")
    storage.check(copy)
    assert_same(some_trials(3, seed=1, samples=8), storage.read(copy))
