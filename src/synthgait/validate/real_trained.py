"""The same network trained on real people: what training on synthetic people is measured against.

In: views of real recordings with truth (``run.sensor_views``) and the recipe of an estimator. Out: estimates
of every recording by networks that were trained on other people of the same dataset and sensor.

These are the only fits on real data in the project. A network lives inside one call and dies with it:
what leaves are numbers per recording. Nothing is written, and neither an estimator nor any other module
can get hold of the weights (``tests/unit/test_real_trained.py`` holds this).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from synthgait.errors import InputError
from synthgait.estimators import tasks
from synthgait.estimators.base import ensemble
from synthgait.estimators.features.windows import Body, Windows
from synthgait.estimators.fit import read_recipe, train
from synthgait.estimators.networks import StrideNetwork
from synthgait.estimators.sense import assemble
from synthgait.estimators.terms import per_stride, summarise
from synthgait.recordings.base import Recording
from synthgait.trials import Trials

METHOD = "real_trained"
#: With fewer people a network learns who it is, not how they walk.
LEAST_PEOPLE = 4
#: Each person is left out once; more people than this share a fold, so that the time is bounded.
MOST_FOLDS = 10
#: Optimiser steps and networks per fold: a few seconds on one core.
STEPS, MEMBERS = 250, 1
#: Windows of one recording that are trained on, evenly spaced: a long recording is not many people.
_WINDOWS = 60

#: Name of the estimator's sensor, the recording cut down to it.
View = tuple[str, Recording]


@dataclass(frozen=True)
class Seen:
    """A recording as networks see it: its windows, or None and the reason."""

    sensor: str
    view: Recording
    windows: Windows | None
    reason: str = ""

    @property
    def person(self) -> str:
        return self.view.subject_id


def see(views: Iterable[View]) -> list[Seen]:
    """Windows of each view, exactly as ``estimators.predict`` makes them."""
    out = []
    for sensor, view in views:
        try:
            cut = view.section()
            rate = float(cut.sampling_rate_hz or 0.0)
            windows = tasks.sensor_named(sensor).featurise(dict(cut.signals), rate, Body(cut.height_m, cut.leg_length_m))
            out.append(Seen(sensor, view, windows))
        except InputError as error:
            out.append(Seen(sensor, view, None, str(error)))
    return out


def recipe_of(config: Mapping[str, Any]) -> dict[str, Any]:
    """An estimator's network and training, shortened for small data."""
    kept = {key: config[key] for key in ("network", "batch", "learning_rate") if key in config}
    return read_recipe({**kept, "task": "gait_parameters", "steps": min(int(config.get("steps", STEPS)), STEPS), "members": MEMBERS})


def left_out(
    views: Sequence[View], config: Mapping[str, Any], *, seed: int = 0
) -> Iterator[tuple[Recording, Mapping[str, Any] | InputError]]:
    """Estimates of every recording of one dataset and sensor by networks that never saw its person.

    Args:
        views: of one dataset and one sensor. config: of the estimator whose network is trained.

    Yields the view and what ``estimators.predict`` would tell, or why it cannot; nothing where there are
    fewer than ``LEAST_PEOPLE`` people.
    """
    seen = see(views)
    good = [s for s in seen if usable(s)]
    people = sorted({s.person for s in good})
    if len(people) < LEAST_PEOPLE:
        return
    rng = np.random.default_rng(seed)
    recipe = recipe_of(config)
    for number, fold in enumerate(np.array_split(rng.permutation(people), min(len(people), MOST_FOLDS))):
        away = set(fold.tolist())
        yield from estimates_of(
            [s for s in seen if s.person in away], [s for s in good if s.person not in away], recipe, seed=seed + number
        )
    for s in seen:
        if s.person not in people:
            yield s.view, InputError(s.reason)


def estimates_of(
    test: Sequence[Seen], training: Sequence[Seen], recipe: Mapping[str, Any], *, seed: int, start: StrideNetwork | None = None
) -> list[tuple[Recording, Mapping[str, Any] | InputError]]:
    """Train on some people, estimate others; ``start`` is a network to go on from (a copy is trained).

    Raises ValueError when a person is on both sides.
    """
    both = {s.person for s in test} & {s.person for s in training}
    if both:
        raise ValueError(f"{len(both)} people are trained on and tested: {', '.join(sorted(both))}")
    states = np.random.SeedSequence(seed).generate_state(recipe["members"])
    examples = _examples(training)
    members = [train(examples, recipe, int(state), start=start) for state in states]
    out: list[tuple[Recording, Mapping[str, Any] | InputError]] = []
    for s in test:
        if s.windows is None:
            out.append((s.view, InputError(s.reason)))
            continue
        values, spread, _, _ = ensemble(members, s.windows.cycles, s.windows.present, s.windows.scalars)
        told = summarise(*per_stride(values, spread, s.windows, tasks.sensor_named(s.sensor)))
        out.append((s.view, {name: value for name, value in told.items() if isinstance(value, float) or name == "all_strides"}))
    return out


def usable(seen: Seen) -> bool:
    """True where a recording shows walking and its speed is known, so that it can be trained on."""
    return seen.windows is not None and bool(np.isfinite(_speed(seen.view.truth)))


def _speed(truth: Mapping[str, float]) -> float:
    """True speed: given, or stride length (or two steps) over stride time (or two step times)."""
    stride = truth.get("stride_length_m", 2.0 * truth.get("step_length_m", np.nan))
    time = truth.get("stride_time_s", 2.0 * truth.get("step_time_s", np.nan))
    return truth.get("walking_speed_mps", stride / time)


def _examples(training: Sequence[Seen]) -> Any:
    """Targets from the truth of each recording; what a reference does not tell has no say in the loss."""
    rows, windows = [], []
    for s in training:
        assert s.windows is not None
        stride_time = float(np.median(s.windows.stride_time_s))
        rows.append({"stride_time_s": stride_time} | dict(s.view.truth) | {"walking_speed_mps": _speed(s.view.truth)})
        windows.append(_spread(s.windows))
    return assemble(training[0].sensor, "gait_parameters", Trials(pd.DataFrame(rows), kind="recording"), list(windows))


def _spread(windows: Windows) -> Windows:
    """At most ``_WINDOWS`` windows, evenly spaced."""
    if len(windows) <= _WINDOWS:
        return windows
    rows = np.linspace(0, len(windows) - 1, _WINDOWS).round().astype(int)
    names = ("cycles", "scalars", "base", "stride_time_s", "centre_s", "score")
    return replace(windows, **{name: getattr(windows, name)[rows] for name in names})
