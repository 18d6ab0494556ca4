"""Walking as a nonlinear programme: variables, cost, bounds, periodicity, exact derivatives.

In: the structure of a body and a mesh. Out: ``WalkingProblem``: one compiled programme in which the
subject and the task are parameters, so that a sweep never rebuilds it.

Direct collocation on a uniform mesh with the trapezoidal rule and implicit dynamics: accelerations,
excitations and rates of tendon force are variables beside the states. The last node of the (half)
stride is the first one again (mirrored, for a half stride), so periodicity is met by construction;
the forward coordinate is the deviation from steady progression. Nodes meet only in the linear part of
the trapezoidal rule, so the Hessian of the Lagrangian is one block per node and a border for the
stride time, and each block is the sum of small ones: rigid bodies, contacts, one per muscle.
"""

from __future__ import annotations

import operator
from dataclasses import dataclass, field, replace
from functools import cached_property, reduce
from pathlib import Path

import casadi as ca
import numpy as np
from casadi import MX, SX

from synthgait.conventions import GRAVITY_MPS2, mirror_name, mirror_sign
from synthgait.musculoskeletal import MusculoskeletalModel
from synthgait.simulate import compiled
from synthgait.simulate import dynamics as dyn
from synthgait.simulate.normative import activity_weights, pull_weights
from synthgait.simulate.task import COST_SHARES, GROUND_SHARES, LOADED_JOINTS, PELVIS_MOVES

#: Node variables and the unit each is measured in inside the programme.
SCALES = {"q": 0.5, "v": 5.0, "a": 50.0, "act": 0.3, "exc": 0.3, "ten": 0.3, "rate": 5.0, "lum": 0.2}
#: Operations after which the pieces of a node's Hessian go into another function.
_LARGE = 40_000
#: Joint -> task parameter: what its mean contact load costs.
LOAD_WEIGHTS = {joint: f"{joint}_load_weight" for joint in LOADED_JOINTS}
#: Task parameters, in order.
TASK = (
    "walking_speed_mps",
    "gravity_x_mps2",
    "gravity_y_mps2",
    "excitation_weight",
    "activation_weight",
    "acceleration_weight",
    "lumbar_weight",
    "tracking_weight",
    "trunk_weight",
    "trunk_lean_rad",
    "friction_rounding",
    "reference_stride_time_s",
    *LOAD_WEIGHTS.values(),
)


@dataclass(frozen=True)
class Layout:
    """Where a node's variables lie: name -> slice, and the size of all together."""

    slices: dict[str, slice]
    size: int
    compliant: tuple[int, ...]

    @classmethod
    def of(cls, model: MusculoskeletalModel) -> Layout:
        """The layout for a body."""
        compliant = tuple(i for i, m in enumerate(model.muscles) if m.compliant_tendon)
        d, m, c, a = len(model.coordinates), len(model.muscles), len(compliant), len(model.actuators)
        sizes = {"q": d, "v": d, "a": d, "act": m, "exc": m, "ten": c, "rate": c, "lum": a}
        starts = np.cumsum([0, *sizes.values()])
        return cls({k: slice(int(s), int(s) + n) for (k, n), s in zip(sizes.items(), starts, strict=False)}, int(starts[-1]), compliant)

    @cached_property
    def scale(self) -> np.ndarray:
        """Physical size of one programme unit, (size,)."""
        scale = np.empty(self.size)
        for name, where in self.slices.items():
            scale[where] = SCALES[name]
        return scale

    @cached_property
    def states(self) -> np.ndarray:
        """Indices of the states (q, v, activation, tendon force) in a node."""
        return np.concatenate([np.arange(self.slices[n].start, self.slices[n].stop) for n in ("q", "v", "act", "ten")])

    def mirror(self, model: MusculoskeletalModel) -> tuple[np.ndarray, np.ndarray]:
        """Index and sign so that ``sign * z[index]`` is the node seen in the sagittal mirror."""
        coordinates, muscles = list(model.coordinates), [m.name for m in model.muscles]
        actuators = [a.coordinate for a in model.actuators]
        compliant = [muscles[i] for i in self.compliant]
        index, sign = np.empty(self.size, int), np.ones(self.size)
        groups = {"q": coordinates, "v": coordinates, "a": coordinates, "act": muscles, "exc": muscles, "ten": compliant, "rate": compliant}
        for group, names in (groups | {"lum": actuators}).items():
            start = self.slices[group].start
            for i, name in enumerate(names):
                index[start + i] = start + names.index(mirror_name(name))
                if group in ("q", "v", "a", "lum"):
                    sign[start + i] = mirror_sign(name)
        return index, sign


@dataclass
class _MuscleTerms:
    """What the muscles of one node contribute; lists in muscle order."""

    moment: SX
    multipliers: SX
    forces: list[SX] = field(default_factory=list)
    equilibrium: list[SX] = field(default_factory=list)
    activation_rates: list[SX] = field(default_factory=list)
    lagrangian: list[SX] = field(default_factory=list)
    load: SX = field(default_factory=lambda: SX(0))


class WalkingProblem:
    """The programme for every subject whose body has this structure.

    Args:
        template: any such body; its numbers do not matter, its zeros do.
        intervals: mesh intervals of the horizon.
        symmetric: the horizon is half a stride, closed by the mirror; else a whole one.
    """

    def __init__(self, template: MusculoskeletalModel, intervals: int, symmetric: bool) -> None:
        dyn.check_supported(template)
        self.template, self.intervals, self.symmetric = template, intervals, symmetric
        self.layout = Layout.of(template)
        self.model, self._p, self.parameter_names = dyn.symbolic(template)
        self._task = SX.sym("task", len(TASK))
        # reference angles, ground reaction in body weights (x, y, z, heel of the right, of the left), activation, velocity of the pelvis
        self._reference = SX.sym("ref", len(template.coordinates) + 8 + len(template.muscles) + 3)
        self._z = SX.sym("z", self.layout.size)
        self.fraction = 0.5 if symmetric else 1.0
        self._build_node()
        self.compiled = self._take(compiled.load(self._node_functions(), self.library))
        self._assemble()

    # -- one node ---------------------------------------------------------------------------------

    def _part(self, name: str) -> SX:
        where = self.layout.slices[name]
        return self._z[where] * SCALES[name]

    def _build_node(self) -> None:
        """Functions of one node's variables z, reference angles, subject and task parameters."""
        model = self.model
        q, v, a = self._part("q"), self._part("v"), self._part("a")
        act, exc, lum = self._part("act"), self._part("exc"), self._part("lum")
        motion = dyn.kinematics(model, q, v, a, ca.vertcat(self._task[1], self._task[2], 0))
        self.force_unit = model.mass_kg * GRAVITY_MPS2
        weights, sigma = SX.sym("lam_dynamics", q.numel()), SX.sym("sigma")

        rigid = dyn.inverse_dynamics(model, motion, {})
        forces, points, wrenches = self._contacts(motion)
        ground = [dyn.inverse_dynamics(model, motion, {body: wrench}, inertial=False) for body, wrench in wrenches.items()]
        muscles = self._muscles(q, v, act, exc, weights, sigma)
        other = self._passive_and_actuators(q, v, lum)
        internal = muscles.moment + other
        residual = (rigid + sum(ground) - internal) / self.force_unit
        gaps = self._clearances(motion)
        costs = self._cost(q, a, act, exc, lum, forces)
        cost = sum(costs) + muscles.load
        rates = ca.vertcat(v, a, ca.vertcat(*muscles.activation_rates), self._part("rate"))
        constraints = ca.vertcat(residual, *muscles.equilibrium, *gaps)
        self.n_dynamics, self.n_equilibrium, self.n_gaps = q.numel(), len(muscles.equilibrium), len(gaps)

        arguments = [self._z, self._reference, self._p, self._task]
        self.node = ca.Function("node", arguments, [constraints, rates, cost])
        self.node_jacobian = ca.Function("node_jacobian", arguments, [ca.jacobian(constraints, self._z), ca.jacobian(rates, self._z)])
        self.node_gradient = ca.Function("node_gradient", arguments, [cost, ca.gradient(cost, self._z)])
        outputs = [internal, ca.vertcat(*muscles.forces), ca.horzcat(*forces), ca.horzcat(*points), residual * self.force_unit]
        self.outputs = ca.Function("outputs", arguments, outputs)

        lam_gap, mu = SX.sym("lam_gap", len(gaps)), SX.sym("mu", rates.numel())
        pieces = [ca.dot(weights, term) / self.force_unit for term in (rigid, *ground, -other)]
        pieces += [*muscles.lagrangian, *(sigma * part for part in costs), ca.dot(mu, rates), ca.dot(lam_gap, ca.vertcat(*gaps))]
        multipliers = [sigma, ca.vertcat(weights, muscles.multipliers, lam_gap), mu]
        self.node_hessians = self._hessians(pieces, [*arguments, *multipliers])
        self.node_border = ca.Function("node_border", [*arguments, *multipliers], [ca.gradient(ca.dot(mu, rates), self._z)])

    def _hessians(self, pieces: list[SX], arguments: list[SX]) -> list[ca.Function]:
        """Functions whose upper triangles add up to the Hessian, of some ten thousand operations each: compilers
        need much more memory for one large function than for its parts."""
        functions: list[ca.Function] = []
        hessian = SX(self.layout.size, self.layout.size)
        for i, piece in enumerate(pieces):
            hessian = hessian + self._local_hessian(piece)
            if i + 1 == len(pieces) or ca.n_nodes(hessian) > _LARGE:
                functions.append(ca.Function(f"node_hessian_{len(functions)}", arguments, [ca.triu(hessian)]))
                hessian = SX(self.layout.size, self.layout.size)
        return functions

    # -- compiled nodes ----------------------------------------------------------------------------

    @property
    def library(self) -> Path:
        """Where the compiled node functions of this structure lie, if they do; the mesh has no say."""
        return compiled.library(replace(self.model, name="", landmarks=()))

    def compile(self) -> bool:
        """Compile the node functions for the problems that are built from now on; False without a compiler."""
        return self.compiled or compiled.build(self._node_functions(), self.library)

    def _node_functions(self) -> list[ca.Function]:
        return [self.node, self.node_jacobian, self.node_gradient, self.node_border, *self.node_hessians]

    def _take(self, functions: list[ca.Function] | None) -> bool:
        if functions is not None:
            self.node, self.node_jacobian, self.node_gradient, self.node_border, *self.node_hessians = functions
        return functions is not None

    def _contacts(self, motion: dyn.Kinematics) -> tuple[list[SX], list[SX], dict[str, tuple[SX, SX]]]:
        forces: list[SX] = []
        points: list[SX] = []
        wrenches: dict[str, tuple[SX, SX]] = {}
        for contact in self.model.contacts:
            force, point, lever = dyn.contact_force(contact, motion, self._task[TASK.index("friction_rounding")])
            forces.append(force)
            points.append(point)
            in_body = ca.mtimes(motion.frames[contact.body].rotation.T, force)
            old = wrenches.get(contact.body, (SX.zeros(3), SX.zeros(3)))
            wrenches[contact.body] = (old[0] + in_body, old[1] + ca.cross(lever, in_body))
        return forces, points, wrenches

    def _load_weight(self, joints: set[str]) -> SX:
        """What a force through these joints costs, for one body weight over the whole stride."""
        return sum((self._task[TASK.index(name)] for joint, name in LOAD_WEIGHTS.items() if joint in joints), SX(0))

    def _muscles(self, q: SX, v: SX, act: SX, exc: SX, weights: SX, sigma: SX) -> _MuscleTerms:
        index = {name: i for i, name in enumerate(self.model.coordinates)}
        slot = {muscle: i for i, muscle in enumerate(self.layout.compliant)}
        tendon, tendon_rate = self._part("ten"), self._part("rate")
        multipliers = SX.sym("lam_equilibrium", len(slot))
        terms = _MuscleTerms(SX.zeros(q.numel()), multipliers)
        for i, muscle in enumerate(self.model.muscles):
            where = [index[name] for name in muscle.path_coordinates]
            local = SX.sym("q", len(where))
            length = dyn.path_length(muscle, local, {name: n for n, name in enumerate(muscle.path_coordinates)})
            length, gradient = ca.substitute([length, ca.gradient(length, local)], [local], [q[where]])
            j = slot.get(i)
            pulled = (tendon[j], tendon_rate[j]) if j is not None else (SX(0), SX(0))
            fibre, gap = dyn.muscle_forces(muscle, length, ca.dot(gradient, v[where]), act[i], *pulled)
            force = muscle.max_isometric_force_n * (fibre if j is None else pulled[0])
            terms.forces.append(force)
            terms.moment[where] -= force * gradient
            load = self._load_weight({f"{name.split('_')[0]}_{name[-1]}" for name in muscle.path_coordinates}) * force / self.force_unit
            terms.load += load
            piece = force * ca.dot(gradient, weights[where]) / self.force_unit + sigma * load
            if j is not None:
                terms.equilibrium.append(gap)
                piece += multipliers[j] * gap
            terms.lagrangian.append(piece)
            terms.activation_rates.append(dyn.activation_rate(muscle, exc[i], act[i]))
        return terms

    def _passive_and_actuators(self, q: SX, v: SX, lum: SX) -> SX:
        index = {name: i for i, name in enumerate(self.model.coordinates)}
        moment = SX.zeros(q.numel())
        for passive in self.model.passive_moments:
            c = index[passive.coordinate]
            moment[c] += dyn.passive_moment(passive, q[c], v[c])
        for i, actuator in enumerate(self.model.actuators):
            moment[index[actuator.coordinate]] += actuator.optimal_moment_nm * lum[i]
        return moment

    def _clearances(self, motion: dyn.Kinematics) -> list[SX]:
        """Lateral distances in m of right from left foot, toe and knee; none for a planar body."""
        if "hip_adduction_r" not in self.model.coordinates:
            return []
        toe = {c.name: c for c in self.model.contacts}

        def lateral(side: str) -> list[SX]:
            foot = motion.frames[f"foot_{side}"]
            tip = ca.vertcat(*toe[f"toe_{side}"].location_m)
            return [foot.origin[2], foot.origin[2] + ca.dot(foot.rotation[2, :].T, tip), motion.frames[f"tibia_{side}"].origin[2]]

        return [right - left for right, left in zip(lateral("r"), lateral("l"), strict=True)]

    def _local_hessian(self, piece: SX) -> SX:
        """Hessian of one additive part over the few variables it has, placed in the node's."""
        used = np.flatnonzero(np.array(ca.DM(ca.which_depends(piece, self._z, 1)), bool).ravel())
        if len(used) == 0:
            return SX(self.layout.size, self.layout.size)
        local = SX.sym("local", len(used))
        whole = SX(self._z)
        for i, j in enumerate(used):
            whole[int(j)] = local[i]
        moved = ca.substitute(piece, self._z, whole)
        small = ca.hessian(moved, local)[0]
        small = ca.substitute(small, local, self._z[[int(j) for j in used]])
        rows, columns = small.sparsity().get_triplet()
        sparsity = ca.Sparsity.triplet(self.layout.size, self.layout.size, [int(used[r]) for r in rows], [int(used[c]) for c in columns])
        # both are column-major with increasing indices, so nonzeros keep their order
        values = ca.vertcat(*small.nonzeros()) if small.nnz() else SX(0, 1)  # type: ignore[call-overload]
        return SX(sparsity, values)

    def _cost(self, q: SX, a: SX, act: SX, exc: SX, lum: SX, forces: list[SX]) -> list[SX]:
        """Additive parts of the integrand; its mean over the stride is the cost."""
        weight = dict(zip(TASK, ca.vertsplit(self._task), strict=True))
        names = list(self.template.coordinates)
        joints = [i for i, n in enumerate(names) if not n.startswith("pelvis_t") or n == "pelvis_tilt"]
        tracked = {names.index(name): share for name, share in pull_weights(names).items()}
        starts = np.cumsum([0, len(names), 8, len(self.template.muscles), 3]).tolist()
        angles, ground, activity, moves = ca.vertsplit(self._reference, starts)
        muscles = [m.name for m in self.template.muscles]
        contract = {muscles.index(name): share for name, share in activity_weights(muscles).items()}
        terms = {
            "excitation": ca.sumsqr(exc) / exc.numel(),
            "activation": ca.sumsqr(act) / act.numel(),
            "acceleration": sum((a[i] / 20.0) ** 2 for i in joints) / len(joints),
            "lumbar": ca.sumsqr(lum) / max(lum.numel(), 1),
            "tracking": sum(share * (q[i] - angles[i]) ** 2 for i, share in tracked.items()),
        }
        # The trunk's lean, sideways lean and turn against the world: gaze and balance keep it upright.
        trunk = (q[names.index("pelvis_tilt")] + q[names.index("lumbar_extension")] + weight["trunk_lean_rad"]) ** 2
        for pelvis, lumbar in (("pelvis_list", "lumbar_bending"), ("pelvis_rotation", "lumbar_rotation")):
            if lumbar in names:
                trunk = trunk + (q[names.index(pelvis)] + q[names.index(lumbar)]) ** 2
        terms["trunk"] = trunk
        parts = [COST_SHARES[name] * weight[f"{name}_weight"] * term for name, term in terms.items()]
        if "pelvis_tz" in names:
            parts.append(1e-3 * q[names.index("pelvis_tz")] ** 2)
        for i, (name, coordinate) in enumerate(PELVIS_MOVES):
            if coordinate in names:
                miss = self._part("v")[names.index(coordinate)] - moves[i]
                parts.append(COST_SHARES[name] * weight["tracking_weight"] * miss**2)
        unlike = sum(share * (act[i] - activity[i]) ** 2 for i, share in contract.items())
        parts.append(COST_SHARES["activity"] * weight["tracking_weight"] * unlike)
        wanted = ca.reshape(ground, 4, 2)
        for side, column in (("r", 0), ("l", 1)):
            of = {c.name: f / self.force_unit for f, c in zip(forces, self.model.contacts, strict=True) if c.name.endswith(f"_{side}")}
            miss = ca.vertcat(sum(of.values()), of[f"heel_{side}"][1]) - wanted[:, column]
            # forward and lateral forces are small beside the vertical one, and so is what people differ in
            pull = COST_SHARES["ground"] * weight["tracking_weight"] * ca.dot(ca.DM(GROUND_SHARES), miss**2)
            # A joint carries what the floor carries and what the muscles that cross it pull: along a nearly straight leg
            # its contact load, but for the weight and inertia of the leg below.
            parts.append(pull + self._load_weight({f"knee_{side}", f"hip_{side}"}) * sum(of.values())[1])
        return parts

    # -- all nodes --------------------------------------------------------------------------------

    def _assemble(self) -> None:
        """The whole programme and its derivatives, from mapped node functions."""
        k, n, states = self.intervals, self.layout.size, self.layout.states
        index, sign = self.layout.mirror(self.template) if self.symmetric else (np.arange(n), np.ones(n))
        nodes, time = MX.sym("nodes", n * k), MX.sym("time")
        x = ca.vertcat(nodes, time)
        p = MX.sym("p", self._p.numel() + len(TASK) + self._reference.numel() * k)
        body, task, reference = ca.vertsplit(p, [0, self._p.numel(), self._p.numel() + len(TASK), p.numel()])
        z = ca.reshape(nodes, n, k)
        arguments = [z, ca.reshape(reference, -1, k), ca.repmat(body, 1, k), ca.repmat(task, 1, k)]
        step = self.fraction / (2.0 * k)  # h / 2 for a stride time of 1 s
        unit = self.layout.scale[states]
        place = {int(state): i for i, state in enumerate(states)}
        # Row i of a state vector at the end of the horizon is row closing[i] of the first node's.
        closing = np.array([place[int(index[s])] for s in states])
        closing_sign = sign[states]

        def shifted(values: MX) -> MX:
            """Columns 1 .. K of a (states, K) matrix, the last one closed by periodicity."""
            return ca.horzcat(values[:, 1:], values[closing, 0] * closing_sign)

        constraints, rates, costs = self.node.map(k)(*arguments)
        rates = rates / unit
        advance = ca.DM(len(states), 1)
        names = list(self.template.coordinates)
        if "pelvis_tx" in names:
            advance[names.index("pelvis_tx")] = 1.0 / SCALES["q"]
        state = z[states, :]
        defects = shifted(state) - state - step * time * (rates + shifted(rates)) + ca.repmat(advance * task[0] * 2 * step * time, 1, k)
        g = ca.vertcat(ca.vec(constraints), ca.vec(defects))
        self.n_constraints = self.n_dynamics + self.n_equilibrium + self.n_gaps
        self.n_defects = len(states)
        weight = COST_SHARES["stride_time"] * task[TASK.index("tracking_weight")]
        wanted = task[TASK.index("reference_stride_time_s")]
        late = time / wanted - 1
        f = ca.sum2(costs) / k + weight * late**2

        node_costs, gradients = self.node_gradient.map(k)(*arguments)
        self._gradient = ca.Function(
            "nlp_grad_f",
            [x, p],
            [ca.sum2(node_costs) / k + weight * late**2, ca.vertcat(ca.vec(gradients) / k, 2 * weight * late / wanted)],
            ["x", "p"],
            ["f", "grad_f_x"],
        )
        jacobian = self._assemble_jacobian(arguments, time, task, rates, shifted, advance, step, unit, index, sign, place)
        self._jacobian = ca.Function("nlp_jac_g", [x, p], [g, jacobian], ["x", "p"], ["g", "jac_g_x"])

        sigma, lam = MX.sym("lam_f"), MX.sym("lam_g", g.numel())
        lam_c = ca.reshape(lam[: self.n_constraints * k], -1, k)
        lam_d = ca.reshape(lam[self.n_constraints * k :], -1, k)
        back = np.argsort(closing)
        first = lam_d[:, 0] + lam_d[back, k - 1] * closing_sign[back]
        total = ca.horzcat(first, lam_d[:, 1:] + lam_d[:, :-1]) if k > 1 else first
        mu = -step * total / unit
        arguments += [ca.repmat(sigma / k, 1, k), lam_c, mu * time]
        blocks = reduce(operator.add, [part.map(k)(*arguments) for part in self.node_hessians])
        # but for the pull on it, the Lagrangian is linear in the stride time
        hessian = self._assemble_hessian(blocks, self.node_border.map(k)(*arguments) / time, sigma * 2 * weight / wanted**2)
        self._hessian = ca.Function("nlp_hess_l", [x, p, sigma, lam], [hessian], ["x", "p", "lam_f", "lam_g"], ["triu_hess_gamma_x_x"])
        self.nlp = {"x": x, "p": p, "f": f, "g": g}

    def _assemble_hessian(self, blocks: MX, border: MX, corner: MX) -> MX:
        k, n = self.intervals, self.layout.size
        pattern = reduce(ca.Sparsity.unite, [part.sparsity_out(0) for part in self.node_hessians])
        rows, columns = (np.array(v) for v in pattern.get_triplet())
        border_rows = np.array(self.node_border.sparsity_out(0).row())
        all_rows = [rows + n * i for i in range(k)] + [border_rows + n * i for i in range(k)] + [np.array([n * k])]
        all_columns = [columns + n * i for i in range(k)] + [np.full(len(border_rows), n * k)] * k + [np.array([n * k])]
        values = ca.vertcat(_nonzeros(blocks), _nonzeros(border), corner)
        return _sparse(n * k + 1, n * k + 1, all_rows, all_columns, values)

    def _assemble_jacobian(self, arguments, time, task, rates, shifted, advance, step, unit, index, sign, place) -> MX:
        """Triplets: node blocks, then the linear and the rate part of each trapezoidal step."""
        k, n, states = self.intervals, self.layout.size, self.layout.states
        node_blocks, rate_blocks = self.node_jacobian.map(k)(*arguments)
        rows, columns = (np.array(v) for v in self.node_jacobian.sparsity_out(0).get_triplet())
        all_rows = [rows + self.n_constraints * i for i in range(k)]
        all_columns = [columns + n * i for i in range(k)]
        values = [_nonzeros(node_blocks)]

        # d(defect)/dz of the node an interval starts from and of the one it ends at, as one block each:
        # minus or plus the identity on states, minus step * time * d(rates)/dz.
        rate_rows, rate_columns = (np.array(v) for v in self.node_jacobian.sparsity_out(1).get_triplet())
        position = {(int(r), int(c)): i for i, (r, c) in enumerate(zip(rate_rows, rate_columns, strict=True))}
        extra = [(i, int(s)) for i, s in enumerate(states) if (i, int(s)) not in position]
        block_rows = np.concatenate([rate_rows, [r for r, _ in extra]]).astype(int)
        block_columns = np.concatenate([rate_columns, [c for _, c in extra]]).astype(int)
        identity = np.zeros(len(block_rows))
        for i, (r, c) in enumerate(zip(block_rows, block_columns, strict=True)):
            identity[i] = 1.0 if place.get(int(c)) == int(r) else 0.0
        scaled = ca.reshape(_nonzeros(rate_blocks), -1, k) / unit[rate_rows] * (step * time)
        scaled = ca.vertcat(scaled, MX.zeros(len(extra), k))
        offset = self.n_constraints * k
        for i in range(k):
            all_rows.append(block_rows + offset + self.n_defects * i)
            all_columns.append(block_columns + n * i)
        values.append(ca.vec(-ca.repmat(ca.DM(identity), 1, k) - scaled))
        ends = ca.repmat(ca.DM(identity), 1, k) - scaled
        for i in range(k - 1):
            all_rows.append(block_rows + offset + self.n_defects * i)
            all_columns.append(block_columns + n * (i + 1))
        values.append(ca.vec(ends[:, 1:]))
        # The last interval ends at the mirrored first node: row of the mirrored state, column as it is.
        mirrored_row = {place[int(index[s])]: i for i, s in enumerate(states)}
        closing_rows = np.array([mirrored_row[int(r)] for r in block_rows])
        all_rows.append(closing_rows + offset + self.n_defects * (k - 1))
        all_columns.append(block_columns)
        values.append(ends[:, 0] * ca.DM(sign[states][closing_rows]))
        all_rows.append(np.arange(self.n_defects * k) + offset)
        all_columns.append(np.full(self.n_defects * k, n * k))
        values.append(ca.vec(-step * (rates + shifted(rates)) + ca.repmat(advance * task[0] * 2 * step, 1, k)))
        return _sparse(offset + self.n_defects * k, n * k + 1, all_rows, all_columns, ca.vertcat(*values))


def _nonzeros(matrix: MX) -> MX:
    """The nonzeros of a sparse expression as a dense column."""
    return matrix.nz[:]


def _sparse(n_rows: int, n_columns: int, rows: list[np.ndarray], columns: list[np.ndarray], values: MX) -> MX:
    """A sparse matrix from triplets without duplicates."""
    r, c = np.concatenate(rows).astype(int), np.concatenate(columns).astype(int)
    order = np.lexsort((r, c))
    if np.any((np.diff(r[order]) == 0) & (np.diff(c[order]) == 0)):
        raise AssertionError("two triplets fall on one entry")
    sparsity = ca.Sparsity.triplet(n_rows, n_columns, r[order].tolist(), c[order].tolist())
    return MX(sparsity, values[order.tolist()])
