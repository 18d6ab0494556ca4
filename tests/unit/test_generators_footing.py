"""Feet that hold still: the derivatives behind it, and what it does to drawn strides."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from synthgait import bundled, storage
from synthgait.conventions import GRAVITY_MPS2
from synthgait.generators.base import StrideGenerator
from synthgait.generators.bodies import People, coordinates, sole
from synthgait.generators.footing import CREEP_MPS, Footing
from synthgait.generators.plausibility import measure
from synthgait.generators.representation import Walker
from synthgait.kinematics import body_motion, degree_motion
from synthgait.trials import Trials

#: Of fewer the worst in twenty are a matter of chance.
N = 512  # the tail of half as many scatters by a tenth


@pytest.fixture(scope="module")
def model() -> StrideGenerator:
    return StrideGenerator.load(bundled.generator())


@pytest.fixture(scope="module")
def drawn(model: StrideGenerator) -> tuple[np.ndarray, pd.DataFrame]:
    """Latents as the network draws them, and who walks them."""
    rngs = [np.random.default_rng([5, i]) for i in range(N)]
    table = model.space.draw({}, rngs)
    latents = model._latents(model.space.encode(table), rngs, 1.0)
    return latents, table.assign(stride_length_m=table["walking_speed_mps"] * table["stride_time_s"])


def skate_and_trials(model: StrideGenerator, latents: np.ndarray, table: pd.DataFrame) -> tuple[np.ndarray, Trials]:
    trials = Trials(table, model.representation.decode(latents, Walker.of(table)), dict(model.representation.channels))
    return measure(trials, model.limits)["foot_skate_mps"].to_numpy(), trials


def test_held_soles_slide_less_and_the_stride_stays_itself(model: StrideGenerator, drawn: tuple[np.ndarray, pd.DataFrame]) -> None:
    latents, table = drawn
    skeleton, scale = People.of(table).skeleton, model.prior.scale(model.space.encode(table))
    held = Footing(model.representation, model.prior.root).hold(latents, table, skeleton, scale)
    before, loose = skate_and_trials(model, latents, table)
    after, tight = skate_and_trials(model, held, table)
    # what simulated soles do, friction lets them do: the rest of the sliding is to go
    simulated = storage.read(bundled.seed_dataset(), rows=np.arange(0, 1500, 15)).certified()
    crept = measure(simulated, model.limits)["foot_skate_mps"]
    friction = np.median(crept)
    assert np.median(after) - friction < 0.7 * (np.median(before) - friction)
    assert np.percentile(after, 95) - friction < 0.5 * (np.percentile(before, 95) - friction)
    assert np.percentile(after, 95) < 2 * np.percentile(crept, 95)
    moved = np.linalg.norm((held - latents) / scale[:, None] @ np.linalg.pinv(model.prior.root), axis=1)
    assert np.median(moved) < 0.1 * np.sqrt(latents.shape[1])  # far less than from one stride to another
    change = np.abs(tight.signals["joint_angles"] - loose.signals["joint_angles"]).max(axis=(1, 2))
    assert np.percentile(change, 98) < 0.25 and change.max() < 0.5  # one in a hundred slid far
    # each stride for itself, whoever is beside it
    alone = Footing(model.representation, model.prior.root).hold(
        latents[3:4], table.iloc[3:4].reset_index(drop=True), skeleton.select(np.array([3])), scale[3:4]
    )
    assert np.allclose(alone, held[3:4], atol=2e-3)


def test_strides_that_still_skate_are_held_on_and_the_others_left_alone(
    model: StrideGenerator, drawn: tuple[np.ndarray, pd.DataFrame]
) -> None:
    latents, table = drawn
    skeleton, scale = People.of(table).skeleton, model.prior.scale(model.space.encode(table))
    footing = Footing(model.representation, model.prior.root)
    once, on = (footing.hold(latents, table, skeleton, scale, most_mps=most) for most in (np.inf, model.limits.foot_skate_mps))
    before, after = (skate_and_trials(model, held, table)[0] for held in (once, on))
    again = np.abs(on - once).max(1) > 0
    assert 0.1 < again.mean() < 0.6
    assert np.median(before[~again]) < np.median(after[again]) < np.median(before[again])
    assert np.mean(after > model.limits.foot_skate_mps) < 0.6 * np.mean(before > model.limits.foot_skate_mps)


def test_sensitivity_is_the_derivative_of_a_points_velocity(model: StrideGenerator, drawn: tuple[np.ndarray, pd.DataFrame]) -> None:
    latents, table = drawn
    _, trials = skate_and_trials(model, latents, table)
    skeleton, time = People.of(table).skeleton, table["stride_time_s"].to_numpy()
    q, qd, _ = coordinates(skeleton, trials.signals, trials.channels, table["stride_length_m"].to_numpy(), time, 5)
    bodies, degrees = degree_motion(skeleton, q, qd, ["foot_r"])
    floor = sole(skeleton, "foot_r", bodies["foot_r"])
    position, velocity = floor.position_m, floor.velocity_mps
    foot = bodies["foot_r"]
    local = np.einsum("ntji,ntj->nti", foot.rotation, np.moveaxis(position, 0, -1) - foot.origin_m)
    assert {"pelvis_tx", "pelvis_tilt", "hip_flexion_r", "ankle_dorsiflexion_r"} <= set(degrees) and "hip_flexion_l" not in degrees

    def at(q: np.ndarray, qd: np.ndarray) -> np.ndarray:
        motion = body_motion(skeleton, q, qd, bodies=["foot_r"])["foot_r"]
        arm = np.einsum("ntij,ntj->nti", motion.rotation, local)
        assert motion.velocity_mps is not None and motion.angular_velocity_radps is not None
        return np.moveaxis(motion.velocity_mps + np.cross(motion.angular_velocity_radps, arm), -1, 0)

    step = 1e-6
    for name, degree in degrees.items():
        change = np.zeros(len(skeleton.coordinates))
        change[skeleton.coordinates.index(name)] = step
        by_rate, by_value = degree.sensitivity(position, velocity)
        assert np.allclose(by_rate * np.ones_like(velocity), (at(q, qd + change) - at(q, qd - change)) / (2 * step), atol=1e-6), name
        assert np.allclose(by_value * np.ones_like(velocity), (at(q + change, qd) - at(q - change, qd)) / (2 * step), atol=1e-5), name


def test_loaded_soles_of_simulated_gaits_creep_as_friction_says() -> None:
    seeds = storage.read(bundled.seed_dataset(), rows=np.arange(0, 1500, 50)).certified()
    people = People.of(seeds.table)
    length, time = (seeds.table[name].to_numpy() for name in ("stride_length_m", "stride_time_s"))
    q, qd, _ = coordinates(people.skeleton, seeds.signals, seeds.channels, length, time, 2)
    floor = sole(people.skeleton, "foot_r", body_motion(people.skeleton, q, qd, bodies=["foot_r"])["foot_r"])
    force = np.stack([seeds.channel(f"ground_reaction_{axis}_r")[:, ::2] for axis in "xyz"])
    loaded = force[1] > 0.7 * people.mass_kg[:, None] * GRAVITY_MPS2
    expected = -CREEP_MPS * force[[0, 2]] / np.where(loaded, force[1], 1.0)
    speed = floor.velocity_mps[[0, 2]]
    assert np.sqrt(np.mean((speed - expected)[:, loaded] ** 2)) < 0.5 * np.sqrt(np.mean(speed[:, loaded] ** 2)) < 0.01
    light = force[1] < 0.02 * people.mass_kg[:, None] * GRAVITY_MPS2
    assert np.median(floor.depth_m[light]) < 0 < floor.depth_m[loaded].min()
