"""Is a stride one that this body could have walked, and what were its speed and steps.

In: strides as ``Trials`` (100 phases) with their bodies. Out: one row of measures per stride, the
realised gait parameters with events, and which strides break which limit.

Everything is recomputed from the stride's own joint angles, pelvis, ground reaction and centre of
pressure through the subject's skeleton and segment masses; nothing is taken from the generator. The
dynamic residual is what Newton's and Euler's laws leave over for the whole body (``mechanics``). A seed gait's own
residual is what resampling to 100 phases costs: limits are read beside the seed's.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Literal

import numpy as np
import pandas as pd

from synthgait.conventions import SIDES
from synthgait.errors import InputError
from synthgait.gait import spatiotemporal
from synthgait.generators.balance import reconcile
from synthgait.generators.bodies import People, skate_mps
from synthgait.generators.mechanics import StrideMechanics
from synthgait.generators.representation import LOADED_BW
from synthgait.trials import Trials

#: Load bins (body weights on one foot) of the sole's depth that seed gaits show.
_LOAD_EDGES_BW = np.array([-np.inf, LOADED_BW, 0.15, 0.4, 0.8, np.inf])

#: What a repair may change.
Balance = Literal["forces", "stride"]


@dataclass(frozen=True)
class Limits:
    """What a stride may be.

    Args:
        joint_margin_rad: how far an angle may leave the joint's range.
        mean_vertical_bw: how far the mean vertical force over the stride may be from body weight.
        penetration_m: how much deeper a sole may be than any seed gait's under the same load.
        foot_skate_mps: mean horizontal speed of the sole where the floor acts on it (``bodies.sole``), while loaded.
        residual_force_bw, residual_moment_nmkg: root mean square over the stride, of what is left after the repair.
        repaired_force_bw: largest force residual that may be repaired.
        sole_depth_leg: deepest the seed's soles go, in leg lengths, per load bin; see ``sole_envelope``.
    """

    joint_margin_rad: float = 0.1
    mean_vertical_bw: float = 0.06
    penetration_m: float = 0.005
    foot_skate_mps: float = 0.03
    residual_force_bw: float = 0.10
    residual_moment_nmkg: float = 0.40
    repaired_force_bw: float = 0.12
    sole_depth_leg: tuple[float, ...] = field(default=(0.0,) * 5)

    @classmethod
    def around(cls, seed_dataset: Trials, margin: float = 1.5, **changed: float) -> Limits:
        """Limits for strides learned from a seed dataset: the defaults, widened where the seed gaits
        themselves need more (``margin`` times their 99th percentile; the soles' speed, to which ``footing`` sees, only
        where more than one in twenty breaks the default). Keyword arguments set a limit outright.
        """
        plain = cls(sole_depth_leg=sole_envelope(seed_dataset))
        own = measure(seed_dataset, plain)
        widened = {name: max(getattr(plain, name), margin * float(np.percentile(own[name], 99))) for name in _WIDENED}
        if np.percentile(own["foot_skate_mps"], 95) <= plain.foot_skate_mps:
            del widened["foot_skate_mps"]
        return replace(plain, **(widened | changed))

    def barred(self, max_residual: float | None = None, max_residual_moment: float | None = None) -> Limits:
        """The same with a user's bars; None leaves the limit as it is.

        Args:
            max_residual: on the force residual before the repair, body weights.
            max_residual_moment: on the moment residual that is left after the repair, N m/kg.

        Raises InputError for a bar that is not above 0.
        """
        for name, bar in (("max_residual", max_residual), ("max_residual_moment", max_residual_moment)):
            if bar is not None and not bar > 0:
                raise InputError(f"{name} is {bar:g}; give a number above 0")
        return replace(
            self,
            repaired_force_bw=self.repaired_force_bw if max_residual is None else max_residual,
            residual_moment_nmkg=self.residual_moment_nmkg if max_residual_moment is None else max_residual_moment,
        )


_WIDENED = ("penetration_m", "foot_skate_mps", "residual_force_bw", "residual_moment_nmkg")


def measure(strides: Trials, limits: Limits, *, balance: Balance | None = None, people: People | None = None) -> pd.DataFrame:
    """Measures per stride.

    Args:
        balance: first repair the strides *in place* so that motion and ground reaction are each other's own
            (``balance.reconcile``): "forces" leaves the motion as it is, "stride" moves it a little too. What was repaired is
            measured, its residual at every second phase. None repairs nothing and looks at all phases.
        people: the walkers' bodies; None makes them from the table.

    Returns columns joint_excess_rad, mean_vertical_bw, penetration_m, foot_skate_mps,
    residual_force_bw, residual_moment_nmkg, with ``balance`` also repaired_force_bw and
    repaired_moment_nmkg (the residuals before the repair), and the realised gait parameters of
    ``gait.spatiotemporal`` (NaN where there is no walking to measure).
    """
    mechanics = StrideMechanics(strides, people, sparse=balance is not None)
    repaired = {}
    if balance is not None:
        left = mechanics.imbalance()
        repaired["repaired_force_bw"], repaired["repaired_moment_nmkg"] = mechanics.size(left)
        reconcile(mechanics, left, move=balance == "stride")
    loads = {side: mechanics.load(side) for side in SIDES}
    force, moment = mechanics.size(mechanics.imbalance())
    measures = pd.DataFrame(
        {
            "joint_excess_rad": _joint_excess(mechanics),
            "mean_vertical_bw": (loads["r"] + loads["l"]).mean(1),
            "penetration_m": np.maximum(*(_penetration(mechanics, side, limits) for side in SIDES)),
            "foot_skate_mps": skate_mps(list(mechanics.soles.values()), list(loads.values())),
            "residual_force_bw": force,
            "residual_moment_nmkg": moment,
            **repaired,
        }
    )
    return pd.concat([measures, spatiotemporal(strides, mechanics.skeleton).reset_index(drop=True)], axis=1)


def sole_envelope(strides: Trials) -> tuple[float, ...]:
    """Deepest sole of seed gaits under the floor, in leg lengths, per load bin (99.5th percentile of
    the strides' own maxima): a soft sole sinks in, by how much the simulation says.
    """
    mechanics = StrideMechanics(strides)
    depth = np.stack([mechanics.soles[side].depth_m for side in SIDES], 2) / mechanics.leg_length_m[:, None, None]
    load = np.stack([mechanics.load(side) for side in SIDES], 2)
    envelope = []
    for low, high in pairwise(_LOAD_EDGES_BW):
        inside = np.where((load >= low) & (load < high), depth, -np.inf).max((1, 2))
        inside = np.maximum(inside[np.isfinite(inside)], 0.0)
        envelope.append(float(np.percentile(inside, 99.5)) if len(inside) else 0.0)
    return tuple(np.maximum.accumulate(envelope))


def broken_limits(measures: pd.DataFrame, limits: Limits) -> pd.Series:
    """Per stride, the first limit that it breaks as a sentence, or an empty text."""
    still = pd.Series(0.0, index=measures.index)
    tests: Mapping[str, pd.Series] = {
        "a joint leaves its range by {joint_excess_rad:.2f} rad": measures["joint_excess_rad"] > limits.joint_margin_rad,
        "mean vertical force is {mean_vertical_bw:.2f} body weights": (measures["mean_vertical_bw"] - 1).abs() > limits.mean_vertical_bw,
        "a sole goes {penetration_m:.3f} m through the floor": measures["penetration_m"] > limits.penetration_m,
        "a loaded foot skates at {foot_skate_mps:.2f} m/s": measures["foot_skate_mps"] > limits.foot_skate_mps,
        "force residual is {residual_force_bw:.3f} body weights": measures["residual_force_bw"] > limits.residual_force_bw,
        "force residual before its repair is {repaired_force_bw:.3f} body weights": measures.get("repaired_force_bw", still)
        > limits.repaired_force_bw,
        "moment residual is {residual_moment_nmkg:.2f} N m/kg": measures["residual_moment_nmkg"] > limits.residual_moment_nmkg,
        "the feet do not take turns": measures["step_time_l_s"].isna() | measures["step_length_l_m"].isna(),
    }
    message = np.full(len(measures), "", object)
    for text, broken in tests.items():
        rows = np.flatnonzero(np.asarray(broken) & (message == ""))
        if len(rows):
            message[rows] = [text.format_map(values) for values in measures.iloc[rows].to_dict("records")]
    return pd.Series(message, index=measures.index)


def reason(sentence: str) -> str:
    """A sentence of ``broken_limits`` without its number, so that like goes with like."""
    return re.sub(r"\d+(\.\d+)?", "…", sentence)


def _joint_excess(mechanics: StrideMechanics) -> np.ndarray:
    excess = np.zeros(len(mechanics.q))
    degrees = [degree for joint in mechanics.skeleton.joints for degree in joint.degrees]
    for i, degree in enumerate(degrees):
        if degree.kind == "rotation":
            low, high = degree.range
            values = mechanics.q[:, :, i]
            excess = np.maximum(excess, np.maximum(low - values.min(1), values.max(1) - high))
    return excess


def _penetration(mechanics: StrideMechanics, side: str, limits: Limits) -> np.ndarray:
    # a sole may still be pressed in just before and after it carries anything: the loads beside count
    load = mechanics.load(side)
    bin_of = np.digitize(np.maximum.reduce([np.roll(load, s, 1) for s in (-2, 0, 2)]), _LOAD_EDGES_BW[1:-1])
    allowed = np.asarray(limits.sole_depth_leg)[bin_of] * mechanics.leg_length_m[:, None]
    return np.maximum((mechanics.soles[side].depth_m - allowed).max(1), 0.0)
