"""Generated beside simulated gaits per pathology, and what a generator still does worst.

In: simulated strides, and generated ones with the columns of the plausibility check. Out: a folder of
PNG figures and ``failures.csv``.

Where one side is affected the curves are those of the affected leg, else those of the right one; every
curve begins at its own leg's initial contact.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from synthgait.conventions import SAMPLES_PER_STRIDE
from synthgait.report.distributions import mean_curves
from synthgait.report.gaits import describe_person, from_own_contact, stick_figures
from synthgait.report.style import png
from synthgait.trials import Trials

#: Column -> what it is, unit: what a stride can get wrong, largest is worst.
MEASURES = {
    "repaired_force_bw": ("force residual before its repair", "BW"),
    "residual_force_bw": ("force residual", "BW"),
    "residual_moment_nmkg": ("moment residual", "N m/kg"),
    "foot_skate_mps": ("foot skating", "m/s"),
    "penetration_m": ("sole through the floor", "m"),
}
_VERDICTS = {"accepted": "ok", "rejected": "implausible"}
_CURVES = ("hip_flexion", "knee_flexion", "ankle_dorsiflexion", "ground_reaction_y")


def write_figures(simulated: Trials, generated: Trials, folder: str | Path, worst: int = 2) -> list[Path]:
    """Write ``curves_<pathology>.png`` (mean and standard deviation of hip, knee, ankle and vertical force),
    ``failures.csv`` and ``failure_<measure>_<accepted or rejected>_<place>.png`` into a folder.

    Args:
        simulated, generated: strides of 100 phases; curves are of those whose status is ok.
        worst: how many strides of every measure and verdict get a picture.

    Returns the files.
    """
    place = Path(folder)
    place.mkdir(parents=True, exist_ok=True)
    files = []
    ours, theirs = (worse_leg(trials.certified()) for trials in (simulated, generated))
    for pathology in sorted(set(ours.table["pathology"]) & set(theirs.table["pathology"])):
        chosen = [trials.select((trials.table["pathology"] == pathology).to_numpy()) for trials in (ours, theirs)]
        files.append(place / f"curves_{pathology}.png")
        files[-1].write_bytes(png(mean_curves(*chosen)))
    listed = failures(generated, worst)
    files.append(place / "failures.csv")
    listed.to_csv(files[-1], index=False, float_format="%.6g")
    for entry in listed.to_dict("records"):
        files.append(place / f"failure_{entry['measure']}_{entry['verdict']}_{entry['place']}.png")
        files[-1].write_bytes(_picture(generated, entry))
    return files


def failures(generated: Trials, worst: int = 2) -> pd.DataFrame:
    """The strides that are worst in each of ``MEASURES``, worst first, accepted and rejected ones apart.

    Returns columns measure, verdict, place (from 1), value, row, trial_id, pathology, walking_speed_mps,
    status_message.
    """
    table = generated.table.reset_index(drop=True)
    entries = []
    for measure in (name for name in MEASURES if name in table):
        for verdict, status in _VERDICTS.items():
            values = table.loc[table["status"] == status, measure].dropna()
            for i, (row, value) in enumerate(values.sort_values(ascending=False, kind="stable").head(worst).items()):
                entries.append({"measure": measure, "verdict": verdict, "place": i + 1, "value": float(value), "row": row})
    listed = pd.DataFrame(entries, columns=["measure", "verdict", "place", "value", "row"])
    return listed.join(table[["trial_id", "pathology", "walking_speed_mps", "status_message"]], on="row")


def worse_leg(trials: Trials) -> Trials:
    """The same strides with one signal group: the curves of the affected leg under the right leg's names."""
    curves = np.empty((len(trials), SAMPLES_PER_STRIDE, len(_CURVES)), np.float32)
    left = (trials.table["affected_side"] == "left").to_numpy()
    for i, name in enumerate(_CURVES):
        curves[:, :, i] = trials.channel(f"{name}_r")
        samples = trials.channel(f"{name}_l")
        for row in np.flatnonzero(left):
            curves[row, :, i] = from_own_contact(trials, int(row), samples[row], "l")
    return Trials(trials.table, {"curves": curves}, {"curves": tuple(f"{name}_r" for name in _CURVES)}, kind=trials.kind)


def _picture(generated: Trials, entry: dict) -> bytes:
    what, unit = MEASURES[entry["measure"]]
    why = f"\n{entry['status_message']}" if entry["status_message"] else ""
    who = describe_person(generated, int(entry["row"])).replace("; ", "\n")
    title = f"{entry['verdict']}, place {entry['place']}: {what} {entry['value']:.3f} {unit}\n{who}{why}"
    figure = stick_figures(generated, int(entry["row"]))
    figure.set_size_inches(figure.get_figwidth(), figure.get_figheight() + 0.6)
    figure.suptitle(title, x=0.01, ha="left", fontsize=6.5)
    return png(figure)
