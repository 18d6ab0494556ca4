"""Reading tables with one clear sentence for what is missing.

In: paths and rows. Out: data frames, numbers or None.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from synthgait.errors import InputError

#: What people write where they know nothing, in small letters.
BLANK = ("-", "?", "na", "n/a", "nan", "<na>", "null", "unknown")


def read_table(path: Path, **options: Any) -> pd.DataFrame:
    """A CSV or text table. Raises InputError when it is missing, empty, unreadable or (with no ``sep``) not separated by commas."""
    try:
        if "sep" not in options:
            _require_commas(path)
            options["skipinitialspace"] = True
        table = pd.read_csv(path, **options)
        if "index_col" not in options and not isinstance(table.index, pd.RangeIndex):
            table = _without_last_commas(table, path, options)
    except FileNotFoundError:
        raise InputError(f"{path} is not there; the dataset is incomplete") from None
    except InputError:
        raise
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not in UTF-8 ({one_line(error)}); save it so") from None
    except (ValueError, OSError) as error:
        raise InputError(f"{path} cannot be read as a table ({one_line(error)}); restore the file") from None
    if all(isinstance(column, str) for column in table.columns) and (names := table.columns.str.strip()).is_unique:
        table.columns = names
    if table.empty:
        raise InputError(f"{path} has no rows; restore the file")
    return table


def _without_last_commas(table: pd.DataFrame, path: Path, options: dict[str, Any]) -> pd.DataFrame:
    """A table of which every row ends with a comma that the heading lacks, so that its first column was taken for an index."""
    beyond = table.iloc[:, -table.index.nlevels :]
    if not (beyond.isna() | (beyond == "")).all(axis=None):
        raise InputError(f"the rows of {path} have more cells than its heading; name every column, and write decimals with a point")
    return pd.read_csv(path, usecols=range(len(table.columns)), **options)


def _require_commas(path: Path) -> None:
    with path.open(encoding="utf-8", errors="replace") as file:
        heading = file.readline()
    for mark, named in ((";", "semicolons"), ("\t", "tabs")):
        if mark in heading and "," not in heading:
            raise InputError(f"the columns of {path} are separated by {named}; the separator must be a comma, and decimals need a point")


def one_line(error: Exception) -> str:
    """What an error says, without line breaks."""
    return " ".join(str(error).split())


def require(table: pd.DataFrame, columns: Sequence[str], path: Path) -> None:
    """Raise InputError naming the first column that a table lacks."""
    for column in columns:
        if column not in table.columns:
            raise InputError(f"{path} has no column {column!r}; it has {', '.join(map(str, table.columns[:12]))}")


def number(row: Any, column: str, where: object) -> float | None:
    """A finite number of a row, or None where it is blank. Raises InputError, saying where, for anything else."""
    value = word(row, column)
    if value is None or value.lower() == "none":
        return None
    try:
        found = float(value)
    except ValueError:
        found = np.nan
    if not np.isfinite(found):
        raise InputError(f"{column} in {where} is {value!r}; write a plain number like 1.75, or nothing where it is unknown")
    return found


def number_or_unknown(row: Any, column: str, where: object) -> float | None:
    """As ``number`` for what no estimate hangs on: anything else is unknown, with a warning."""
    try:
        return number(row, column, where)
    except InputError as error:
        logging.getLogger(__name__).warning("%s is taken as unknown: %s", column, error)
        return None


def text(row: Any, column: str) -> str | None:
    """A text of a row without surrounding blanks, or None where there is nothing else."""
    value = row.get(column)
    if value is None or (isinstance(value, float) and np.isnan(value)) or not str(value).strip():
        return None
    return str(value).strip()


def word(row: Any, column: str) -> str | None:
    """As ``text``; one of ``BLANK`` is None too."""
    value = text(row, column)
    return None if value is None or value.lower() in BLANK else value


def sex(value: str | None) -> str | None:
    """male or female from the letters datasets use (M, F, W, ...); None where unknown."""
    return {"m": "male", "f": "female", "w": "female"}.get((value or "").strip().lower()[:1])


def fill_gaps(time: np.ndarray, values: np.ndarray, grid: np.ndarray) -> np.ndarray:
    """Values (T, C) at increasing times, linearly interpolated to a grid; ends are held."""
    return np.column_stack([np.interp(grid, time, column) for column in values.T])
