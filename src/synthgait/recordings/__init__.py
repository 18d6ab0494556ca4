"""Real recordings of people walking: the yardstick, never the teacher.

In: a folder with one dataset or several, each in its public layout (known by the folder's name) or
in the plain format (``plain.py``). Out: ``Recording`` objects in the units, axes and names of
``conventions``. Nothing here is ever trained, tuned or normalised on.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd

from synthgait.errors import InputError
from synthgait.recordings import falisse, gaitmap, gaitvalidation, mobgap, movingreality, plain, schreiber, singles, voisard, winner
from synthgait.recordings.base import EMG_MUSCLES, KINDS, TRUTH, Recording
from synthgait.recordings.plain import write_plain
from synthgait.recordings.refusals import Refused, require_some, sifted, unique, warn
from synthgait.recordings.tables import read_table, require, sex

__all__ = [
    "ADAPTERS",
    "EMG_MUSCLES",
    "KINDS",
    "TRUTH",
    "Recording",
    "Refused",
    "find",
    "load",
    "read_all",
    "reference_table",
    "write_plain",
]

ENVIRONMENT_VARIABLE = "SYNTHGAIT_RECORDINGS"
#: Folder name -> reader of a dataset in its public layout.
ADAPTERS: dict[str, Callable[[Path], Iterator[Recording | Refused]]] = {
    adapter.NAME: adapter.read for adapter in (schreiber, movingreality, gaitvalidation, voisard, mobgap, gaitmap, falisse, winner, singles)
}
#: Where the table of speed, step length, cadence and size lies, in ``reference_tables``.
_REFERENCE_TABLE = "wbds_h2a_allspeeds_43subs.csv"


def find(explicit: Path | str | None = None) -> Path | None:
    """The folder of recordings: the one named, $SYNTHGAIT_RECORDINGS, ../shared/recordings beside the
    working directory, or ``synthgait/recordings`` in the user's data folder. None where there is none.

    Raises:
        InputError: a folder that was named (explicitly or by the variable) is not there.
    """
    for source, named in (("--recordings", explicit), (f"${ENVIRONMENT_VARIABLE}", os.environ.get(ENVIRONMENT_VARIABLE))):
        if named:
            if not Path(named).is_dir():
                raise InputError(f"{source} names {named}, which is no folder; give a dataset or a folder of datasets")
            return Path(named)
    data = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")
    for candidate in (Path("..") / "shared" / "recordings", data / "synthgait" / "recordings"):
        if candidate.is_dir():
            return candidate
    return None


def load(folder: Path | str) -> list[Recording]:
    """All recordings of one dataset, or of every dataset in a folder of datasets; of what cannot be read there are warnings.

    Raises:
        InputError: no dataset there, or nothing in it that can be read.
    """
    recordings, refused = read_all(folder)
    warn(refused, Path(folder))
    return recordings


def read_all(folder: Path | str, *, truth: bool = True) -> tuple[list[Recording], list[Refused]]:
    """As ``load``, and instead of warnings what could not be read, with the reasons. Where no ``truth`` is asked for, one that
    cannot be costs a row of a plain folder nothing.
    """
    # a link is known by its own name, not by that of what it leads to
    folder = Path(os.path.abspath(folder))
    if not folder.is_dir():
        raise InputError(f"{folder} is no folder; give a dataset or a folder of datasets")
    recordings: list[Recording] = []
    refused: list[Refused] = []
    # a dataset, or a folder of them; a folder that is none is passed over
    alone = _reader(folder) is not None
    for path in [folder] if alone else sorted(path for path in folder.iterdir() if path.is_dir()):
        good, bad = sifted(_read(path, truth), path)
        recordings += good
        refused += bad
    if not alone and not recordings and not refused:
        raise InputError(
            f"{folder} holds no dataset: neither a folder of a known name "
            f"({', '.join(sorted(ADAPTERS))}) nor dataset.yaml with recordings.csv"
        )
    recordings, twice = sifted(unique(recordings), folder)
    refused += twice
    require_some(recordings, refused, folder)
    return recordings, refused


def _read(folder: Path, truth: bool) -> Iterator[Recording | Refused]:
    reader = _reader(folder)
    if reader is plain.read:
        yield from plain.read(folder, truth=truth)
    elif reader is not None:
        yield from reader(folder)


def _reader(folder: Path) -> Callable[[Path], Iterator[Recording | Refused]] | None:
    if plain.is_plain(folder):
        return plain.read
    if (folder / "dataset.yaml").is_file() != (folder / "recordings.csv").is_file():
        lacking = "recordings.csv" if (folder / "dataset.yaml").is_file() else "dataset.yaml"
        raise InputError(f"{folder} lacks {lacking}; the plain format needs dataset.yaml and recordings.csv")
    return ADAPTERS.get(folder.name)


def reference_table(folder: Path | str) -> pd.DataFrame:
    """Fukuchi et al. 2018 (43 adults at six speeds) with our column names: subject_id, age_years, sex,
    height_m, mass_kg, leg_length_m, comfortable_speed_mps, walking_speed_mps, step_length_m, cadence_spm.

    Raises:
        InputError: the table or one of its columns is missing.
    """
    path = Path(folder)
    path = path if path.is_file() else next(iter(sorted(path.rglob(_REFERENCE_TABLE))), path / "reference_tables" / _REFERENCE_TABLE)
    table = read_table(path)
    names = {
        "Subject": "subject_id",
        "Age": "age_years",
        "Gender": "sex",
        "Height": "height_m",
        "Mass": "mass_kg",
        "LegLength": "leg_length_m",
        "SpeedComf": "comfortable_speed_mps",
        "Speed": "walking_speed_mps",
        "StepLength": "step_length_m",
        "Cadence": "cadence_spm",
    }
    require(table, list(names), path)
    result = table[list(names)].rename(columns=names)
    return result.assign(subject_id=result["subject_id"].astype(str), sex=result["sex"].astype(str).map(sex))
