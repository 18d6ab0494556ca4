"""The contract of every generator: fit, sample, save, load.

In: a seed dataset; then conditions and a seed. Out: synthetic strides as ``Trials`` with what was
requested and what was realised in separate columns.

A stride depends on nothing but the model, the request, the seed and its own number: every stride has
its own random stream and strides are always computed in the same blocks of ``BLOCK``, whatever part
of them is asked for, so that shards, resumed runs and other machines' worker counts give the same
numbers. Motion and ground reaction are made to agree (``balance``); how far off they were is kept (``repaired_*``). A
stride that breaks a plausibility limit is drawn again a few times; one that still does is
kept, marked ``implausible`` with the reason, never hidden.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd
from safetensors.numpy import load_file, save_file
from threadpoolctl import threadpool_limits

from synthgait import bundled
from synthgait.conventions import TRIAL_COLUMNS
from synthgait.errors import InputError
from synthgait.estimators.networks import one_thread
from synthgait.gait import gait_events
from synthgait.generators.bodies import People
from synthgait.generators.conditions import COLUMNS, ConditionSpace, Value, condition_table, requested_columns, with_stride_length
from synthgait.generators.filling import Observation
from synthgait.generators.footing import Footing
from synthgait.generators.plausibility import Limits, broken_limits, measure, reason
from synthgait.generators.prior import ConditionalGaussian
from synthgait.generators.representation import StrideRepresentation, Walker
from synthgait.trials import Trials

#: Version of the folder that ``save`` writes.
GENERATOR_FORMAT = "4"
#: Strides that are always computed together.
BLOCK = 1024
#: How often a stride that breaks a limit is drawn before it is kept as implausible; eight of nine pass at once.
ATTEMPTS = 8
#: Resolution of generated signals, powers of two in the group's unit and far under a stride's accuracy:
#: 15 microradians, 15 micrometres, 0.06 N, 0.1 mm, 4 mN m, 0.001 of activation. What lies under it would be
#: noise that costs half of the file and of the time to write it.
RESOLUTION = {
    "joint_angles": 2.0**-16,
    "pelvis": 2.0**-16,
    "ground_reaction": 2.0**-4,
    "centre_of_pressure": 2.0**-13,
    "free_moment": 2.0**-8,
    "muscle_activation": 2.0**-10,
}
_SIDE_SWAP = {"left": "right", "right": "left"}
_REALISED = [name for name, (kind, _) in TRIAL_COLUMNS.items() if kind == "number" and name.endswith(("_mps", "_spm", "_m", "_s"))]
#: How much firmer feet are held at every further attempt: of most strides that break a limit a foot skates.
_FIRMER = 1.0
_CHECKED = ["foot_skate_mps", "penetration_m", "residual_force_bw", "residual_moment_nmkg", "repaired_force_bw", "repaired_moment_nmkg"]


#: Conditions of some rows of a block, drawn with their random generators or given.
_Asked = Callable[[np.ndarray, list[np.random.Generator]], pd.DataFrame]


class StrideGenerator(ABC):
    """A model of strides given conditions.

    Subclasses take their settings in the constructor, say how latents are drawn (``_latents``) and
    what they store (``_store``, ``_restore``).
    """

    method: ClassVar[str]
    #: Whether drawn strides are moved until their soles hold still (``footing``).
    holds_feet: ClassVar[bool] = True

    def __init__(self) -> None:
        self._representation: StrideRepresentation | None = None
        self._space: ConditionSpace | None = None
        self._prior: ConditionalGaussian | None = None
        self._footing: Footing | None = None
        self.limits = Limits()
        self.notes: dict[str, Any] = {}

    @property
    def representation(self) -> StrideRepresentation:
        """The stride's code. Raises InputError before ``fit``."""
        if self._representation is None:
            raise InputError(f"this {self.method} generator has not learned anything yet; call fit first")
        return self._representation

    @property
    def space(self) -> ConditionSpace:
        """The conditions. Raises InputError before ``fit``."""
        if self._space is None:
            raise InputError(f"this {self.method} generator has not learned anything yet; call fit first")
        return self._space

    @property
    def prior(self) -> ConditionalGaussian:
        """The Gaussian that networks start from. Raises InputError before ``fit``."""
        if self._prior is None:
            raise InputError(f"this {self.method} generator has not learned anything yet; call fit first")
        return self._prior

    @property
    def settings(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {}

    # -- the contract --------------------------------------------------------------------------------

    # with more, a core that another process wants makes training a hundred times slower, and bits depend on the machine
    @one_thread()
    @threadpool_limits.wrap(limits=1)
    def fit(self, seed_dataset: Trials, *, representation: Mapping[str, Any] | None = None, **training: Any) -> Self:
        """Learn from the ``ok`` strides of a seed dataset.

        Args:
            representation: arguments of ``StrideRepresentation.fit``.
            training: further arguments of the subclass's ``_learn``.
        """
        strides = seed_dataset.certified()
        self._footing = None
        self._representation = StrideRepresentation.fit(strides, **dict(representation or {}))
        self.limits = Limits.around(strides)
        latents, conditions, subjects = training_set(strides, self._representation)
        self._space = ConditionSpace(conditions)
        codes = self._space.encode(conditions)
        self._prior, white = ConditionalGaussian.fit(latents, codes, self._space.numeric, subjects, self._space.crossed)
        self._learn(latents, white, conditions, subjects, **training)
        return self

    def sample(
        self,
        n: int,
        *,
        seed: int = 0,
        first: int = 0,
        attempts: int = ATTEMPTS,
        max_residual: float | None = None,
        max_residual_moment: float | None = None,
        guidance_scale: float = 1.0,
        **conditions: Value,
    ) -> Trials:
        """Strides number ``first`` to ``first + n`` of the stream that the seed and the request define.

        Args:
            conditions: ``age_years=70`` or ``age_years=(65, 85)``, ``pathology="parkinson"``, ...; see
                ``conditions.COLUMNS``. None or left out is open: drawn from the seed population's
                joint distribution given the rest.
            attempts: how often a stride that breaks a limit is drawn before it is kept as implausible.
            max_residual_moment: bar on the moment residual, in N m/kg, that is left of a stride after its repair, instead of the
                model's own.
            max_residual: bar on the force residual, in body weights, of a stride as the model drew it
                (before forces are balanced), instead of the model's own.
            guidance_scale: over 1 pushes towards the conditions (classifier-free guidance), where the
                method has it.

        Returns ``Trials`` of kind "synthetic": ``condition_*`` columns hold what was requested or
        drawn, the plain columns what came out.

        Raises InputError: n < 1, or a condition this model cannot meet.
        """
        if n < 1 or first < 0:
            raise InputError(f"{n} strides from number {first} were asked for; ask for at least 1 from 0 on")
        blocks = self.sample_blocks(
            first,
            n,
            seed=seed,
            attempts=attempts,
            max_residual=max_residual,
            max_residual_moment=max_residual_moment,
            guidance_scale=guidance_scale,
            **conditions,
        )
        return Trials.concatenate(list(blocks))

    def sample_blocks(
        self,
        first: int,
        n: int,
        *,
        seed: int = 0,
        attempts: int = ATTEMPTS,
        max_residual: float | None = None,
        max_residual_moment: float | None = None,
        guidance_scale: float = 1.0,
        **conditions: Value,
    ) -> Iterator[Trials]:
        """The same, in parts of at most ``BLOCK`` strides."""
        check_seed(seed)
        limits = self.limits.barred(max_residual, max_residual_moment)
        self.space.check_request(conditions)
        for block in range(first // BLOCK, (first + n - 1) // BLOCK + 1):
            strides = self._block(block, seed, attempts, limits, guidance_scale, lambda rows, rngs: self.space.draw(conditions, rngs))
            low, high = max(first - block * BLOCK, 0), min(first + n - block * BLOCK, BLOCK)
            yield strides if (low, high) == (0, BLOCK) else strides.select(np.arange(low, high))

    def sample_under(
        self,
        conditions: pd.DataFrame,
        *,
        seed: int = 0,
        attempts: int = ATTEMPTS,
        max_residual: float | None = None,
        max_residual_moment: float | None = None,
        guidance_scale: float = 1.0,
    ) -> Trials:
        """One stride per row of a table with the columns of ``conditions.COLUMNS``, nothing left open.

        Other arguments, result and errors as ``sample``.
        """
        self.space.check_categories(conditions)
        limits = self.limits.barred(max_residual, max_residual_moment)
        parts = []
        for block in range(-(-len(conditions) // BLOCK)):
            rows = np.arange(block * BLOCK, (block + 1) * BLOCK)
            asked = conditions[list(COLUMNS)].iloc[np.minimum(rows, len(conditions) - 1)].reset_index(drop=True)
            strides = self._block(block, seed, attempts, limits, guidance_scale, _given(asked))
            parts.append(strides.select(np.flatnonzero(rows < len(conditions))))
        return Trials.concatenate(parts)

    def save(self, path: str | Path) -> None:
        """Write a folder: generator.json, representation.safetensors, prior.safetensors, population.csv and the
        networks, every array in float32 (which the model in memory has too, so that what is read back is the same).
        """
        folder = Path(path)
        folder.mkdir(parents=True, exist_ok=True)
        save_file(self.representation.arrays(), folder / "representation.safetensors")
        save_file(self.prior.arrays(), folder / "prior.safetensors")
        self.space.population.to_csv(folder / "population.csv", index=False, float_format="%.17g")
        self._store(folder)
        description = {
            "format": "synthgait-generator",
            "format_version": GENERATOR_FORMAT,
            "method": self.method,
            "settings": self.settings,
            "representation": self.representation.settings(),
            "limits": asdict(self.limits),
            "notes": self.notes,
        }
        (folder / "generator.json").write_text(json.dumps(description, indent=1) + "\n")

    @classmethod
    def load(cls, path: str | Path | None = None) -> StrideGenerator:
        """Read a folder that ``save`` wrote; called on ``StrideGenerator`` it gives whichever method is there.
        Without a path: the generator that comes with synthgait.

        Raises InputError: no such folder, another version, another method, or a damaged file.
        """
        folder = bundled.generator() if path is None else Path(path)
        description = _description(folder)
        kinds = {kind.method: kind for kind in StrideGenerator.__subclasses__()}
        if description["method"] not in kinds:
            raise InputError(f"{folder} holds a {description['method']!r} generator; this synthgait knows {', '.join(sorted(kinds))}")
        kind = kinds[description["method"]]
        if not issubclass(kind, cls):
            raise InputError(f"{folder} holds a {kind.method} generator, not a {cls.method} one")
        model = kind(**description["settings"])
        try:
            arrays = load_file(folder / "representation.safetensors")
            model._representation = StrideRepresentation.from_arrays(description["representation"], arrays)
            model._prior = ConditionalGaussian.from_arrays(load_file(folder / "prior.safetensors"))
            population = pd.read_csv(folder / "population.csv", keep_default_na=False, float_precision="round_trip")
            model._space = ConditionSpace(population)
            model.limits = Limits(**description["limits"] | {"sole_depth_leg": tuple(description["limits"]["sole_depth_leg"])})
            model.notes = description["notes"]
            model._restore(folder)
        except InputError:
            raise
        except Exception as error:  # any damaged part of the folder: one sentence for the user
            raise InputError(f"{folder} is damaged ({str(error).splitlines()[0][:120]}); train or download it again") from error
        return model

    # -- what a method has to say ----------------------------------------------------------------------

    @abstractmethod
    def _learn(self, latents: np.ndarray, white: np.ndarray, conditions: pd.DataFrame, subjects: np.ndarray, **training: Any) -> None:
        """Learn latents (N, D), or better the white vectors (N, D) that ``prior`` makes of them, given
        conditions (N rows) of subjects (N,).
        """

    @abstractmethod
    def _latents(self, codes: np.ndarray, rngs: list[np.random.Generator], guidance_scale: float) -> np.ndarray:
        """Draw latents (n, D), one per row of condition codes (n, C), each from its own generator."""

    def white_given(self, codes: np.ndarray, observed: Observation, rngs: list[np.random.Generator]) -> np.ndarray:
        """White vectors (n, D) under condition codes (n, C) that agree with what is known of them (``filling``);
        here from the prior alone, exactly.
        """
        return observed.draw(np.stack([rng.standard_normal(self.representation.size) for rng in rngs]))

    def _store(self, folder: Path) -> None:  # noqa: B027  # a method without networks has nothing to store
        """Write what the method needs besides representation and population."""

    def _restore(self, folder: Path) -> None:  # noqa: B027
        """Read what ``_store`` wrote."""

    # -- one block -------------------------------------------------------------------------------------

    # of torch and of NumPy's linear algebra: sums of more threads end in other last bits
    @one_thread()
    @threadpool_limits.wrap(limits=1)
    def _block(self, block: int, seed: int, attempts: int, limits: Limits, guidance_scale: float, asked: _Asked) -> Trials:
        numbers = np.arange(block * BLOCK, (block + 1) * BLOCK)
        strides, rows, tables, checks = None, [], [], []
        rejected: list[Counter[str]] = [Counter() for _ in numbers]
        pending = np.arange(BLOCK)
        for attempt in range(max(1, attempts)):
            rngs = [np.random.Generator(np.random.Philox(key=[seed, int(i)], counter=[0, 0, 0, attempt])) for i in numbers[pending]]
            drawn, measures = self._draw(asked(pending, rngs), rngs, guidance_scale, limits, 1.0 + _FIRMER * attempt)
            broken = broken_limits(measures, limits).to_numpy()
            if strides is None:
                strides = drawn
            else:
                for group, array in drawn.signals.items():
                    strides.signals[group][pending] = array
            for row in np.flatnonzero(broken != ""):
                rejected[pending[row]][reason(broken[row])] += 1
            done = (broken == "") | (attempt + 1 >= attempts)
            rows.append(pending[done])
            tables.append(drawn.table[done])
            checks.append(measures[done].assign(status_message=broken[done], attempts=attempt + 1))
            pending = pending[~done]
            if not len(pending):
                break
        assert strides is not None
        order = np.argsort(np.concatenate(rows))
        table, measures = (pd.concat(parts, ignore_index=True).iloc[order].reset_index(drop=True) for parts in (tables, checks))
        measures["rejected_message"] = ["; ".join(f"{count} x {why}" for why, count in sorted(found.items())) for found in rejected]
        strides.table = self._table(table, measures, numbers, seed)
        for group, array in strides.signals.items():
            np.rint(array / np.float32(RESOLUTION[group]), out=array)
            array *= np.float32(RESOLUTION[group])
        strides.events = gait_events(strides)
        strides.kind = "synthetic"
        strides.attributes = {"name": f"synthetic gait ({self.method})", "license": "CC-BY-4.0"}
        return strides

    def _draw(
        self, conditions: pd.DataFrame, rngs: list[np.random.Generator], guidance_scale: float, limits: Limits, firmness: float
    ) -> tuple[Trials, pd.DataFrame]:
        codes = self.space.encode(conditions)
        latents = self._latents(codes, rngs, guidance_scale)
        table = with_stride_length(conditions)
        people = People.of(table)
        if self.holds_feet:
            latents = self.held(latents, codes, table, people, firmness, limits)
        signals = self.representation.decode(latents, Walker.of(table))
        table = pd.concat([table, requested_columns(conditions)], axis=1)
        trials = Trials(table, signals, dict(self.representation.channels))
        return trials, measure(trials, limits, balance="stride", people=people)

    def held(
        self,
        latents: np.ndarray,
        codes: np.ndarray,
        table: pd.DataFrame,
        people: People,
        firmness: float = 1.0,
        limits: Limits | None = None,
    ) -> np.ndarray:
        """Latents (n, D) near some under condition codes (n, C), whose loaded soles hardly slide (``footing``); the table has
        the walkers' sizes, stride length and time.
        """
        self._footing = self._footing or Footing(self.representation, self.prior.root)
        most_mps = (limits or self.limits).foot_skate_mps
        return self._footing.hold(latents, table, people.skeleton, self.prior.scale(codes), firmness, most_mps)

    def _table(self, drawn: pd.DataFrame, measures: pd.DataFrame, numbers: np.ndarray, seed: int) -> pd.DataFrame:
        requested = [name for name in drawn.columns if name.startswith("condition_")]
        realised = {name: measures[name].to_numpy() for name in _REALISED if name in measures}
        columns: dict[str, Any] = {
            "trial_id": [f"{self.method}-{seed}-{i:09d}" for i in numbers],
            "subject_id": [f"{self.method}-{seed}-person-{i:09d}" for i in numbers],
            **{name: drawn[name].to_numpy() for name in COLUMNS if name not in realised and name != "slope"},
            **realised,
            "seed": seed,
            "status": np.where(measures["status_message"] == "", "ok", "implausible"),
            "status_message": measures["status_message"].to_numpy(),
            "source_trial_id": "",
            **{name: drawn[name].to_numpy() for name in requested},
            **{name: measures[name].to_numpy() for name in _CHECKED},
            **{name: measures[name].to_numpy() for name in ("attempts", "rejected_message")},
        }
        return pd.DataFrame(columns)


def check_seed(seed: int) -> None:
    """Raises InputError where a random stream cannot begin."""
    if not 0 <= seed < 2**63:
        raise InputError(f"seed is {seed}; give a whole number from 0 to 2**63 - 1")


# -- data for learning -----------------------------------------------------------------------------------


def _given(asked: pd.DataFrame) -> _Asked:
    return lambda rows, rngs: asked.iloc[rows].reset_index(drop=True)


def training_set(strides: Trials, representation: StrideRepresentation) -> tuple[np.ndarray, pd.DataFrame, np.ndarray]:
    """Latents (2N, D), conditions and subjects of strides and their mirror images."""
    latents = np.concatenate([representation.encode(strides), representation.encode(strides, mirrored=True)])
    conditions = condition_table(strides.table)
    mirrored = conditions.assign(affected_side=conditions["affected_side"].replace(_SIDE_SWAP))
    subjects = np.asarray(strides.table["subject_id"]).astype(str)
    return latents, pd.concat([conditions, mirrored], ignore_index=True), np.concatenate([subjects, subjects])


def _description(folder: Path) -> dict[str, Any]:
    file = folder / "generator.json"
    if not file.is_file():
        raise InputError(f"{folder} is not a generator; give the folder that `synthgait train` wrote")
    try:
        description = json.loads(file.read_text())
        version = description["format_version"]
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{file} is damaged ({error}); train or download the generator again") from error
    if version != GENERATOR_FORMAT:
        raise InputError(f"{folder} has generator format {version}; this synthgait reads {GENERATOR_FORMAT}: train it again")
    return description
