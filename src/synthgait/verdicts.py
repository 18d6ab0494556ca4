"""What ``synthgait validate`` and ``synthgait bench`` print: the figures of one question, and as text.

In: the question, data and models. Out: plain figures with stable keys, and a table for people.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from tqdm import tqdm

from synthgait import datasets
from synthgait import recordings as real
from synthgait.errors import InputError
from synthgait.estimators import GaitEstimator

QUESTIONS = ("recordings", "simulations", "generator")
BENCHES = ("simulate", "generate")
DEFAULT_ESTIMATORS = (Path("runs/gait_parameters"), Path("runs/muscle_activation"))


def of(
    question: str,
    recordings: Path | None = None,
    estimators: Sequence[Path] = (),
    data: Sequence[Path] | None = None,
    pictures: Path | None = None,
) -> tuple[Any, str]:
    """Figures and text of one of ``QUESTIONS``; a generator's pictures into a folder. Raises InputError."""
    if question not in QUESTIONS:
        raise InputError(f"there is nothing called {question!r} to validate; there are {', '.join(QUESTIONS)}")
    if question == "generator":
        from synthgait.generators.quality import evaluate
        from synthgait.validate.generator import table_text

        rows, synthetic, held_out = evaluate(datasets.load(data))
        if pictures is not None:
            from synthgait.report.generated import write_figures

            for method, strides in synthetic.items():
                write_figures(held_out, strides, pictures / method)
        return rows, table_text(rows)
    where = real.find(recordings)
    if where is None:
        raise InputError("no recordings are here; give --recordings FOLDER or set $SYNTHGAIT_RECORDINGS (docs/recordings.md)")
    if question == "simulations":
        from synthgait.validate import simulations

        told = simulations.run(datasets.load(data), where)
        return told["curves"], simulations.as_text(told)
    chosen = list(estimators) or [path for path in DEFAULT_ESTIMATORS if path.is_dir()]
    if not chosen:
        raise InputError("no estimator is given; give --estimator FOLDER, or fit one with `synthgait fit gait_parameters`")
    table = pairs([GaitEstimator.load(path) for path in chosen], where)
    from synthgait.validate import run

    result = run.rows(table)
    return result, run.as_text(result)


def pairs(estimators: Sequence[GaitEstimator], where: Path) -> pd.DataFrame:
    """Truth and estimate of every recording, by every estimator, floor and installed peer (``validate.run.pairs``)."""
    from synthgait.validate import peers, run

    available, missing = peers.available()
    for sentence in missing:
        tqdm.write(sentence)
    recordings = real.load(where)
    parts = [
        run.pairs(recordings, estimator, peers=() if i else available, floors=() if i else run.FLOORS)
        for i, estimator in enumerate(estimators)
    ]
    table = pd.concat(parts, ignore_index=True)
    if table.empty:
        raise InputError(f"no recording of {where} carries a truth that a method estimates; fill in columns like walking_speed_mps")
    return table


def bench(what: str, model: Path | None = None) -> tuple[dict[str, Any], str]:
    """Figures and text of one of ``BENCHES``; without a model, of the bundled one. Raises InputError."""
    if what not in BENCHES:
        raise InputError(f"there is no bench called {what!r}; there are {', '.join(BENCHES)}")
    if what == "generate":
        from synthgait.generators import bench as generating

        figures = generating.bench_generate(model)
        return figures, generating.table_text(figures)
    from synthgait import bench as simulating

    figures = simulating.bench_simulate()
    return figures, simulating.as_text(figures)
