"""Gaits in memory: arrays and one table.

In: arrays with their channel names and a table of trials. Out: ``Trials``, the only thing that
simulation, generation, sensors, estimation and storage hand to each other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from synthgait.conventions import SIGNAL_GROUPS
from synthgait.errors import InputError


def empty_events() -> pd.DataFrame:
    """No events: trial_index (int64), event (str), side (str), time_s (float64)."""
    return pd.DataFrame(
        {"trial_index": np.zeros(0, np.int64), "event": np.zeros(0, object), "side": np.zeros(0, object), "time_s": np.zeros(0)}
    )


@dataclass
class Trials:
    """N trials.

    Attributes:
        table: N rows; the columns of ``conventions.TRIAL_COLUMNS`` and any others.
        signals: group name -> array (N, T, C), float32. The same T for all groups.
        channels: group name -> C names.
        events: one row per gait event, see ``empty_events``.
        kind: one of ``conventions.DATASET_KINDS``.
        sampling_rate_hz: None when the T samples are phases of one stride.
        attributes: text attributes of the file (name, license, ...).
        provenance: named texts (config, model, environment, log).
    """

    table: pd.DataFrame
    signals: dict[str, np.ndarray] = field(default_factory=dict)
    channels: dict[str, tuple[str, ...]] = field(default_factory=dict)
    events: pd.DataFrame = field(default_factory=empty_events)
    kind: str = "seed"
    sampling_rate_hz: float | None = None
    attributes: dict[str, str] = field(default_factory=dict)
    provenance: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for group, array in self.signals.items():
            if group not in self.channels and group in SIGNAL_GROUPS:
                self.channels[group] = SIGNAL_GROUPS[group].channels
            expected = (len(self.table), len(self.channels.get(group, ())))
            if array.ndim != 3 or (array.shape[0], array.shape[2]) != expected:
                raise InputError(
                    f"signal group {group!r} has shape {array.shape}; give (trials, samples, channels) = ({expected[0]}, T, {expected[1]})"
                )

    def __len__(self) -> int:
        return len(self.table)

    def channel(self, name: str) -> np.ndarray:
        """One channel by name, (N, T). Raises KeyError naming it where no group has it."""
        for group, names in self.channels.items():
            if name in names:
                return self.signals[group][:, :, names.index(name)]
        raise KeyError(f"no channel {name!r} among {', '.join(self.channels)}")

    def select(self, rows: Sequence[int] | np.ndarray) -> Trials:
        """The trials of a boolean mask or of row numbers, in that order, with their events."""
        index = np.asarray(rows)
        index = np.flatnonzero(index) if index.dtype == bool else index.astype(np.int64)
        new_row = {int(old): new for new, old in enumerate(index)}
        kept = self.events[self.events["trial_index"].isin(new_row)].copy()
        kept["trial_index"] = kept["trial_index"].map(new_row).astype(np.int64)
        return Trials(
            self.table.iloc[index].reset_index(drop=True),
            {group: array[index] for group, array in self.signals.items()},
            dict(self.channels),
            kept.sort_values(["trial_index", "time_s"]).reset_index(drop=True),
            self.kind,
            self.sampling_rate_hz,
            dict(self.attributes),
            dict(self.provenance),
        )

    def certified(self) -> Trials:
        """The trials whose status is ok; all of them where the table has no status."""
        return self.select((self.table["status"] == "ok").to_numpy()) if "status" in self.table else self

    def refuse_failed(self) -> None:
        """Raise InputError where a trial holds no gait, because none was found or it was not accepted."""
        if not {"trial_id", "status", "stride_time_s"} <= set(self.table):
            return
        failed = self.table.loc[(self.table["status"] != "ok") & self.table["stride_time_s"].isna()]
        if len(failed):
            name, status = failed["trial_id"].iloc[0], failed["status"].iloc[0]
            raise InputError(f"{len(failed)} of {len(self)} trials hold no gait ({name}: {status}); give those that do: trials.certified()")

    @classmethod
    def concatenate(cls, parts: Sequence[Trials]) -> Trials:
        """All trials of the parts, in order. Raises InputError when their signal groups differ."""
        first = parts[0]
        for part in parts[1:]:
            if part.channels != first.channels or part.sampling_rate_hz != first.sampling_rate_hz:
                raise InputError("the parts have different signal groups or sampling rates; concatenate datasets of one format")
        offsets = np.cumsum([0, *(len(part) for part in parts[:-1])])
        events = pd.concat(
            [part.events.assign(trial_index=part.events["trial_index"] + offset) for part, offset in zip(parts, offsets, strict=True)],
            ignore_index=True,
        )
        return cls(
            pd.concat([part.table for part in parts], ignore_index=True),
            {group: np.concatenate([part.signals[group] for part in parts]) for group in first.signals},
            dict(first.channels),
            events,
            first.kind,
            first.sampling_rate_hz,
            dict(first.attributes),
            dict(first.provenance),
        )
