"""The verb ``validate simulations``: simulated healthy adults beside real ones, curve by curve.

In: a seed dataset and the folder of real recordings (yardstick only: nothing is fitted to them). Out: rows
``quantity, speed_class, fraction_within_1sd, rmse, correlation``, and
relations to walking speed (``validate.speed_effects``).

Real curves are those of ``recordings.schreiber_cycles``. In a speed class every person counts once, with the
mean of all cycles of both legs; the band is the mean of the people plus and minus one standard deviation
between people. A class with fewer than three people takes the deviation of the normal class (``sd_from`` says
so). How much of the cycle can lie in such a band, two yardsticks in the same row tell: what each real person's own
mean reaches in the band of the others, and what the true mean of all people would in a band of so few. Simulated
are the healthy adults of the same mean speed within 0.15 m/s whose cadence lies within 10 % of the typical one:
studies also prescribe unnatural cadences, which have no counterpart among the recordings. Ground reaction is
compared while the real foot is loaded.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import t as student_t

from synthgait import recordings
from synthgait.conventions import ELECTROMECHANICAL_DELAY_S, EMG_GROUPS, GRAVITY_MPS2, SAMPLES_PER_STRIDE
from synthgait.errors import InputError
from synthgait.gait import later
from synthgait.recordings import schreiber, schreiber_cycles
from synthgait.recordings.schreiber_cycles import Cycle
from synthgait.trials import Trials
from synthgait.validate import speed_effects

#: Limits of walking speed in m/s; real people walk faster than the last one and slower than the first.
SPEED_CLASSES = {"slow": (0.6, 1.08), "normal": (1.08, 1.42), "fast": (1.42, 1.9)}
ANGLES = (
    "hip_flexion",
    "hip_adduction",
    "knee_flexion",
    "ankle_dorsiflexion",
    "pelvis_tilt",
    "pelvis_list",
    "pelvis_rotation",
)
FORCES = ("ground_reaction_x", "ground_reaction_y", "ground_reaction_z")
MUSCLES: tuple[str, ...] = ("tibialis_anterior", "soleus", "gastrocnemius_medialis", "vastus_medialis", "rectus_femoris", "semitendinosus")
MUSCLES += ("biceps_femoris", "gluteus_maximus", "gluteus_medius")
_SPEED_WINDOW_MPS, _ADULT_YEARS = 0.15, (18.0, 65.0)
_LOADED, _FEWEST_PEOPLE = 0.02, 3
_YARDSTICKS = ("person_within_1sd", "person_correlation", "true_mean_within_1sd")


def run(seed_dataset: Trials, folder: Path | str) -> dict[str, Any]:
    """Compare a seed dataset with the recordings of a folder.

    Returns ``curves`` (rows of ``compare``) and ``speed_relations`` (rows of ``speed_effects.relations``).

    Raises:
        InputError: the dataset has no healthy adult that walked, or the recordings are not there.
    """
    folder = Path(folder)
    found = folder if folder.name == schreiber.NAME else folder / schreiber.NAME
    if not found.is_dir():
        raise InputError(f"{folder} has no {schreiber.NAME}; simulated curves are compared with its joint angles and forces")
    walked = healthy_adults(seed_dataset)
    cycles = schreiber_cycles.cycles(found)
    return {
        "curves": compare(walked, cycles),
        "speed_relations": speed_effects.relations(walked, cycles, recordings.reference_table(folder)),
    }


def healthy_adults(trials: Trials) -> Trials:
    """The gaits of healthy people of 18 to 65 years. Raises InputError where there are none."""
    table = trials.table
    chosen = (table["status"] == "ok") & (table["pathology"] == "none") & table["age_years"].between(*_ADULT_YEARS)
    if not chosen.any():
        raise InputError("the dataset has no healthy adult that walked; nothing can be compared")
    return trials.select(chosen.to_numpy())


def compare(walked: Trials, cycles: Sequence[Cycle]) -> list[dict[str, Any]]:
    """One row per quantity and speed class that has both real and simulated gaits, and real people enough for a deviation.

    Keys: ``quantity``; ``speed_class``; ``fraction_within_1sd`` of the cycle that the mean simulated curve
    lies inside the real band; ``rmse`` of the mean curves in ``unit``; ``correlation`` of the mean curves;
    ``offset``, how far the mean simulated curve lies over the real one (``unit``), and of angles
    ``shape_within_1sd``, the fraction inside once that is taken away, as laboratories place an angle's zero by
    markers that differ by some degrees (McGinley et al., Gait Posture 2009;29:360);
    ``correlation_delayed``, of activations only, with the EMG ``ELECTROMECHANICAL_DELAY_S`` later;
    ``person_within_1sd``, the fraction that a real person's mean curve lies inside the band of the others, and
    ``person_correlation``, that of such a curve with the others' mean, both means over people;
    ``true_mean_within_1sd``, the fraction expected of the mean of all people there are, which lies sd / sqrt(n) off the
    mean of n of them: P(|t| < sqrt(n)), Student's t with n - 1 degrees of freedom (all three None where the band is
    another class's);
    ``n_people``, ``n_simulated``, ``real_speed_mps``, ``simulated_speed_mps``, ``sd_from``.
    """
    natural = walked.select(speed_effects.natural_cadence(walked))
    speeds = natural.table["walking_speed_mps"].to_numpy(float)
    people = {name: _people(cycles, limits) for name, limits in SPEED_CLASSES.items()}
    spread = {q: np.std(np.stack(list(curves.values())), axis=0, ddof=1) for q, curves in people["normal"].items() if len(curves) > 1}
    rows = []
    for speed_class, limits in SPEED_CLASSES.items():
        real_speed = _mean_over_people(cycles, limits, "walking_speed_mps")
        near = np.abs(speeds - real_speed) < _SPEED_WINDOW_MPS
        if not near.any():
            continue
        simulated = natural.select(near)
        for quantity in (*ANGLES, *FORCES, *(f"activation_{m}" for m in MUSCLES)):
            curves = people[speed_class].get(quantity)
            if not curves:
                continue
            values = np.stack(list(curves.values()))
            own = len(values) >= _FEWEST_PEOPLE
            if not own and quantity not in spread:
                continue
            deviation = np.std(values, axis=0, ddof=1) if own else spread[quantity]
            mean, ours = values.mean(axis=0), _simulated(simulated, quantity).mean(axis=0)
            inside = np.ones(len(mean), bool)
            delayed = None
            if quantity in FORCES:
                inside = np.stack(list(people[speed_class]["ground_reaction_y"].values())).mean(axis=0) > _LOADED
            elif quantity.startswith("activation"):
                # an envelope has no unit that activation shares: both become fractions of their largest value
                largest = mean.max()
                mean, deviation, ours = mean / largest, deviation / largest, ours / ours.max()
                stride_time = _mean_over_people(cycles, limits, "stride_time_s")
                delayed = _alike(ours, later(mean, ELECTROMECHANICAL_DELAY_S / stride_time))
            miss = (ours - mean)[inside]
            beside = _yardsticks(values[:, inside], quantity.startswith("activation")) if own else dict.fromkeys(_YARDSTICKS)
            rows.append(
                {
                    "quantity": quantity,
                    "speed_class": speed_class,
                    "fraction_within_1sd": float(np.mean(np.abs(miss) <= deviation[inside])),
                    "shape_within_1sd": float(np.mean(np.abs(miss - miss.mean()) <= deviation[inside])) if quantity in ANGLES else None,
                    "offset": float(miss.mean()),
                    "rmse": float(np.sqrt(np.mean(miss**2))),
                    "correlation": _alike(ours[inside], mean[inside]),
                    "correlation_delayed": delayed,
                    **beside,
                    "unit": "rad" if quantity in ANGLES else "body weights" if quantity in FORCES else "fraction of maximum",
                    "n_people": len(values),
                    "n_simulated": len(simulated),
                    "real_speed_mps": real_speed,
                    "simulated_speed_mps": float(speeds[near].mean()),
                    "sd_from": speed_class if own else "normal",
                }
            )
    return rows


def _yardsticks(curves: np.ndarray, relative: bool) -> dict[str, float | None]:
    """What a simulated curve's place among real people's mean curves (people, samples) can be measured by, see ``compare``.

    Args:
        relative: curves without a unit, fractions of their largest value as simulated ones are.
    """
    inside, alike = [], []
    for left_out, curve in enumerate(curves):
        others = np.delete(curves, left_out, axis=0)
        mean, deviation, own = others.mean(axis=0), np.std(others, axis=0, ddof=1), curve
        if relative:
            mean, deviation, own = mean / mean.max(), deviation / mean.max(), own / own.max()
        inside.append(np.mean(np.abs(own - mean) <= deviation))
        alike.append(_alike(own, mean))
    n = len(curves)
    known = [r for r in alike if r is not None]
    told = (float(np.mean(inside)), float(np.mean(known)) if known else None, float(1.0 - 2.0 * student_t.sf(np.sqrt(n), n - 1)))
    return dict(zip(_YARDSTICKS, told, strict=True))


def _mean_over_people(cycles: Sequence[Cycle], limits: tuple[float, float], attribute: str) -> float:
    """Mean over people of their mean of a cycle's number in a speed class."""
    by_person: dict[str, list[float]] = {}
    for cycle in cycles:
        if limits[0] <= cycle.walking_speed_mps < limits[1]:
            by_person.setdefault(cycle.subject_id, []).append(getattr(cycle, attribute))
    return float(np.mean([np.mean(v) for v in by_person.values()])) if by_person else np.nan


def _alike(one: np.ndarray, other: np.ndarray) -> float | None:
    """Correlation of two curves, None where one of them is flat."""
    return float(np.corrcoef(one, other)[0, 1]) if np.ptp(one) > 0 and np.ptp(other) > 0 else None


def _people(cycles: Sequence[Cycle], limits: tuple[float, float]) -> dict[str, dict[str, np.ndarray]]:
    """Quantity -> person -> mean curve at the samples of a simulated stride, (100,)."""
    gathered: dict[str, dict[str, list[np.ndarray]]] = {}
    for cycle in cycles:
        if limits[0] <= cycle.walking_speed_mps < limits[1]:
            for name, curve in (cycle.curves | {f"activation_{m}": e for m, e in cycle.emg.items()}).items():
                gathered.setdefault(name, {}).setdefault(cycle.subject_id, []).append(curve[:SAMPLES_PER_STRIDE])
    return {name: {person: np.mean(curves, axis=0) for person, curves in of.items()} for name, of in gathered.items()}


def _simulated(trials: Trials, quantity: str) -> np.ndarray:
    """(N, 100) of the right leg: rad, body weights, or activation."""
    if quantity.startswith("pelvis"):
        return trials.channel(quantity).astype(float)
    if quantity in ANGLES:
        return trials.channel(f"{quantity}_r").astype(float)
    if quantity in FORCES:
        return trials.channel(f"{quantity}_r") / (trials.table["mass_kg"].to_numpy(float)[:, None] * GRAVITY_MPS2)
    group = EMG_GROUPS[quantity.removeprefix("activation_")]
    return np.mean([trials.channel(f"{m}_r") for m in group], axis=0).astype(float)


def as_text(told: dict[str, Any]) -> str:
    """Both tables for people; angles in degrees."""
    frame = pd.DataFrame(told["curves"])
    lines = []
    if len(frame):
        heads = [
            ("quantity", "34"),
            ("speed", "8"),
            ("within 1 SD", ">12"),
            ("a person", ">9"),
            ("true mean", ">10"),
            ("shape", ">7"),
            ("offset", ">9"),
            ("RMSE", ">16"),
        ]
        heads += [("r", ">7"), ("r, EMG", ">9"), ("a person", ">10"), ("people", ">8"), ("simulated", ">11")]
        lines.append("".join(f"{head:{width}}" for head, width in heads))
        row: Any
        for row in frame.itertuples():
            rmse = (
                f"{np.rad2deg(row.rmse):.1f} deg" if row.unit == "rad" else f"{row.rmse:.3f} {'BW' if row.unit == 'body weights' else ''}"
            )
            band = f"{row.fraction_within_1sd:11.0%}{'*' if row.sd_from != row.speed_class else ' '}"
            person, true_mean = ("" if np.isnan(x) else f"{x:.0%}" for x in (row.person_within_1sd, row.true_mean_within_1sd))
            alike = "" if np.isnan(row.person_correlation) else f"{row.person_correlation:.2f}"
            shape = "" if np.isnan(row.shape_within_1sd) else f"{row.shape_within_1sd:.0%}"
            offset = f"{np.rad2deg(row.offset):+.1f}" if row.unit == "rad" else f"{row.offset:+.3f}"
            delayed = "" if np.isnan(row.correlation_delayed) else f"{row.correlation_delayed:.2f}"
            counts = f"{row.n_people:8d}{row.n_simulated:11d}"
            lines.append(
                f"{row.quantity:34}{row.speed_class:8}{band}{person:>9}{true_mean:>10}"
                f"{shape:>7}{offset:>9}{rmse:>16}{row.correlation:7.2f}{delayed:>9}{alike:>10}{counts}"
            )
        moves = frame[frame["quantity"].isin((*ANGLES, *FORCES))]
        for speed_class, of in moves.groupby("speed_class", sort=False):
            shares = of[["fraction_within_1sd", "person_within_1sd", "true_mean_within_1sd"]].astype(float).mean()
            inside, person, true_mean = ("" if np.isnan(x) else f"{x:.0%}" for x in shares)
            lines.append(f"{'mean of angles and forces':34}{speed_class:8}{inside:>11} {person:>9}{true_mean:>10}")
        lines.append("a person: what a real person's own mean reaches in the band of the others, and its r with their mean")
        lines.append("true mean: what the mean of all people there are is expected to reach in a band of so few")
        lines.append("shape: angles within 1 SD once their offset (deg) from the real mean is taken away")
        lines.append(f"r, EMG: with the EMG {1000 * ELECTROMECHANICAL_DELAY_S:.0f} ms later, from EMG to force")
        lines.append("* fewer than three people at this speed: the deviation is that of the normal class")
    lines += ["", *speed_effects.as_text(told["speed_relations"])]
    return "\n".join(lines)
