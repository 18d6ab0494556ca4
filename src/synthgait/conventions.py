"""Every channel, unit, sign, frame, side suffix, muscle and gait term, spelled once.

In: nothing. Out: names and units that every other module imports and none repeats.

World axes follow OpenSim and the ISB (Wu & Cavanagh 1995): X forward (direction of
progression), Y up, Z to the walker's right. SI units and radians throughout; degrees appear
only in figures and in adapters. The array order is (trial, time, channel) everywhere.

Signs. A channel's name says its positive direction and the sign is the same anatomical one on
both sides. Pelvis and lumbar coordinates keep OpenSim's names and right-handed signs:
``pelvis_tilt`` about +Z (positive: backward tilt), ``pelvis_list`` about +X (positive: the right
side goes down), ``pelvis_rotation`` about +Y (positive: the right side comes forward);
``lumbar_extension`` about +Z, ``lumbar_bending`` about +X (positive: trunk leans to the right)
and ``lumbar_rotation`` about +Y (positive: the right shoulder comes forward).
"""

from __future__ import annotations

from typing import NamedTuple

GRAVITY_MPS2 = 9.80665
SIDES = ("r", "l")
SIDE_NAMES = {"r": "right", "l": "left"}
SEXES = ("female", "male")
AFFECTED_SIDES = ("none", "left", "right", "both")

FORMAT_NAME = "synthgait"
FORMAT_VERSION = "1.0"
DATASET_KINDS = ("seed", "synthetic", "walks", "recording")

#: Samples of one stride; sample i lies at phase i / 100 after right initial contact, and the
#: stride closes on itself, so the sample at phase 1 is not stored.
SAMPLES_PER_STRIDE = 100

# -- coordinates ---------------------------------------------------------------------------------

PELVIS_COORDINATES = (
    "pelvis_tilt",
    "pelvis_list",
    "pelvis_rotation",
    "pelvis_tx",
    "pelvis_ty",
    "pelvis_tz",
)
LEG_COORDINATES = ("hip_flexion", "hip_adduction", "hip_internal_rotation", "knee_flexion", "ankle_dorsiflexion")
LUMBAR_COORDINATES = ("lumbar_extension", "lumbar_bending", "lumbar_rotation")


def sided(names: tuple[str, ...], side: str) -> tuple[str, ...]:
    """Append the side suffix: ``sided(("knee_flexion",), "r")`` is ``("knee_flexion_r",)``."""
    return tuple(f"{name}_{side}" for name in names)


JOINT_ANGLES = sided(LEG_COORDINATES, "r") + sided(LEG_COORDINATES, "l") + LUMBAR_COORDINATES
COORDINATES = PELVIS_COORDINATES + JOINT_ANGLES
#: Coordinates whose sign flips when a gait is mirrored in the sagittal plane (no side suffix).
MIRROR_NEGATED = ("pelvis_list", "pelvis_rotation", "pelvis_tz", "lumbar_bending", "lumbar_rotation")

#: Name and sign of our channels in other models: ours = sign * theirs.
COORDINATE_SYNONYMS: dict[str, dict[str, tuple[str, int]]] = {
    "rajagopal": {
        "hip_internal_rotation": ("hip_rotation", 1),
        "knee_flexion": ("knee_angle", 1),
        "ankle_dorsiflexion": ("ankle_angle", 1),
    },
    "gait10dof18musc": {"knee_flexion": ("knee_angle", -1), "ankle_dorsiflexion": ("ankle_angle", 1)},
    "2D_gait": {"knee_flexion": ("knee_angle", -1), "ankle_dorsiflexion": ("ankle_angle", 1)},
    "gait2392": {
        "hip_internal_rotation": ("hip_rotation", 1),
        "knee_flexion": ("knee_angle", -1),
        "ankle_dorsiflexion": ("ankle_angle", 1),
    },
}

# -- muscles -------------------------------------------------------------------------------------

LEG_MUSCLES = (
    "adductor_longus",
    "adductor_magnus_proximal",
    "adductor_magnus_distal",
    "biceps_femoris_long",
    "biceps_femoris_short",
    "gastrocnemius_medialis",
    "gastrocnemius_lateralis",
    "gluteus_maximus_superior",
    "gluteus_maximus_inferior",
    "gluteus_medius_anterior",
    "gluteus_medius_middle",
    "gluteus_medius_posterior",
    "gracilis",
    "iliacus",
    "peroneus_longus",
    "psoas",
    "rectus_femoris",
    "semimembranosus",
    "soleus",
    "tensor_fasciae_latae",
    "tibialis_anterior",
    "tibialis_posterior",
    "vastus_lateralis",
    "vastus_medialis",
)
MUSCLES = sided(LEG_MUSCLES, "r") + sided(LEG_MUSCLES, "l")

#: From EMG to force of voluntary contractions (Cavanagh & Komi, Eur J Appl Physiol 1979;42:159: 49 to 56 ms).
ELECTROMECHANICAL_DELAY_S = 0.050
#: What a surface electrode sees, as weighted by nothing but membership: name -> our muscles. Of the gluteus medius that is the
#: middle: electrodes lie half way between iliac crest and trochanter (SENIAM; Hermens et al., J Electromyogr Kinesiol
#: 2000;10:361), in front of it is the tensor fasciae latae and behind it the gluteus maximus.
EMG_GROUPS: dict[str, tuple[str, ...]] = {
    "tibialis_anterior": ("tibialis_anterior",),
    "soleus": ("soleus",),
    "gastrocnemius_medialis": ("gastrocnemius_medialis",),
    "gastrocnemius_lateralis": ("gastrocnemius_lateralis",),
    "gastrocnemius": ("gastrocnemius_medialis", "gastrocnemius_lateralis"),
    "vastus_medialis": ("vastus_medialis",),
    "vastus_lateralis": ("vastus_lateralis",),
    "rectus_femoris": ("rectus_femoris",),
    "semitendinosus": ("semimembranosus",),
    "medial_hamstrings": ("semimembranosus",),
    "biceps_femoris": ("biceps_femoris_long",),
    "gluteus_maximus": ("gluteus_maximus_superior", "gluteus_maximus_inferior"),
    "gluteus_medius": ("gluteus_medius_middle",),
    "peroneus": ("peroneus_longus",),
}

# -- signal groups of the file format --------------------------------------------------------------


class SignalGroup(NamedTuple):
    """Channels, unit, frame and meaning of one ``/signals/<group>`` array."""

    channels: tuple[str, ...]
    units: str
    frame: str
    description: str


_PLATE_AXES = ("x", "y", "z")
GROUND_REACTION = tuple(f"ground_reaction_{a}_{s}" for s in SIDES for a in _PLATE_AXES)
CENTRE_OF_PRESSURE = tuple(f"centre_of_pressure_{a}_{s}" for s in SIDES for a in ("x", "z"))
FREE_MOMENT = tuple(f"free_moment_{s}" for s in SIDES)

SIGNAL_GROUPS: dict[str, SignalGroup] = {
    "joint_angles": SignalGroup(JOINT_ANGLES, "rad", "joint", "joint angles; the channel's name is the positive direction"),
    "joint_velocities": SignalGroup(JOINT_ANGLES, "rad/s", "joint", "time derivative of joint_angles"),
    "joint_moments": SignalGroup(JOINT_ANGLES, "N*m", "joint", "net internal joint moments, positive with the angle's positive direction"),
    "pelvis": SignalGroup(
        PELVIS_COORDINATES, "rad; m for pelvis_t*", "world", "pelvis orientation (Z-X-Y) and origin; pelvis_tx keeps the progression"
    ),
    "ground_reaction": SignalGroup(GROUND_REACTION, "N", "world", "force of the ground on each foot"),
    "centre_of_pressure": SignalGroup(
        CENTRE_OF_PRESSURE, "m", "world", "point of application on the floor; NaN while the foot is unloaded"
    ),
    "free_moment": SignalGroup(
        FREE_MOMENT, "N*m", "world", "moment of the ground on each foot about the upward axis through its centre of pressure"
    ),
    "muscle_activation": SignalGroup(MUSCLES, "1", "muscle", "muscle activation, 0 to 1"),
    "muscle_force": SignalGroup(MUSCLES, "N", "muscle", "tendon force"),
}

# -- the trial table -------------------------------------------------------------------------------

STATUSES = ("ok", "not_converged", "not_certified", "implausible", "error")
EVENTS = ("initial_contact", "final_contact")

#: Columns every dataset carries: name -> (kind, description). Kind is "text", "integer" or "number".
TRIAL_COLUMNS: dict[str, tuple[str, str]] = {
    "trial_id": ("text", "unique within the dataset"),
    "subject_id": ("text", "the (virtual) person"),
    "age_years": ("number", "age"),
    "sex": ("text", "female or male"),
    "height_m": ("number", "body height"),
    "mass_kg": ("number", "body mass"),
    "leg_length_m": ("number", "hip joint centre to floor, standing"),
    "pathology": ("text", "a name of simulations/pathologies, or none"),
    "severity": ("number", "0 (absent) to 1 (most severe the table knows)"),
    "affected_side": ("text", "none, left, right or both"),
    "walking_speed_mps": ("number", "realised mean walking speed"),
    "cadence_spm": ("number", "realised cadence, steps per minute"),
    "stride_length_m": ("number", "realised stride length"),
    "stride_time_s": ("number", "realised stride time"),
    "step_length_r_m": ("number", "left foot to right foot along the progression at right initial contact"),
    "step_length_l_m": ("number", "right foot to left foot along the progression at left initial contact"),
    "step_time_r_s": ("number", "left initial contact to right initial contact"),
    "step_time_l_s": ("number", "right initial contact to left initial contact"),
    "step_width_m": ("number", "lateral distance between the feet at initial contact, mean of both steps"),
    "stance_time_r_s": ("number", "right initial to right final contact"),
    "stance_time_l_s": ("number", "left initial to left final contact"),
    "double_support_time_s": ("number", "time on both feet, per stride"),
    "seed": ("integer", "random seed of the trial"),
    "status": ("text", "one of " + ", ".join(STATUSES)),
    "status_message": ("text", "one sentence"),
    "source_trial_id": ("text", "the seed trial this one descends from, or empty"),
}
#: Prefixes of further columns: what was asked for, and what OpenSim says of it.
CONDITION_PREFIX = "condition_"
CERTIFICATE_PREFIX = "certificate_"

# -- sensors ---------------------------------------------------------------------------------------

IMU_PLACEMENTS = (
    "lower_back",
    "sternum",
    "thigh_l",
    "thigh_r",
    "shank_l",
    "shank_r",
    "ankle_l",
    "ankle_r",
    "foot_l",
    "foot_r",
    "wrist_l",
    "wrist_r",
    "head",
)
IMU_CHANNELS = ("acc_x", "acc_y", "acc_z", "gyr_x", "gyr_y", "gyr_z")
IMU_UNITS = {"acc": "m/s^2", "gyr": "rad/s"}
KEYPOINTS = (
    "head_top",
    "head",
    "neck",
    "spine",
    "pelvis",
    *(f"{joint}_{side}" for joint in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle", "heel", "toe") for side in ("l", "r")),
)


def mirror_name(name: str) -> str:
    """The same channel on the other side; names without a side are returned as they are."""
    if name.endswith("_r"):
        return name[:-2] + "_l"
    if name.endswith("_l"):
        return name[:-2] + "_r"
    return name


def mirror_sign(name: str) -> int:
    """-1 where mirroring in the sagittal plane flips the channel's sign, else 1."""
    if name in MIRROR_NEGATED or name.startswith(("ground_reaction_z", "centre_of_pressure_z", "free_moment")):
        return -1
    return 1
