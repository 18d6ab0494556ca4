"""A camera and a pose network: key points in the image.

In: walks and a random generator. Out: ``Trials`` with groups ``keypoints_2d`` (``<point>_{x,y}``,
pixels, x to the right and y up from the image's lower left corner; NaN where missing) and
``keypoint_confidence`` (0 to 1).

Pinhole with one coefficient of radial distortion (Brown 1971). The network's errors: noise in shares of
the body's size in the image, more where the far leg hides behind the near one, where left and right
may also be taken for each other, motion blur, and frames in which a point is not found.

Motion blur: while the shutter is open a point draws a streak of its speed in the image times the exposure time (Potmesil
& Chakravarty, SIGGRAPH 1983), and the network finds it anywhere in there: a uniform error along its way, with a standard
deviation of speed times exposure over the square root of 12. Fast feet suffer most.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from synthgait.conventions import mirror_name
from synthgait.errors import InputError
from synthgait.sensors.base import BLOCK, chosen, needs_rng, recording
from synthgait.sensors.keypoints import positions, set_named
from synthgait.trials import Trials
from synthgait.walks import Motion, motion_of

#: Where the camera stands, seen from the walker: azimuth about the vertical from straight ahead,
#: positive to the walker's right.
VIEWS_RAD = {
    "front": 0.0,
    "front_right": np.pi / 4,
    "right": np.pi / 2,
    "back_right": 3 * np.pi / 4,
    "back": np.pi,
    "back_left": -3 * np.pi / 4,
    "left": -np.pi / 2,
    "front_left": -np.pi / 4,
}
_LEG = ("hip", "knee", "ankle", "heel", "toe", "small_toe")
_HIDDEN_WITHIN_M = 0.07  # half the width of a thigh: what lies this close behind a leg is hidden


@dataclass(frozen=True)
class PoseNoise:
    """A pose network's errors; the default has none.

    Args:
        noise: standard deviation of a visible point, in shares of body height, white per frame.
        drift: the same for a slow error (first-order, 0.3 s) that does not average out.
        hidden_factor: factor on both for hidden points.
        missing, hidden_missing: probability that a visible, a hidden point is not found in a frame.
        swap: probability per frame that the two legs are taken for each other while one hides the other.
        exposure_s: how long the shutter is open, at most a frame, which blurs what moves; 0 is sharp.
    """

    name: str = "none"
    noise: float = 0.0
    drift: float = 0.0
    hidden_factor: float = 1.0
    missing: float = 0.0
    hidden_missing: float = 0.0
    swap: float = 0.0
    exposure_s: float = 0.0

    @property
    def random(self) -> bool:
        """True when two recordings of the same walk differ."""
        return any(v > 0 for v in (self.noise, self.drift, self.missing, self.hidden_missing, self.swap, self.exposure_s))


class Camera:
    """One camera, level or tilted towards the pelvis, on the walk's way.

    Args:
        view: a name of ``VIEWS_RAD`` or an azimuth in rad; front and back stand beyond the path's ends.
        keypoints: a set of ``sensors.keypoints.KEYPOINT_SETS`` or names of points.
        noise: ``PoseNoise`` or a name of ``simulations/sensors/camera.yaml``.
        distance_m: from the middle of the path (from its nearer end for front and back views).
        height_m: of the camera.
        focal_px, width_px, height_px, radial: pinhole and radial distortion coefficient.
        frame_rate_hz: None films as the walks are sampled.
        panning: the camera turns with the pelvis instead of looking at the middle of the path.
    """

    def __init__(
        self,
        view: str | float = "right",
        keypoints: str | Sequence[str] = "coco_17",
        noise: PoseNoise | str | None = None,
        *,
        distance_m: float = 4.0,
        height_m: float = 1.1,
        focal_px: float = 1400.0,
        width_px: int = 1920,
        height_px: int = 1080,
        radial: float = 0.0,
        frame_rate_hz: float | None = None,
        panning: bool = False,
    ) -> None:
        if isinstance(view, str) and view not in VIEWS_RAD:
            raise InputError(f"no view is called {view!r}; there are {', '.join(VIEWS_RAD)}, or an angle in rad")
        if distance_m <= 0.5:
            raise InputError(f"distance_m is {distance_m:g}; a camera needs at least half a metre to see a walker")
        self.azimuth_rad = VIEWS_RAD[view] if isinstance(view, str) else float(view)
        self.names = set_named(keypoints)
        self.noise = chosen(PoseNoise, "camera", noise)
        self.distance_m, self.height_m, self.panning, self.frame_rate_hz = distance_m, height_m, panning, frame_rate_hz
        self.focal_px, self.width_px, self.height_px, self.radial = focal_px, width_px, height_px, radial

    @property
    def channels(self) -> tuple[str, ...]:
        """``<point>_{x,y}``."""
        return tuple(f"{name}_{axis}" for name in self.names for axis in "xy")

    def record(self, walks: Trials, rng: np.random.Generator | None = None) -> Trials:
        """Film every walk. Raises InputError for a noisy network without rng, or a frame rate on strides."""
        if self.noise.random:
            rng = needs_rng(rng, "this camera")
        motion = motion_of(walks)
        rate = walks.sampling_rate_hz
        if self.frame_rate_hz is not None:
            if rate is None:
                raise InputError("a single stride cannot be filmed at another rate; walk the strides first")
            motion, rate = _frames(motion, self.frame_rate_hz), self.frame_rate_hz
        images, trust = [], []
        heights = walks.table["height_m"].to_numpy(float)
        for start in range(0, len(walks), BLOCK):
            rows = np.arange(start, min(start + BLOCK, len(walks)))
            image, confidence = self._film(motion, rows, heights[rows], rng)
            images.append(image.reshape(*image.shape[:2], -1))
            trust.append(confidence)
        signals = {"keypoints_2d": np.concatenate(images), "keypoint_confidence": np.concatenate(trust)}
        channels = {"keypoints_2d": self.channels, "keypoint_confidence": tuple(f"{n}_confidence" for n in self.names)}
        return recording(walks, signals, channels, rate)

    def _film(
        self, motion: Motion, rows: np.ndarray, height_m: np.ndarray, rng: np.random.Generator | None
    ) -> tuple[np.ndarray, np.ndarray]:
        points = positions(motion, rows, self.names)
        pelvis = positions(motion, rows, ["pelvis"])
        seen = self._in_camera(points, pelvis)
        image = self._project(seen)
        size = self.focal_px * height_m[:, None] / np.maximum(np.median(seen[..., 2], axis=2), 0.3)
        hidden = self._hidden(seen)
        confidence = np.where(hidden, 0.4, 0.95)
        if rng is not None and self.noise.random:
            image, confidence = self._misread(image, confidence, hidden, size, motion.sampling_rate_hz[rows], rng)
        outside = (image < 0) | (image > np.array([self.width_px, self.height_px])) | (seen[..., 2:3] < 0.3)
        lost = outside.any(axis=-1) | np.isnan(image).any(axis=-1)
        image[lost] = np.nan
        return image, np.where(lost, 0.0, confidence)

    def _in_camera(self, points: np.ndarray, pelvis: np.ndarray) -> np.ndarray:
        """Camera axes: x right in the image, y up, z away from the camera (n, T, K, 3)."""
        path = pelvis[:, :, 0]
        middle = 0.5 * (path.min(axis=1) + path.max(axis=1))
        ahead = np.array([np.cos(self.azimuth_rad), 0.0, np.sin(self.azimuth_rad)])
        # front and back cameras stand off by half the path, so that the walker never walks through them
        reach = self.distance_m + 0.5 * np.abs(ahead[0]) * (path[..., 0].max(axis=1) - path[..., 0].min(axis=1))
        place = middle * [1, 0, 1] + reach[:, None] * ahead + [0.0, self.height_m, 0.0]
        target = path if self.panning else np.broadcast_to(middle[:, None], path.shape)
        away = target - place[:, None]
        away = away / np.linalg.norm(away, axis=-1, keepdims=True)
        right = np.cross(away, [0.0, 1.0, 0.0])
        right = right / np.linalg.norm(right, axis=-1, keepdims=True)
        axes = np.stack([right, np.cross(right, away), away], axis=-2)
        return np.einsum("ntij,ntkj->ntki", axes, points - place[:, None, None])

    def _project(self, seen: np.ndarray) -> np.ndarray:
        flat = seen[..., :2] / np.maximum(seen[..., 2:], 0.3)
        flat = flat * (1.0 + self.radial * np.sum(flat**2, axis=-1, keepdims=True))
        return self.focal_px * flat + 0.5 * np.array([self.width_px, self.height_px])

    def _hidden(self, seen: np.ndarray) -> np.ndarray:
        """(n, T, K): points of one leg that lie behind a segment of the other."""
        hidden = np.zeros(seen.shape[:3], bool)
        index = {name: k for k, name in enumerate(self.names)}
        for side, other in (("l", "r"), ("r", "l")):
            segments = [
                (index[f"{a}_{other}"], index[f"{b}_{other}"])
                for a, b in (("hip", "knee"), ("knee", "ankle"), ("ankle", "toe"))
                if f"{a}_{other}" in index and f"{b}_{other}" in index
            ]
            for joint in _LEG[1:]:
                k = index.get(f"{joint}_{side}")
                if k is None:
                    continue
                for a, b in segments:
                    hidden[..., k] |= _behind(seen[..., k, :], seen[..., a, :], seen[..., b, :])
        return hidden

    def _misread(
        self, image: np.ndarray, confidence: np.ndarray, hidden: np.ndarray, size: np.ndarray, rate_hz: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        noise = self.noise
        worse = np.where(hidden, noise.hidden_factor, 1.0)
        scale = (size[..., None] * worse)[..., None]
        frames = np.minimum(noise.exposure_s * rate_hz, 1.0)[:, None, None, None]
        streak = frames * np.gradient(image, axis=1)
        image = image + noise.noise * scale * rng.standard_normal(image.shape)
        if noise.drift:
            image = image + noise.drift * scale * _slow(rng, image.shape, rate_hz)
        if noise.exposure_s:
            image = image + streak * rng.uniform(-0.5, 0.5, (*image.shape[:3], 1))
        if noise.swap:
            swapped = rng.random(image.shape[:2]) < noise.swap * hidden.any(axis=-1)
            order = [
                self.names.index(mirror_name(n)) if n.startswith(_LEG) and mirror_name(n) in self.names else k
                for k, n in enumerate(self.names)
            ]
            image = np.where(swapped[..., None, None], image[..., order, :], image)
        missing = rng.random(hidden.shape) < np.where(hidden, noise.hidden_missing, noise.missing)
        image[missing] = np.nan
        confidence = np.clip(confidence + rng.normal(0.0, 0.05, confidence.shape), 0.05, 1.0)
        return image, confidence


def _behind(point: np.ndarray, start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Whether a point (camera axes) is farther away than a segment and within a thigh of its line of sight."""
    along = end - start
    share = np.clip(np.sum((point - start)[..., :2] * along[..., :2], -1) / np.maximum(np.sum(along[..., :2] ** 2, -1), 1e-9), 0, 1)
    nearest = start + share[..., None] * along
    beside = np.linalg.norm(point[..., :2] / point[..., 2:] - nearest[..., :2] / nearest[..., 2:], axis=-1) * nearest[..., 2]
    return (beside < _HIDDEN_WITHIN_M) & (point[..., 2] > nearest[..., 2] + 0.05)


def _slow(rng: np.random.Generator, shape: tuple[int, ...], rate_hz: np.ndarray) -> np.ndarray:
    """First-order noise of unit variance and 0.3 s memory along the second axis."""
    keep = np.exp(-1.0 / (0.3 * rate_hz))[:, None, None]
    fresh = rng.standard_normal(shape)
    out = np.empty(shape)
    out[:, 0] = fresh[:, 0]
    for t in range(1, shape[1]):
        out[:, t] = keep * out[:, t - 1] + np.sqrt(1 - keep**2) * fresh[:, t]
    return out


def _frames(motion: Motion, frame_rate_hz: float) -> Motion:
    """The motion at the camera's frames, linear between samples."""
    rate = float(motion.sampling_rate_hz[0])
    samples = motion.coordinates.shape[1]
    position = np.arange(int(np.floor((samples - 1) / rate * frame_rate_hz)) + 1) / frame_rate_hz * rate
    low = np.minimum(position.astype(np.int64), samples - 2)
    share = (position - low)[:, None]
    parts = [a[:, low] * (1 - share) + a[:, low + 1] * share for a in (motion.coordinates, motion.speeds, motion.accelerations)]
    return replace(
        motion,
        coordinates=parts[0],
        speeds=parts[1],
        accelerations=parts[2],
        sampling_rate_hz=np.full(len(motion.sampling_rate_hz), frame_rate_hz),
    )
