"""What of a folder of recordings cannot be read: one odd file, row or data set ends no other.

In: what readers yield. Out: what was read, and every refusal with its reason.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from synthgait.errors import InputError
from synthgait.recordings.base import Recording
from synthgait.recordings.tables import one_line

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Refused:
    """A row or file that could not be read: its dataset, its ``recording_id`` as near as it can be told ("*" where it is a
    whole dataset), and why, in one sentence.
    """

    dataset: str
    recording_id: str
    message: str


_Part = TypeVar("_Part")
_Found = TypeVar("_Found")
#: What an odd file makes of code that expects a good one.
_ODD = (ArithmeticError, AttributeError, LookupError, OSError, TypeError, ValueError)


def readable(
    dataset: str, parts: Iterable[_Part], read: Callable[[_Part], Iterable[_Found]], named: Callable[[_Part], tuple[str, object]]
) -> Iterator[_Found | Refused]:
    """What is read of every row or file of a dataset; where one cannot be read, or not to its end, the reason.

    Args:
        named: recording_id and place (for sentences) of a part.
    """
    for part in parts:
        recording_id, where = named(part)
        try:
            yield from read(part)
        except _ODD as error:
            yield Refused(dataset, recording_id, _why(error, where))


def sifted(found: Iterable[_Found | Refused], folder: Path) -> tuple[list[_Found], list[Refused]]:
    """What was read and what could not be; where a reader gave up, the whole dataset is refused beside what it read before."""
    good: list[_Found] = []
    refused: list[Refused] = []
    try:
        for one in found:
            if isinstance(one, Refused):
                refused.append(one)
            else:
                good.append(one)
    except _ODD as error:
        refused.append(Refused(folder.name, "*", _why(error, folder)))
    return good, refused


def _why(error: Exception, where: object) -> str:
    if isinstance(error, InputError):
        return str(error)
    return f"{where} cannot be read ({type(error).__name__}: {one_line(error)}); restore it"


def require_some(found: Sequence[object], refused: Sequence[Refused], folder: Path) -> None:
    """Raise InputError where there is nothing but what was refused."""
    if refused and not found:
        first = refused[0].message
        raise InputError(
            first if len(refused) == 1 else f"none of the {len(refused)} rows or files of {folder} can be read; of the first: {first}"
        )


def warn(refused: Sequence[Refused], folder: Path) -> None:
    """Say of everything refused why, and how much of each dataset it is."""
    for one in refused:
        _LOG.warning("unreadable: %s", one.message)
    for dataset, count in Counter(one.dataset for one in refused).items():
        _LOG.warning("rows or files of %s in %s that cannot be read and are left out: %d", dataset, folder, count)


def unique(recordings: Iterable[Recording]) -> Iterator[Recording | Refused]:
    """The recordings; of those whose name, variant and kind was there before, the reason that they are refused."""
    seen: set[tuple[str, str, str, str]] = set()
    for recording in recordings:
        key = (recording.dataset, recording.recording_id, recording.variant, recording.kind)
        if key in seen:
            said = f"recording {recording.name} ({recording.variant}, {recording.kind}) is there twice, and the second is left out"
            yield Refused(recording.dataset, recording.recording_id, f"{said}; give unique recording_id values, and each dataset its name")
        else:
            yield recording
        seen.add(key)
