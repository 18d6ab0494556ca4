"""Missing samples of a recording: short gaps are bridged, what lacks more is left out, or the section ends where they begin.

In: channels, some with missing samples (NaN, infinite, or one sample repeated to fill a file up), and
the walking section. Out: channels that are whole within the section, which may have become shorter, and
sentences about what was done. Samples outside the section stay as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import NamedTuple

import numpy as np

from synthgait.errors import InputError

#: What is out of sight for longer may have gone anywhere in between (a swing lasts 0.4 s).
LONGEST_GAP_S = 0.3
#: For so long nobody is so still that no sensor's last digit changes.
_SHORTEST_PADDING_S = 0.5
#: A shorter piece holds no whole stride.
_SHORTEST_SPAN_S = 1.0


class Whole(NamedTuple):
    """``signals``: channel -> (T,); ``first``, ``last``: the section's samples, the last one excluded; ``said``: sentences."""

    signals: dict[str, np.ndarray]
    first: int
    last: int
    said: list[str]


def whole(
    name: str,
    signals: dict[str, np.ndarray],
    part_of: Callable[[str], str],
    needed: Collection[str],
    rate: float | None,
    first: int,
    last: int,
    *,
    blank: bool = False,
) -> Whole:
    """Channels without missing samples in ``first`` to ``last``, of which what only fills a file up is cut off.

    Gaps of up to ``LONGEST_GAP_S`` are filled linearly, ends are held. Of the parts (sensors, points or angles) the ``needed``
    ones decide where the walk is seen, or all where none of them is there and no other part is whole: the section is cut to
    the longest span in which they are. Every other part with a longer gap is left out.

    Args:
        name: of the recording, for sentences. part_of: the part that a channel belongs to.
        rate: in Hz; None for phases of one cycle, of which nothing is filled or cut.
        blank: parts that are never seen are left out without a word, because a layout has columns for all that there may be.

    Raises:
        InputError: nothing is seen, or for less than a second on end.
    """
    said = []
    if rate is not None:
        padded, (first, last) = (first, last), _without_padding(signals, rate, first, last)
        if (first, last) != padded:
            cut = f"{first / rate:.2f} to {(last - 1) / rate:.2f} s"
            said.append(f"recording {name} repeats one sample at its ends; it is cut to {cut}")
    if all(np.all(np.isfinite(values[first:last])) for values in signals.values()):
        return Whole(signals, first, last, said)
    longest = 0 if rate is None else max(1, round(LONGEST_GAP_S * rate))
    seen = _seen(signals, part_of, first, last, longest)
    ever = [part for part in seen if seen[part].any()]
    if not ever:
        raise InputError(f"recording {name} has no samples in its section, of {', '.join(seen)}; fill them in or remove its row")
    leading = [part for part in ever if part in needed]
    if not leading and not any(seen[part].all() for part in ever):
        leading = ever
    start, end = _longest_span(np.logical_and.reduce([seen[part] for part in leading])) if leading else (0, last - first)
    if end - start < last - first:
        worst = max(leading, key=lambda part: _longest_gap(seen[part]))
        missing = f"{worst} of recording {name} is missing {_for_how_long(_longest_gap(seen[worst]), rate)}"
        if rate is None or end - start < _SHORTEST_SPAN_S * rate:
            raise InputError(f"{missing}, and for less than {_SHORTEST_SPAN_S:g} s on end all is seen; fill it or leave its columns out")
        said.append(
            f"{missing}; the recording is cut to {(first + start) / rate:.2f} to {(first + end - 1) / rate:.2f} s, where all is seen"
        )
    first, last = first + start, first + end
    # of a gap in which the section now begins or ends less may be left than is too long
    seen = _seen(signals, part_of, first, last, longest)
    kept = {part for part in seen if seen[part].all()}
    for part in seen:
        if part not in kept and not (blank and _never(signals, part_of, part)):
            said.append(f"{part} of recording {name} is left out: it is missing {_for_how_long(_longest_gap(seen[part]), rate)}")
    return Whole(
        {channel: _filled(values, first, last) for channel, values in signals.items() if part_of(channel) in kept}, first, last, said
    )


def _without_padding(signals: dict[str, np.ndarray], rate: float, first: int, last: int) -> tuple[int, int]:
    """The section's first sample and one past its last without the same values over and over at its ends: files that were filled
    up to a common length, or sensors that went on sending what they sent last. All of it where nothing that is known ever changes.
    """
    stacked = np.stack([values[first:last] for values in signals.values()])
    differs = stacked[:, 1:] != stacked[:, :-1]
    if not (differs & np.isfinite(stacked[:, 1:] + stacked[:, :-1])).any():
        return first, last
    changes = np.flatnonzero(differs.any(axis=0))
    starts, ends = int(changes[0]), int(changes[-1]) + 2
    shortest = _SHORTEST_PADDING_S * rate
    return first + (starts if starts >= shortest else 0), (first + ends if last - first - ends >= shortest else last)


def _seen(signals: dict[str, np.ndarray], part_of: Callable[[str], str], first: int, last: int, longest: int) -> dict[str, np.ndarray]:
    """Part -> whether all its channels are known, or can be bridged, at each sample of the section."""
    seen: dict[str, np.ndarray] = {}
    for channel, values in signals.items():
        part = part_of(channel)
        seen[part] = seen.get(part, True) & _bridgeable(np.isfinite(values[first:last]), longest)
    return seen


def _never(signals: dict[str, np.ndarray], part_of: Callable[[str], str], part: str) -> bool:
    return not any(np.isfinite(values).any() for channel, values in signals.items() if part_of(channel) == part)


def _for_how_long(samples: int, rate: float | None) -> str:
    if rate is None:
        return f"at {samples} phases of its cycle, which are not filled"
    return f"for {samples / rate:.2f} s where at most {LONGEST_GAP_S:g} s can be bridged"


def _runs(flags: np.ndarray) -> np.ndarray:
    """First and one past the last sample (N, 2) of every run of flags."""
    return np.flatnonzero(np.diff(np.r_[0, flags.astype(np.int8), 0])).reshape(-1, 2)


def _bridgeable(known: np.ndarray, longest: int) -> np.ndarray:
    """Samples (T,) that are known or lie in a gap of so many; none where nothing is known."""
    near = known.copy()
    if known.any():
        for first, last in _runs(~known):
            near[first:last] = last - first <= longest
    return near


def _longest_span(flags: np.ndarray) -> tuple[int, int]:
    runs = _runs(flags)
    if not len(runs):
        return 0, 0
    first, last = runs[np.argmax(np.diff(runs, axis=1))]
    return int(first), int(last)


def _longest_gap(seen: np.ndarray) -> int:
    first, last = _longest_span(~seen)
    return last - first


def _filled(values: np.ndarray, first: int, last: int) -> np.ndarray:
    known = first + np.flatnonzero(np.isfinite(values[first:last]))
    if len(known) == last - first:
        return values
    filled = np.array(values, float)
    filled[first:last] = np.interp(np.arange(first, last), known, filled[known])
    return filled
