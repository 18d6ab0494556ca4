"""Is a stride one that this body could have walked, and what were its speed and steps.

In: strides as ``Trials`` (100 phases) with their bodies. Out: one row of measures per stride, the
realised gait parameters with events, and which strides break which limit.

Everything is recomputed from the stride's own joint angles, pelvis, ground reaction and centre of
pressure through the subject's skeleton and segment masses; nothing is taken from the generator. The
dynamic residual is what Newton's and Euler's laws leave over for the whole body: external force
against the rate of change of linear momentum, external moment against that of angular momentum,
taken about the pelvis origin. A seed gait's own residual is what resampling to 100 phases costs: limits
are read beside the seed's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np
import pandas as pd

from synthgait.conventions import FREE_MOMENT, GRAVITY_MPS2, SAMPLES_PER_STRIDE, SIDES
from synthgait.gait import lean_rad, spatiotemporal
from synthgait.generators.bodies import People, Sole, coordinates, skate_mps, sole
from synthgait.generators.representation import LOADED_BW, fourier_basis, harmonic_of
from synthgait.kinematics import BodyMotion, body_motion
from synthgait.trials import Trials

#: Where the ground reaction is balanced, every second phase is looked at: half of the cost, and 24 harmonics still fit.
_STEP = 2
#: How far a repair may move the centres of pressure, leg lengths.
_MAX_SHIFT = 0.1
#: Largest free moment of a balanced foot per vertical force, in leg lengths: about 0.2 N m/kg under body weight, twice
#: the peaks of walking (Li et al., Clin Biomech 2001;16:86).
_MAX_TWIST = 0.025
#: From this load on, in body weights, a centre of pressure is the drawn one; under it, ever more the contact spheres' own,
#: which is within 6 to 15 mm of simulated ones there, where drawn ones are off by several centimetres.
_FIRM_BW = 0.3
#: Half a foot's breadth, leg lengths: so far beside the line from heel to toe a centre of pressure may lie.
_SOLE = 0.05
#: Load bins (body weights on one foot) of the sole's depth that seed gaits show.
_LOAD_EDGES_BW = np.array([-np.inf, LOADED_BW, 0.15, 0.4, 0.8, np.inf])


@dataclass(frozen=True)
class Limits:
    """What a stride may be.

    Args:
        joint_margin_rad: how far an angle may leave the joint's range.
        mean_vertical_bw: how far the mean vertical force over the stride may be from body weight.
        penetration_m: how much deeper a sole may be than any seed gait's under the same load.
        foot_skate_mps: mean horizontal speed of the sole where the floor acts on it (``bodies.sole``), while loaded.
        residual_force_bw, residual_moment_nmkg: root mean square over the stride.
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


_WIDENED = ("penetration_m", "foot_skate_mps", "residual_force_bw", "residual_moment_nmkg")


def measure(strides: Trials, limits: Limits, *, balance: bool = False, people: People | None = None) -> pd.DataFrame:
    """Measures per stride.

    Args:
        balance: first repair the ground reaction *in place* so that it is the motion's own, see
            ``_Check.balance``; what was repaired is measured, at every second phase. Without, all phases are looked at.
        people: the walkers' bodies; None makes them from the table.

    Returns columns joint_excess_rad, mean_vertical_bw, penetration_m, foot_skate_mps,
    residual_force_bw, residual_moment_nmkg, with ``balance`` also repaired_force_bw and
    repaired_moment_nmkg (the residuals before the repair), and the realised gait parameters of
    ``gait.spatiotemporal`` (NaN where there is no walking to measure).
    """
    check = _Check(strides, people, _STEP if balance else 1)
    repaired = {}
    if balance:
        left = check.imbalance()
        repaired["repaired_force_bw"], repaired["repaired_moment_nmkg"] = check.size(left)
        check.balance(left)
    return check.measure(limits).assign(**repaired)


def sole_envelope(strides: Trials) -> tuple[float, ...]:
    """Deepest sole of seed gaits under the floor, in leg lengths, per load bin (99.5th percentile of
    the strides' own maxima): a soft sole sinks in, by how much the simulation says.
    """
    check = _Check(strides)
    depth = np.stack([check.soles[side].depth_m for side in SIDES], 2) / check.leg_length_m[:, None, None]
    load = np.stack([check.load(side) for side in SIDES], 2)
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


@dataclass(frozen=True)
class _Wrench:
    """Force and moment about the base, (3, n, t) each."""

    force: np.ndarray
    moment: np.ndarray


class _Check:
    """Motion of all segments of n strides at every ``step``-th phase, computed once."""

    def __init__(self, strides: Trials, people: People | None = None, step: int = 1) -> None:
        self.strides, self.step = strides, step
        table = strides.table
        self.stride_time_s = np.asarray(table["stride_time_s"], float)
        self.stride_length_m = np.asarray(table["stride_length_m"], float)
        self.leg_length_m = np.asarray(table["leg_length_m"], float)
        self.people = people or People.of(table)
        self.weight_n = self.people.mass_kg * GRAVITY_MPS2
        q, qd, qdd = coordinates(self.people.skeleton, strides.signals, strides.channels, self.stride_length_m, self.stride_time_s, step)
        self.q = q
        self.moving = body_motion(self.people.skeleton, q, qd, qdd, precision=np.float32)
        #: a point on the floor that goes forward evenly with the body: about it all moments repeat every stride
        self.base = np.zeros((3, *q.shape[:2]))
        self.base[0] = self.stride_length_m[:, None] * np.arange(q.shape[1]) / q.shape[1]
        self.soles = {side: self._sole(f"foot_{side}") for side in SIDES}
        self.wanted = self._inertial()

    def _sole(self, foot: str) -> Sole:
        """At all phases, (n, 100): a sole moves so smoothly that every second phase tells the others to 0.1 mm/s."""
        found = sole(self.people.skeleton, foot, self.moving[foot])
        if self.step == 1:
            return found
        place = (found.position_m - self.base) @ _BETWEEN.T
        place[0] += self.stride_length_m[:, None] * np.arange(SAMPLES_PER_STRIDE) / SAMPLES_PER_STRIDE
        return Sole(found.depth_m @ _BETWEEN.T, place, found.velocity_mps @ _BETWEEN.T)

    def load(self, side: str) -> np.ndarray:
        """(n, 100) vertical force on one foot in body weights."""
        return self.strides.channel(f"ground_reaction_y_{side}").astype(float) / self.weight_n[:, None]

    def _force(self, side: str) -> np.ndarray:
        names = self.strides.channels["ground_reaction"]
        columns = [names.index(f"ground_reaction_{axis}_{side}") for axis in "xyz"]
        return np.moveaxis(self.strides.signals["ground_reaction"][:, :: self.step, columns], 2, 0).astype(float)

    def measure(self, limits: Limits) -> pd.DataFrame:
        out: dict[str, np.ndarray] = {"joint_excess_rad": self._joint_excess()}
        loads = {side: self.load(side) for side in SIDES}
        out["mean_vertical_bw"] = sum(loads.values()).mean(1)  # type: ignore[union-attr]
        out["penetration_m"] = np.maximum.reduce([self._penetration(side, loads[side], limits) for side in SIDES])
        out["foot_skate_mps"] = skate_mps([self.soles[side] for side in SIDES], [loads[side] for side in SIDES])
        out["residual_force_bw"], out["residual_moment_nmkg"] = self.size(self.imbalance())
        realised = spatiotemporal(self.strides, self.people.skeleton)
        return pd.concat([pd.DataFrame(out), realised.reset_index(drop=True)], axis=1)

    def _joint_excess(self) -> np.ndarray:
        excess = np.zeros(len(self.q))
        degrees = [degree for joint in self.people.skeleton.joints for degree in joint.degrees]
        for i, degree in enumerate(degrees):
            if degree.kind == "rotation":
                low, high = degree.range
                values = self.q[:, :, i]
                excess = np.maximum(excess, np.maximum(low - values.min(1), values.max(1) - high))
        return excess

    def _penetration(self, side: str, load: np.ndarray, limits: Limits) -> np.ndarray:
        # a sole may still be pressed in just before and after it carries anything: the bins beside count
        bin_of = np.digitize(np.maximum.reduce([np.roll(load, s, 1) for s in (-2, 0, 2)]), _LOAD_EDGES_BW[1:-1])
        allowed = np.asarray(limits.sole_depth_leg)[bin_of] * self.leg_length_m[:, None]
        return np.maximum((self.soles[side].depth_m - allowed).max(1), 0.0)

    def _inertial(self) -> _Wrench:
        """Force (3, n, t) and moment about the base that motion and gravity want from the ground."""
        skeleton = self.people.skeleton
        force, moment = np.zeros_like(self.base), np.zeros_like(self.base)
        # on a slope the floor stays level and gravity leans back (``certify``)
        lean = lean_rad(self.strides)
        gravity = np.stack([-np.sin(lean), -np.cos(lean), np.zeros_like(lean)])[:, :, None] * GRAVITY_MPS2
        for body, (body_mass, location) in skeleton.masses.items():
            state = _first(self.moving[body])
            arm = np.einsum("ijnt,nj->int", state.rotation, location)
            carried = state.acceleration + _cross(state.turn, arm) + _cross(state.spin, _cross(state.spin, arm)) - gravity
            push = carried * body_mass[:, None]
            # Euler's law in the body's own axes, in which its inertia is constant
            spin, turn = (np.einsum("jint,jnt->int", state.rotation, part) for part in (state.spin, state.turn))
            inertia = self.people.inertia_kgm2[body].T[:, :, None]
            moment += np.einsum("ijnt,jnt->int", state.rotation, inertia * turn + _cross(spin, inertia * spin))
            moment += _cross(state.origin + arm - self.base, push)
            force += push
        return _Wrench(force, moment)

    def imbalance(self) -> _Wrench:
        """Ground wrench minus what motion wants, about the pelvis."""
        force, moment = -self.wanted.force, -self.wanted.moment
        for side in SIDES:
            ground = self._force(side)
            force = force + ground
            moment = moment + _cross(self._pressure_point(side) - self.base, ground)
            if "free_moment" in self.strides.signals:  # NaN where nobody knows it
                moment[1] += np.nan_to_num(self.strides.channel(f"free_moment_{side}")[:, :: self.step])
        pelvis = np.moveaxis(self.moving["pelvis"].origin_m, -1, 0)
        return _Wrench(force, moment - _cross(pelvis - self.base, force))

    def size(self, left: _Wrench) -> tuple[np.ndarray, np.ndarray]:
        """Root mean square over the stride of a residual force (n,) in body weights and moment (n,) in N m/kg."""
        force, moment = (np.sqrt((part**2).sum(0).mean(1)) for part in (left.force, left.moment))
        return force / self.weight_n, moment / self.people.mass_kg

    def balance(self, left: _Wrench) -> None:
        """Make the ground reaction that of the motion, in what is slow of it (``_CORRECTED``): the imbalance's force is
        shared between the feet by their load, then both centres of pressure move together, at most ``_MAX_SHIFT`` leg
        lengths, to take up the residual moment about the horizontal axes, and neither leaves its foot. What is left
        about the upward axis is the feet's free moment, up to ``_MAX_TWIST`` times their load. The centre of pressure
        of a foot that carries little is where its contact spheres touch (``bodies.sole``), because a drawn moment over
        next to no force says nothing.
        """
        signals, names = self.strides.signals, self.strides.channels["ground_reaction"]
        loads = {side: self.load(side) for side in SIDES}
        total = loads["r"] + loads["l"]
        held = total > 0.3  # with less on the floor nothing could take a correction up
        extra = np.einsum("st,int->ins", _CORRECTION, left.force)
        for side in SIDES:
            share = np.where(held, loads[side] / np.where(held, total, 1.0), 0.0)
            for k, axis in enumerate("xyz"):
                signals["ground_reaction"][:, :, names.index(f"ground_reaction_{axis}_{side}")] -= (extra[k] * share).astype(np.float32)
        if "centre_of_pressure" not in signals:
            return
        cop = self.strides.channels["centre_of_pressure"]
        firm = {side: np.clip(loads[side] / _FIRM_BW, 0.0, 1.0) for side in SIDES}
        for side in SIDES:
            for axis, letter in ((0, "x"), (2, "z")):
                point = signals["centre_of_pressure"][:, :, cop.index(f"centre_of_pressure_{letter}_{side}")]
                touching = self.soles[side].position_m[axis]
                point[:] = touching + firm[side] * (point - touching)
        left = self.imbalance()
        load = np.maximum(sum(self._force(side)[1] for side in SIDES), 0.3 * self.weight_n[:, None])
        limit = _MAX_SHIFT * self.leg_length_m[:, None]
        for axis, letter, turning in ((0, "x", -left.moment[2]), (2, "z", left.moment[0])):
            shift = np.clip((turning / load) @ _CORRECTION.T, -limit, limit)
            for side in SIDES:
                point = signals["centre_of_pressure"][:, :, cop.index(f"centre_of_pressure_{letter}_{side}")]
                low, high = self._reach(side, axis)
                point[:] = np.clip(point + firm[side] * shift, low, high)
        limit = _MAX_TWIST * self.leg_length_m[:, None]
        per_load = np.clip((-self.imbalance().moment[1] / load) @ _CORRECTION.T, -limit, limit)
        signals["free_moment"] = np.stack([per_load * np.maximum(loads[side], 0.0) * self.weight_n[:, None] for side in SIDES], 2).astype(
            np.float32
        )
        self.strides.channels["free_moment"] = FREE_MOMENT

    def _reach(self, side: str, axis: int) -> tuple[np.ndarray, np.ndarray]:
        """(n, 100) least and largest coordinate under the foot: between heel and toe, and ``_SOLE`` leg lengths around."""
        gain = self.stride_length_m[:, None] if axis == 0 else 0.0
        ends = []
        for name in ("heel", "toe"):
            body, location = self.people.skeleton.landmarks[f"{name}_{side}"]
            state = _first(self.moving[body])
            ends.append(_all_phases(state.origin[axis] + np.einsum("jnt,nj->nt", state.rotation[axis], location), gain))
        margin = _SOLE * self.leg_length_m[:, None]
        return np.minimum(*ends) - margin, np.maximum(*ends) + margin

    def _pressure_point(self, side: str) -> np.ndarray:
        """(3, n, t) centre of pressure on the floor; under the foot's origin where it is not known."""
        point = np.moveaxis(self.moving[f"foot_{side}"].origin_m, -1, 0).copy()
        point[1] = 0.0
        if "centre_of_pressure" in self.strides.signals:
            names = self.strides.channels["centre_of_pressure"]
            for axis, letter in ((0, "x"), (2, "z")):
                given = self.strides.signals["centre_of_pressure"][:, :: self.step, names.index(f"centre_of_pressure_{letter}_{side}")]
                point[axis] = np.where(np.isfinite(given), given, point[axis])
        return point


@dataclass(frozen=True)
class _State:
    rotation: np.ndarray
    origin: np.ndarray
    velocity: np.ndarray
    spin: np.ndarray
    acceleration: np.ndarray
    turn: np.ndarray


def _first(moving: BodyMotion) -> _State:
    """Component-first views: rotation (3, 3, n, t), the others (3, n, t)."""
    assert moving.velocity_mps is not None and moving.angular_velocity_radps is not None
    assert moving.acceleration_mps2 is not None and moving.angular_acceleration_radps2 is not None
    return _State(
        np.moveaxis(moving.rotation, (-2, -1), (0, 1)),
        np.moveaxis(moving.origin_m, -1, 0),
        np.moveaxis(moving.velocity_mps, -1, 0),
        np.moveaxis(moving.angular_velocity_radps, -1, 0),
        np.moveaxis(moving.acceleration_mps2, -1, 0),
        np.moveaxis(moving.angular_acceleration_radps2, -1, 0),
    )


def _cross(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.stack([a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]])


#: (100, 50): smooth samples at every second phase to all phases.
_BETWEEN = fourier_basis(24) @ fourier_basis(24, SAMPLES_PER_STRIDE // _STEP).T * (_STEP / SAMPLES_PER_STRIDE)
#: Harmonics of the stride up to which an imbalance of forces is corrected whole, and from which not at all. What
#: is faster belongs to landings, which a stride of 100 samples does not hold exactly: simulated gaits have as much
#: of it as generated ones, and correcting it would blunt every impact.
_CORRECTED = (12, 20)
#: (100, 50): the part to correct of samples at every second phase, at all phases.
_CORRECTION = (
    (fourier_basis(_CORRECTED[1]) * np.interp(harmonic_of(_CORRECTED[1]), _CORRECTED, (1.0, 0.0)))
    @ fourier_basis(_CORRECTED[1], SAMPLES_PER_STRIDE // _STEP).T
    * (_STEP / SAMPLES_PER_STRIDE)
)


def _all_phases(samples: np.ndarray, gain: np.ndarray | float) -> np.ndarray:
    """(n, 50) every second phase -> (n, 100), linear in between; ``gain`` is what a stride adds."""
    after = np.concatenate([samples[:, 1:], samples[:, :1] + gain], 1)
    fine = np.repeat(samples, _STEP, axis=1)
    fine[:, 1::_STEP] = 0.5 * (samples + after)
    return fine
