"""The planar reduction of a body: small enough for OpenSim Moco, quick looks and tests.

In: a three-dimensional ``MusculoskeletalModel``. Out: its reduction to the sagittal plane, in the same
terms, so that nothing that takes a body knows which it is.
"""

from __future__ import annotations

from dataclasses import replace

from synthgait.musculoskeletal import Degree, Muscle, MusculoskeletalModel

PLANAR = ("pelvis_tilt", "pelvis_tx", "pelvis_ty", "lumbar_extension")
LEG = ("hip_flexion", "knee_flexion", "ankle_dorsiflexion")
#: The muscle that stands for each function of the leg in the sagittal plane, and the muscles whose strength
#: it takes over: its neighbours of the same action.
GROUPS: dict[str, tuple[str, ...]] = {
    "psoas": ("psoas", "iliacus"),
    "gluteus_maximus_inferior": ("gluteus_maximus_inferior", "gluteus_maximus_superior", "adductor_magnus_distal"),
    "semimembranosus": ("semimembranosus", "biceps_femoris_long", "gracilis"),
    "biceps_femoris_short": ("biceps_femoris_short",),
    "rectus_femoris": ("rectus_femoris",),
    "vastus_lateralis": ("vastus_lateralis", "vastus_medialis"),
    "gastrocnemius_medialis": ("gastrocnemius_medialis", "gastrocnemius_lateralis"),
    "soleus": ("soleus",),
    "tibialis_anterior": ("tibialis_anterior",),
}


def planar(model: MusculoskeletalModel, compliant: bool = False) -> MusculoskeletalModel:
    """Ten degrees of freedom and nine muscles a leg; heel, first metatarsal and toe spheres.

    Args:
        model: a body with the names of ``conventions``.
        compliant: keep the plantarflexors' compliant tendons; otherwise all tendons are rigid.
    """
    strength = {m.name: m.max_isometric_force_n for m in model.muscles}
    kept = (*PLANAR, *(f"{c}_{s}" for c in LEG for s in "rl"))

    def degree(d: Degree) -> Degree:
        return replace(d, axis=(0.0, 0.0, 1.0)) if d.coordinate.startswith("ankle") else d

    joints = tuple(replace(j, degrees=tuple(degree(d) for d in j.degrees if d.coordinate in kept)) for j in model.joints)

    def muscle(m: Muscle) -> Muscle:
        """The path with the coordinates that are gone at zero."""
        left = [i for i, c in enumerate(m.path_coordinates) if c in kept]
        terms = [
            (p, c)
            for p, c in zip(m.path_powers, m.path_coefficients_m, strict=True)
            if not any(power for i, power in enumerate(p) if i not in left)
        ]
        return replace(
            m,
            max_isometric_force_n=sum(strength[name + m.name[-2:]] for name in GROUPS[m.name[:-2]]),
            compliant_tendon=compliant and m.compliant_tendon,
            path_coordinates=tuple(m.path_coordinates[i] for i in left),
            path_powers=tuple(tuple(p[i] for i in left) for p, _ in terms),
            path_coefficients_m=tuple(c for _, c in terms),
        )

    return replace(
        model,
        name="planar",
        joints=joints,
        muscles=tuple(muscle(m) for m in model.muscles if m.name[:-2] in GROUPS),
        contacts=tuple(c for c in model.contacts if c.name[:-2] in ("heel", "toe", "metatarsal_1")),
        passive_moments=tuple(p for p in model.passive_moments if p.coordinate in kept),
        actuators=tuple(a for a in model.actuators if a.coordinate in kept),
        landmarks=(),
    )
