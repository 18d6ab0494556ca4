"""Surface electromyography: envelopes, or the raw interference signal.

In: walks with ``muscle_activation`` and a random generator. Out: ``Trials`` with group ``emg`` and one
channel ``<muscle>_<side>`` per electrode (a name of ``conventions.EMG_GROUPS``).

An electrode sees the mean activation of its muscles and a share of its neighbours' (crosstalk), scaled
by an unknown gain. Raw: band-limited Gaussian noise whose amplitude follows the activation (De Luca,
IEEE Trans Biomed Eng 1979; 20 to 450 Hz, SENIAM), plus the amplifier's noise.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy.signal import butter, sosfiltfilt

from synthgait.conventions import EMG_GROUPS, SIDES
from synthgait.errors import InputError
from synthgait.sensors.base import chosen, declared, needs_rng, recording
from synthgait.trials import Trials

#: Electrodes that studies usually place.
SURFACE = (
    "tibialis_anterior",
    "soleus",
    "gastrocnemius_medialis",
    "vastus_medialis",
    "vastus_lateralis",
    "rectus_femoris",
    "medial_hamstrings",
    "biceps_femoris",
    "gluteus_maximus",
    "gluteus_medius",
    "peroneus",
)


@dataclass(frozen=True)
class EmgSpecification:
    """An electrode's errors. The default shows activation itself.

    Args:
        gain_sd: standard deviation of the logarithm of the gain, per electrode and person.
        crosstalk: limits (uniform) of the share of the mean of the leg's other electrodes that leaks in.
        noise: standard deviation of the baseline, in activation.
        amplitude_cv: relative noise of an envelope's height (signal-dependent).
        envelope_hz: low-pass of the envelope (second order, zero lag).
    """

    name: str = "ideal"
    gain_sd: float = 0.0
    crosstalk: tuple[float, float] = (0.0, 0.0)
    noise: float = 0.0
    amplitude_cv: float = 0.0
    envelope_hz: float = np.inf

    @property
    def random(self) -> bool:
        """True when two recordings of the same walk differ."""
        return self.gain_sd > 0 or self.crosstalk[1] > 0 or self.noise > 0 or self.amplitude_cv > 0


def with_crosstalk(leg: np.ndarray, share: np.ndarray | float) -> np.ndarray:
    """What the electrodes (..., C) of one leg see when a share of each is the mean of the others."""
    if leg.shape[-1] < 2:
        return leg
    others = (leg.sum(axis=-1, keepdims=True) - leg) / (leg.shape[-1] - 1)
    return (1.0 - share) * leg + share * others


@cache
def _usual_crosstalk() -> float:
    return float(np.mean(declared(EmgSpecification, "emg", "laboratory").crosstalk))


def seen_by_electrodes(electric: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Envelopes (T,) of every group of ``conventions.EMG_GROUPS`` and side from those of its muscles, with a laboratory
    electrode's usual share of the leg's other groups (of which the calf's and the hamstrings' overlap).
    """
    seen: dict[str, np.ndarray] = {}
    for side in SIDES:
        leg = np.stack([np.mean([electric[f"{muscle}_{side}"] for muscle in muscles], axis=0) for muscles in EMG_GROUPS.values()], axis=-1)
        seen |= {f"{group}_{side}": curve for group, curve in zip(EMG_GROUPS, with_crosstalk(leg, _usual_crosstalk()).T, strict=True)}
    return seen


class EMG:
    """Surface electrodes.

    Args:
        muscles: names of ``conventions.EMG_GROUPS``, on both sides.
        sensor: ``EmgSpecification`` or a name of ``simulations/sensors/emg.yaml``.
        raw_rate_hz: None gives envelopes at the walks' rate; a rate (1000 Hz or more) gives raw signals.
        normalise: divide every channel by its maximum, as recordings are.
    """

    def __init__(
        self,
        muscles: Sequence[str] = SURFACE,
        sensor: EmgSpecification | str | None = None,
        *,
        raw_rate_hz: float | None = None,
        normalise: bool = False,
    ) -> None:
        unknown = [m for m in muscles if m not in EMG_GROUPS]
        if unknown:
            raise InputError(f"no surface muscle is called {unknown[0]!r}; there are {', '.join(EMG_GROUPS)}")
        if raw_rate_hz is not None and raw_rate_hz < 1000.0:
            raise InputError(f"raw_rate_hz is {raw_rate_hz:g}; raw EMG reaches 450 Hz and needs 1000 Hz or more")
        self.muscles = tuple(muscles)
        self.sensor = chosen(EmgSpecification, "emg", sensor)
        self.raw_rate_hz, self.normalise = raw_rate_hz, normalise

    @property
    def channels(self) -> tuple[str, ...]:
        """``<muscle>_<side>``, right side first."""
        return tuple(f"{muscle}_{side}" for side in SIDES for muscle in self.muscles)

    def record(self, walks: Trials, rng: np.random.Generator | None = None) -> Trials:
        """Group ``emg`` (N, T, C). Raises InputError without muscle_activation, or without rng for noise."""
        if "muscle_activation" not in walks.signals:
            raise InputError("the walks have no muscle_activation; EMG cannot be derived from motion alone")
        if self.sensor.random or self.raw_rate_hz is not None:
            rng = needs_rng(rng, "this EMG")
        rate = walks.sampling_rate_hz
        if rate is None and (np.isfinite(self.sensor.envelope_hz) or self.raw_rate_hz):
            raise InputError("a single stride cannot be filtered or resampled; walk the strides first")
        seen = self._seen(walks, rng)
        if rng is not None and self.raw_rate_hz is not None and rate is not None:
            seen, rate = self._raw(seen, rate, rng), self.raw_rate_hz
        elif rate is not None and self.sensor.envelope_hz < 0.45 * rate:
            seen = np.maximum(sosfiltfilt(butter(2, self.sensor.envelope_hz, fs=rate, output="sos"), seen, axis=1), 0.0)
        if self.normalise:
            seen = seen / np.maximum(np.abs(seen).max(axis=1, keepdims=True), 1e-9)
        return recording(walks, {"emg": seen}, {"emg": self.channels}, rate)

    def _seen(self, walks: Trials, rng: np.random.Generator | None) -> np.ndarray:
        """Activation under each electrode with gain, crosstalk and noise (N, T, C)."""
        names = walks.channels["muscle_activation"]
        activation = walks.signals["muscle_activation"].astype(float)
        seen = np.stack(
            [
                activation[..., [names.index(f"{part}_{side}") for part in EMG_GROUPS[muscle]]].mean(axis=-1)
                for side in SIDES
                for muscle in self.muscles
            ],
            axis=-1,
        )
        if rng is None:
            return seen
        spec, people, channels = self.sensor, len(seen), seen.shape[2]
        half = len(self.muscles)
        leak = rng.uniform(*spec.crosstalk, (people, 1, channels))
        for leg in (slice(0, half), slice(half, None)):
            seen[..., leg] = with_crosstalk(seen[..., leg], leak[..., leg])
        seen = seen * (1.0 + spec.amplitude_cv * rng.standard_normal(seen.shape))
        seen = np.abs(seen + spec.noise * rng.standard_normal(seen.shape))
        return seen * np.exp(spec.gain_sd * rng.standard_normal((people, 1, channels)))

    def _raw(self, seen: np.ndarray, rate_hz: float, rng: np.random.Generator) -> np.ndarray:
        """Noise of 20 to 450 Hz whose mean rectified value is the activation seen."""
        assert self.raw_rate_hz is not None
        samples = seen.shape[1]
        count = int(np.floor((samples - 1) / rate_hz * self.raw_rate_hz)) + 1
        position = np.arange(count) * rate_hz / self.raw_rate_hz
        low = np.minimum(position.astype(np.int64), samples - 2)
        share = (position - low)[:, None]
        amplitude = seen[:, low] * (1 - share) + seen[:, low + 1] * share
        band = butter(2, (20.0, min(450.0, 0.45 * self.raw_rate_hz)), btype="bandpass", fs=self.raw_rate_hz, output="sos")
        carrier = sosfiltfilt(band, rng.standard_normal(amplitude.shape), axis=1)
        return amplitude * carrier / np.abs(carrier).mean(axis=1, keepdims=True)
