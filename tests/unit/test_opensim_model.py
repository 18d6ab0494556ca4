"""The OpenSim model says what the description says: sizes, paths, forces; and reads back equal."""

from __future__ import annotations

from dataclasses import fields, is_dataclass, replace

import numpy as np
import pytest

from opensim_process import in_opensim
from synthgait.anthropometry import REFERENCE_HEIGHT_M, REFERENCE_LEG_LENGTH_M, build_model
from synthgait.errors import InputError
from synthgait.musculoskeletal import Joint, MusculoskeletalModel
from synthgait.subjects import Subject

SUBJECTS = (
    Subject("adult", knee_varus_rad=0.03),
    Subject("child", age_years=8, sex="female", height_m=1.28, mass_kg=27, leg_length_m=0.66),
    Subject("old", age_years=78, sex="female", height_m=1.55, mass_kg=81, strength=0.7, knee_varus_rad=-0.05),
)


def leaves(node, path=""):
    """Every value of a model with its path."""
    if is_dataclass(node):
        for f in fields(node):
            yield from leaves(getattr(node, f.name), f"{path}.{f.name}")
    elif isinstance(node, tuple):
        yield f"{path}.length", len(node)
        for i, child in enumerate(node):
            yield from leaves(child, f"{path}.{i}")
    else:
        yield path, node


def folded(model: MusculoskeletalModel) -> MusculoskeletalModel:
    """The same paths with their scale multiplied into the coefficients, as a file has them."""
    muscles = tuple(
        replace(m, path_scale=1.0, path_coefficients_m=tuple(m.path_scale * c for c in m.path_coefficients_m)) for m in model.muscles
    )
    return replace(model, muscles=muscles)


def _read_back(model, path):
    from synthgait import opensim_model, opensim_reader

    return opensim_reader.read(opensim_model.write(model, path))


@pytest.mark.parametrize("subject", SUBJECTS, ids=lambda s: s.subject_id)
def test_a_written_model_reads_back_equal(subject, tmp_path):
    model = build_model(subject)
    back = in_opensim(_read_back, model, tmp_path / "model.osim")
    expected, found = dict(leaves(folded(model))), dict(leaves(back))
    assert expected.keys() == found.keys()
    for path, value in expected.items():
        assert found[path] == (value if isinstance(value, str) else pytest.approx(value, rel=1e-9, abs=1e-9)), path
    assert [p.name for p in tmp_path.iterdir()] == ["model.osim"]


def _text_twice(model):
    from synthgait import opensim_model

    return opensim_model.to_xml(model), opensim_model.to_xml(model)


def test_the_same_description_gives_the_same_text():
    first, second = in_opensim(_text_twice, build_model(SUBJECTS[0]))
    assert first == second and first.startswith("<?xml")


def _sizes(model):
    """OpenSim's total mass, and the heights of the right hip and of the lowest sphere, standing straight."""
    from synthgait import opensim_model

    osim = opensim_model.build(model)
    state = osim.initSystem()
    coordinates = osim.getCoordinateSet()
    coordinates.get("pelvis_ty").setValue(state, 0.0)
    osim.realizePosition(state)
    hip = osim.getJointSet().get("hip_r").getParentFrame().getPositionInGround(state).get(1)
    foot = osim.getBodySet().get("foot_r")
    import opensim

    bottom = {
        c.name: foot.findStationLocationInGround(state, opensim.Vec3(*c.location_m)).get(1) - c.radius_m
        for c in model.contacts
        if c.body == "foot_r"
    }
    names = [coordinates.get(i).getName() for i in range(coordinates.getSize())]
    return osim.getTotalMass(state), {name: hip - y for name, y in bottom.items()}, names, osim.getMuscles().getSize()


@pytest.mark.parametrize("subject", SUBJECTS, ids=lambda s: s.subject_id)
def test_mass_and_leg_length_are_the_subjects(subject):
    model = build_model(subject)
    mass_kg, reach_m, names, muscles = in_opensim(_sizes, model)
    assert mass_kg == pytest.approx(subject.mass_kg, rel=1e-9)
    # A bent leg is shorter than its parts by the cosine: 0.1 % at 0.05 rad.
    expected = subject.leg_length_m or subject.height_m * REFERENCE_LEG_LENGTH_M / REFERENCE_HEIGHT_M
    # The leg stands on the forefoot; the unloaded heel pad reaches 5 mm lower and the toe stays above the floor.
    assert reach_m["metatarsal_1_r"] == pytest.approx(expected, rel=2e-3 if subject.knee_varus_rad else 1e-9)
    assert 0.003 < reach_m["heel_r"] - reach_m["metatarsal_1_r"] < 0.007 and reach_m["toe_r"] < reach_m["metatarsal_1_r"]
    assert sorted(names) == sorted(model.coordinates) and muscles == len(model.muscles) == 48


def _paths(model, pose):
    """OpenSim's musculotendon lengths, and moment arms about each muscle's own coordinates."""
    from synthgait import opensim_model

    osim = opensim_model.build(model)
    state = osim.initSystem()
    for name, value in zip(model.coordinates, pose, strict=True):
        osim.getCoordinateSet().get(name).setValue(state, value, False)
    osim.realizeDynamics(state)
    lengths, arms = [], []
    for muscle in model.muscles:
        theirs = osim.getMuscles().get(muscle.name)
        lengths.append(theirs.getLength(state))
        arms.append([theirs.getPath().computeMomentArm(state, osim.getCoordinateSet().get(c)) for c in muscle.path_coordinates])
    return lengths, arms


def test_path_lengths_and_moment_arms_are_the_polynomials():
    model = build_model(SUBJECTS[1])
    low, high = np.array([model.joint_range(c) for c in model.coordinates]).T
    pose = np.random.default_rng(3).uniform(low, high)
    lengths, arms = in_opensim(_paths, model, pose)
    value = dict(zip(model.coordinates, pose, strict=True))
    for muscle, length, arm in zip(model.muscles, lengths, arms, strict=True):
        q = np.array([value[c] for c in muscle.path_coordinates])

        def polynomial(q, muscle=muscle):
            terms = [c * np.prod(q ** np.array(p)) for c, p in zip(muscle.path_coefficients_m, muscle.path_powers, strict=True)]
            return muscle.path_scale * sum(terms)

        assert length == pytest.approx(polynomial(q), abs=1e-12), muscle.name
        numeric = [(polynomial(q - e) - polynomial(q + e)) / 2e-6 for e in 1e-6 * np.eye(len(q))]
        assert arm == pytest.approx(numeric, abs=1e-8), muscle.name


def _axes(axes):
    from synthgait import opensim_model

    return opensim_model.complete_axes(axes)


def test_axes_are_filled_up_orthogonally():
    tilted = np.array([-0.10502, -0.17402, 0.97913])
    full = np.array(in_opensim(_axes, [tilted]))
    assert np.array_equal(full[0], tilted)
    assert full[1:] @ full[0] == pytest.approx(0, abs=1e-12)
    assert full[1:] @ full[1:].T == pytest.approx(np.eye(2), abs=1e-12)


# -- users' files ------------------------------------------------------------------------------------


def _user_model(path, change):
    """A block on a planar joint, hinged to a rod with a geometry-path muscle, one thing changed."""
    import opensim

    from synthgait import opensim_reader

    osim = opensim.Model()
    osim.setName("user")
    block, rod = (
        opensim.Body("block", 2, opensim.Vec3(0), opensim.Inertia(1, 1, 1)),
        opensim.Body("rod", 1, opensim.Vec3(0, -0.2, 0), opensim.Inertia(0.1, 0.1, 0.1)),
    )
    osim.addBody(block)
    osim.addBody(rod)
    planar = opensim.PlanarJoint("planar", osim.getGround(), block)
    zero = opensim.Vec3(0)
    hinge = opensim.PinJoint("hinge", block, opensim.Vec3(0, -0.1, 0), zero, rod, zero, zero)
    osim.addJoint(planar)
    osim.addJoint(hinge)
    names = ("tilt", "forward", "up", "bend")
    for i, name in enumerate(names):
        coordinate = planar.upd_coordinates(i) if i < 3 else hinge.upd_coordinates(0)
        coordinate.setName(name)
    osim.finalizeConnections()
    for i in range(4):
        osim.getCoordinateSet().get(i).setRangeMin(-0.8)
        osim.getCoordinateSet().get(i).setRangeMax(0.8)
    muscle = (opensim.Millard2012EquilibriumMuscle if change == "millard" else opensim.DeGrooteFregly2016Muscle)()
    muscle.setName("pull")
    muscle.setTendonSlackLength(0.1)
    muscle.setOptimalFiberLength(0.15)
    muscle.addNewPathPoint("a", block, opensim.Vec3(0.05, 0.0, 0.0))
    muscle.addNewPathPoint("b", rod, opensim.Vec3(0.03, -0.15, 0.0))
    osim.addForce(muscle)
    if change == "spring":
        osim.addForce(opensim.SpringGeneralizedForce("bend"))
    if change == "locked":
        osim.getCoordinateSet().get("tilt").setDefaultLocked(True)
    if change == "constraint":
        osim.addConstraint(opensim.PointConstraint(block, zero, rod, zero))
    if change == "ball":
        ball = opensim.Body("ball", 1, zero, opensim.Inertia(1, 1, 1))
        osim.addBody(ball)
        osim.addJoint(opensim.BallJoint("shoulder", rod, ball))
    osim.finalizeConnections()
    osim.printToXML(str(path))
    model = opensim_reader.read(path)
    state = osim.initSystem()
    rng, pairs = np.random.default_rng(5), []
    for _ in range(20):
        bend = rng.uniform(-0.8, 0.8)
        osim.getCoordinateSet().get("bend").setValue(state, bend)
        osim.realizePosition(state)
        pairs.append((bend, osim.getMuscles().get(0).getLength(state)))
    return model, pairs


def test_a_users_model_with_simple_joints_and_a_geometry_path(tmp_path):
    model, pairs = in_opensim(_user_model, tmp_path / "user.osim", "nothing")
    assert model.coordinates == ("tilt", "forward", "up", "bend")
    assert isinstance(model.joints[0], Joint) and [d.kind for d in model.joints[0].degrees] == ["rotation", "translation", "translation"]
    (muscle,) = model.muscles
    assert muscle.path_coordinates == ("bend",)
    for bend, length in pairs:
        fitted = sum(c * bend ** p[0] for c, p in zip(muscle.path_coefficients_m, muscle.path_powers, strict=True))
        assert fitted == pytest.approx(length, abs=1e-3)


def test_a_locked_coordinate_is_left_out(tmp_path):
    model, _ = in_opensim(_user_model, tmp_path / "user.osim", "locked")
    assert model.coordinates == ("forward", "up", "bend")


@pytest.mark.parametrize(
    ("change", "named"),
    [("millard", "'pull'"), ("spring", "SpringGeneralizedForce"), ("constraint", "PointConstraint"), ("ball", "'shoulder'")],
)
def test_what_the_description_cannot_say_is_an_error_that_names_it(tmp_path, change, named):
    with pytest.raises(InputError, match=named):
        in_opensim(_user_model, tmp_path / "user.osim", change)


def _read(path):
    from synthgait import opensim_reader

    return opensim_reader.read(path)


def test_no_model_is_one_sentence(tmp_path):
    broken = tmp_path / "broken.osim"
    broken.write_text("<OpenSimDocument")
    for path in (broken, tmp_path / "absent.osim"):
        with pytest.raises(InputError, match=path.name):
            in_opensim(_read, path)
