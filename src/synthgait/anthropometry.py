"""A subject's body: the public model's figures, scaled to age, sex, size and strength.

In: a ``Subject``. Out: its healthy ``MusculoskeletalModel``; pathology is applied afterwards.

The generic figures are those of the public full-body model of Rajagopal et al. (IEEE TBME
2016;63:2068) with the muscle paths and parameters of Lai et al. (2017) and Uhlrich et al. (2022):
1.70 m, 75.3 kg. Simplified here, and said: the arms are lumped with the trunk, talus, calcaneus
and toes are one rigid foot, the patella rides on the shank, the knee is a pin.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

import numpy as np

from synthgait import ages
from synthgait.conventions import LEG_MUSCLES, SIDES
from synthgait.musculoskeletal import (
    Actuator,
    Body,
    Contact,
    Degree,
    Joint,
    Landmark,
    Muscle,
    MusculoskeletalModel,
    Number,
    PassiveMoment,
    Vector3,
)
from synthgait.subjects import Subject

REFERENCE_HEIGHT_M = 1.70
REFERENCE_MASS_KG = 75.337

_BODIES: dict[str, tuple[float, Vector3, tuple[float, float, float]]] = {
    # name: mass, centre of mass, principal inertia; torso with both arms hanging, foot of talus,
    # calcaneus and toes, both composed from the public model's bodies at its default pose.
    "pelvis": (11.777, (-0.0707, 0.0, 0.0), (0.1028, 0.0871, 0.0579)),
    "torso": (34.2366, (-0.02282, 0.26622, 0.0), (2.27399, 0.98785, 2.02795)),
    "femur": (9.3014, (0.0, -0.17, 0.0), (0.1339, 0.0351, 0.1412)),
    "tibia": (3.7937, (0.0, -0.1867, 0.0), (0.0504, 0.0051, 0.0511)),
    "foot": (1.5666, (0.11241, 0.02717, 0.0), (0.0027, 0.00886, 0.00905)),
}
_HIP = (-0.056276, -0.07849, 0.07726)
_LUMBAR = (-0.1007, 0.0815, 0.0)
_KNEE_IN_FEMUR = (-0.0045, -0.4096, 0.0)
_KNEE_IN_TIBIA = (-0.00809, -0.003535, 0.0)
_ANKLE_IN_TIBIA = (-0.01, -0.4, 0.0)
_ANKLE_IN_FOOT = (0.04877, 0.04195, -0.00792)
# Right side; the mirrored axis has x and y negated. Of unit length, which five digits alone are not.
_ANKLE_AXIS: Vector3 = tuple(np.array([-0.10502, -0.17402, 0.97913]) / np.linalg.norm([-0.10502, -0.17402, 0.97913]))

# Sphere centres in the foot frame (right side) and radius: heel and metatarsals after the spheres of
# Falisse et al. (J R Soc Interface 2019;16:20190402), the toe at the tip of the big toe. The unloaded heel pad
# reaches 5 mm below the forefoot; the toe, on a foot that does not bend, 14 mm less, or mid-stance would stand on it.
_CONTACTS: dict[str, tuple[Vector3, float]] = {
    "heel": ((0.0019, -0.015, -0.0038), 0.032),
    "metatarsal_1": ((0.148, -0.01, -0.0287), 0.032),
    "metatarsal_5": ((0.133, -0.01, 0.0516), 0.032),
    "toe": ((0.215, 0.004, -0.02), 0.032),
}
#: Hip joint centre to floor of the generic model, standing.
REFERENCE_LEG_LENGTH_M = (0.4096 - 0.003535) + 0.4 + (0.04195 + 0.01 + 0.032)

# Anderson & Pandy (Comput Methods Biomech Biomed Eng 1999;2:201), knee turned to flexion-positive. The ends of extension
# of hip and knee are what Riener & Edrich (J Biomech 1999;32:539) measured of relaxed legs in postures of walking less
# what the passive muscles of this body make there: Anderson & Pandy's ligaments begin far outside them, and without
# any the flexors of hip and knee would have to carry the whole of late stance (12 Nm of the hip, 5 of the knee).
_PASSIVE: dict[str, tuple[float, float, float, float, float, float]] = {
    # k1, k2, theta of the upper end, k3, k4, theta of the lower end
    "hip_flexion": (-2.44, 5.05, 1.81, 9.672, -3.2, -0.2),
    "hip_adduction": (-0.03, 14.94, 0.5, 0.03, -14.94, -0.5),
    "hip_internal_rotation": (-0.03, 14.94, 0.92, 0.03, -14.94, -0.92),
    "knee_flexion": (-11.03, 11.33, 2.4, 27.72, -10.5, -0.1),
    "ankle_dorsiflexion": (-2.03, 38.11, 0.52, 0.18, -12.12, -0.74),
    "lumbar_extension": (-0.35, 30.72, 0.17, 0.25, -20.36, -0.5236),
    "lumbar_bending": (-0.25, 20.36, 0.3491, 0.25, -20.36, -0.3491),
    "lumbar_rotation": (-0.25, 20.36, 0.3491, 0.25, -20.36, -0.3491),
}
_RANGES_RAD = {
    "pelvis_tilt": (-0.6, 0.6),
    "pelvis_list": (-0.5, 0.5),
    "pelvis_rotation": (-0.6, 0.6),
    "hip_flexion": (-0.8, 1.6),
    "hip_adduction": (-0.6, 0.6),
    "hip_internal_rotation": (-0.7, 0.7),
    "knee_flexion": (-0.1, 2.0),
    "ankle_dorsiflexion": (-0.8, 0.7),
    "lumbar_extension": (-0.9, 0.5),
    "lumbar_bending": (-0.5, 0.5),
    "lumbar_rotation": (-0.6, 0.6),
}
_LUMBAR_MOMENT_NM = 120.0
_COMPLIANT = ("gastrocnemius_medialis", "gastrocnemius_lateralis", "soleus")
#: Strain of the Achilles tendon under the calf's maximum isometric force (Arnold et al., J Exp Biol 2013;216:2150):
#: with the 0.049 of other tendons the soleus would be silent until push-off.
_ACHILLES_STRAIN, _TENDON_STRAIN = 0.10, 0.049
#: Fibre strain at which passive force is the maximum isometric one. At a generic 0.6 the rectus would resist the bending
#: knee of early swing with 14 Nm, more than all passive structures together (Riener & Edrich, J Biomech 1999;32:539).
_PASSIVE_STRAIN, _RECTUS_PASSIVE_STRAIN = 0.6, 1.0

# Key points, markers and sensors: trunk points at the generic size, right-leg points mirrored.
_LANDMARKS: dict[str, tuple[str, Vector3]] = {
    "pelvis": ("pelvis", (-0.0563, -0.0785, 0.0)),
    "asis_r": ("pelvis", (0.01, 0.0, 0.128)),
    "psis_r": ("pelvis", (-0.155, 0.03, 0.047)),
    "lower_back": ("pelvis", (-0.175, 0.06, 0.0)),
    "spine": ("torso", (-0.03, 0.18, 0.0)),
    "sternum": ("torso", (0.09, 0.28, 0.0)),
    "neck": ("torso", (-0.01, 0.41, 0.0)),
    "head": ("torso", (0.05, 0.55, 0.0)),
    "head_top": ("torso", (0.02, 0.66, 0.0)),
    "shoulder_r": ("torso", (0.003, 0.3715, 0.17)),
    "elbow_r": ("torso", (0.01, 0.085, 0.19)),
    "wrist_r": ("torso", (0.04, -0.165, 0.2)),
    "hip_r": ("femur_r", (0.0, 0.0, 0.0)),
    "thigh_r": ("femur_r", (0.02, -0.2, 0.075)),
    "knee_r": ("tibia_r", _KNEE_IN_TIBIA),
    "shank_r": ("tibia_r", (0.03, -0.17, 0.03)),
    "ankle_r": ("foot_r", _ANKLE_IN_FOOT),
    "heel_r": ("foot_r", (-0.02, 0.0, -0.005)),
    "toe_r": ("foot_r", (0.235, -0.01, -0.01)),
    "foot_r": ("foot_r", (0.12, 0.065, 0.0)),
}


@cache
def _leg_muscle_table() -> dict[str, Any]:
    return json.loads(resources.files("synthgait").joinpath("data/leg_muscles.json").read_text())["muscles"]


@dataclass(frozen=True)
class _Scales:
    """Length factors against the generic model, and mass factors of trunk and leg segments."""

    trunk: float
    leg: float
    foot: float
    trunk_mass: float
    leg_mass: float


def _scales(subject: Subject) -> _Scales:
    leg_length = subject.leg_length_m or REFERENCE_LEG_LENGTH_M / REFERENCE_HEIGHT_M * subject.height_m
    return batch_scales(subject.height_m, subject.mass_kg, leg_length, subject.age_years)


def batch_scales(height_m: Number, mass_kg: Number, leg_length_m: Number, age_years: Number) -> _Scales:
    """Segment scales of one person (floats), or of many at once (arrays of one shape). Children carry more of their
    mass in head and trunk: how much, and after whom, is in ``simulations/ages/growth.yaml``.
    """
    height = height_m / REFERENCE_HEIGHT_M
    leg = leg_length_m / REFERENCE_LEG_LENGTH_M
    trunk = (height_m - leg_length_m) / (REFERENCE_HEIGHT_M - REFERENCE_LEG_LENGTH_M)
    trunk_share = sum(_BODIES[b][0] for b in ("pelvis", "torso")) / REFERENCE_MASS_KG
    child_share = ages.at("trunk_mass_share_change", age_years)
    mass = mass_kg / REFERENCE_MASS_KG
    return _Scales(
        trunk,
        leg,
        height,
        mass * (trunk_share + child_share) / trunk_share,
        mass * (1.0 - trunk_share - child_share) / (1.0 - trunk_share),
    )


@dataclass(frozen=True)
class MuscleAge:
    """What age does to muscle: factors on strength, contraction velocity, deactivation time, passive strain."""

    strength: float
    velocity: float
    deactivation: float
    passive_strain: float


def muscle_age(age_years: float, sex: str) -> MuscleAge:
    """Healthy growth and ageing: factors on a grown young man's muscles, 1 for him. The numbers and their sources
    are in ``simulations/ages``: children's and women's strength in ``growth.yaml``, the rest in ``ageing.yaml``.
    """
    return MuscleAge(
        ages.at("strength_factor", age_years, sex),
        ages.at("contraction_velocity_factor", age_years, sex),
        ages.at("deactivation_time_factor", age_years, sex),
        ages.at("passive_strain_factor", age_years, sex),
    )


def build_model(subject: Subject, *, with_muscles: bool = True) -> MusculoskeletalModel:
    """The healthy body of a subject, three-dimensional: 19 coordinates, 48 muscles (none, and ten
    times sooner, where only its motion is wanted).

    Pathology is applied afterwards by ``synthgait.pathologies.apply``.
    """
    scales = _scales(subject)
    height = subject.height_m / REFERENCE_HEIGHT_M
    mass = subject.mass_kg / REFERENCE_MASS_KG
    bodies, root, lumbar = trunk(scales)
    joints: list[Joint] = [root]
    muscles: list[Muscle] = []
    contacts: list[Contact] = []
    for side in SIDES:
        leg_bodies, leg_joints = leg(side, scales, subject.knee_varus_rad)
        bodies += leg_bodies
        joints += leg_joints
        muscles += _leg_muscles(side, subject, scales) if with_muscles else []
        contacts += foot_contacts(side, scales, mass)
    joints.append(lumbar)
    moment = mass * height
    passive = [_passive(f"{name}_{side}", name, moment) for side in SIDES for name in list(_PASSIVE)[:5]]
    passive += [_passive(name, name, moment) for name in list(_PASSIVE)[5:]]
    actuators = [Actuator(name, _LUMBAR_MOMENT_NM * moment) for name in list(_PASSIVE)[5:]]
    return MusculoskeletalModel(
        subject.subject_id,
        tuple(bodies),
        tuple(joints),
        tuple(muscles),
        tuple(contacts),
        tuple(passive),
        tuple(actuators),
        tuple(landmarks(scales)),
    )


def _scaled(vector: Vector3, scale: float, side: str = "r") -> Vector3:
    x, y, z = (scale * float(v) for v in vector)
    return (x, y, -z if side == "l" and float(vector[2]) != 0.0 else z)


def _body(name: str, generic: str, scale: float, mass: float) -> Body:
    mass_kg, centre, inertia = _BODIES[generic]
    side = name[-1] if name[-2:] in ("_r", "_l") else "r"
    ixx, iyy, izz = (mass * scale**2 * i for i in inertia)
    return Body(name, mass * mass_kg, _scaled(centre, scale, side), (ixx, iyy, izz, 0.0, 0.0, 0.0))


def _rotation(coordinate: str, axis: tuple[float, float, float]) -> Degree:
    base = coordinate[:-2] if coordinate[-2:] in ("_r", "_l") else coordinate
    return Degree(coordinate, "rotation", axis, _RANGES_RAD[base])


_ZERO: Vector3 = (0.0, 0.0, 0.0)
_X, _Y, _Z = (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)


def trunk(scales: _Scales) -> tuple[list[Body], Joint, Joint]:
    bodies = [_body("pelvis", "pelvis", scales.trunk, scales.trunk_mass), _body("torso", "torso", scales.trunk, scales.trunk_mass)]
    root = (
        _rotation("pelvis_tilt", _Z),
        _rotation("pelvis_list", _X),
        _rotation("pelvis_rotation", _Y),
        Degree("pelvis_tx", "translation", _X, (-5.0, 10.0)),
        Degree("pelvis_ty", "translation", _Y, (0.2, 1.6)),
        Degree("pelvis_tz", "translation", _Z, (-1.0, 1.0)),
    )
    lumbar = (_rotation("lumbar_extension", _Z), _rotation("lumbar_bending", _X), _rotation("lumbar_rotation", _Y))
    return (
        bodies,
        Joint("ground_pelvis", "ground", "pelvis", _ZERO, _ZERO, _ZERO, _ZERO, root),
        Joint("lumbar", "pelvis", "torso", _scaled(_LUMBAR, scales.trunk), _ZERO, _ZERO, _ZERO, lumbar),
    )


def leg(side: str, scales: _Scales, knee_varus_rad: float) -> tuple[list[Body], list[Joint]]:
    sign = 1.0 if side == "r" else -1.0
    leg, mass = scales.leg, scales.leg_mass
    bodies = [
        _body(f"femur_{side}", "femur", leg, mass),
        _body(f"tibia_{side}", "tibia", leg, mass),
        _body(f"foot_{side}", "foot", scales.foot, mass),
    ]
    # The ankle's height above the floor is the foot's, so that leg_length_m is met exactly.
    foot_height = scales.foot * (REFERENCE_LEG_LENGTH_M + _KNEE_IN_FEMUR[1] - _KNEE_IN_TIBIA[1] + _ANKLE_IN_TIBIA[1])
    shank_thigh = (leg * REFERENCE_LEG_LENGTH_M - foot_height) / (-_KNEE_IN_FEMUR[1] + _KNEE_IN_TIBIA[1] - _ANKLE_IN_TIBIA[1])
    ankle_axis = (sign * float(_ANKLE_AXIS[0]), sign * float(_ANKLE_AXIS[1]), float(_ANKLE_AXIS[2]))
    hip = (
        _rotation(f"hip_flexion_{side}", _Z),
        _rotation(f"hip_adduction_{side}", (sign, 0.0, 0.0)),
        _rotation(f"hip_internal_rotation_{side}", (0.0, sign, 0.0)),
    )
    joints = [
        Joint(f"hip_{side}", "pelvis", f"femur_{side}", _scaled(_HIP, scales.trunk, side), _ZERO, _ZERO, _ZERO, hip),
        Joint(
            f"knee_{side}",
            f"femur_{side}",
            f"tibia_{side}",
            _scaled(_KNEE_IN_FEMUR, shank_thigh),
            (sign * knee_varus_rad, 0.0, 0.0),
            _scaled(_KNEE_IN_TIBIA, shank_thigh),
            _ZERO,
            (_rotation(f"knee_flexion_{side}", (0.0, 0.0, -1.0)),),
        ),
        Joint(
            f"ankle_{side}",
            f"tibia_{side}",
            f"foot_{side}",
            _scaled(_ANKLE_IN_TIBIA, shank_thigh),
            _ZERO,
            _scaled(_ANKLE_IN_FOOT, scales.foot, side),
            _ZERO,
            (_rotation(f"ankle_dorsiflexion_{side}", ankle_axis),),
        ),
    ]
    return bodies, joints


def _leg_muscles(side: str, subject: Subject, scales: _Scales) -> list[Muscle]:
    age = muscle_age(subject.age_years, subject.sex)
    # Muscle volume goes with mass times height (Handsfield et al., J Biomech 2014;47:631) and fibre
    # length with height, so that force goes with mass.
    force = subject.mass_kg / REFERENCE_MASS_KG * subject.strength * age.strength
    muscles = []
    for name in LEG_MUSCLES:
        row = _leg_muscle_table()[name]
        muscles.append(
            Muscle(
                name=f"{name}_{side}",
                max_isometric_force_n=force * row["max_isometric_force_n"],
                optimal_fibre_length_m=scales.leg * row["optimal_fibre_length_m"],
                tendon_slack_length_m=scales.leg * row["tendon_slack_length_m"],
                pennation_rad=row["pennation_rad"],
                max_contraction_velocity_per_s=10.0 * age.velocity,
                fibre_damping=0.01,
                passive_fibre_strain=(_RECTUS_PASSIVE_STRAIN if name == "rectus_femoris" else _PASSIVE_STRAIN) * age.passive_strain,
                tendon_strain=_ACHILLES_STRAIN if name in _COMPLIANT else _TENDON_STRAIN,
                activation_time_constant_s=0.015,
                deactivation_time_constant_s=0.060 * age.deactivation,
                compliant_tendon=name in _COMPLIANT,
                path_scale=scales.leg,
                path_coordinates=tuple(f"{c}_{side}" for c in row["coordinates"]),
                path_powers=tuple(tuple(p) for p in row["powers"]),
                path_coefficients_m=tuple(row["coefficients_m"]),
            )
        )
    return muscles


#: Of soles on the floor; coefficients of shoes, transition velocity as in Moco's examples. A loaded foot creeps at up to that
#: velocity: at half of it soles creep 20 to 30 % less, and solves take twice as many iterations.
FRICTION = {"static_friction": 0.8, "dynamic_friction": 0.8, "viscous_friction": 0.5, "transition_velocity_mps": 0.10}


def foot_contacts(side: str, scales: _Scales, mass: float) -> list[Contact]:
    # Stiffness so that bodies of another size sink in by the same fraction of their length: 2 MPa for
    # the generic person, where heel pad and shoe give about 2 cm under one body weight.
    stiffness = 2.0e6 * mass / scales.foot**2
    return [
        Contact(
            f"{name}_{side}",
            f"foot_{side}",
            _scaled(location, scales.foot, side),
            scales.foot * radius,
            stiffness_pa=stiffness,
            dissipation_s_per_m=2.0,
            **FRICTION,
        )
        for name, (location, radius) in _CONTACTS.items()
    ]


def _passive(coordinate: str, generic: str, moment: float) -> PassiveMoment:
    k1, k2, theta1, k3, k4, theta2 = _PASSIVE[generic]
    # damping of 0.5 Nms/rad: between the 0.1 of Falisse et al. (2019) and pendulum tests of the relaxed knee
    return PassiveMoment(coordinate, k1 * moment, k2, theta1, k3 * moment, k4, theta2, 0.0, 0.5 * moment)


def landmarks(scales: _Scales) -> list[Landmark]:
    size = {"pelvis": scales.trunk, "torso": scales.trunk, "femur_r": scales.leg, "tibia_r": scales.leg, "foot_r": scales.foot}
    landmarks = []
    for name, (body, location) in _LANDMARKS.items():
        if name.endswith("_r"):
            for side in SIDES:
                sided_body = body[:-1] + side if body.endswith("_r") else body
                landmarks.append(Landmark(name[:-1] + side, sided_body, _scaled(location, size[body], side)))
        else:
            landmarks.append(Landmark(name, body, _scaled(location, size[body])))
    return landmarks
