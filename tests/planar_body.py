"""A planar reduction of a subject's body for tests: small enough for OpenSim Moco to solve."""

from __future__ import annotations

from dataclasses import replace

from synthgait.musculoskeletal import Degree, Muscle, MusculoskeletalModel

PLANAR = ("pelvis_tilt", "pelvis_tx", "pelvis_ty", "lumbar_extension")
LEG = ("hip_flexion", "knee_flexion", "ankle_dorsiflexion")
#: One muscle for each function of the leg in the sagittal plane, as strong as its neighbours together.
STRENGTH = {
    "psoas": 2.0,
    "gluteus_maximus_inferior": 2.5,
    "semimembranosus": 2.0,
    "biceps_femoris_short": 1.0,
    "rectus_femoris": 1.0,
    "vastus_lateralis": 2.0,
    "gastrocnemius_medialis": 1.5,
    "soleus": 1.3,
    "tibialis_anterior": 1.3,
}


def planar(model: MusculoskeletalModel, compliant: bool = False) -> MusculoskeletalModel:
    """Ten degrees of freedom and nine rigid-tendon muscles a leg; heel and toe spheres."""
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
            max_isometric_force_n=STRENGTH[m.name[:-2]] * m.max_isometric_force_n,
            compliant_tendon=compliant and m.compliant_tendon,
            path_coordinates=tuple(m.path_coordinates[i] for i in left),
            path_powers=tuple(tuple(p[i] for i in left) for p, _ in terms),
            path_coefficients_m=tuple(c for _, c in terms),
        )

    return replace(
        model,
        name="planar",
        joints=joints,
        muscles=tuple(muscle(m) for m in model.muscles if m.name[:-2] in STRENGTH),
        contacts=tuple(c for c in model.contacts if c.name[:-2] in ("heel", "toe", "metatarsal_1")),
        passive_moments=tuple(p for p in model.passive_moments if p.coordinate in kept),
        actuators=tuple(a for a in model.actuators if a.coordinate in kept),
        landmarks=(),
    )
