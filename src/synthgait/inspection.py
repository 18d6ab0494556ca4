"""What is this file? Any of ours, whole or broken, and what it holds.

In: a path. Out: plain values for a table or for ``--json``.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pandas as pd

from synthgait import ages, bundled, pathologies, release, storage, yields
from synthgait.errors import InputError
from synthgait.simulate import sweep
from synthgait.simulate.task import WalkingSolution
from synthgait.studies import Study

_NOTHING: dict[str, Any] = {"format_version": None, "n_trials": 0, "n_ok": 0, "n_subjects": 0, "by_pathology": {}}


def inspect(path: str | Path) -> dict[str, Any]:
    """Tell what a file or folder is.

    Returns:
        At least ``path, kind, format_version, n_trials, n_ok, n_subjects, by_pathology``. ``kind`` is one of
        ``conventions.DATASET_KINDS``, ``study``, ``pathology``, ``ages``, ``declaration``, ``run``,
        ``release``, ``generator``, ``estimator``, ``solution`` or ``broken``; a broken file has ``problem``, one sentence.
        Simulated trials also have ``yield`` and ``certificate`` (``yields.told``), a run with damaged units ``n_damaged`` and
        ``damaged``, a study whose cadences are clipped ``remark``.

    Raises:
        InputError: there is nothing at the path.
    """
    path = Path(path)
    if not path.exists():
        raise InputError(f"{path} does not exist; give the path of a file or folder")
    try:
        found = _folder(path) if path.is_dir() else _file(path)
    except InputError as error:
        found = {"kind": "broken", "problem": str(error)}
    return {"path": str(path)} | _NOTHING | found


def _file(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        head = file.read(8)
    if head == b"\x89HDF\r\n\x1a\n":
        storage.check(path)
        told = storage.describe(path)
        return told | yields.told(storage.read(path, groups=[]).table) if told["kind"] == "seed" else told
    if head[:4] == b"PK\x03\x04":
        return _solution(path)
    if path.suffix in (".yaml", ".yml"):
        return _declaration(path)
    raise InputError(f"{path} is none of synthgait's files, or its beginning is damaged")


def _folder(path: Path) -> dict[str, Any]:
    if (path / "SHA256SUMS").exists():
        return {"kind": "release", "format_version": release.FORMAT_VERSION} | release.verify(path)
    if (path / "config.sha256").exists() and (path / "units").is_dir():
        return _run(path)
    for kind, file, key in (("generator", "generator.json", "format_version"), ("estimator", "config.json", "estimator_version")):
        if (path / file).exists():
            return _checkpoint(path, kind, file, key)
    raise InputError(f"{path} is a folder, but no release, run, generator or estimator of synthgait")


def _run(path: Path) -> dict[str, Any]:
    tables, damaged, version = [], [], None
    for unit in sorted((path / "units").glob("*.h5")):
        try:
            sweep.check_unit(unit)
            version = version or storage.describe(unit)["format_version"]
            tables.append(storage.read(unit, groups=[]).table)
        except InputError:
            damaged.append(unit.stem)
    told: dict[str, Any] = {"kind": "run", "format_version": version, "n_damaged": len(damaged)}
    if damaged:
        told["damaged"] = f"{', '.join(damaged[:5])}{', ...' * (len(damaged) > 5)}: `synthgait simulate` does damaged trials again"
    if not tables:
        return told
    table = pd.concat(tables, ignore_index=True)
    counts = {f"by_{name}": dict(sorted(Counter(table[name]).items())) for name in ("status", "pathology")}
    told |= {"n_trials": len(table), "n_ok": int((table["status"] == "ok").sum()), "n_subjects": int(table["subject_id"].nunique())}
    return told | counts | yields.told(table)


def _checkpoint(path: Path, kind: str, file: str, version_key: str) -> dict[str, Any]:
    try:
        config = json.loads((path / file).read_text())
        version = str(config[version_key])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path / file} is damaged or no {kind} of synthgait; copy it again") from error
    weights = sorted(path.rglob("*.safetensors"))
    for weight in weights:
        _check_safetensors(weight)
    facts = {key: value for key, value in config.items() if isinstance(value, str | int | float | bool)}
    return {"kind": kind, "format_version": version, "weights": [str(w.relative_to(path)) for w in weights], "config": facts}


def _check_safetensors(path: Path) -> None:
    """Header and length: eight bytes of header size, JSON, then exactly the bytes that it announces."""
    actual = path.stat().st_size
    with path.open("rb") as file:
        size = int.from_bytes(file.read(8), "little")
        block = file.read(size) if size < actual else b""
    try:
        header = json.loads(block)
        end = max((entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"), default=0)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path} is damaged; copy it again") from error
    if actual != 8 + size + end:
        raise InputError(f"{path} is cut short ({actual} of {8 + size + end} bytes); copy it again")


def _solution(path: Path) -> dict[str, Any]:
    solution = WalkingSolution.from_bytes(path)
    facts = {"status": solution.status, "stride_time_s": solution.stride_time_s, "cost": solution.cost, "iterations": solution.iterations}
    return {"kind": "solution", "n_trials": 1, "n_ok": int(solution.ok)} | facts


def _declaration(path: Path) -> dict[str, Any]:
    content = bundled.read_yaml(path)
    if "groups" in content:
        study = Study.load(path)
        plan = study.plan()
        kinds = Counter(trial.subject.pathology for trial in plan)
        people = len({trial.subject.subject_id for trial in plan})
        return {
            "kind": "study",
            "name": study.name,
            "n_trials": len(plan),
            "n_subjects": people,
            "by_pathology": dict(sorted(kinds.items())),
            "remark": study.remark() or None,
        }
    if "sides" in content:
        table = pathologies.load(path)
        return {"kind": "pathology", "name": table.name, "n_changes": len(table.changes) + len(table.task) + len(table.habits)}
    if "lines" in content:
        grown = ages.load(path)
        return {"kind": "ages", "name": grown.name, "n_lines": len(grown.lines)}
    return {"kind": "declaration", "keys": sorted(map(str, content))}


def text(told: dict[str, Any]) -> str:
    """The same as lines for people."""
    lines = []
    for key, value in told.items():
        if value not in (None, {}, []) and key not in ("yield", "certificate"):
            shown = (
                ", ".join(f"{k} {v}" for k, v in value.items())
                if isinstance(value, dict)
                else ", ".join(map(str, value))
                if isinstance(value, list)
                else value
            )
            lines.append(f"{key:<20} {shown}")
    if came := yields.text(told):
        lines += ["", came]
    return "\n".join(lines)
