"""Release folders: a dataset as others download it, and the check that re-reads everything.

In: dataset files. Out: a folder with card (README.md), ``croissant.json``, ``SHA256SUMS``,
``trials.csv``, ``channels.csv``, ``stats.json`` (train only), ``FORMAT.md`` and the shards of
``train/``, ``validation/`` and ``test/``.

Splits are by subject and by descent: people who are linked through ``source_trial_id`` stay together.
Only trials that are ``ok`` are in a split; the failed ones are rows of ``trials.csv``.

The bundled seed dataset is verified as it lies in the package, by the card beside it.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import synthgait
from synthgait import bundled, storage, yields
from synthgait.conventions import FORMAT_VERSION, SIGNAL_GROUPS, TRIAL_COLUMNS
from synthgait.errors import InputError
from synthgait.trials import Trials

SPLITS = ("train", "validation", "test")
FRACTIONS = (0.8, 0.1, 0.1)
SHARD_ROWS = 20_000
_SUMS = "SHA256SUMS"
#: Channel types of BIDS-Motion (specification 1.9), by signal group.
_BIDS_TYPES = {"joint_angles": "JNTANG", "pelvis": "POS", "centre_of_pressure": "POS"}


def create(
    dataset_paths: Sequence[str | Path], folder: str | Path, *, name: str, description: str, license: str = "CC-BY-4.0", seed: int = 0
) -> dict[str, Any]:
    """Make a release folder of one dataset (all its files) and verify it.

    Returns:
        What ``verify`` returns.

    Raises:
        InputError: the folder exists, the name cannot be a file's, a file is damaged, a trial is there twice, or none is ok.
    """
    folder = Path(folder)
    if folder.exists():
        raise InputError(f"{folder} exists; remove it or give another folder")
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._ -]*", name):
        raise InputError(f"the release's name is {name!r}; write one of letters, digits, spaces and . _ -, as its files begin with it")
    paths = [Path(path) for path in dataset_paths]
    table = pd.concat([storage.read(path, groups=[]).table.assign(_file=i) for i, path in enumerate(paths)], ignore_index=True)
    if len(twice := table["trial_id"][table["trial_id"].duplicated()]):
        raise InputError(f"the trial {twice.iloc[0]!r} is in the data twice; give each dataset once")
    if not (table["status"] == "ok").any():
        raise InputError("no trial of the data is ok; there is nothing to release")
    partial = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    table["split"] = split_by_lineage(table, seed)
    files = np.full(len(table), "", object)
    for split in SPLITS:
        _write_split(paths, table, split, partial, name, license, files)
    table["file"] = files
    table.drop(columns="_file").to_csv(partial / "trials.csv", index=False)
    shards = sorted(partial.glob("*/*.h5"))
    _channels(shards[0]).to_csv(partial / "channels.csv", index=False)
    _write_json(partial / "stats.json", _statistics([p for p in shards if p.parent.name == "train"]))
    (partial / "FORMAT.md").write_text(resources.files("synthgait").joinpath("FORMAT.md").read_text())
    (partial / "README.md").write_text(_card(table, name, description, license, storage.describe(shards[0])["kind"]))
    _write_json(partial / "croissant.json", _croissant(partial, name, description, license))
    (partial / _SUMS).write_text("".join(f"{_sha256(path)}  {path.relative_to(partial)}\n" for path in _files(partial)))
    summary = verify(partial)
    os.replace(partial, folder)
    return summary


def split_by_lineage(table: pd.DataFrame, seed: int = 0) -> np.ndarray:
    """Split of every row ("" for trials that are not ok): 80/10/10 of the people within each pathology.

    Rows that share a subject, or of which one descends from the other or both from one trial, are in
    the same split.
    """
    families = _families(table)
    ok = (table["status"] == "ok").to_numpy()
    split = np.full(len(table), "", object)
    of_family = (
        pd.DataFrame({"family": families, "pathology": table["pathology"].to_numpy()})[ok].groupby("family")["pathology"].agg(_commonest)
    )
    for pathology, members in of_family.groupby(of_family):
        rng = np.random.default_rng([seed, int.from_bytes(hashlib.sha256(str(pathology).encode()).digest()[:4], "big")])
        order = rng.permutation(np.sort(members.index.to_numpy()))
        n_few = [max(round(f * len(order)), 1 if len(order) >= len(SPLITS) else 0) for f in FRACTIONS[1:]]
        cuts = np.cumsum([len(order) - sum(n_few), *n_few])[:-1]
        for name, part in zip(SPLITS, np.split(order, cuts), strict=True):
            split[ok & np.isin(families, part)] = name
    return split


def _commonest(values: pd.Series) -> str:
    return str(values.value_counts().sort_index(ascending=False).sort_values(kind="stable").index[-1])


def _families(table: pd.DataFrame) -> np.ndarray:
    """A number per row, equal for rows linked by subject or descent (union-find)."""
    parent: dict[str, str] = {}

    def root(node: str) -> str:
        parent.setdefault(node, node)
        while parent[node] != node:
            parent[node] = parent[parent[node]]
            node = parent[node]
        return node

    rows = list(zip(table["trial_id"], table["subject_id"], table["source_trial_id"], strict=True))
    for trial, subject, source in rows:
        own = root(f"trial {trial}")
        for other in (f"subject {subject}", *([f"trial {source}"] if source else [])):
            parent[root(other)] = own = root(own)
    numbers: dict[str, int] = {}
    return np.array([numbers.setdefault(root(f"trial {trial}"), len(numbers)) for trial, _, _ in rows])


def _write_split(paths: list[Path], table: pd.DataFrame, split: str, folder: Path, name: str, license: str, files: np.ndarray) -> None:
    """The shards of one split; notes in ``files`` where each row went."""
    wanted = np.flatnonzero(table["split"] == split)
    for number, start in enumerate(range(0, len(wanted), SHARD_ROWS)):
        rows = wanted[start : start + SHARD_ROWS]
        path = folder / split / f"{name}_{split}_{number:03d}.h5"
        path.parent.mkdir(exist_ok=True)
        attributes = {"name": name, "license": license, "split": split}
        columns = storage.column_kinds(table.drop(columns=["_file", "split"]))
        with storage.writer(path, attributes=attributes, columns=columns, expected_rows=len(rows)) as file:
            for i, source in enumerate(paths):
                first = int(np.flatnonzero(table["_file"] == i)[0])
                own = rows[table["_file"].to_numpy()[rows] == i] - first
                for batch in range(0, len(own), 512):
                    file.append(storage.read(source, rows=own[batch : batch + 512]))
        files[rows] = str(path.relative_to(folder))


def _channels(path: Path) -> pd.DataFrame:
    """One row per channel with the columns of BIDS-Motion's channels file, and its group."""
    trials = storage.read(path, rows=[0])
    rows = []
    for group, names in trials.channels.items():
        known = SIGNAL_GROUPS.get(group)
        for name in names:
            parts = name.split("_")
            component = next((part for part in parts[::-1] if part in ("x", "y", "z")), "n/a")
            if name.startswith("pelvis_t") and len(name) == len("pelvis_tx"):
                component = name[-1]
            rows.append(
                {
                    "name": name,
                    "component": component,
                    "type": "ORNT" if group == "pelvis" and component == "n/a" else _BIDS_TYPES.get(group, "MISC"),
                    "tracked_point": "pelvis" if group == "pelvis" else name,
                    "units": ("m" if component != "n/a" else "rad") if group == "pelvis" else known.units if known else "n/a",
                    "group": group,
                    "reference_frame": known.frame if known else "n/a",
                    "sampling_frequency": trials.sampling_rate_hz or "n/a",
                    "description": known.description if known else "n/a",
                }
            )
    return pd.DataFrame(rows)


def _statistics(paths: list[Path]) -> dict[str, Any]:
    """Count, mean, standard deviation, minimum and maximum of every channel and number column."""
    totals: dict[str, np.ndarray] = {}
    names: dict[str, tuple[str, ...]] = {}
    for batch in _batches(paths):
        values: dict[str, np.ndarray] = {g: a.reshape(-1, a.shape[2]).astype(float) for g, a in batch.signals.items()}
        names |= batch.channels
        columns = [c for c in batch.table.columns if batch.table[c].dtype.kind == "f"]
        values["table"], names["table"] = batch.table[columns].to_numpy(float), tuple(columns)
        for group, array in values.items():
            finite = np.isfinite(array)
            some = np.where(finite, array, 0.0)
            new = np.stack(
                [
                    finite.sum(0),
                    some.sum(0),
                    (some**2).sum(0),
                    np.where(finite, array, np.inf).min(0),
                    np.where(finite, array, -np.inf).max(0),
                ]
            )
            old = totals.get(group)
            totals[group] = new if old is None else np.stack([*(old[:3] + new[:3]), np.minimum(old[3], new[3]), np.maximum(old[4], new[4])])
    return {
        group: {name: _five(total[:, i]) for i, name in enumerate(names[group]) if total[0, i] > 0}
        for group, total in sorted(totals.items())
    }


def _five(total: np.ndarray) -> dict[str, float]:
    count, first, second, low, high = (float(v) for v in total)
    mean = first / count
    return {"count": count, "mean": mean, "std": float(np.sqrt(max(second / count - mean**2, 0.0))), "min": low, "max": high}


def _batches(paths: list[Path]) -> Iterator[Trials]:
    for path in paths:
        yield from storage.iterate(path, batch=512)


# -- texts -------------------------------------------------------------------------------------------


def _card(table: pd.DataFrame, name: str, description: str, license: str, kind: str) -> str:
    """README.md with the front matter that dataset hubs read."""
    lines = [
        "---",
        f"license: {license.lower()}",
        f"pretty_name: {name}",
        "tags: [gait, biomechanics, synthetic, musculoskeletal-simulation]",
        "---",
        f"# {name}",
        "",
        description,
        "",
        f"- Kind: {kind}; file format synthgait {FORMAT_VERSION} (FORMAT.md), made with synthgait {synthgait.__version__}.",
        "- No real person is in it. Splits are by person and descent; statistics are of the training split.",
        f"- Check it: `synthgait release --verify {name}`.",
    ]
    return "\n".join(lines + _figures(table)) + "\n"


def _figures(table: pd.DataFrame) -> list[str]:
    """The lines of a card that tell numbers; splits where the table has them."""
    ok = table["status"] == "ok"
    splits = SPLITS if "split" in table else ()
    heads = ["pathology", "people", "tried", "ok", "yield", *splits]
    lines = [
        f"- {int(ok.sum())} gaits of {table.loc[ok, 'subject_id'].nunique()} virtual people; {len(table)} were tried.",
        "",
        f"| {' | '.join(heads)} |",
        "|---" * len(heads) + "|",
    ]
    for pathology, row in yields.of(table).items():
        if pathology == yields.ALL:
            continue
        cells = [pathology, row["people"], row["tried"], row["certified"], yields.percent(row)]
        cells += [int((table.loc[ok & (table["pathology"] == pathology), "split"] == split).sum()) for split in splits]
        lines.append(f"| {' | '.join(map(str, cells))} |")
    lines += ["", "| quantity of the ok gaits | 5 % | median | 95 % |", "|---|---|---|---|"]
    for column in ("age_years", "height_m", "mass_kg", "walking_speed_mps", "cadence_spm", "stride_length_m", "step_width_m"):
        values = table.loc[ok, column].dropna()
        if len(values):
            lines.append(f"| {column} | " + " | ".join(f"{v:.3g}" for v in np.percentile(values, [5, 50, 95])) + " |")
    return lines


def _croissant(folder: Path, name: str, description: str, license: str) -> dict[str, Any]:
    """Metadata in Croissant 1.0 (MLCommons): every file and the columns of trials.csv."""
    types = {"text": "sc:Text", "integer": "sc:Integer", "number": "sc:Float"}
    formats = {".h5": "application/x-hdf5", ".csv": "text/csv", ".json": "application/json", ".md": "text/markdown"}
    fields = [
        {
            "@type": "cr:Field",
            "@id": f"trials/{column}",
            "name": column,
            "description": meaning,
            "dataType": types[kind],
            "source": {"fileObject": {"@id": "trials.csv"}, "extract": {"column": column}},
        }
        for column, (kind, meaning) in TRIAL_COLUMNS.items()
    ]
    distribution = [
        {
            "@type": "cr:FileObject",
            "@id": str(path.relative_to(folder)),
            "name": path.name,
            "contentUrl": str(path.relative_to(folder)),
            "encodingFormat": formats.get(path.suffix, "text/plain"),
            "sha256": _sha256(path),
        }
        for path in _files(folder)
    ]
    return {
        "@context": {
            "@language": "en",
            "@vocab": "https://schema.org/",
            "cr": "http://mlcommons.org/croissant/",
            "sc": "https://schema.org/",
            "dct": "http://purl.org/dc/terms/",
            "conformsTo": "dct:conformsTo",
            "recordSet": "cr:recordSet",
            "field": "cr:field",
            "fileObject": "cr:fileObject",
            "extract": "cr:extract",
            "column": "cr:column",
            "source": "cr:source",
            "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
        },
        "@type": "sc:Dataset",
        "name": name,
        "description": description,
        "license": license,
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "version": FORMAT_VERSION,
        "distribution": distribution,
        "recordSet": [{"@type": "cr:RecordSet", "@id": "trials", "name": "trials", "field": fields}],
    }


# -- verifying -----------------------------------------------------------------------------------------


def verify(folder: str | Path | None = None) -> dict[str, Any]:
    """Re-read a whole release, or without a folder the bundled seed dataset and its card.

    Returns:
        ``n_trials, n_ok, n_subjects, by_pathology`` (ok trials), ``by_split`` (of a folder), ``n_files``, and
        ``yield`` and ``certificate`` as ``yields.told`` gives them.

    Raises:
        InputError: the first thing that is wrong, naming the file.
    """
    if folder is None:
        return _verify_bundled(bundled.seed_dataset())
    folder = Path(folder)
    sums = folder / _SUMS
    if not sums.is_file():
        raise InputError(f"{folder} is no release folder: it has no {_SUMS}")
    expected = {line.split("  ", 1)[1]: line.split("  ", 1)[0] for line in sums.read_text(errors="replace").splitlines() if "  " in line}
    if not expected:
        raise InputError(f"{sums} lists no files; download the release again")
    present = {str(path.relative_to(folder)) for path in _files(folder)}
    for name in sorted(present ^ set(expected)):
        raise InputError(f"{folder / name} is {'missing' if name in expected else f'not listed in {_SUMS}'}; download the release again")
    for name, digest in expected.items():
        if _sha256(folder / name) != digest:
            raise InputError(f"{folder / name} is not the file that was released (its SHA-256 differs); download it again")
    table = pd.read_csv(
        folder / "trials.csv", keep_default_na=False, na_values={c: [""] for c, (k, _) in TRIAL_COLUMNS.items() if k != "text"}
    )
    shards = sorted(folder.glob("*/*.h5"))
    for path in shards:
        storage.check(path)
        ids = list(storage.read(path, groups=[]).table["trial_id"])
        if ids != list(table.loc[table["file"] == str(path.relative_to(folder)), "trial_id"]):
            raise InputError(f"{path} does not hold the trials that trials.csv says; make the release again")
    ok = table["status"] == "ok"
    if not (table.loc[ok, "split"].isin(SPLITS).all() and (table.loc[~ok, "split"] == "").all()):
        raise InputError(f"{folder / 'trials.csv'}: a trial that is ok has no split, or one that is not has; make the release again")
    per_family = pd.DataFrame({"family": _families(table), "split": table["split"]})[ok].groupby("family")["split"].nunique()
    if (per_family > 1).any():
        raise InputError(f"{folder / 'trials.csv'}: a person or their descendants are in two splits; make the release again")
    if not _channels(shards[0]).astype(str).equals(pd.read_csv(folder / "channels.csv", keep_default_na=False).astype(str)):
        raise InputError(f"{folder / 'channels.csv'} does not describe the signals of {shards[0].name}; make the release again")
    stored = json.loads((folder / "stats.json").read_text())
    if not _close(stored, _statistics([path for path in shards if path.parent.name == "train"])):
        raise InputError(f"{folder / 'stats.json'} does not hold the statistics of the training split; make the release again")
    listed = {item["@id"]: item["sha256"] for item in json.loads((folder / "croissant.json").read_text())["distribution"]}
    if any(expected.get(name) != digest for name, digest in listed.items()):
        raise InputError(f"{folder / 'croissant.json'} lists other files than {_SUMS}; make the release again")
    return _summary(table, len(expected)) | {"by_split": {split: int((table["split"] == split).sum()) for split in SPLITS}}


def _verify_bundled(path: Path) -> dict[str, Any]:
    """The dataset beside whose file a card of the same name tells its SHA-256 and figures."""
    card = path.with_suffix(".md")
    told = card.read_text(encoding="utf-8", errors="replace").splitlines() if card.is_file() else []
    digest = f"- SHA-256 of {path.name}: {_sha256(path)}"
    if digest not in told:
        raise InputError(f"{path} is not the file whose SHA-256 {card.name} tells; install synthgait again")
    storage.check(path)
    table = storage.read(path, groups=[]).table
    for line in _figures(table):
        if line not in told:
            raise InputError(f"{card} does not say {line!r}, as {path.name} has it; install synthgait again")
    return _summary(table, 2)


def _summary(table: pd.DataFrame, n_files: int) -> dict[str, Any]:
    ok = table["status"] == "ok"
    return {
        "n_trials": len(table),
        "n_ok": int(ok.sum()),
        "n_subjects": int(table.loc[ok, "subject_id"].nunique()),
        "by_pathology": {str(k): int(v) for k, v in table.loc[ok, "pathology"].value_counts().sort_index().items()},
        "n_files": n_files,
    } | yields.told(table)


def text(told: dict[str, Any]) -> str:
    """What ``verify`` found: one sentence, and what came of the trials."""
    counts = f"{told['n_ok']} gaits of {told['n_subjects']} people, of {told['n_trials']} that were tried"
    agree = f"{told['n_files']} files are what was released; SHA-256, stored checksums, format and figures agree."
    return f"{counts}: {agree}\n\n{yields.text(told)}"


def _close(a: Any, b: Any) -> bool:
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(_close(a[key], b[key]) for key in a)
    return bool(np.isclose(a, b, rtol=1e-6, atol=1e-9))


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file() and path.name != _SUMS)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _write_json(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content, indent=1, sort_keys=True) + "\n")
