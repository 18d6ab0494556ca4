"""Pictures of single strides: stick figures, joint angles, ground reaction, muscle activations.

In: strides as ``Trials`` and the number of one of them. Out: matplotlib figures.

Every curve begins at its own leg's initial contact. The dashed curves are the textbook ones of
``textbook``, which says their sources; no spread is drawn, because none is known there.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from matplotlib.patches import Circle

from synthgait.conventions import EMG_GROUPS, GRAVITY_MPS2, SAMPLES_PER_STRIDE, SIDE_NAMES, SIDES
from synthgait.gait import coordinates_of, dimensionless_speed, skeleton_of
from synthgait.kinematics import point_motion
from synthgait.report.style import GREY, INK, PALE, SIDE_COLOURS, cycle_axis, drawing
from synthgait.textbook import reference_angle, reference_ground_reaction
from synthgait.trials import Trials

ANGLE_PANELS = (
    ("hip_flexion", "hip flexion"),
    ("hip_adduction", "hip adduction"),
    ("knee_flexion", "knee flexion"),
    ("ankle_dorsiflexion", "ankle dorsiflexion"),
    ("pelvis_list", "pelvic obliquity\n(right side down)"),
    ("pelvis_rotation", "pelvic rotation\n(right side forward)"),
)
FORCE_PANELS = ((1, "upward"), (0, "forward"), (2, "to the midline"))
#: Muscles of the activation picture, from hip to foot.
ACTIVATION_ROWS = (
    "gluteus_maximus",
    "gluteus_medius",
    "rectus_femoris",
    "vastus_lateralis",
    "medial_hamstrings",
    "biceps_femoris",
    "tibialis_anterior",
    "gastrocnemius",
    "soleus",
    "peroneus",
)
_TRUNK = (("pelvis", "neck"), ("hip_r", "hip_l"), ("shoulder_r", "shoulder_l"), ("neck", "head_top"))
_LEG = (("hip", "knee"), ("knee", "ankle"))
#: Right under left and wider, so that both show where the legs do the same.
_LINES: dict[str, dict[str, Any]] = {s: {"color": SIDE_COLOURS[s], "linewidth": w} for s, w in (("r", 2.6), ("l", 1.1))}
_POSES = 8
_HEAD_RADIUS_LEGS = 0.12
_SPACING_LEGS = 0.85  # between neighbouring poses, in leg lengths
_ARROW_LEGS = 0.6  # length of an arrow of one body weight, in leg lengths


def pathology_name(pathology: str) -> str:
    """For people: "none" is healthy."""
    return "healthy" if pathology == "none" else str(pathology).replace("_", " ").replace("+", " with ")


def describe_person(trials: Trials, row: int) -> str:
    """ "Woman, 28 years, 1.77 m, 77 kg, walks 1.43 m/s, 118 steps/min": the caption of a gait."""
    t = trials.table.iloc[row]
    child = t["age_years"] < 18
    who = {"female": ("Girl", "Woman"), "male": ("Boy", "Man")}[t["sex"]][0 if child else 1]
    parts = [
        f"{who}, {t['age_years']:.0f} years, {t['height_m']:.2f} m, {t['mass_kg']:.0f} kg",
        pathology_name(t["pathology"]) + ("" if t["pathology"] == "none" else f", severity {t['severity']:.1f}"),
    ]
    if t["affected_side"] in ("left", "right"):
        parts[-1] += f", {t['affected_side']} side"
    return ", ".join(parts) + f"; walks {t['walking_speed_mps']:.2f} m/s with {t['cadence_spm']:.0f} steps/min"


def from_own_contact(trials: Trials, row: int, samples: np.ndarray, side: str) -> np.ndarray:
    """(T, ...) samples of one stride, so that 0 is the initial contact of ``side``; linear between samples."""
    if side == "r":
        return np.asarray(samples, float)
    table = trials.table.iloc[row]
    count = len(samples)
    at = np.arange(count) + count * float(table["step_time_l_s"]) / float(table["stride_time_s"])
    low = np.floor(at).astype(int)
    share = (at - low).reshape(-1, *([1] * (np.ndim(samples) - 1)))
    return (1 - share) * np.asarray(samples, float)[low % count] + share * np.asarray(samples, float)[(low + 1) % count]


def ground_reaction_bw(trials: Trials, row: int, side: str) -> np.ndarray:
    """(T, 3) forward, upward and to the midline, body weights, from the side's own initial contact."""
    weight = GRAVITY_MPS2 * float(trials.table["mass_kg"].iloc[row])
    force = np.stack([trials.channel(f"ground_reaction_{axis}_{side}")[row] for axis in "xyz"], axis=-1) / weight
    force[:, 2] *= -1 if side == "r" else 1
    return from_own_contact(trials, row, force, side)


def stick_figures(trials: Trials, row: int) -> Figure:
    """One stride as a strip of poses, seen from the right side and from the front, with the ground
    reaction as arrows. The poses are set apart by the same distance, whatever the stride length.
    """
    one = trials.select([row])
    q = coordinates_of(one)
    step = one.signals["pelvis"].shape[1] / _POSES
    moments = np.round(step * np.arange(_POSES)).astype(int)
    points = {name: motion.position_m[0, moments] for name, motion in point_motion(skeleton_of(one), q).items()}
    leg = float(one.table["leg_length_m"].iloc[0])
    height = float(one.table["height_m"].iloc[0])
    with drawing(3.3) as figure:
        side_view, front_view = figure.subplots(2, 1)
        for axes, title, horizontal in ((side_view, "from the right side", 0), (front_view, "from the front", 2)):
            sign = 1.0 if horizontal == 0 else -1.0
            for i, moment in enumerate(moments):
                origin = points["pelvis"][i, 0] if horizontal == 0 else 0.0
                shift = i * _SPACING_LEGS * leg
                flat = {n: (sign * (p[i, horizontal] - origin) + shift, p[i, 1]) for n, p in points.items()}
                _draw_pose(axes, flat, leg, far_first="lr" if horizontal == 0 else "rl")
                _draw_forces(axes, one, int(moment), horizontal, sign, origin, shift, leg)
                axes.text(shift, -0.09 * height, f"{100 * moment / len(q[0]):.0f}", ha="center", va="top", color=INK)
            axes.axhline(0, color=GREY, linewidth=0.6, zorder=0)
            axes.set(
                title=title,
                xlim=(-0.62 * leg, ((_POSES - 1) * _SPACING_LEGS + 0.62) * leg),
                ylim=(-0.17 * height, 1.04 * height),
                aspect="equal",
            )
            axes.set(xticks=(), yticks=())
            axes.spines[:].set_visible(False)
        front_view.set_xlabel("% of the right leg's gait cycle")
        handles = [side_view.plot([], [], color=SIDE_COLOURS[s], linewidth=2)[0] for s in SIDES]
        side_view.legend(handles, [SIDE_NAMES[s] for s in SIDES], loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=2, borderpad=0)
    return figure


def _draw_pose(axes: Axes, flat: dict[str, tuple[float, float]], leg: float, far_first: str) -> None:
    def line(a: str, b: str, colour: str, width: float, order: int) -> None:
        axes.plot(*zip(flat[a], flat[b], strict=True), color=colour, linewidth=width, solid_capstyle="round", zorder=order)

    for order, side in enumerate(far_first):
        colour = SIDE_COLOURS[side]
        for a, b in _LEG:
            line(f"{a}_{side}", f"{b}_{side}", colour, 1.8, 3 + order)
        corners = [flat[f"{p}_{side}"] for p in ("ankle", "heel", "toe")]
        axes.add_collection(PolyCollection([corners], facecolors=colour, edgecolors=colour, linewidths=1.0, zorder=3 + order))
    for a, b in _TRUNK:
        line(a, b, INK, 1.6, 6)
    top, neck = np.array(flat["head_top"]), np.array(flat["neck"])
    radius = _HEAD_RADIUS_LEGS * leg
    centre = top - radius * (top - neck) / np.linalg.norm(top - neck)
    axes.add_patch(Circle((float(centre[0]), float(centre[1])), radius, facecolor="white", edgecolor=INK, linewidth=1.2, zorder=7))


def _draw_forces(axes: Axes, one: Trials, moment: int, horizontal: int, sign: float, origin: float, shift: float, leg: float) -> None:
    weight = GRAVITY_MPS2 * float(one.table["mass_kg"].iloc[0])
    along = "x" if horizontal == 0 else "z"
    for side in SIDES:
        point = float(one.channel(f"centre_of_pressure_{along}_{side}")[0, moment])
        across, up = (float(one.channel(f"ground_reaction_{a}_{side}")[0, moment]) for a in (along, "y"))
        if np.isfinite(point) and up > 0.05 * weight:
            length = _ARROW_LEGS * leg / weight
            axes.annotate(
                "",
                (sign * (point - origin + across * length) + shift, up * length),
                (sign * (point - origin) + shift, 0.0),
                arrowprops={
                    "arrowstyle": "-|>,head_width=0.14,head_length=0.28",
                    "color": GREY,
                    "linewidth": 0.9,
                    "shrinkA": 0,
                    "shrinkB": 0,
                },
                zorder=8,
            )


def gait_curves(trials: Trials, row: int) -> Figure:
    """Joint angles (degrees) and ground reaction (body weights) over the gait cycle of both legs, with the
    textbook curves dashed; short marks on the upper edge show where each foot leaves the floor.
    """
    percent = 100 * np.arange(SAMPLES_PER_STRIDE + 1) / SAMPLES_PER_STRIDE
    table = trials.table.iloc[row]
    froude_speed = dimensionless_speed(float(table["walking_speed_mps"]), float(table["leg_length_m"]))
    with drawing(6.6) as figure:
        grid = figure.subplots(5, 2)
        angle_axes, force_axes = grid.flat[:6], (grid[3, 0], grid[3, 1], grid[4, 0])
        for axes, (name, title) in zip(angle_axes, ANGLE_PANELS, strict=True):
            sided = not name.startswith("pelvis")
            for side in SIDES if sided else ("r",):
                curve = from_own_contact(trials, row, trials.channel(f"{name}_{side}" if sided else name)[row], side)
                axes.plot(percent, np.rad2deg(_closed(curve)), **(_LINES[side] if sided else {"color": INK}))
            textbook = reference_angle(f"{name}_r" if sided else name, froude_speed, percent / 100)
            axes.plot(percent, np.rad2deg(textbook), color=GREY, linewidth=1.0, linestyle=(0, (3, 2)))
            axes.set_title(f"{title}, °")
        textbook = reference_ground_reaction(froude_speed, percent / 100)[:, :3] * np.array([1, 1, -1])
        for axes, (component, title) in zip(force_axes, FORCE_PANELS, strict=True):
            for side in SIDES:
                axes.plot(percent, _closed(ground_reaction_bw(trials, row, side)[:, component]), **_LINES[side])
            axes.plot(percent, textbook[:, component], color=GREY, linewidth=1.0, linestyle=(0, (3, 2)))
            axes.set_title(f"force {title}, BW")
        for axes in (*angle_axes[:4], *force_axes):
            for side in SIDES:
                leaves = 100 * float(table[f"stance_time_{side}_s"]) / float(table["stride_time_s"])
                axes.axvline(leaves, ymin=0.94, color=SIDE_COLOURS[side], linewidth=1.4)
        for i, axes in enumerate((*angle_axes, *force_axes)):
            cycle_axis(axes, label=i >= 7)
        _key(grid[4, 1])
        figure.align_ylabels(grid[:, 0])
    return figure


def _closed(curve: np.ndarray) -> np.ndarray:
    return np.concatenate([curve, curve[:1]])


def _key(axes: Axes) -> None:
    axes.axis("off")
    lines = [axes.plot([], [], **_LINES[s])[0] for s in SIDES]
    lines += [axes.plot([], [], color=INK)[0], axes.plot([], [], color=GREY, linestyle=(0, (3, 2)), linewidth=1.0)[0]]
    lines += [axes.plot([], [], color=GREY, marker="|", linestyle="", markersize=6, markeredgewidth=1.4)[0]]
    axes.legend(lines, ["right leg", "left leg", "pelvis", "textbook, healthy adult", "foot leaves the floor"], loc="center left")


def muscle_activations(trials: Trials, row: int) -> Figure:
    """Activation of muscle groups over each leg's own gait cycle, as two maps (0 is white, 1 is dark)."""
    maps = {
        side: np.stack(
            [
                np.mean([from_own_contact(trials, row, trials.channel(f"{m}_{side}")[row], side) for m in EMG_GROUPS[name]], axis=0)
                for name in ACTIVATION_ROWS
            ]
        )
        for side in SIDES
    }
    highest = max(0.3, float(max(m.max() for m in maps.values())))
    with drawing(2.5) as figure:
        pair = figure.subplots(1, 2, sharey=True)
        for axes, side in zip(pair, SIDES, strict=True):
            image = axes.imshow(
                maps[side],
                aspect="auto",
                cmap="Blues",
                vmin=0,
                vmax=highest,
                extent=(0, 100, len(ACTIVATION_ROWS), 0),
                interpolation="nearest",
            )
            axes.set(xticks=(0, 50, 100), xlabel="% of gait cycle")
            axes.set_title(f"{SIDE_NAMES[side]} leg", color=SIDE_COLOURS[side])
            axes.set_yticks(np.arange(len(ACTIVATION_ROWS)) + 0.5, [name.replace("_", " ") for name in ACTIVATION_ROWS])
            axes.tick_params(length=0)
            for edge in np.arange(1, len(ACTIVATION_ROWS)):
                axes.axhline(edge, color=PALE, linewidth=0.5)
            for spine in axes.spines.values():
                spine.set_color(PALE)
        figure.colorbar(image, ax=pair, label="activation, 0 to 1", pad=0.02, aspect=25)
    return figure
