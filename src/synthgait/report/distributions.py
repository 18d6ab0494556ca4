"""Generated against simulated strides: how numbers spread, and the mean curves with their spread.

In: simulated and generated strides as ``Trials``. Out: a table of numbers per stride, figures.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from synthgait.conventions import GRAVITY_MPS2, SAMPLES_PER_STRIDE
from synthgait.report.style import GENERATED, INK, SIMULATED, cycle_axis, drawing
from synthgait.trials import Trials

#: Column of ``stride_numbers`` -> what it is, unit.
NUMBERS = {
    "walking_speed_mps": ("walking speed", "m/s"),
    "cadence_spm": ("cadence", "steps/min"),
    "step_length_m": ("step length", "m"),
    "step_width_m": ("step width", "m"),
    "double_support_percent": ("double support", "% of stride"),
    "peak_knee_flexion_deg": ("peak knee flexion", "°"),
    "peak_plantarflexion_deg": ("peak plantarflexion", "°"),
    "peak_vertical_force_bw": ("peak vertical force", "BW"),
}
_CURVES = (
    ("hip_flexion_r", "hip flexion, °"),
    ("knee_flexion_r", "knee flexion, °"),
    ("ankle_dorsiflexion_r", "ankle dorsiflexion, °"),
    ("ground_reaction_y_r", "force upward, BW"),
)
_BINS = 24


def stride_numbers(trials: Trials) -> pd.DataFrame:
    """One row per stride with the columns of ``NUMBERS``; joint and force peaks are the right leg's."""
    table = trials.table
    weight = GRAVITY_MPS2 * table["mass_kg"].to_numpy(float)
    return pd.DataFrame(
        {
            "walking_speed_mps": table["walking_speed_mps"].to_numpy(float),
            "cadence_spm": table["cadence_spm"].to_numpy(float),
            "step_length_m": 0.5 * (table["step_length_r_m"] + table["step_length_l_m"]).to_numpy(float),
            "step_width_m": table["step_width_m"].to_numpy(float),
            "double_support_percent": 100 * (table["double_support_time_s"] / table["stride_time_s"]).to_numpy(float),
            "peak_knee_flexion_deg": np.rad2deg(trials.channel("knee_flexion_r").max(1).astype(float)),
            "peak_plantarflexion_deg": np.rad2deg(-trials.channel("ankle_dorsiflexion_r").min(1).astype(float)),
            "peak_vertical_force_bw": trials.channel("ground_reaction_y_r").max(1) / weight,
        }
    )


def histograms(simulated: Trials, generated: Trials) -> Figure:
    """How the numbers of ``NUMBERS`` spread among simulated and generated strides (those that are ok).

    Few simulated strides are drawn as marks below the axis besides the histogram.
    """
    ours, theirs = stride_numbers(simulated.certified()), stride_numbers(generated.certified())
    with drawing(5.6) as figure:
        grid = figure.subplots(4, 2)
        for axes, (name, (title, unit)) in zip(grid.flat, NUMBERS.items(), strict=True):
            values = np.concatenate([ours[name], theirs[name]])
            low, high = np.nanpercentile(values, (0.2, 99.8))
            edges = np.linspace(np.fmin(low, ours[name].min()), np.fmax(high, ours[name].max()) + 1e-9, _BINS + 1)
            axes.hist(theirs[name], edges, weights=_shares(theirs[name]), color=GENERATED, alpha=0.55)
            if len(ours) >= 5 * _BINS:
                axes.hist(ours[name], edges, weights=_shares(ours[name]), color=SIMULATED, histtype="step", linewidth=1.2)
            axes.plot(
                ours[name],
                np.full(len(ours), -0.03),
                "|",
                color=SIMULATED,
                markersize=5,
                alpha=0.7,
                transform=axes.get_xaxis_transform(),
                clip_on=False,
            )
            axes.set_title(f"{title}, {unit}")
            axes.set_ylabel("% of strides" if axes in grid[:, 0] else "")
            axes.tick_params(axis="x", pad=6)
        handles = [
            grid[0, 0].fill_between([], [], [], color=GENERATED, alpha=0.55),
            grid[0, 0].plot([], [], "|", color=SIMULATED)[0],
        ]
        figure.legend(handles, [f"{len(theirs)} generated", f"{len(ours)} simulated"], loc="outside upper left", ncols=2)
    return figure


def _shares(values: pd.Series) -> np.ndarray:
    return np.full(len(values), 100.0 / max(len(values), 1))


def mean_curves(simulated: Trials, generated: Trials) -> Figure:
    """Mean and standard deviation of curves of the right leg, a row per pathology in both datasets."""
    ours, theirs = simulated.certified(), generated.certified()
    common = [p for p in dict.fromkeys(ours.table["pathology"]) if (theirs.table["pathology"] == p).any()]
    percent = 100 * np.arange(SAMPLES_PER_STRIDE) / SAMPLES_PER_STRIDE
    with drawing(0.5 + 2.35 * len(common)) as figure:
        parts = figure.subfigures(len(common), 1, squeeze=False)[:, 0]
        for part, pathology in zip(parts, common, strict=True):
            grid = part.subplots(2, 2)
            counts = []
            for trials, colour in ((theirs, GENERATED), (ours, SIMULATED)):
                chosen = trials.select((trials.table["pathology"] == pathology).to_numpy())
                counts.append(len(chosen))
                for axes, (name, title) in zip(grid.flat, _CURVES, strict=True):
                    curves = _in_figure_units(chosen, name)
                    mean, spread = curves.mean(0), curves.std(0)
                    if colour == GENERATED:
                        axes.fill_between(percent, mean - spread, mean + spread, color=colour, alpha=0.3, linewidth=0)
                    else:
                        axes.plot(percent, mean - spread, color=colour, linewidth=0.7, linestyle=(0, (2, 2)))
                        axes.plot(percent, mean + spread, color=colour, linewidth=0.7, linestyle=(0, (2, 2)))
                    axes.plot(percent, mean, color=colour, linewidth=1.4)
                    axes.set_title(title)
            for i, axes in enumerate(grid.flat):
                cycle_axis(axes, label=i >= 2)
            name = "healthy" if pathology == "none" else pathology.replace("_", " ")
            title = f"{name}: {counts[0]} generated, {counts[1]} simulated"
            part.suptitle(title + ("\n" if part is parts[0] else ""), x=0.01, ha="left", fontsize=8.5, color=INK)
        first = parts[0].axes[0]
        lines = [
            first.plot([], [], color=GENERATED)[0],
            first.plot([], [], color=SIMULATED)[0],
            first.plot([], [], color=SIMULATED, linestyle=(0, (2, 2)), linewidth=0.7)[0],
        ]
        names = ["generated, mean ± SD", "simulated, mean", "± SD"]
        key = first.legend(lines, names, loc="lower left", bbox_to_anchor=(-0.1, 1.3), ncols=3, borderpad=0)
        key.set_in_layout(False)  # it stands over both columns, in the space of the first title
    return figure


def _in_figure_units(trials: Trials, name: str) -> np.ndarray:
    values = trials.channel(name).astype(float)
    if name.startswith("ground_reaction"):
        return values / (GRAVITY_MPS2 * trials.table["mass_kg"].to_numpy(float)[:, None])
    return np.rad2deg(values)
