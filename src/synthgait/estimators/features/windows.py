"""Periodic structure of a recording: stride time, whole-stride windows, Fourier cycles.

In: channels over time at any sampling rate. Out: the same at ``WORKING_RATE_HZ``; the stride time
in every window; per window the complex Fourier coefficients of each channel over the stride, from
which cycles, velocities and displacements follow without drift.

A stride is found by the whole vector of channels repeating, not by any event: half a stride (a
step) repeats the symmetric channels but turns the antisymmetric ones round, so that only the
stride scores high. Moe-Nilssen & Helbostad (J Biomech 2004;37:121) introduced the autocorrelation
of trunk acceleration for step and stride; here all channels vote.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

import numpy as np
from scipy.signal import butter, firwin, resample_poly, sosfiltfilt

from synthgait.conventions import GRAVITY_MPS2
from synthgait.errors import InputError

WORKING_RATE_HZ = 100.0
#: Harmonics of the stride that are kept: 8 of them reach 7 Hz at a normal cadence, above which a
#: rigid-body walker and a person in shoes have little in common.
HARMONICS = 8
CYCLE_SAMPLES = 32
#: From sprinters' five steps a second, so that no runner's two strides are taken for one of a walker, to people who walk at
#: 0.25 m/s.
STRIDE_TIME_LIMITS_S = (0.4, 4.0)
#: Least repetition (correlation of the channels one stride apart) that counts as walking; the second
#: is tried where the first finds nothing (daily life, a few strides with a stop).
MINIMUM_REPETITION = (0.4, 0.2)
_STRIDES_IN_WINDOW = 2.5
#: Share of how far points or angles move in most strides, below which one is standing: steps shorten to a third only where
#: somebody starts or stops.
_LEAST_MOVED = 0.3
#: How near a stride ends to where it began, in shares of the range of all channels.
_CLOSED = 0.08


class NoWalking(InputError):
    """A recording that is well formed but shows no walking that could be judged."""


@dataclass(frozen=True)
class Body:
    """What is known of the walker's size; unknown values are None.

    ``length_m`` is the hip's height over the floor: given, or 0.5235 of body height, or a typical
    adult's 0.90 m. It makes every quantity dimensionless (length by l, time by sqrt(l/g)).
    """

    height_m: float | None = None
    leg_length_m: float | None = None

    @property
    def known(self) -> bool:
        return self.height_m is not None or self.leg_length_m is not None

    @property
    def length_m(self) -> float:
        if self.leg_length_m is not None:
            return float(self.leg_length_m)
        return 0.5235 * float(self.height_m) if self.height_m is not None else 0.90

    def dimensionless_time(self, time_s: np.ndarray | float) -> np.ndarray:
        """Time over sqrt(l/g)."""
        return np.asarray(time_s) * np.sqrt(GRAVITY_MPS2 / self.length_m)


def too_slow(sampling_rate_hz: float) -> bool:
    """Whether that is under 15 Hz, of which rounded times tell a little less."""
    return round(sampling_rate_hz, 1) < 15.0


def to_working_rate(values: np.ndarray, sampling_rate_hz: float) -> np.ndarray:
    """(T, C) at any rate -> (T', C) at 100 Hz, gaps (NaN) bridged linearly.

    Raises:
        InputError: a rate under 15 Hz, or a channel with no value at all.
    """
    if not np.isfinite(sampling_rate_hz) or too_slow(sampling_rate_hz):
        raise InputError(f"sampling_rate_hz is {sampling_rate_hz:g}; gait needs at least 15 Hz")
    values = np.stack([bridged(channel) for channel in np.asarray(values, float).T], axis=1)
    if abs(sampling_rate_hz - WORKING_RATE_HZ) < 1e-6:
        return values
    ratio = Fraction(WORKING_RATE_HZ / sampling_rate_hz).limit_denominator(400)
    taps = _interpolating(ratio.numerator, ratio.denominator)
    return resample_poly(values, ratio.numerator, ratio.denominator, axis=0, padtype="line", window=taps)


@lru_cache(maxsize=8)
def _interpolating(up: int, down: int) -> np.ndarray:
    """The filter that ``resample_poly`` has of itself, each of its ``up`` phases with a gain of 1: who has walked far, or an
    instrument that stands far from its origin, would else tremble by a two-thousandth of that.
    """
    reach = 10 * max(up, down)
    taps = firwin(2 * reach + 1, 1.0 / max(up, down), window=("kaiser", 5.0))
    for phase in range(up):
        taps[phase::up] /= up * taps[phase::up].sum()
    return taps


def bridged(channel: np.ndarray, name: str = "a channel", *, period: float | None = None) -> np.ndarray:
    """A channel (T,) with its gaps (NaN) filled linearly, round the end where it is periodic.

    Raises InputError naming a channel that is nothing but a gap.
    """
    known = np.flatnonzero(np.isfinite(channel))
    if not len(known):
        raise InputError(f"{name} has no finite value; leave the channel out instead")
    return channel if len(known) == len(channel) else np.interp(np.arange(len(channel)), known, channel[known], period=period)


def band(values: np.ndarray, low_hz: float = 0.4, high_hz: float = 6.0, *, shortest_s: float = 4.0) -> np.ndarray:
    """Zero-phase band-pass of (T, C) at the working rate; pieces of under ``shortest_s`` have no drift and are only centred."""
    if len(values) < shortest_s * WORKING_RATE_HZ:
        return values - values.mean(axis=0)
    sos = butter(2, (low_hz, high_hz), btype="band", fs=WORKING_RATE_HZ, output="sos")
    return sosfiltfilt(sos, values, axis=0, padlen=min(len(values) - 1, 150))


def repetition(values: np.ndarray, longest_lag: int) -> np.ndarray:
    """Correlation of the vector signal (T, C) with itself, lags 0..longest_lag, each in [-1, 1]."""
    n = len(values)
    size = 1 << int(np.ceil(np.log2(2 * n)))
    spectrum = np.fft.rfft(values, size, axis=0)
    raw = np.fft.irfft((np.abs(spectrum) ** 2).sum(axis=1), size)[: longest_lag + 1]
    energy = np.concatenate([[0.0], np.cumsum((values**2).sum(axis=1))])
    lags = np.arange(longest_lag + 1)
    head = energy[n - lags]
    tail = energy[-1] - energy[lags]
    return raw / np.maximum(np.sqrt(head * tail), 1e-12)


def _best_lag(curve: np.ndarray, shortest: int) -> tuple[float, float]:
    """Stride lag in samples and its score: the first peak nearly as high as the highest one."""
    inner = np.arange(max(shortest, 1), len(curve) - 1)
    peaks = inner[(curve[inner] >= curve[inner - 1]) & (curve[inner] > curve[inner + 1])]
    if not len(peaks) or curve[peaks].max() <= 0:
        return np.nan, 0.0
    # Two strides repeat as well as one: the shortest lag within 12 % of the best is the stride.
    first = int(peaks[curve[peaks] >= 0.88 * curve[peaks].max()][0])
    return _parabola(curve, first), float(curve[first])


def _parabola(curve: np.ndarray, peak: int) -> float:
    a, b, c = curve[peak - 1 : peak + 2]
    bend = a - 2 * b + c
    return peak + (0.5 * (a - c) / bend if bend < 0 else 0.0)


def stride_times(values: np.ndarray, *, section_s: float = 12.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Where there is walking, and its stride time.

    Args:
        values: (T, C) at the working rate, band-passed and scaled so that equal size means equal say.

    Returns:
        ``centre_s`` (N,) one window per stride of walking, ``stride_time_s`` (N,), ``score`` (N,)
        repetition in the window.
    """
    for least in MINIMUM_REPETITION:
        found = _stride_times(values, section_s, least)
        if len(found):
            break
    table = np.array(found).reshape(-1, 3)
    return table[:, 0], table[:, 1], table[:, 2]


def _stride_times(values: np.ndarray, section_s: float, least: float) -> list[tuple[float, float, float]]:
    rate = WORKING_RATE_HZ
    shortest, longest = (int(limit * rate) for limit in STRIDE_TIME_LIMITS_S)
    n = len(values)
    section = int(section_s * rate)
    found = []
    for start in range(0, max(n - section // 2, 1), section // 2):
        part = values[start : start + section]
        if len(part) < 1.2 * shortest:
            continue
        # A piece cut to little more than a stride still shows the beginning of the next one.
        overlap = max(0.2 * rate, 0.12 * len(part))
        curve = repetition(part, min(longest, int(len(part) - overlap)))
        if least < MINIMUM_REPETITION[0]:
            # Where little repeats, chance repetitions are weighed by how long strides usually last:
            # 1.2 s, and half or twice that in one of twenty walkers.
            usual = np.log(np.maximum(np.arange(len(curve)), 1) / rate / 1.2) / (np.log(2.0) / 2.0)
            curve = curve * np.exp(-0.5 * usual**2)
        coarse, score = _best_lag(curve, shortest)
        if not score >= least:
            continue
        # Windows of four strides inside the section; the lag of two strides halves the error.
        half = int(2.0 * coarse)
        low = start if start == 0 else start + section // 4
        high = n if start + section >= n else start + section - section // 4
        for centre in np.arange(low + 0.5 * coarse, high, coarse):
            local = values[int(max(centre - half, 0)) : int(min(centre + half, n))]
            if len(local) < 1.3 * coarse and n > 2 * coarse:
                continue
            fine, quality = _refine(local, coarse) if n > 2.2 * coarse else (_closest(values, coarse), score)
            if quality >= least:
                found.append((centre / rate, fine / rate, quality))
    return found


def _closest(values: np.ndarray, coarse: float) -> float:
    """Lag near ``coarse`` at which a piece of one to two strides differs least from itself (mean square):
    sharper than a correlation where the overlap is short.
    """
    lags = np.arange(max(int(0.88 * coarse), 2), min(int(1.12 * coarse) + 2, len(values) - 8))
    if len(lags) < 3:
        return coarse
    difference = np.array([np.mean((values[lag:] - values[:-lag]) ** 2) for lag in lags])
    best = int(np.argmin(difference))
    return float(lags[0] + _parabola(-difference, best)) if 0 < best < len(lags) - 1 else coarse


def moving_strides(values: np.ndarray, centre_s: np.ndarray, stride_time_s: np.ndarray) -> np.ndarray:
    """Which strides (N,) of a pose (T, C) are walked: of somebody who stands, what a filter leaves of the walk beside it repeats too."""
    ends = np.round((centre_s + np.outer((-0.5, 0.5), stride_time_s)).T * WORKING_RATE_HZ).astype(int)
    size = np.array([values[max(first, 0) : last].var(axis=0).sum() for first, last in ends])
    return size > _LEAST_MOVED**2 * np.percentile(size, 75)


def single_stride(values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """``stride_times`` of a piece (T, C) of a stride and a little, or of one without its closing sample: the lag after which it
    goes on as it began, and nowhere else; nothing where there is none.
    """
    low, high = STRIDE_TIME_LIMITS_S
    n, none = len(values), (np.zeros(0),) * 3
    if not low * WORKING_RATE_HZ <= n <= 1.35 * high * WORKING_RATE_HZ:
        return none
    # one sample more, as the last two lead on to
    longer = np.concatenate([values, 2 * values[-1:] - values[-2:-1]]) / (np.linalg.norm(np.ptp(values, axis=0)) + 1e-9)
    away = np.linalg.norm(longer - longer[0], axis=1)
    # legs pass the same places twice, there and back
    otherwise = np.linalg.norm(np.gradient(longer, axis=0) - np.gradient(longer, axis=0)[1], axis=1) * n / (2 * np.pi)
    lags = np.arange(int(max(0.74 * n, low * WORKING_RATE_HZ)), n + 1)
    apart = np.array([np.linalg.norm(longer[lag:] - longer[: len(longer) - lag], axis=1).mean() for lag in lags])
    best = int(np.argmin(apart))
    edge = n // 8
    again = np.hypot(away, otherwise)[edge : lags[best] - edge].min() < 2 * _CLOSED
    if away[lags[best]] > _CLOSED or again or lags[best] > high * WORKING_RATE_HZ:
        return none
    stride = _parabola(-apart, best) + lags[0] if 0 < best < len(lags) - 1 else float(lags[best])
    return np.array([0.5 * n / WORKING_RATE_HZ]), np.array([stride / WORKING_RATE_HZ]), np.array([1.0 - apart[best]])


def _refine(values: np.ndarray, coarse: float) -> tuple[float, float]:
    for strides in (2, 1):
        longest = int(strides * coarse * 1.12) + 2
        if len(values) < longest + 0.9 * coarse:
            continue
        curve = repetition(values, longest)
        low = int(strides * coarse * 0.9)
        peak = low + int(np.argmax(curve[low : longest - 1]))
        if low < peak < longest - 2:
            return _parabola(curve, peak) / strides, float(curve[peak])
    longest = int(coarse) + 3
    curve = repetition(values, min(longest, len(values) - 2))
    return coarse, float(curve[min(round(coarse), len(curve) - 1)])


def fourier(values: np.ndarray, centre_s: np.ndarray, stride_time_s: np.ndarray) -> np.ndarray:
    """Complex Fourier coefficients (N, 1 + HARMONICS, C) of the stride around each centre.

    Weighted least squares of harmonics of the stride under a Hann window of 2.5 strides: the mean
    (index 0) is free of the harmonics, so it is gravity for an accelerometer. The real signal is
    ``c0 + 2 Re sum_k c_k exp(2 pi i k t / T)`` with t from the window's centre.
    """
    rate, n = WORKING_RATE_HZ, len(values)
    out = np.zeros((len(centre_s), 1 + HARMONICS, values.shape[1]), complex)
    for row, (centre, period) in enumerate(zip(centre_s, stride_time_s, strict=True)):
        half = 0.5 * min(_STRIDES_IN_WINDOW * period, n / rate)
        middle = float(np.clip(centre, half, n / rate - half))  # windows at the ends move inwards
        index = np.arange(max(int((middle - half) * rate), 0), min(int((middle + half) * rate) + 1, n))
        time = index / rate - centre
        weight = np.cos(np.pi * (index / rate - middle) / (2 * half * 1.02)).clip(0.02)  # root of Hann
        phase = 2 * np.pi * np.outer(time / period, np.arange(1, HARMONICS + 1))
        design = np.concatenate([np.ones((len(time), 1)), np.cos(phase), np.sin(phase)], axis=1) * weight[:, None]
        gram = design.T @ design + 1e-3 * len(time) * np.eye(design.shape[1]) * (len(time) < 1.8 * period * rate)
        solved = np.linalg.solve(gram, design.T @ (values[index] * weight[:, None]))
        out[row, 0] = solved[0]
        out[row, 1:] = 0.5 * (solved[1 : 1 + HARMONICS] - 1j * solved[1 + HARMONICS :])
    return out


def integrate(coefficients: np.ndarray, stride_time_s: np.ndarray, times: int = 1) -> np.ndarray:
    """Periodic antiderivative with zero mean, ``times`` over (negative: derivative); (N, 1 + H, C)."""
    order = np.arange(1, coefficients.shape[1])
    omega = 2 * np.pi * order[None, :, None] / np.asarray(stride_time_s)[:, None, None]
    out = np.zeros_like(coefficients)
    out[:, 1:] = coefficients[:, 1:] / (1j * omega) ** times
    return out


def cycles(coefficients: np.ndarray, samples: int = CYCLE_SAMPLES, *, mean: bool = False) -> np.ndarray:
    """Cycles (N, samples, C) from coefficients, without their mean unless asked for."""
    order = np.arange(1, coefficients.shape[1])
    basis = np.exp(2j * np.pi * np.outer(np.arange(samples) / samples, order))
    out = 2 * np.einsum("sk,nkc->nsc", basis, coefficients[:, 1:]).real
    return out + coefficients[:, :1].real if mean else out


def shift(coefficients: np.ndarray, fraction: np.ndarray) -> np.ndarray:
    """Coefficients of the cycle that starts ``fraction`` (N,) of a stride later."""
    order = np.arange(coefficients.shape[1])
    return coefficients * np.exp(2j * np.pi * np.asarray(fraction)[:, None] * order)[:, :, None]


def common_scalars(stride_time_s: np.ndarray, base: np.ndarray, body: Body, *more: np.ndarray) -> np.ndarray:
    """(N, S): log dimensionless stride time, log size over 0.9 m where known, known, base, and more."""
    n = len(stride_time_s)
    columns = [
        np.log(body.dimensionless_time(stride_time_s)),
        np.full(n, np.log(body.length_m / 0.90)),
        np.full(n, float(body.known)),
        base,
        *more,
    ]
    return np.stack(columns, axis=1).astype(np.float32)


@dataclass
class Windows:
    """N windows of one recording, ready for a network.

    ``cycles`` (N, C, CYCLE_SAMPLES), zero where ``present`` (C,) is False; ``scalars`` (N, S);
    ``base`` (N,) log of the physical estimate of stride length over leg length, which the network
    corrects; ``stride_time_s``, ``centre_s``, ``score`` (N,); ``body`` the size that scaled them. ``travelled`` (N,) is
    log of stride length over leg length as the walker's way through the recording's world has it, NaN where it does not
    say, and ``in_metres`` (N,) where motion capture measured it; ``footholds`` (N, 2) how it shares the stride between the
    sides (``features.footholds``); ``in_picture`` (N, 3) what of a stride lies in a camera's picture, and across that how much
    for each pixel of the focal length, both over leg length, and the sine of how far the view is off the side; ``mirrored``
    that a pose's right hip is on its left. No network sees these.
    """

    cycles: np.ndarray
    present: np.ndarray
    scalars: np.ndarray
    base: np.ndarray
    stride_time_s: np.ndarray
    centre_s: np.ndarray
    score: np.ndarray
    body: Body
    travelled: np.ndarray | None = None
    footholds: np.ndarray | None = None
    in_picture: np.ndarray | None = None
    mirrored: bool = False
    in_metres: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.centre_s)
