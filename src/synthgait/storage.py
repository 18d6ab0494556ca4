"""The HDF5 file format of every dataset; the only module that imports h5py.

In: ``Trials`` or paths. Out: files that are whole or absent, and ``Trials`` read back from them.
The format is written down in ``FORMAT.md`` beside this module. The same trials give the same bytes:
no time stamps, and rows are written in fixed slabs however they were appended.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd

import synthgait
from synthgait import chunks
from synthgait.conventions import DATASET_KINDS, FORMAT_NAME, FORMAT_VERSION, SIGNAL_GROUPS, STATUSES, TRIAL_COLUMNS
from synthgait.errors import InputError
from synthgait.trials import Trials, empty_events

#: Rows that are written at a time; part of the format only in that equal trials give equal bytes.
_SLAB_ROWS = 1024
_COLUMN_CHUNK_ROWS = 1024
#: Bytes of a text cell; padding costs nothing after compression, and fixed width is checksummed.
_TEXT_BYTES = 128
_MESSAGE_BYTES = 512
_FILTERS: dict[str, Any] = {"compression": "gzip", "compression_opts": 1, "shuffle": True, "fletcher32": True, "track_times": False}
#: Files are written beside their place and moved there whole, so nobody reads one that is being written. A lock would
#: only be in the way: a process that is just being started holds those of its parent for a moment.
_LOCKING = False
_EVENT_COLUMNS = {"trial_index": "integer", "event": "text", "side": "text", "time_s": "number"}
_PROVENANCE_ATTRIBUTES = ("git_commit", "config_sha256")
_EMPTY: dict[str, Any] = {"text": "", "number": np.nan, "integer": -1}
_PHASE = "sample i of T lies at phase i / T of the stride, 0 at right initial contact"


def column_kinds(table: pd.DataFrame) -> dict[str, str]:
    """Every column a file of this table has, in order: name -> "text", "integer" or "number".

    The columns of ``conventions.TRIAL_COLUMNS`` come first, whether the table has them or not; any
    other numeric column is a "number".
    """
    kinds = {name: kind for name, (kind, _) in TRIAL_COLUMNS.items()}
    for name in table.columns:
        numeric = pd.api.types.is_numeric_dtype(table[name])
        kinds.setdefault(str(name), "number" if numeric else "text")
    return kinds


# -- writing ---------------------------------------------------------------------------------------


def write(trials: Trials, path: str | Path) -> None:
    """Write a whole dataset at once and atomically.

    Raises:
        InputError: a trial without ``trial_id``, a text that is too long, an unknown kind.
    """
    with writer(path, kind=trials.kind, expected_rows=len(trials)) as file:
        file.append(trials)


@contextmanager
def writer(
    path: str | Path,
    *,
    kind: str | None = None,
    groups: Sequence[str] | None = None,
    columns: Mapping[str, str] | None = None,
    provenance: Mapping[str, str] | None = None,
    attributes: Mapping[str, str] | None = None,
    expected_rows: int | None = None,
) -> Iterator[DatasetWriter]:
    """Stream batches of trials into one file with flat memory: ``with writer(path) as w: w.append(trials)``.

    Everything goes to ``path + ".partial"``, which is checked, synchronised and renamed when the block
    ends without an exception; otherwise it is removed and nothing at ``path`` changes.

    Args:
        kind, provenance, attributes: of the file; None takes those of the first batch.
        groups: signal groups that are kept; None keeps all of the first batch.
        columns: column kinds (``column_kinds``); None takes those of the first batch.
        expected_rows: size hint for the chunks of small tables.

    Raises:
        InputError: the file cannot be written, or what ``check`` finds wrong.
    """
    path = Path(path)
    partial = path.with_name(path.name + ".partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = DatasetWriter(partial, kind, groups, columns, provenance, attributes, expected_rows)
        try:
            yield file
            file.close()
            # what was just written has its checksums from us; reading every block back would take a tenth of the time
            check(partial, signals=False)
            with partial.open("rb") as written:
                os.fsync(written.fileno())
            os.replace(partial, path)
        finally:
            file.abandon()
            partial.unlink(missing_ok=True)
    except OSError as error:
        why = os.strerror(error.errno) if error.errno else str(error).splitlines()[0][:120]
        raise InputError(f"{path} cannot be written ({why}); give another path or make room") from error


class DatasetWriter:
    """Use ``writer``; this object only has ``append``."""

    def __init__(
        self,
        path: Path,
        kind: str | None,
        groups: Sequence[str] | None,
        columns: Mapping[str, str] | None,
        provenance: Mapping[str, str] | None,
        attributes: Mapping[str, str] | None,
        expected_rows: int | None,
    ) -> None:
        self._path, self._kind, self._groups = path, kind, None if groups is None else tuple(groups)
        self._columns = None if columns is None else dict(columns)
        self._provenance, self._attributes, self._expected_rows = provenance, attributes, expected_rows
        self._file: h5py.File | None = None
        self._datasets: dict[str, h5py.Dataset] = {}  # by path: looking one up costs more than a slab of a column
        self._waiting: list[Trials] = []
        self._n_waiting = self._n_written = self._n_events = 0

    def append(self, trials: Trials) -> None:
        """Add the trials after those before. All batches have the same groups, channels and columns."""
        if self._file is None:
            self._begin(trials)
        self._agree(trials)
        self._waiting.append(self._trimmed(trials))
        self._n_waiting += len(trials)
        if self._n_waiting >= _SLAB_ROWS:
            self._flush()

    def close(self) -> None:
        """Write what is left. Raises InputError when nothing was appended."""
        if self._file is None:
            raise InputError(f"{self._path.name.removesuffix('.partial')} would be empty; append at least one batch of trials")
        self._flush(everything=True)
        self._file.close()

    def abandon(self) -> None:
        """Close the file as it is; harmless after ``close``."""
        if self._file is not None:
            self._file.close()

    def _begin(self, first: Trials) -> None:
        kind = self._kind or first.kind
        if kind not in DATASET_KINDS:
            raise InputError(f"dataset kind is {kind!r}; write one of {', '.join(DATASET_KINDS)}")
        self._columns = self._columns or column_kinds(first.table)
        self._groups = tuple(first.signals) if self._groups is None else self._groups
        self._channels = {group: tuple(first.channels.get(group, ())) for group in self._groups}
        self._file = file = h5py.File(self._path, "w", libver="earliest", locking=_LOCKING)
        attributes = dict(first.attributes if self._attributes is None else self._attributes)
        header = {"name": "", "license": "", "synthgait_version": synthgait.__version__} | attributes
        header |= {"format": FORMAT_NAME, "format_version": FORMAT_VERSION, "kind": kind}
        for key in sorted(header):
            if "@" not in key:
                file.attrs[key] = header[key]
        rows = _COLUMN_CHUNK_ROWS if self._expected_rows is None else min(_COLUMN_CHUNK_ROWS, max(1, self._expected_rows))
        for name, column_kind in self._columns.items():
            dataset = self._datasets[f"trials/{name}"] = _create_column(file, f"trials/{name}", column_kind, rows)
            dataset.attrs["description"] = TRIAL_COLUMNS[name][1] if name in TRIAL_COLUMNS else ""
        for group, names in self._channels.items():
            self._create_signal(file, group, names, first, attributes)
        for name, column_kind in _EVENT_COLUMNS.items():
            self._datasets[f"events/{name}"] = _create_column(file, f"events/{name}", column_kind, rows)
        stored = file.create_group("provenance")
        for key, text in sorted((first.provenance if self._provenance is None else self._provenance).items()):
            if key in _PROVENANCE_ATTRIBUTES:
                stored.attrs[key] = text
            else:
                stored.create_dataset(key, data=_cells([text]), chunks=(1,), **_FILTERS)

    def _create_signal(self, file: h5py.File, group: str, names: tuple[str, ...], first: Trials, attributes: Mapping[str, str]) -> None:
        if group not in first.signals:
            raise InputError(f"there is no signal group {group!r} to write; the trials have {', '.join(first.signals)}")
        samples = first.signals[group].shape[1]
        shape = (0, samples, len(names))
        layout: dict[str, Any] = {"maxshape": (None, *shape[1:]), "chunks": (1, *shape[1:]), "fillvalue": np.nan}
        array = self._datasets[f"signals/{group}"] = file.create_dataset(f"signals/{group}", shape, np.float32, **layout, **_FILTERS)
        known = SIGNAL_GROUPS.get(group)
        for key in ("units", "frame", "description"):
            array.attrs[key] = attributes.get(f"{group}@{key}", getattr(known, key) if known else "")
        if first.sampling_rate_hz is None:
            array.attrs["phase"] = _PHASE
        else:
            array.attrs["sampling_rate_hz"] = float(first.sampling_rate_hz)
        file.create_dataset(f"channels/{group}", data=_cells(names), chunks=(len(names),), **_FILTERS)

    def _agree(self, trials: Trials) -> None:
        assert self._columns is not None and self._groups is not None
        if {group: tuple(trials.channels.get(group, ())) for group in self._groups} != self._channels:
            raise InputError("a batch of trials has other signal groups or channels than the first; write datasets of one format")
        unknown = [name for name in trials.table.columns if name not in self._columns]
        if unknown:
            raise InputError(f"column {unknown[0]!r} is not among those the file was begun with; name it in columns from the start")
        if "trial_id" not in trials.table.columns:
            raise InputError("the trials have no column 'trial_id'; give every trial a unique one")

    def _trimmed(self, trials: Trials) -> Trials:
        assert self._groups is not None
        groups = {group: trials.signals[group] for group in self._groups}
        return Trials(trials.table, groups, {g: self._channels[g] for g in groups}, trials.events, trials.kind, trials.sampling_rate_hz)

    def _flush(self, everything: bool = False) -> None:
        if not self._waiting:
            return
        waiting = Trials.concatenate(self._waiting) if len(self._waiting) > 1 else self._waiting[0]
        whole = len(waiting) if everything else len(waiting) - len(waiting) % _SLAB_ROWS
        for start in range(0, whole, _SLAB_ROWS):
            rows = np.arange(start, min(start + _SLAB_ROWS, whole))
            self._write_slab(waiting if len(rows) == len(waiting) else waiting.select(rows))
        self._n_waiting = len(waiting) - whole
        self._waiting = [waiting.select(np.arange(whole, len(waiting)))] if self._n_waiting else []

    def _write_slab(self, slab: Trials) -> None:
        assert self._file is not None and self._columns is not None
        first, last = self._n_written, self._n_written + len(slab)
        for name, kind in self._columns.items():
            values = slab.table[name] if name in slab.table else pd.Series([_EMPTY[kind]] * len(slab))
            _append_column(self._datasets[f"trials/{name}"], values, kind, name, first, last)
        for group, array in slab.signals.items():
            dataset = self._datasets[f"signals/{group}"]
            dataset.resize(last, axis=0)
            for row, block in enumerate(chunks.packed(array), first):
                dataset.id.write_direct_chunk((row, 0, 0), block)
        n_events = self._n_events + len(slab.events)
        for name, kind in _EVENT_COLUMNS.items():
            values = slab.events[name] + (first if name == "trial_index" else 0) if kind != "text" else slab.events[name]
            _append_column(self._datasets[f"events/{name}"], values, kind, name, self._n_events, n_events)
        self._n_written, self._n_events = last, n_events


def _cells(texts: Sequence[str]) -> np.ndarray:
    """Texts as fixed-width UTF-8 that h5py stores as such."""
    cells = np.array([text.encode() for text in texts])
    return cells.astype(h5py.string_dtype("utf-8", max(1, cells.dtype.itemsize)))


def _create_column(file: h5py.File, path: str, kind: str, chunk_rows: int) -> h5py.Dataset:
    width = _MESSAGE_BYTES if path.endswith("_message") else _TEXT_BYTES
    dtype = {"text": h5py.string_dtype("utf-8", width), "integer": np.int64, "number": np.float64}[kind]
    return file.create_dataset(path, (0,), dtype, maxshape=(None,), chunks=(chunk_rows,), **_FILTERS)


def _append_column(dataset: h5py.Dataset, values: pd.Series, kind: str, name: str, first: int, last: int) -> None:
    dataset.resize(last, axis=0)
    if last == first:
        return
    if kind == "text":
        missing = values.isna().to_numpy()
        cells = _cells(["" if gone else str(value) for value, gone in zip(values, missing, strict=True)])
        if cells.dtype.itemsize > dataset.dtype.itemsize:
            longest = max(values, key=lambda value: len(str(value)))
            raise InputError(
                f"column {name!r} has a text of {cells.dtype.itemsize} bytes ({longest[:40]!r}...); shorten it to {dataset.dtype.itemsize}"
            )
        dataset[first:last] = cells.astype(dataset.dtype)
        return
    try:
        numbers = pd.to_numeric(values).to_numpy(np.float64, na_value=np.nan) if kind == "number" else values.fillna(-1).to_numpy(np.int64)
    except (TypeError, ValueError) as error:
        raise InputError(f"column {name!r} holds something that is not a number ({error}); give one {kind} per trial") from error
    dataset[first:last] = numbers


# -- reading ---------------------------------------------------------------------------------------


@contextmanager
def _opened(path: str | Path) -> Iterator[h5py.File]:
    """The file, with its header checked; every way in which it can be broken is an InputError."""
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path} {'is no file' if path.exists() else 'does not exist'}; give the path of a synthgait HDF5 file")
    try:
        with h5py.File(path, "r", locking=_LOCKING) as file:
            if file.attrs.get("format") != FORMAT_NAME:
                raise InputError(f"{path} is an HDF5 file but not a synthgait dataset; its attribute 'format' should be {FORMAT_NAME!r}")
            version = str(file.attrs.get("format_version"))
            if version.split(".")[0] != FORMAT_VERSION.split(".")[0]:
                raise InputError(
                    f"{path} has format_version {version}; this synthgait reads {FORMAT_VERSION}, so use the version that wrote it"
                )
            yield file
    except InputError:
        raise
    except (OSError, KeyError, RuntimeError, TypeError, AttributeError, ValueError) as error:
        # the last three: a damaged header makes another kind of object of what is asked for
        raise InputError(f"{path} is damaged or not an HDF5 file ({str(error).splitlines()[0][:120]}); copy or make it again") from error


def describe(path: str | Path) -> dict[str, Any]:
    """What a file is, without reading its signals: ``kind, format_version, name, license,
    synthgait_version, n_trials, n_ok, n_subjects, by_pathology, by_status, groups`` (name -> shape) and
    ``columns``.

    Raises:
        InputError: the file is missing, damaged, no synthgait dataset or of another version.
    """
    with _opened(path) as file:
        columns = file["trials"]
        status = pd.Series(_text(columns["status"][...]))
        pathology = pd.Series(_text(columns["pathology"][...]))
        counts = {key: str(file.attrs.get(key, "")) for key in ("kind", "format_version", "name", "license", "synthgait_version")}
        return counts | {
            "n_trials": len(status),
            "n_ok": int((status == "ok").sum()),
            "n_subjects": len(np.unique(columns["subject_id"][...])),
            "by_pathology": {str(k): int(v) for k, v in pathology.value_counts().sort_index().items()},
            "by_status": {str(k): int(v) for k, v in status.value_counts().sort_index().items()},
            "groups": {name: list(array.shape) for name, array in file.get("signals", {}).items()},
            "columns": list(columns),
        }


def read(path: str | Path, groups: Sequence[str] | None = None, rows: Sequence[int] | np.ndarray | slice | None = None) -> Trials:
    """Read a dataset, or some groups (``[]``: the table only) and rows (any order, or a mask) of it.

    Raises:
        InputError: as ``describe``, or a group or row that the file does not have.
    """
    # before the file is open, where all that goes wrong is the file's fault
    wanted = None if groups is None else tuple(groups)
    if rows is not None and not isinstance(rows, slice):
        rows = np.asarray(rows)
        rows = np.flatnonzero(rows) if rows.dtype == bool else rows.astype(np.int64)
    with _opened(path) as file:
        return _read(file, Path(path), wanted, rows)


def iterate(path: str | Path, groups: Sequence[str] | None = None, batch: int = 1024) -> Iterator[Trials]:
    """Read a dataset in batches of trials, in order, with flat memory."""
    with _opened(path) as file:
        for start in range(0, file["trials/trial_id"].shape[0], batch):
            yield _read(file, Path(path), groups, slice(start, start + batch))


def _read(file: h5py.File, path: Path, groups: Sequence[str] | None, rows: Any) -> Trials:
    n = file["trials/trial_id"].shape[0]
    take = slice(0, n) if rows is None else rows
    index = np.arange(n)[take] if isinstance(take, slice) else take
    if len(index) and (index.min() < 0 or index.max() >= n):
        raise InputError(f"{path} has {n} trials; rows reach from {index.min()} to {index.max()}")
    stored = file.get("signals", {})
    wanted = tuple(stored) if groups is None else tuple(groups)
    for group in wanted:
        if group not in stored:
            raise InputError(f"{path} has no signal group {group!r}; it has {', '.join(stored) or 'none'}")
    table = pd.DataFrame({name: _take(column, index) for name, column in _ordered(file["trials"]).items()})
    signals = {group: _take(stored[group], index) for group in wanted}
    channels = {group: tuple(_text(file[f"channels/{group}"][...])) for group in wanted}
    attributes = {str(k): str(v) for k, v in file.attrs.items() if k not in ("format", "format_version", "kind")}
    for group in wanted:
        if group not in SIGNAL_GROUPS:
            attributes |= {f"{group}@{key}": str(stored[group].attrs[key]) for key in ("units", "frame", "description")}
    rates = [float(stored[group].attrs["sampling_rate_hz"]) for group in wanted if "sampling_rate_hz" in stored[group].attrs]
    provenance = {name: _text(text[...])[0] for name, text in file["provenance"].items()}
    provenance |= {str(k): str(v) for k, v in file["provenance"].attrs.items()}
    events = _events(file, index, n)
    return Trials(table, signals, channels, events, str(file.attrs["kind"]), rates[0] if rates else None, attributes, provenance)


def _ordered(columns: h5py.Group) -> dict[str, h5py.Dataset]:
    """Columns of the conventions first, in their order, then the others by name."""
    names = [name for name in TRIAL_COLUMNS if name in columns] + [name for name in columns if name not in TRIAL_COLUMNS]
    return {name: columns[name] for name in names}


def _take(dataset: h5py.Dataset, index: np.ndarray) -> Any:
    if len(index) == 0:
        values = dataset[:0]
    elif dataset.ndim == 1 or (np.diff(index) == 1).all():
        first, last = index.min(), index.max() + 1
        values = dataset[first:last][index - first]
    else:
        values = np.stack([dataset[int(row)] for row in index])
    return _text(values) if values.dtype.kind in "SO" else values


def _text(cells: np.ndarray) -> list[str]:
    return [cell.decode() if isinstance(cell, bytes) else str(cell) for cell in cells.tolist()]


def _events(file: h5py.File, index: np.ndarray, n: int) -> pd.DataFrame:
    stored = file["events"]
    if stored["trial_index"].shape[0] == 0:
        return empty_events()
    trial = stored["trial_index"][...]
    new_row = np.full(n, -1, np.int64)
    new_row[index] = np.arange(len(index))
    mask = new_row[trial] >= 0
    kept = np.flatnonzero(mask)
    events = pd.DataFrame({name: _take(stored[name], kept) for name in _EVENT_COLUMNS})
    events["trial_index"] = new_row[trial[mask]]
    return events.sort_values(["trial_index", "time_s"], kind="stable").reset_index(drop=True)


# -- checking and packing --------------------------------------------------------------------------


def check(path: str | Path, *, signals: bool = True) -> None:
    """Read every byte and every rule of FORMAT.md.

    Args:
        signals: False leaves out the checksums of the signals, not their shapes.

    Raises:
        InputError: naming the file and what is wrong with it.
    """
    path = Path(path)
    with _opened(path) as file:
        if file.attrs.get("kind") not in DATASET_KINDS:
            raise InputError(f"{path} has the kind {file.attrs.get('kind')!r}; it should be one of {', '.join(DATASET_KINDS)}")
        missing = [name for name in TRIAL_COLUMNS if name not in file["trials"]]
        if missing:
            raise InputError(f"{path} has no column /trials/{missing[0]}; write it again with this synthgait")
        ids = chunks.read_column(file["trials/trial_id"], f"{path}: /trials/trial_id")
        names, counts = np.unique(ids, return_counts=True)
        if len(names) != len(ids):
            raise InputError(f"{path} has the trial_id {_text(names[counts > 1])[0]!r} twice; make them unique")
        for name, column in file["trials"].items():
            if column.shape != ids.shape:
                raise InputError(f"{path}: column /trials/{name} has {column.shape[0]} rows, trial_id has {len(ids)}")
            chunks.read_column(column, f"{path}: /trials/{name}")
        unknown = set(_text(np.unique(file["trials/status"][...]))) - {*STATUSES, ""}
        if unknown:
            raise InputError(f"{path} has the status {sorted(unknown)[0]!r}; it should be one of {', '.join(STATUSES)}")
        for group, array in file.get("signals", {}).items():
            if (
                array.ndim != 3
                or array.dtype != np.float32
                or (array.shape[0], array.shape[2]) != (len(ids), len(file[f"channels/{group}"][...]))
            ):
                raise InputError(
                    f"{path}: /signals/{group} is {array.dtype} of shape {array.shape}; it should be float32 (trials, samples, channels)"
                )
            dict(array.attrs)  # they have no checksum; those that cannot be read are told at least
            if signals:
                chunks.check_signal(array, f"{path}: /signals/{group}")
        events = [chunks.read_column(file[f"events/{name}"], f"{path}: /events/{name}") for name in _EVENT_COLUMNS]
        if len({len(column) for column in events}) != 1 or (len(events[0]) and not 0 <= events[0].min() <= events[0].max() < len(ids)):
            raise InputError(f"{path}: the columns of /events disagree in length or name a trial that is not there")
        for text in file["provenance"].values():
            text[...]


def pack(
    unit_paths: Sequence[str | Path],
    path: str | Path,
    *,
    attributes: Mapping[str, str] | None = None,
    provenance: Mapping[str, str] | None = None,
) -> None:
    """Stream unit files, in the order given, into one file.

    Units without signals (failed trials) get NaN; columns that only some units have are filled with
    NaN or an empty text. Attributes and provenance are those of the first unit unless given.

    Raises:
        InputError: no units, a damaged unit, or units whose channels differ.
    """
    if not unit_paths:
        raise InputError(f"there is nothing to pack into {path}; give at least one unit file")
    kinds: dict[str, str] = {}
    template: Trials | None = None
    for unit_path in unit_paths:
        with _opened(unit_path) as file:
            for name, column in _ordered(file["trials"]).items():
                kind = "text" if column.dtype.kind in "SO" else "integer" if column.dtype.kind == "i" else "number"
                kinds.setdefault(name, kind)
            if template is None and len(file.get("signals", {})):
                template = _read(file, Path(unit_path), None, slice(0, 1))
    # Extra columns in the order of their names: that of a file read back.
    kinds = {n: k for n, k in kinds.items() if n in TRIAL_COLUMNS} | {n: kinds[n] for n in sorted(kinds) if n not in TRIAL_COLUMNS}
    with writer(path, columns=kinds, attributes=attributes, provenance=provenance) as file_writer:
        for unit_path in unit_paths:
            for batch in iterate(unit_path):
                if template is not None and not batch.signals and len(batch):
                    missing = {g: np.full((len(batch), *a.shape[1:]), np.nan, np.float32) for g, a in template.signals.items()}
                    batch = Trials(batch.table, missing, dict(template.channels), batch.events, batch.kind, template.sampling_rate_hz)
                try:
                    file_writer.append(batch)
                except InputError as error:
                    raise InputError(f"{unit_path}: {error}") from error
