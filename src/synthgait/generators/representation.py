"""A stride as a short vector, and back.

In: strides as ``Trials`` (N x 100 phases of one stride). Out: dimensionless, whitened latent vectors
(N, D), and from latents and bodies the signals again.

The vector is made so that everything that comes out of it is a closed stride of a body of the right
size: motion, force and activation are made dimensionless by leg length L, gravity g and body weight
m g (Hof, Gait Posture 1996;4:222), so that dynamically similar gaits are one point; time is a
truncated Fourier series, so that the stride is periodic by construction; progression is split into a
straight line, which speed and stride time say exactly, and a periodic part; the centre of pressure is carried as its load-weighted distance
from the pelvis, which is smooth and zero where the foot is unloaded; activation goes through arcsin
of the square root, which cannot leave 0 to 1. Principal components of the weighted series then make
the vector short and white.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from synthgait.conventions import (
    GRAVITY_MPS2,
    GROUND_REACTION,
    PELVIS_COORDINATES,
    SAMPLES_PER_STRIDE,
    SIDES,
    mirror_name,
    mirror_sign,
)
from synthgait.errors import InputError
from synthgait.gait import CONTACT_THRESHOLD
from synthgait.generators.conditions import with_stride_length
from synthgait.trials import Trials

#: Harmonics of the motion, in the code and in its derivatives.
MOTION_HARMONICS = 20
#: Harmonics kept per group. A stride of 100 samples holds 49; walking's angles have 99 % of their
#: power under 6 per stride and ground reaction under 20 (Winter, Biomechanics and Motor Control of
#: Human Movement, 4th ed., 2009, section 3.4); more of the motion's are kept because forces are
#: checked against its second derivative, and of the forces because a classifier sees where a foot lands.
DEFAULT_HARMONICS = {
    "joint_angles": MOTION_HARMONICS,
    "pelvis": MOTION_HARMONICS,
    "ground_reaction": 48,
    "centre_of_pressure": 24,
    "muscle_activation": 14,
}
#: What counts as an equally large error in the principal components: rad, leg lengths, body weights,
#: body weights times leg lengths, and rad of the activation's arcsine.
TOLERANCE = {"joint_angles": 0.004, "pelvis": 0.002, "ground_reaction": 0.02, "centre_of_pressure": 0.01, "muscle_activation": 0.04}
_ARRAYS = ("mean", "components", "left_out")
_MOTION = ("joint_angles", "pelvis")
#: A foot counts as loaded, and has a centre of pressure, above this share of body weight.
LOADED_BW = CONTACT_THRESHOLD


def fourier_basis(harmonics: int, samples: int = SAMPLES_PER_STRIDE) -> np.ndarray:
    """(samples, 2 * harmonics + 1): 1, then sqrt(2) cos and sqrt(2) sin of each harmonic in turn;
    orthonormal under the mean over the samples.
    """
    phase = 2 * np.pi * np.arange(samples)[:, None] / samples * np.arange(1, harmonics + 1)
    basis = np.ones((samples, 2 * harmonics + 1))
    basis[:, 1::2] = np.sqrt(2) * np.cos(phase)
    basis[:, 2::2] = np.sqrt(2) * np.sin(phase)
    return basis


def harmonic_of(harmonics: int) -> np.ndarray:
    """The harmonic that each column of ``fourier_basis`` belongs to."""
    return np.concatenate([[0], np.repeat(np.arange(1, harmonics + 1), 2)])


def as_stored(array: np.ndarray) -> np.ndarray:
    """The array as a float32 file holds it, in float64 and one memory layout: a model read back gives the
    same bytes as the one in memory.
    """
    return np.ascontiguousarray(array, np.float32).astype(float)


@dataclass(frozen=True)
class Walker:
    """What makes n strides' dimensionless vectors metres and newtons: arrays (n,)."""

    leg_length_m: np.ndarray
    mass_kg: np.ndarray
    stride_length_m: np.ndarray

    @classmethod
    def of(cls, table: pd.DataFrame) -> Walker:
        """From the columns leg_length_m, mass_kg, and stride_length_m or walking_speed_mps and stride_time_s.

        Raises InputError when one is missing or not positive.
        """
        if "stride_length_m" not in table and {"walking_speed_mps", "stride_time_s"} <= set(table.columns):
            table = with_stride_length(table)
        for column in ("leg_length_m", "mass_kg", "stride_length_m"):
            if column not in table or not np.all(np.asarray(table[column], float) > 0):
                raise InputError(f"the trial table needs a positive {column} in every row")
        return cls(*(np.asarray(table[column], float) for column in ("leg_length_m", "mass_kg", "stride_length_m")))

    @property
    def weight_n(self) -> np.ndarray:
        """m g."""
        return self.mass_kg * GRAVITY_MPS2


class StrideRepresentation:
    """The map between strides and latents; ``fit`` makes it from a seed dataset.

    Args:
        channels: group -> channel names, in the seed's order.
        harmonics: group -> harmonics kept.
        mean: (F,) mean feature vector. components: (D, F) rows that map a white latent to features:
            features = mean + latent @ components. Features are dimensionless Fourier coefficients by
            group (harmonic-major, channel-minor).
        left_out: (F,) standard deviation of what the components leave out of every feature.

    ``analysis`` (F, D) is the inverse: latent = (features - mean) @ analysis.
    """

    def __init__(
        self,
        channels: Mapping[str, tuple[str, ...]],
        harmonics: Mapping[str, int],
        mean: np.ndarray,
        components: np.ndarray,
        left_out: np.ndarray,
    ) -> None:
        self.channels = {group: tuple(names) for group, names in channels.items()}
        self.harmonics = {group: int(harmonics[group]) for group in self.channels}
        self.mean, self.components, self.left_out = (as_stored(a) for a in (mean, components, left_out))
        components, mean = self.components, self.mean
        # weighted components are orthogonal, each as long as its deviation
        weight = _feature_weights(self.channels, self.harmonics)
        weighted = components * weight
        self.analysis = (weighted / (weighted**2).sum(1, keepdims=True)).T * weight[:, None]
        self._slices = _slices(self.channels, self.harmonics)
        self._decoding = components.astype(np.float32), mean.astype(np.float32)

    @property
    def size(self) -> int:
        """Length D of the latent vector."""
        return len(self.components)

    # -- making one ------------------------------------------------------------------------------

    @classmethod
    def fit(
        cls,
        seed_dataset: Trials,
        *,
        harmonics: Mapping[str, int] = DEFAULT_HARMONICS,
        max_components: int = 96,
        error: float = 0.25,
    ) -> StrideRepresentation:
        """Principal components of a seed dataset and its mirror image.

        Args:
            seed_dataset: N strides of 100 phases; groups not in ``harmonics`` are left out.
            max_components, error: as many components as leave a root mean square error per channel of
                that share of ``TOLERANCE``, at most so many.

        Raises:
            InputError: not strides of 100 phases, a group that is needed is missing, NaN where none
                may be, or fewer than 4 strides.
        """
        channels = {group: names for group, names in seed_dataset.channels.items() if group in harmonics}
        features = stride_features(seed_dataset, channels, harmonics)
        features = np.concatenate([features, mirror_features(features, left_contact_phase(seed_dataset), channels, harmonics)])
        weight = _feature_weights(channels, harmonics)
        mean = features.mean(0)
        _, singular, rows = np.linalg.svd((features - mean) * weight, full_matrices=False)
        variance = singular**2 / max(1, len(features) - 1)
        share = np.sqrt(np.maximum(variance.sum() - np.cumsum(variance), 0.0) / sum(map(len, channels.values())))
        kept = int(min(np.sum(share > error) + 1, max_components, np.sum(singular > 1e-6 * singular[0])))
        left_out = np.sqrt(variance[kept:] @ rows[kept:] ** 2) / weight
        rows, deviation = rows[:kept], np.sqrt(variance[:kept])
        # the sign of a singular vector is arbitrary: fix it, so that files do not depend on the library
        rows *= np.sign(rows[np.arange(kept), np.abs(rows).argmax(1)])[:, None]
        return cls(channels, harmonics, mean, (rows * deviation[:, None]) / weight, left_out)

    # -- using one -------------------------------------------------------------------------------

    def encode(self, strides: Trials, *, mirrored: bool = False) -> np.ndarray:
        """Latents (N, D) float64 of strides with this representation's channels, or of their mirror images."""
        features = stride_features(strides, self.channels, self.harmonics)
        if mirrored:
            features = mirror_features(features, left_contact_phase(strides), self.channels, self.harmonics)
        return (features - self.mean) @ self.analysis

    def synthesis(self, group: str) -> tuple[np.ndarray, np.ndarray]:
        """The map from latents to a group's dimensionless samples, (D, 100, C), and their mean (100, C)."""
        basis, where = fourier_basis(self.harmonics[group]), self._slices[group]
        shape = (-1, basis.shape[1], len(self.channels[group]))
        maps, offset = (np.matmul(basis, part.reshape(shape)) for part in (self.components[:, where], self.mean[where]))
        return maps.astype(np.float32), offset[0].astype(np.float32)

    def decode(self, latents: np.ndarray, walker: Walker) -> dict[str, np.ndarray]:
        """Signals by group (n, 100, C) float32 of latents (n, D) walked by n walkers. Progression starts at
        pelvis_tx = 0, pelvis_tz has mean 0.
        """
        components, mean = self._decoding
        features = np.ascontiguousarray(latents, np.float32) @ components + mean
        signals = {}
        for group, where in self._slices.items():
            basis = fourier_basis(self.harmonics[group]).astype(np.float32)
            signals[group] = np.matmul(basis, features[:, where].reshape(len(features), basis.shape[1], -1))
        _to_si(signals, self.channels, walker)
        return signals

    def observed(self, known: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """Feature numbers (K,) that some channels determine, and how exactly (K,): the standard deviation of what
        the representation leaves out of them, at least half the tolerance (with less, draws of hidden
        channels scatter a third of what they miss).
        """
        names = [np.tile(self.channels[group], 2 * self.harmonics[group] + 1) for group in self.channels]
        columns = np.flatnonzero(np.isin(np.concatenate(names), list(known)))
        return columns, np.maximum(self.left_out, 0.5 / _feature_weights(self.channels, self.harmonics))[columns]

    def reconstruction_error(self, strides: Trials) -> dict[str, float]:
        """Root mean square of decode(encode(x)) - x per group, in the group's own unit, where x is known."""
        back = self.decode(self.encode(strides), Walker.of(strides.table))
        errors = {}
        for group, names in self.channels.items():
            original = np.array(strides.signals[group], float)
            if group == "pelvis":
                original[:, :, names.index("pelvis_tx")] -= original[:, :1, names.index("pelvis_tx")]
                original[:, :, names.index("pelvis_tz")] -= original[:, :, names.index("pelvis_tz")].mean(1, keepdims=True)
            if group == "centre_of_pressure":
                original -= _pelvis_ground_track(strides.signals["pelvis"], strides.channels["pelvis"], names)
                back[group] -= _pelvis_ground_track(back["pelvis"], self.channels["pelvis"], names)
            errors[group] = float(np.sqrt(np.nanmean((back[group] - original) ** 2)))
        return errors

    # -- files -----------------------------------------------------------------------------------

    def arrays(self) -> dict[str, np.ndarray]:
        """What ``from_arrays`` needs besides ``settings``."""
        return {name: getattr(self, name).astype(np.float32) for name in _ARRAYS}

    def settings(self) -> dict[str, Any]:
        """Channels and harmonics as plain values."""
        return {"channels": {g: list(c) for g, c in self.channels.items()}, "harmonics": self.harmonics}

    @classmethod
    def from_arrays(cls, settings: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> StrideRepresentation:
        """Read back ``settings`` and ``arrays``."""
        channels = {group: tuple(names) for group, names in settings["channels"].items()}
        return cls(channels, settings["harmonics"], *(arrays[name] for name in _ARRAYS))


# -- features ----------------------------------------------------------------------------------------


def stride_features(strides: Trials, channels: Mapping[str, tuple[str, ...]], harmonics: Mapping[str, int]) -> np.ndarray:
    """(N, F) dimensionless Fourier coefficients, see ``StrideRepresentation``."""
    for group in ("joint_angles", "pelvis", "ground_reaction"):
        if group not in channels or group not in strides.signals:
            raise InputError(f"the dataset has no {group}; a generator learns from joint_angles, pelvis and ground_reaction together")
    if strides.sampling_rate_hz is not None or strides.signals["pelvis"].shape[1] != SAMPLES_PER_STRIDE:
        raise InputError(f"the dataset is not strides of {SAMPLES_PER_STRIDE} phases; cut continuous walking into strides first")
    if len(strides) < 4:
        raise InputError(f"{len(strides)} strides are too few to learn from; give at least 4 that are ok")
    for group in channels:
        if strides.channels.get(group) != channels[group]:
            raise InputError(f"the dataset's {group} has other channels than the generator: {strides.channels.get(group)}")
    signals = _to_dimensionless(strides, channels, Walker.of(strides.table))
    parts = []
    for group, values in signals.items():
        basis = fourier_basis(harmonics[group]) / SAMPLES_PER_STRIDE
        parts.append(np.einsum("tk,ntc->nkc", basis, values).reshape(len(values), -1))
    features = np.concatenate(parts, 1)
    if not np.isfinite(features).all():
        row = int(np.flatnonzero(~np.isfinite(features).all(1))[0])
        raise InputError(f"trial {strides.table['trial_id'].iloc[row]!r} has missing values; leave out trials whose status is not ok")
    return features


def left_contact_phase(strides: Trials) -> np.ndarray:
    """(N,) phase of the left initial contact: from step_time_l_s, the time from right to left contact."""
    phase = np.asarray(strides.table["step_time_l_s"], float) / np.asarray(strides.table["stride_time_s"], float)
    return np.where(np.isfinite(phase), phase, 0.5) % 1.0


def mirror_features(
    features: np.ndarray, phase: np.ndarray, channels: Mapping[str, tuple[str, ...]], harmonics: Mapping[str, int]
) -> np.ndarray:
    """Features of the mirrored walker, begun anew at what was the left initial contact at ``phase`` (N,).

    The forces and the motion of a mirrored gait are those of the mirrored body: nothing is invented.
    """
    out = features.copy()
    for group, where in _slices(channels, harmonics).items():
        names = channels[group]
        order = [names.index(mirror_name(name)) for name in names]
        sign = np.array([mirror_sign(name) for name in names], float)
        block = features[:, where].reshape(len(features), -1, len(names))[:, :, order] * sign
        turn = 2 * np.pi * phase[:, None] * np.arange(1, harmonics[group] + 1)
        cosine, sine = np.cos(turn)[..., None], np.sin(turn)[..., None]
        shifted = block.copy()
        shifted[:, 1::2] = cosine * block[:, 1::2] + sine * block[:, 2::2]
        shifted[:, 2::2] = cosine * block[:, 2::2] - sine * block[:, 1::2]
        out[:, where] = shifted.reshape(len(features), -1)
    return out


def derivative_matrix(order: int, harmonics: int, samples: int = SAMPLES_PER_STRIDE) -> np.ndarray:
    """(samples, samples) matrix: the order-th derivative with respect to phase (0 to 1) of periodic samples."""
    basis = fourier_basis(harmonics, samples)
    derived = np.zeros_like(basis)
    for k in range(1, harmonics + 1):
        pair = basis[:, 2 * k - 1 : 2 * k + 1]
        for _ in range(order):
            pair = 2 * np.pi * k * np.stack([-pair[:, 1], pair[:, 0]], 1)
        derived[:, 2 * k - 1 : 2 * k + 1] = pair
    return derived @ basis.T / samples


def _slices(channels: Mapping[str, tuple[str, ...]], harmonics: Mapping[str, int]) -> dict[str, slice]:
    slices, start = {}, 0
    for group, names in channels.items():
        size = (2 * harmonics[group] + 1) * len(names)
        slices[group] = slice(start, start + size)
        start += size
    return slices


def _feature_weights(channels: Mapping[str, tuple[str, ...]], harmonics: Mapping[str, int]) -> np.ndarray:
    # A motion's k-th harmonic counts by what it does to acceleration as well: in units of g it is
    # (2 pi k / T)^2 of the displacement with T about 3.6 sqrt(L/g), 3 k^2, against forces by mass share.
    weights = []
    for group, names in channels.items():
        k = harmonic_of(harmonics[group])
        emphasis = np.sqrt(1 + (k / 8.0) ** 4) if group in _MOTION else np.ones(len(k))
        weights.append(np.repeat(emphasis, len(names)) / TOLERANCE.get(group, 1.0))
    return np.concatenate(weights)


def _pelvis_ground_track(pelvis: np.ndarray, pelvis_names: tuple[str, ...], cop_names: tuple[str, ...]) -> np.ndarray:
    """(N, 100, C) pelvis_tx or pelvis_tz for each centre-of-pressure channel."""
    return np.stack([pelvis[:, :, pelvis_names.index("pelvis_tx" if "_x_" in name else "pelvis_tz")] for name in cop_names], 2)


def _vertical_of(cop_names: tuple[str, ...]) -> list[int]:
    return [GROUND_REACTION.index(f"ground_reaction_y_{name[-1]}") for name in cop_names]


def _to_dimensionless(strides: Trials, channels: Mapping[str, tuple[str, ...]], walker: Walker) -> dict[str, np.ndarray]:
    length, weight = walker.leg_length_m[:, None, None], walker.weight_n[:, None, None]
    out = {}
    for group, names in channels.items():
        values = np.array(strides.signals[group], float)
        if group == "pelvis":
            phase = np.arange(SAMPLES_PER_STRIDE) / SAMPLES_PER_STRIDE
            x, z = names.index("pelvis_tx"), names.index("pelvis_tz")
            values[:, :, x] -= walker.stride_length_m[:, None] * phase
            values[:, :, [x, z]] -= values[:, :, [x, z]].mean(1, keepdims=True)
            translations = [i for i, name in enumerate(names) if name.startswith("pelvis_t") and name != "pelvis_tilt"]
            values[:, :, translations] /= length
        elif group == "ground_reaction":
            values /= weight
        elif group == "centre_of_pressure":
            load = np.array(strides.signals["ground_reaction"], float)[:, :, _vertical_of(names)] / weight
            offset = values - _pelvis_ground_track(np.asarray(strides.signals["pelvis"], float), strides.channels["pelvis"], names)
            values = np.where(np.isfinite(values), load * offset / length, 0.0)
        elif group == "muscle_activation":
            values = np.arcsin(np.sqrt(np.clip(values, 0.0, 1.0)))
        out[group] = values
    return out


def _to_si(signals: dict[str, np.ndarray], channels: Mapping[str, tuple[str, ...]], walker: Walker) -> None:
    """The inverse of ``_to_dimensionless``, in place."""
    length = walker.leg_length_m.astype(np.float32)[:, None, None]
    weight = walker.weight_n.astype(np.float32)[:, None, None]
    pelvis, names = signals["pelvis"], channels["pelvis"]
    for name in PELVIS_COORDINATES[3:]:
        pelvis[:, :, names.index(name)] *= length[:, :, 0]
    x = names.index("pelvis_tx")
    pelvis[:, :, x] += (walker.stride_length_m[:, None] * np.arange(SAMPLES_PER_STRIDE) / SAMPLES_PER_STRIDE).astype(np.float32)
    pelvis[:, :, x] -= pelvis[:, :1, x].copy()
    force = signals["ground_reaction"]
    for side in SIDES:
        columns = [GROUND_REACTION.index(f"ground_reaction_{axis}_{side}") for axis in "xyz"]
        # the floor does not pull: where the series dips below zero there is no force at all
        force[:, :, columns] *= (force[:, :, columns[1]] > 0.0)[:, :, None]
    if "centre_of_pressure" in signals:
        cop_names = channels["centre_of_pressure"]
        load = force[:, :, _vertical_of(cop_names)]
        loaded = load > LOADED_BW
        offset = signals["centre_of_pressure"] * length / np.where(loaded, load, 1.0)
        track = _pelvis_ground_track(pelvis, names, cop_names)
        signals["centre_of_pressure"] = np.where(loaded, track + offset, np.nan).astype(np.float32)
    force *= weight
    if "muscle_activation" in signals:
        theta = signals["muscle_activation"]
        np.clip(theta, 0.0, np.pi / 2, out=theta)
        np.sin(theta, out=theta)
        np.square(theta, out=theta)
