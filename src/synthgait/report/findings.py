"""What the report says in words and tables: measured here, never typed in.

In: simulated and generated strides, rows of ``validate``. Out: tables (``pandas``) whose column names
carry units, and sentences that say what is good and what is not yet.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from synthgait.conventions import CERTIFICATE_PREFIX
from synthgait.report.agreement import QUANTITIES
from synthgait.report.distributions import NUMBERS, stride_numbers
from synthgait.report.gaits import ground_reaction_bw, pathology_name
from synthgait.trials import Trials

#: Certificate column without its prefix -> what was compared, unit.
CERTIFICATE = {
    "acceleration_error": ("accelerations", "of the largest"),
    "muscle_force_error_bw": ("muscle forces", "BW"),
    "tendon_error_bw": ("tendon against fibre", "BW"),
    "ground_reaction_error_bw": ("ground reaction", "BW"),
    "ground_moment_error_bwm": ("its point of application", "BW·m"),
    "joint_moment_error_nm_per_kg": ("joint moments", "N·m/kg"),
    "activation_error": ("activation dynamics", "1"),
    "defect_error": ("steps in time", "rad, m or 1"),
    "periodicity_error": ("last against first sample", "rad, m or 1"),
}
#: Column of ``walking_table`` -> lowest and highest value of a healthy adult who walks like one at about 1.2 m/s.
#: Swing knee over 50, a visible push-off, vertical force of 1.0 to 1.3 and a cadence of 95 to 130 are what issue 2
#: of the project asks for; the other limits stand some degrees about the textbook curves of ``textbook``.
EXPECTED = {
    "cadence, steps/min": (95.0, 130.0),
    "knee in swing, °": (50.0, 75.0),
    "knee in loading, °": (8.0, 25.0),
    "straightest knee in stance, °": (0.0, 12.0),
    "push-off plantarflexion, °": (8.0, 30.0),
    "hip adduction at 30 %, °": (1.0, 10.0),
    "pelvic obliquity, range °": (3.0, 15.0),
    "first hump, BW": (1.0, 1.3),
    "valley, BW": (0.6, 0.97),
    "second hump, BW": (1.0, 1.3),
    "sideways force, BW": (0.02, 0.1),
}
_ADULT_YEARS, _COMFORTABLE_MPS = (18.0, 80.0), (1.0, 1.5)
#: Asymmetry under which an affected side cannot be seen, percent of the mean of both sides.
_VISIBLE_ASYMMETRY_PERCENT = 3.0


class Sentence(NamedTuple):
    """``good`` is True, False (not yet) or None (neither)."""

    good: bool | None
    text: str


# -- simulated ---------------------------------------------------------------------------------------


def yield_table(seed: Trials) -> pd.DataFrame:
    """Trials and certified trials per pathology, and in all."""
    table = seed.table
    rows = []
    for name, part in [*table.groupby("pathology", sort=False), ("all", table)]:
        ok = int((part["status"] == "ok").sum())
        severities = ", ".join(f"{s:g}" for s in sorted(part.loc[part["pathology"] != "none", "severity"].round(2).unique()))
        rows.append(
            {
                "gait": "all" if name == "all" else pathology_name(str(name)),
                "severity": "" if name == "all" else severities,
                "people": part["subject_id"].nunique(),
                "trials": len(part),
                "certified": ok,
                "yield, %": f"{100 * ok / len(part):.0f}",
            }
        )
    return pd.DataFrame(rows)


def failures(trials: Trials) -> pd.DataFrame:
    """Every reason why trials are not ok, with how many."""
    failed = trials.table[trials.table["status"] != "ok"]
    counts = failed.groupby(["status", "status_message"], sort=False).size().rename("trials").reset_index()
    counts["status"] = counts["status"].str.replace("_", " ")
    return counts.rename(columns={"status_message": "reason"}).sort_values("trials", ascending=False, kind="stable", ignore_index=True)


def certificate_table(seed: Trials) -> pd.DataFrame:
    """Worst difference between OpenSim and the solution among certified trials, per pathology."""
    table = seed.certified().table
    rows = []
    for name, (what, unit) in CERTIFICATE.items():
        column = CERTIFICATE_PREFIX + name
        if column in table:
            row = {"compared": what, "unit": unit}
            for pathology, part in table.groupby("pathology", sort=False):
                row[f"worst, {pathology_name(str(pathology))}"] = f"{part[column].max():.1e}"
            rows.append(row)
    return pd.DataFrame(rows)


def walking_table(seed: Trials) -> pd.DataFrame:
    """What a clinician reads off each certified gait, right leg; ``EXPECTED`` says what a healthy adult shows."""
    good = seed.certified()
    rows = []
    for row in range(len(good)):
        t = good.table.iloc[row]
        stance = max(2, round(100 * t["stance_time_r_s"] / t["stride_time_s"]))
        knee, ankle, adduction = (
            np.rad2deg(good.channel(name)[row].astype(float)) for name in ("knee_flexion_r", "ankle_dorsiflexion_r", "hip_adduction_r")
        )
        vertical, sideways = ground_reaction_bw(good, row, "r")[:stance, 1:].T
        lean = np.rad2deg(good.channel("pelvis_list")[row].astype(float))
        half, third = stance // 2, stance // 3
        rows.append(
            {
                "trial": t["trial_id"],
                "gait": pathology_name(t["pathology"]) + (f" {t['severity']:.1f}" if t["pathology"] != "none" else ""),
                "age, years": t["age_years"],
                "speed, m/s": t["walking_speed_mps"],
                "cadence, steps/min": t["cadence_spm"],
                "knee in swing, °": knee[stance:].max(initial=-np.inf),
                "knee in loading, °": knee[: max(3, stance // 2)].max(),
                "straightest knee in stance, °": knee[half // 2 : stance - 5].min(),
                "push-off plantarflexion, °": -ankle[half : stance + 10].min(),
                "hip adduction at 30 %, °": adduction[30],
                "pelvic obliquity, range °": np.ptp(lean),
                "first hump, BW": vertical[:half].max(),
                "valley, BW": vertical[third : stance - third].min(),
                "second hump, BW": vertical[half:].max(),
                "sideways force, BW": sideways.max(),
                "step length asymmetry, %": _asymmetry(t["step_length_r_m"], t["step_length_l_m"]),
                "stance time asymmetry, %": _asymmetry(t["stance_time_r_s"], t["stance_time_l_s"]),
            }
        )
    return pd.DataFrame(rows)


def _asymmetry(right: float, left: float) -> float:
    return 200.0 * (right - left) / (right + left)


def about_simulated(seed: Trials) -> list[Sentence]:
    """Yield, whether healthy adults walk like adults, whether impairments can be seen."""
    table = seed.table
    ok, n = int((table["status"] == "ok").sum()), len(table)
    said = [Sentence(ok >= 0.8 * n, f"OpenSim certifies {ok} of {n} simulated gaits ({100 * ok / n:.0f} %; the goal is 80 %).")]
    walking = walking_table(seed)
    if not len(walking):
        return said
    chosen = seed.certified().table
    comfortable = (
        (chosen["pathology"] == "none")
        & chosen["age_years"].between(*_ADULT_YEARS)
        & chosen["walking_speed_mps"].between(*_COMFORTABLE_MPS)
    ).to_numpy()
    if comfortable.any():
        who = f"Healthy adults at {_COMFORTABLE_MPS[0]:g} to {_COMFORTABLE_MPS[1]:g} m/s"
        fine = []
        for column, (low, high) in EXPECTED.items():
            values = walking.loc[comfortable, column]
            inside = values.between(low, high)
            text = f"{column}: {_span(values)} (expected {low:g} to {high:g})"
            if inside.all():
                fine.append(text)
            else:
                said.append(Sentence(False, f"{who}, {text}; outside: {', '.join(walking.loc[comfortable, 'trial'][~inside])}."))
        if fine:
            said.insert(1, Sentence(True, f"{who}, {'; '.join(fine)}."))
    else:
        said.append(Sentence(None, "No healthy adult at a comfortable speed is among these gaits, so the look of walking is not judged."))
    if len(walking) > 1:
        knees, ankles = _span(walking["knee in swing, °"]), _span(walking["push-off plantarflexion, °"])
        spread = f"knee in swing {knees}°, push-off plantarflexion {ankles}°"
        said.append(Sentence(None, f"How much all {len(walking)} gaits differ, impaired ones included: {spread}."))
    one_sided = chosen["affected_side"].isin(["left", "right"]).to_numpy()
    if one_sided.any():
        part = walking.loc[one_sided, ["step length asymmetry, %", "stance time asymmetry, %"]].abs()
        seen = (part > _VISIBLE_ASYMMETRY_PERCENT).any(axis=1)
        text = f"One-sided impairments: {int(seen.sum())} of {len(part)} gaits show more than {_VISIBLE_ASYMMETRY_PERCENT:g} % of asymmetry"
        text += f" (step length {_span(part.iloc[:, 0])} %, stance time {_span(part.iloc[:, 1])} %)."
        said.append(Sentence(bool(seen.all()), text))
    return said


def _span(values: pd.Series) -> str:
    low, high = float(values.min()), float(values.max())
    digits = 0 if high >= 70 else 1 if high >= 2 else 2
    return f"{low:.{digits}f} to {high:.{digits}f}" if high - low > 0.5 * 10**-digits else f"{low:.{digits}f}"


# -- generated ---------------------------------------------------------------------------------------


def spread_table(seed: Trials, synthetic: Trials) -> pd.DataFrame:
    """Mean and standard deviation of ``NUMBERS``, simulated beside generated."""
    ours, theirs = stride_numbers(seed.certified()), stride_numbers(synthetic.certified())
    rows = []
    for name, (what, unit) in NUMBERS.items():
        digits = 2 if unit in ("m", "m/s", "BW") else 1
        row = {"per stride": what, "unit": unit}
        for label, values in (("simulated, mean ± SD", ours[name]), ("generated, mean ± SD", theirs[name])):
            row[label] = f"{values.mean():.{digits}f} ± {values.std(ddof=0):.{digits}f}"
        rows.append(row)
    return pd.DataFrame(rows)


def about_generated(seed: Trials, synthetic: Trials) -> list[Sentence]:
    """Plausible share, requested against realised, and what lies outside the simulated range."""
    table = synthetic.table
    ok, n = int((table["status"] == "ok").sum()), len(table)
    said = [Sentence(ok >= 0.95 * n, f"{ok} of {n} generated strides ({100 * ok / n:.1f} %) pass every plausibility check.")]
    if "attempts" in table:
        again = int((table["attempts"] > 1).sum())
        said.append(Sentence(None, f"{again} of them were drawn again because a first try broke a limit."))
    good = synthetic.certified().table
    for what, column, unit, goal in (("walking speed", "walking_speed_mps", "m/s", 0.02), ("stride time", "stride_time_s", "s", 0.02)):
        asked = "condition_" + column
        if asked in good and good[asked].notna().any():
            error = float((good[column] - good[asked]).abs().median())
            said.append(
                Sentence(
                    error <= goal, f"Realised {what} differs from the requested by {error:.3f} {unit} in the median (goal {goal:g} {unit})."
                )
            )
    for name in ("residual_force_bw",):
        if name in good:
            text = (
                f"Generated motion and forces disagree with Newton's law by {100 * good[name].median():.1f} % of body weight in the median"
            )
            said.append(
                Sentence(
                    bool(good[name].quantile(0.95) <= 0.05),
                    text + f" ({100 * good[name].quantile(0.95):.1f} % for the 95th percentile; goal 5 %).",
                )
            )
    return said


# -- estimated ---------------------------------------------------------------------------------------


#: Keys of ``validate.run.rows`` that rows from before they were told lack.
_SHARED = ("mae_shared", "mae_ours_shared")


def summary_table(rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Ours beside the best floor and the best peer, one row per dataset, sensor and quantity; ``ours_beside_floor`` and
    ``..._peer`` are ours on the recordings that those read too.

    Of a dataset's groups the row "all" is taken where there is one.
    """
    frame = whole_groups(rows).assign(**{name: np.nan for name in _SHARED if not any(name in row for row in rows)})
    found = []
    for (dataset, sensor, quantity), part in frame.groupby(["dataset", "sensor", "quantity"], sort=False):
        ours = part[(part["method"] == "zero_shot") & part["mae"].notna()]
        if not len(ours):
            continue
        row: dict[str, Any] = {"dataset": dataset, "sensor": sensor, "quantity": quantity, "ours": float(ours["mae"].iloc[0])}
        row |= {"recordings": int(ours["n_recordings"].iloc[0]), "people": int(ours["n_people"].iloc[0])}
        for kind in ("floor", "peer"):
            others = part[part["method"].str.startswith(kind + ":") & part["mae"].notna()]
            others = others.assign(mae=others["mae_shared"].fillna(others["mae"])).sort_values("mae", kind="stable")
            row[kind] = float(others["mae"].iloc[0]) if len(others) else np.nan
            row[f"ours_beside_{kind}"] = float(others["mae_ours_shared"].fillna(row["ours"]).iloc[0]) if len(others) else np.nan
            row[f"{kind}_name"] = others["method"].iloc[0].split(":", 1)[1] if len(others) else ""
        found.append(row)
    return pd.DataFrame(found)


def whole_groups(rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """The rows of group "all" where a dataset has it, else its only group's."""
    frame = pd.DataFrame([dict(row) for row in rows])
    if not len(frame):
        return frame
    several = frame.groupby("dataset")["group"].transform(lambda g: "all" in set(g))
    return frame[~several | (frame["group"] == "all")].reset_index(drop=True)


def about_estimated(rows: Sequence[Mapping[str, Any]]) -> list[Sentence]:
    """Per quantity: how often ours is better than every trivial and classical means, and where it is worst."""
    summary = summary_table(rows)
    said: list[Sentence] = []
    if not len(summary):
        return [Sentence(None, "No zero-shot estimate is among the rows.")]
    for quantity, part in summary.groupby("quantity", sort=False):
        compared = part[part["floor"].notna()]
        if quantity not in QUANTITIES or not len(compared):
            continue
        what, unit = QUANTITIES[str(quantity)]
        better = compared["ours_beside_floor"] <= compared["floor"]
        text = f"{what.capitalize()}: better than every floor in {int(better.sum())} of {len(compared)} pairs of dataset and sensor"
        if not better.all():
            ratio = (compared["ours_beside_floor"] / compared["floor"])[~better]
            worst = compared[~better].iloc[int(ratio.to_numpy().argmax())]
            text += f"; furthest behind on {worst['dataset']}, {worst['sensor']} ({worst['ours_beside_floor']:.3f} {unit}"
            text += f" against {worst['floor']:.3f} {unit} by {worst['floor_name']})".replace("_", " ")
        said.append(Sentence(bool(better.all()), text + "."))
    return said
