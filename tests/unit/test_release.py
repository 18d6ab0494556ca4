"""Release folders: split by person and descent, re-read whole, any change is found."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest

from synthgait import bundled, cli, inspection, release, storage
from synthgait.conventions import SIGNAL_GROUPS
from synthgait.errors import InputError
from synthgait.trials import Trials


def dataset(n_people: int = 30, per_person: int = 3) -> Trials:
    rng = np.random.default_rng(4)
    n = n_people * per_person
    person = np.arange(n) // per_person
    table = pd.DataFrame(
        {
            "trial_id": [f"t{i}" for i in range(n)],
            "subject_id": [f"p{i}" for i in person],
            "pathology": np.where(person % 3 == 0, "parkinson", "none"),
            "age_years": rng.uniform(20, 80, n),
            "walking_speed_mps": rng.uniform(0.5, 1.5, n),
            "status": np.where(np.arange(n) % 10 == 7, "not_converged", "ok"),
            "seed": np.arange(n),
            "source_trial_id": "",
        }
    )
    # Person 1's trials descend from trial 0 of person 0, so the two may not be parted.
    table.loc[table["subject_id"] == "p1", "source_trial_id"] = "t0"
    group = "joint_angles"
    return Trials(table, {group: rng.normal(size=(n, 10, len(SIGNAL_GROUPS[group].channels))).astype(np.float32)})


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("release")
    whole = dataset()
    storage.write(whole.select(np.arange(40)), folder / "a.h5")
    storage.write(whole.select(np.arange(40, 90)), folder / "b.h5")
    told = release.create([folder / "a.h5", folder / "b.h5"], folder / "tiny", name="tiny", description="For the tests.")
    assert told["n_trials"] == 90 and told["n_ok"] == 81 == sum(told["by_split"].values()) and told["n_subjects"] == 30
    return folder / "tiny"


def copied(released: Path, tmp_path: Path) -> Path:
    import shutil

    return Path(shutil.copytree(released, tmp_path / "copy"))


def test_what_is_released_is_what_was_given(released: Path) -> None:
    whole = dataset()
    seen = 0
    for path in released.glob("*/*.h5"):
        part = storage.read(path)
        rows = [int(name[1:]) for name in part.table["trial_id"]]
        np.testing.assert_array_equal(part.signals["joint_angles"], whole.signals["joint_angles"][rows])
        seen += len(rows)
    assert seen == 81


def test_nobody_is_in_two_splits_and_all_splits_have_every_pathology(released: Path) -> None:
    table = pd.read_csv(released / "trials.csv", keep_default_na=False)
    ok = table[table["status"] == "ok"]
    assert (ok.groupby("subject_id")["split"].nunique() == 1).all()
    assert ok.loc[ok["subject_id"].isin(["p0", "p1"]), "split"].nunique() == 1
    assert (ok.groupby("split")["pathology"].nunique() == 2).all() and set(ok["split"]) == set(release.SPLITS)
    assert (ok["split"] == "train").mean() == pytest.approx(0.8, abs=0.07)


def test_statistics_are_of_the_training_split(released: Path) -> None:
    stats = json.loads((released / "stats.json").read_text())
    train = storage.read(next((released / "train").glob("*.h5")))
    hip = train.channel("hip_flexion_r").astype(float)
    told = stats["joint_angles"]["hip_flexion_r"]
    np.testing.assert_allclose([told[k] for k in ("mean", "std", "min", "max")], [hip.mean(), hip.std(), hip.min(), hip.max()], rtol=1e-6)
    assert told["count"] == hip.size


def test_the_same_data_give_the_same_release(released: Path, tmp_path: Path) -> None:
    again = tmp_path / "again"
    release.create([released.parent / "a.h5", released.parent / "b.h5"], again, name="tiny", description="For the tests.")
    assert (again / "SHA256SUMS").read_text() == (released / "SHA256SUMS").read_text()
    with pytest.raises(InputError, match="exists"):
        release.create([released.parent / "a.h5"], again, name="tiny", description="x")


def test_any_change_is_found(released: Path, tmp_path: Path) -> None:
    for path in sorted(p.relative_to(released) for p in released.rglob("*") if p.is_file() and p.name != "SHA256SUMS"):
        folder = copied(released, tmp_path / str(path).replace("/", "_"))
        block = bytearray((folder / path).read_bytes())
        block[len(block) // 2] ^= 1
        (folder / path).write_bytes(bytes(block))
        with pytest.raises(InputError, match=path.name):
            release.verify(folder)
        (folder / path).unlink()
        with pytest.raises(InputError, match="missing"):
            release.verify(folder)
    folder = copied(released, tmp_path / "extra")
    (folder / "train" / "more.h5").write_bytes(b"x")
    with pytest.raises(InputError, match="not listed"):
        release.verify(folder)


def rehash(folder: Path) -> None:
    lines = [f"{release._sha256(p)}  {p.relative_to(folder)}\n" for p in release._files(folder)]
    (folder / "SHA256SUMS").write_text("".join(lines))


def test_a_release_that_is_wrong_though_its_sums_are_right_is_found(released: Path, tmp_path: Path) -> None:
    def wrong(name: str, change, told: str) -> None:
        folder = copied(released, tmp_path / name)
        change(folder)
        rehash(folder)
        with pytest.raises(InputError, match=told):
            release.verify(folder)

    def other_split(folder: Path) -> None:
        table = pd.read_csv(folder / "trials.csv", keep_default_na=False)
        row = table.index[table["split"] == "train"][0]
        table.loc[row, "split"] = "test"
        table.to_csv(folder / "trials.csv", index=False)

    def other_statistics(folder: Path) -> None:
        stats = json.loads((folder / "stats.json").read_text())
        stats["joint_angles"]["hip_flexion_r"]["mean"] += 0.1
        (folder / "stats.json").write_text(json.dumps(stats))

    def other_file(folder: Path) -> None:
        shard = next((folder / "test").glob("*.h5"))
        trials = storage.read(shard)
        trials.table.loc[0, "trial_id"] = "somebody"
        storage.write(trials, shard)

    def other_channels(folder: Path) -> None:
        text = (folder / "channels.csv").read_text()
        (folder / "channels.csv").write_text(text.replace("hip_flexion_r", "hip_flexion_q", 1))

    wrong("split", other_split, "two splits")
    wrong("statistics", other_statistics, "statistics")
    wrong("file", other_file, "does not hold the trials")
    wrong("channels", other_channels, "channels.csv")
    wrong("croissant", lambda folder: (folder / "README.md").write_text("other"), "croissant.json")


@pytest.mark.parametrize("name", ["", "a/b", ".hidden", "two\nlines", "a: b"])
def test_a_name_that_no_file_can_begin_with_is_refused(tmp_path: Path, name: str) -> None:
    storage.write(dataset(1), tmp_path / "a.h5")
    with pytest.raises(InputError, match="the release's name is"):
        release.create([tmp_path / "a.h5"], tmp_path / "new", name=name, description="For the tests.")
    assert [p.name for p in tmp_path.iterdir()] == ["a.h5"]


def test_data_that_make_no_release_are_told(tmp_path: Path) -> None:
    trials = dataset(1)
    storage.write(trials, tmp_path / "a.h5")
    with pytest.raises(InputError, match="'t0' is in the data twice"):
        release.create([tmp_path / "a.h5"] * 2, tmp_path / "new", name="new", description="For the tests.")
    trials.table["status"] = "not_converged"
    storage.write(trials, tmp_path / "a.h5")
    with pytest.raises(InputError, match="no trial of the data is ok"):
        release.create([tmp_path / "a.h5"], tmp_path / "new", name="new", description="For the tests.")
    assert [p.name for p in tmp_path.iterdir()] == ["a.h5"]


def test_damaged_sums_are_told(released: Path, tmp_path: Path) -> None:
    copy = copied(released, tmp_path)
    sums = copy / "SHA256SUMS"
    sums.write_bytes(sums.read_bytes().replace(b"trials.csv", b"trials\xff.csv"))
    with pytest.raises(InputError, match="download the release again"):
        release.verify(copy)
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "SHA256SUMS").touch()
    with pytest.raises(InputError, match="lists no files"):
        release.verify(tmp_path / "empty")


def test_inspect_tells_a_release(released: Path, tmp_path: Path) -> None:
    told = inspection.inspect(released)
    assert told["kind"] == "release" and told["n_ok"] == 81
    folder = copied(released, tmp_path)
    (folder / "README.md").unlink()
    assert inspection.inspect(folder)["kind"] == "broken"


def test_what_ships_is_verified(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["synthgait", "release", "--verify"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    told = capsys.readouterr()
    sentence, empty, *came = told.out.splitlines()
    assert not ended.value.code and told.err == "" and "agree" in sentence and empty == ""
    table = storage.read(bundled.seed_dataset(), groups=[]).table
    assert f"{(table['status'] == 'ok').sum()} gaits" in sentence
    assert came[-1].split()[0].startswith("certificate_") and float(came[-1].split()[1]) < 1e-3
    row = next(line.split() for line in came if line.startswith("hemiparesis"))
    ill = table[table["pathology"] == "hemiparesis"]
    people = ill.loc[ill["status"] == "ok", "subject_id"].nunique()
    assert row[1:3] == [str(len(ill)), str((ill["status"] == "ok").sum())] and row[-1] == str(people)


def test_a_damaged_bundle_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, card = tmp_path / "seed-v1.h5", tmp_path / "seed-v1.md"
    monkeypatch.setattr(bundled, "seed_dataset", lambda: path)
    storage.write(dataset(), path)
    whole, figures = path.read_bytes(), release._figures(storage.read(path, groups=[]).table)

    def carded(change: str = "", to: str = "") -> None:
        lines = [f"- SHA-256 of {path.name}: {release._sha256(path)}", *figures]
        card.write_text("\n".join(lines).replace(change, to, 1) if change else "\n".join(lines))

    carded()
    came = {
        "none": {"tried": 60, "certified": 54, "people": 20},
        "parkinson": {"tried": 30, "certified": 27, "people": 10},
        "all": {"tried": 90, "certified": 81, "people": 30},
    }
    counts = {"n_trials": 90, "n_ok": 81, "n_subjects": 30, "n_files": 2, "by_pathology": {"none": 54, "parkinson": 27}}
    assert release.verify() == counts | {"yield": came, "certificate": {}}
    with h5py.File(path) as file:
        inside = file["signals/joint_angles"].id.get_chunk_info(0).byte_offset + 100
    broken = bytearray(whole)
    broken[inside] ^= 1
    path.write_bytes(bytes(broken))
    with pytest.raises(InputError, match="SHA-256"):
        release.verify()
    carded()  # a card that tells the digest of the broken file: the file's own checksums find it
    with pytest.raises(InputError, match=r"seed-v1\.h5"):
        release.verify()
    path.write_bytes(whole)
    for change, to in (("81 gaits", "82 gaits"), ("of 30", "of 31"), ("| parkinson | 10", "| parkinson | 11"), ("| age_years", "| age")):
        carded(change, to)
        with pytest.raises(InputError, match="does not say"):
            release.verify()
    card.unlink()
    with pytest.raises(InputError, match="SHA-256"):
        release.verify()
