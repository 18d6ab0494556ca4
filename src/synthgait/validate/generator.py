"""How good synthetic strides are: can a network tell them from simulated ones, and does it matter?

In: training strides, strides of people never trained on, and each method's synthetic strides asked
for under those people's conditions; all with the columns of the plausibility check. Out: one row of
figures per method.

- ``c2st_accuracy``: of networks trained to tell synthetic from held-out strides, on other people's
  (Lopez-Paz & Oquab, ICLR 2017). 0.5 is indistinguishable. ``c2st_forces_accuracy``: of networks that see nothing but the
  ground reaction.
- ``precision``, ``recall``: share of synthetic strides inside the held-out strides' nearest-neighbour
  balls and the other way round (Kynkaanniemi et al., NeurIPS 2019).
- ``nearest_training_ratio``: median distance of a synthetic stride to the nearest training stride over
  the same of held-out strides; far under 1 is copying.
- ``nearest_alike_ratio``: among strides asked for under one condition, median distance to the nearest other one, over the same
  among as many simulated strides of the nearest conditions; under 1 the method gives fewer kinds of walks than there are.
- ``tstr_ratio``: error of speed and step length predicted from joint angles by a network trained on
  synthetic strides, sixteen under the conditions of each simulated one (a generator gives any number; open
  conditions would be drawn by how usual they are, which the held-out strides are not), over the error of one
  trained on the simulated strides (Esteban et al., 2017).

The row ``seed`` puts training strides in the synthetic ones' place: what a perfect generator would get.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from hashlib import blake2b
from typing import Any

import numpy as np
import torch
from torch import nn

from synthgait.conventions import GRAVITY_MPS2
from synthgait.errors import InputError
from synthgait.estimators.networks import one_thread
from synthgait.trials import Trials

#: What the figures are, in the order of the printed table.
KEYS = (
    "c2st_accuracy",
    "c2st_forces_accuracy",
    "precision",
    "recall",
    "nearest_training_ratio",
    "nearest_alike_ratio",
    "duplicates",
    "speed_error_median_mps",
    "step_length_error_median_m",
    "pathology_accuracy_difference",
    "residual_force_median_bw",
    "residual_force_p95_bw",
    "residual_moment_median_nmkg",
    "residual_moment_p95_nmkg",
    "repaired_force_p95_bw",
    "opensim_force_p95_bw",
    "opensim_moment_p95_nmkg",
    "foot_skate_p99_mps",
    "penetration_p99_m",
    "ok_fraction",
    "tstr_ratio",
)
_PHASES = 25  # of the 100: enough for 12 harmonics
_NEIGHBOURS = 5
#: Networks (each with strides and folds of its own) that are averaged for ``c2st_accuracy`` and ``tstr_ratio``: a single one's
#: accuracy scatters by 0.01 to 0.02, its error by several per cent.
_FITS = 3
_GROUPS = ("joint_angles", "pelvis", "ground_reaction", "muscle_activation")


def compare(
    training: Trials, held_out: Trials, synthetic: Mapping[str, Trials], teachers: Mapping[str, Trials], seed: int = 0
) -> dict[str, dict[str, Any]]:
    """Figures per method, and of "seed" (training strides in the synthetic ones' place).

    Args:
        training: simulated strides that the methods learned from.
        held_out: simulated strides of other people.
        synthetic: method -> strides asked for under the held-out strides' conditions, at least as many.
        teachers: method -> strides asked for under the training strides' conditions, to train on for ``tstr_ratio``.

    ``nearest_alike_ratio`` and the ``opensim_*`` figures of ``KEYS`` are not among them: ``generators.quality`` finds them.

    Raises InputError: fewer than 10 held-out people.
    """
    if len(set(held_out.table["subject_id"])) < 10:
        raise InputError(
            f"{len(set(held_out.table['subject_id']))} held-out people are too few to judge a generator; give a seed dataset of at least 50"
        )
    space, forces = FeatureSpace(training), FeatureSpace(training, groups=("ground_reaction",))
    known, kept, kept_forces = space(training), space(held_out), forces(held_out)

    def accuracy(real: np.ndarray, made: np.ndarray, strides: Trials) -> float:
        people = _people(held_out), _people(strides)
        return float(np.mean([two_sample_accuracy(real, made, *people, seed + fit) for fit in range(_FITS)]))

    judge = PathologyJudge(training, known, seed)
    baseline = None
    rows: dict[str, dict[str, Any]] = {}
    rng = np.random.default_rng(seed)
    reference = training.select(rng.permutation(len(training))[: len(held_out)])
    for name, strides in ({"seed": reference} | dict(synthetic)).items():
        made = space(strides)
        error = _prediction_error(teachers[name] if name != "seed" else training, held_out, seed)
        baseline = error if name == "seed" else baseline
        precision, recall = precision_recall(kept, made)
        table = strides.table
        others = (
            known if name != "seed" else space(training.select(~training.table["trial_id"].isin(reference.table["trial_id"]).to_numpy()))
        )
        rows[name] = {
            "c2st_accuracy": accuracy(kept, made, strides),
            "c2st_forces_accuracy": accuracy(kept_forces, forces(strides), strides),
            "precision": precision,
            "recall": recall,
            "nearest_training_ratio": float(np.median(_nearest(made, others)) / np.median(_nearest(kept, known))),
            "duplicates": duplicates([strides]),
            **_asked_for(strides),
            "pathology_accuracy_difference": judge(made, strides) - judge(kept, held_out),
            "residual_force_median_bw": float(table["residual_force_bw"].median()),
            "residual_force_p95_bw": float(table["residual_force_bw"].quantile(0.95)),
            "residual_moment_median_nmkg": float(table["residual_moment_nmkg"].median()),
            "residual_moment_p95_nmkg": float(table["residual_moment_nmkg"].quantile(0.95)),
            "repaired_force_p95_bw": float(table["repaired_force_bw"].quantile(0.95)) if "repaired_force_bw" in table else 0.0,
            "foot_skate_p99_mps": float(table["foot_skate_mps"].quantile(0.99)),
            "penetration_p99_m": float(table["penetration_m"].quantile(0.99)),
            "ok_fraction": float((table["status"] == "ok").mean()),
            "tstr_ratio": error / baseline if baseline else float("nan"),
        }
    return rows


def table_text(rows: Mapping[str, Mapping[str, Any]]) -> str:
    """The figures as a table for people, methods side by side."""
    width = max(len(key) for key in KEYS)
    lines = [" " * width + "".join(f"{name:>15}" for name in rows)]
    lines += [f"{key:<{width}}" + "".join(f"{row[key]:>15.4g}" for row in rows.values()) for key in KEYS]
    return "\n".join(lines)


class FeatureSpace:
    """Strides as dimensionless samples, principal components of the training strides, one unit per group.

    Callable: ``Trials`` (N) -> (N, F). Angles count in rad, translation in leg lengths, force in body
    weights; each group is divided by its own standard deviation over the training strides.
    """

    def __init__(self, training: Trials, components: int = 48, groups: Sequence[str] = _GROUPS) -> None:
        self.groups = groups
        self.scale = {group: float(np.sqrt(values.var(0).mean())) or 1.0 for group, values in _signals(training, groups).items()}
        samples = self._stacked(training)
        self.mean = samples.mean(0)
        _, singular, rows = np.linalg.svd(samples - self.mean, full_matrices=False)
        share = np.cumsum(singular**2) / (singular**2).sum()
        self.rows = rows[: min(components, int(np.searchsorted(share, 0.999)) + 1)]

    def __call__(self, strides: Trials) -> np.ndarray:
        return (self._stacked(strides) - self.mean) @ self.rows.T

    def _stacked(self, strides: Trials) -> np.ndarray:
        parts = []
        for group, values in _signals(strides, self.groups).items():
            flat = values.reshape(len(values), -1) / self.scale[group]
            parts.append(flat / np.sqrt(flat.shape[1]))
        return np.concatenate(parts, 1)


def _signals(strides: Trials, groups: Sequence[str]) -> dict[str, np.ndarray]:
    leg, mass = (np.asarray(strides.table[c], float)[:, None, None] for c in ("leg_length_m", "mass_kg"))
    period = np.asarray(strides.table["stride_time_s"], float)[:, None, None]
    out = {}
    step = strides.signals["pelvis"].shape[1] // _PHASES
    for group in groups:
        if group not in strides.signals:
            continue
        values = strides.signals[group][:, ::step].astype(float)
        if group == "pelvis":
            values = values.copy()
            x = strides.channels["pelvis"].index("pelvis_tx")
            length = np.asarray(strides.table["stride_length_m"], float)[:, None]
            values[:, :, x] -= length * np.arange(_PHASES) / _PHASES
            for name in ("pelvis_tx", "pelvis_tz"):
                values[:, :, strides.channels["pelvis"].index(name)] -= values[:, :, strides.channels["pelvis"].index(name)].mean(
                    1, keepdims=True
                )
            for i in range(3, 6):
                values[:, :, i] /= leg[:, :, 0]
            # how far and how fast a stride goes counts as much as one more channel
            pace = np.concatenate([length[:, :, None] / leg, period * np.sqrt(GRAVITY_MPS2 / leg)], 2) * np.array([0.1, 0.03])
            values = np.concatenate([values, np.repeat(pace, _PHASES, 1)], 2)
        elif group == "ground_reaction":
            values = values / (mass * GRAVITY_MPS2)
        out[group] = values
    return out


def two_sample_accuracy(real: np.ndarray, made: np.ndarray, real_people: np.ndarray, made_people: np.ndarray, seed: int = 0) -> float:
    """Cross-validated accuracy of a network that tells real (N, F) from made (M, F) strides.

    As many of each; no person is on both sides of a fold.
    """
    rng = np.random.default_rng(seed)
    count = min(len(real), len(made))
    pick = [np.sort(rng.permutation(len(x))[:count]) for x in (real, made)]
    features = np.concatenate([real[pick[0]], made[pick[1]]])
    label = np.repeat([1.0, 0.0], count)
    people = np.concatenate([real_people[pick[0]], made_people[pick[1]]])
    names = np.unique(people)
    fold_of = dict(zip(names, rng.permutation(len(names)) % 5, strict=True))
    fold = np.array([fold_of[person] for person in people])
    right = 0
    for k in range(5):
        test = fold == k
        said = _network(features[~test], label[~test, None], features[test], seed + k, binary=True)[:, 0]
        right += int(((said > 0) == (label[test] > 0.5)).sum())
    return right / len(label)


def precision_recall(real: np.ndarray, made: np.ndarray) -> tuple[float, float]:
    """Share of made (M, F) inside the real strides' balls, and of real (N, F) inside the made ones'; a ball
    reaches to the 5th neighbour among its own kind. The same number of each is compared.
    """
    count = min(len(real), len(made))
    real, made = real[:count], made[:count]
    neighbour = min(_NEIGHBOURS, count - 1)
    own_real = np.sort(_distances(real, real), 1)[:, neighbour]
    own_made = np.sort(_distances(made, made), 1)[:, neighbour]
    between = _distances(made, real)
    return float((between <= own_real[None, :]).any(1).mean()), float((own_made[None, :] >= between.T).any(1).mean())


def nearest_alike(groups: np.ndarray) -> np.ndarray:
    """(C,) median distance of a stride to the nearest of its group, of features (C, K, F)."""
    apart = [_distances(group, group) + np.diag(np.full(len(group), np.inf)) for group in groups]
    return np.array([np.median(distance.min(1)) for distance in apart])


def duplicates(parts: Iterable[Trials]) -> int:
    """Strides whose joint angles another one has too, to 0.01 degrees throughout; the strides come in parts, however many."""
    seen, count = set(), 0
    for strides in parts:
        angles = np.rint(strides.signals["joint_angles"][:, ::5] / np.float32(np.deg2rad(0.01))).astype(np.int32)
        seen |= {blake2b(row.tobytes(), digest_size=16).digest() for row in angles}
        count += len(angles)
    return count - len(seen)


class PathologyJudge:
    """A network that names the pathology of a stride, trained on the training strides."""

    def __init__(self, training: Trials, features: np.ndarray, seed: int) -> None:
        self.names = sorted(set(training.table["pathology"]))
        self.features, self.seed = features, seed
        self.target = (np.asarray(training.table["pathology"])[:, None] == np.asarray(self.names)[None, :]).astype(float)

    def __call__(self, features: np.ndarray, strides: Trials) -> float:
        """Accuracy on some strides."""
        if len(self.names) == 1:
            return 1.0
        said = _network(self.features, self.target, features, self.seed, classes=True).argmax(1)
        return float((np.asarray(self.names)[said] == np.asarray(strides.table["pathology"])).mean())


def _asked_for(strides: Trials) -> dict[str, float]:
    table = strides.table
    if "condition_stride_time_s" not in table or table["condition_stride_time_s"].isna().any():
        return {"speed_error_median_mps": 0.0, "step_length_error_median_m": 0.0}
    speed = (table["walking_speed_mps"] - table["condition_walking_speed_mps"]).abs().median()
    asked = 0.5 * table["condition_walking_speed_mps"] * table["condition_stride_time_s"]
    step = (0.5 * (table["step_length_r_m"] + table["step_length_l_m"]) - asked).abs().median()
    return {"speed_error_median_mps": float(speed), "step_length_error_median_m": float(step)}


def _prediction_error(training: Trials, test: Trials, seed: int) -> float:
    """Mean absolute error of speed (m/s) plus step length (m) told from joint angles, stride time and height."""

    def inputs(strides: Trials) -> np.ndarray:
        spectrum = np.fft.rfft(strides.signals["joint_angles"].astype(float), axis=1)[:, :6] / strides.signals["joint_angles"].shape[1]
        table = strides.table
        parts = [spectrum.real.reshape(len(strides), -1), spectrum.imag.reshape(len(strides), -1)]
        return np.concatenate([*parts, table[["stride_time_s", "height_m"]].to_numpy(float)], 1)

    def targets(strides: Trials) -> np.ndarray:
        return strides.table[["walking_speed_mps", "step_length_r_m", "step_length_l_m"]].to_numpy(float)

    given, wanted, asked, true = inputs(training), targets(training), inputs(test), targets(test)
    errors = [np.abs(_network(given, wanted, asked, seed + fit) - true).mean(0) for fit in range(_FITS)]
    return float(np.mean(errors, axis=0) @ np.array([1.0, 0.5, 0.5]))


def _network(
    inputs: np.ndarray, targets: np.ndarray, test: np.ndarray, seed: int, *, binary: bool = False, classes: bool = False
) -> np.ndarray:
    """Train a small perceptron (two hidden layers of 64, dropout) and return its outputs on ``test``."""
    mean, spread = inputs.mean(0), inputs.std(0) + 1e-9
    x, y = (torch.tensor((a - m) / s, dtype=torch.float32) for a, m, s in ((inputs, mean, spread), (test, mean, spread)))
    regression = not (binary or classes)
    centre, width = (targets.mean(0), targets.std(0) + 1e-9) if regression else (0.0, 1.0)
    wanted = torch.tensor((targets - centre) / width, dtype=torch.float32)
    random = torch.Generator().manual_seed(seed)
    with one_thread(), torch.random.fork_rng():
        torch.manual_seed(seed)
        network = nn.Sequential(
            nn.Linear(x.shape[1], 64),
            nn.SiLU(),
            nn.Dropout(0.1),
            nn.Linear(64, 64),
            nn.SiLU(),
            nn.Dropout(0.1),
            nn.Linear(64, wanted.shape[1]),
        )
        optimiser = torch.optim.AdamW(network.parameters(), lr=3e-3, weight_decay=0.02)
        steps = 1200 if regression else 400
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
        for _ in range(steps):
            rows = torch.randint(len(x), (min(128, len(x)),), generator=random)
            said = network(x[rows])
            if binary:
                loss = nn.functional.binary_cross_entropy_with_logits(said, wanted[rows])
            elif classes:
                loss = nn.functional.cross_entropy(said, wanted[rows])
            else:
                loss = nn.functional.mse_loss(said, wanted[rows])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
        network.eval()
        with torch.no_grad():
            return network(y).numpy().astype(float) * width + centre


def _people(strides: Trials) -> np.ndarray:
    return np.asarray(strides.table["subject_id"]).astype(str)


def _distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    square = (a**2).sum(1)[:, None] - 2 * a @ b.T + (b**2).sum(1)[None, :]
    return np.sqrt(np.maximum(square, 0.0))


def _nearest(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return _distances(a, b).min(1)
