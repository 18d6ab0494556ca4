"""What ``synthgait validate`` and ``synthgait bench`` print: the figures of one question, and as text.

In: the question, data and models. Out: plain figures with stable keys, and a table for people.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure
from tqdm import tqdm

from synthgait import bundled, datasets
from synthgait import recordings as real
from synthgait.errors import InputError
from synthgait.estimators import GaitEstimator
from synthgait.trials import Trials

QUESTIONS = ("recordings", "simulations", "generator", "coverage")
#: So many strides of every generator are searched for duplicates.
_DUPLICATES_AMONG = 100_000
BENCHES = ("simulate", "mesh", "generate", "estimate")


def of(
    question: str,
    recordings: Path | None = None,
    estimators: Sequence[Path] = (),
    data: Sequence[Path] | None = None,
    real_baseline: bool = False,
    pictures: Path | None = None,
) -> tuple[Any, str]:
    """Figures and text of one of ``QUESTIONS``; all but simulations also draw into the folder ``pictures``. Raises InputError."""
    if question not in QUESTIONS:
        raise InputError(f"there is nothing called {question!r} to validate; there are {', '.join(QUESTIONS)}")
    if pictures is not None and question == "simulations":
        raise InputError("validate simulations draws no figures; leave --figures out")
    if pictures is not None and pictures.is_file():
        raise InputError(f"{pictures} is a file; name a folder for the figures")
    if pictures is not None:
        try:  # before the work and not after it
            pictures.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"{pictures} cannot be a folder of figures ({error.strerror}); name another one") from error
    if question == "generator":
        from synthgait.generators.quality import evaluate
        from synthgait.validate.generator import table_text

        rows, synthetic, held_out = evaluate(datasets.load(data), duplicates_among=_DUPLICATES_AMONG)
        if pictures is not None:
            from synthgait.report.generated import write_figures

            for method, strides in synthetic.items():
                write_figures(held_out, strides, pictures / method)
        return rows, table_text(rows)
    if question == "coverage":
        return cover(datasets.load(data), real.find(recordings), pictures)
    where = _found(recordings)
    if question == "simulations":
        from synthgait.validate import simulations

        told = simulations.run(datasets.load(data), where)
        return told["curves"], simulations.as_text(told)
    table = pairs(_loaded(estimators), where, real_baseline)
    from synthgait.validate import run

    result = run.rows(table)
    return result, run.as_text(result) + ("" if pictures is None else _drawn(_agreement(table), pictures))


def _agreement(table: pd.DataFrame) -> dict[str, Figure]:
    """Estimate against truth, a figure per dataset and sensor."""
    from synthgait.report.agreement import of_each_sensor
    from synthgait.report.page import AGGREGATE_ONLY

    return of_each_sensor(table, AGGREGATE_ONLY)


def _drawn(figures: Mapping[str, Figure], folder: Path) -> str:
    """Write figures as ``<name>.png`` into a folder, and say so."""
    from synthgait.report.style import png

    folder.mkdir(parents=True, exist_ok=True)
    for name, figure in figures.items():
        (folder / f"{name}.png").write_bytes(png(figure))
    return f"\n\n{len(figures)} figures are in {folder}."


def _found(recordings: Path | None) -> Path:
    where = real.find(recordings)
    if where is None:
        raise InputError("no recordings are here; give --recordings FOLDER or set $SYNTHGAIT_RECORDINGS (docs/recordings.md)")
    return where


def _loaded(folders: Sequence[Path]) -> list[GaitEstimator]:
    """The estimators of these folders or bundled ones' names, or all that are bundled, and then says so. Raises InputError where
    there are none.
    """
    chosen = list(folders)
    if not chosen:
        chosen = list(bundled.estimators().values())
        if not chosen:
            raise InputError("no fitted estimator comes with this installation; fit one (`synthgait fit all`) and give --estimator FOLDER")
        say(f"No --estimator is given, so the bundled ones are validated: {', '.join(path.name for path in chosen)}.")
    return [GaitEstimator.load(bundled.estimators().get(str(path), path)) for path in chosen]


def say(sentence: str) -> None:
    """A sentence beside progress bars, on stderr, so that figures asked for on the screen stay JSON."""
    tqdm.write(sentence, file=sys.stderr)


def cover(seed_dataset: Trials, recordings: Path | None, folder: Path | None) -> tuple[dict[str, Any], str]:
    """What a seed dataset covers, beside the reference table of real walking where there is one; with ``folder``
    also ``coverage.png`` and a strip of the most severe gait of each pathology, ``strip_<pathology>.png``.
    """
    from synthgait.report import coverage, strips

    table = None if recordings is None else real.reference_table(recordings)
    told = coverage.coverage(seed_dataset.table, table)
    text = coverage.as_text(told)
    if folder is not None:
        text += _drawn({"coverage": coverage.picture(seed_dataset.table, table)} | strips.of_each_pathology(seed_dataset), folder)
    return told, text


def pairs(estimators: Sequence[GaitEstimator], where: Path, real_baseline: bool = False) -> pd.DataFrame:
    """Truth and estimate of every recording, by every estimator, floor and installed peer (``validate.run.pairs``),
    and with ``real_baseline`` by the first gait estimator's network trained on other people of each dataset. What cannot
    be read is said, and a row too.
    """
    from synthgait.validate import peers, run

    available, missing = peers.available()
    for sentence in missing:
        say(sentence)
    recordings, refused = real.read_all(where)
    for one in refused:
        say(f"unreadable: {one.message}")
    baseline = next((estimator for estimator in estimators if estimator.task == "gait_parameters"), None)
    parts = [
        run.pairs(
            recordings,
            estimator,
            peers=() if i else available,
            floors=() if i else run.FLOORS,
            real_baseline=real_baseline and estimator is baseline,
        )
        for i, estimator in enumerate(estimators)
    ]
    table = run.scored(pd.concat(parts, ignore_index=True), str(where))
    for method, part in table[table["method"].str.startswith("peer:")].groupby("method"):
        if part["estimate"].isna().all():  # its own fault rather than the recordings'
            say(f"{method} answers none of {part['recording_id'].nunique()} recordings; of the first: {part['reason'].iloc[0]}")
    return pd.concat([table, pd.DataFrame(run.unread(refused))], ignore_index=True) if refused else table


def ablate(
    recordings: Path | None,
    data: Sequence[Path] | None,
    generated: Path | None,
    sensors: Sequence[str],
    strides: Sequence[int],
    people: Sequence[int],
    recipe: str,
    plot: Path | None,
) -> tuple[list[dict[str, Any]], str]:
    """Figures and text of ``validate.ablation``, and its plot as PNG. Raises InputError."""
    from synthgait.report.agreement import ablation as draw
    from synthgait.report.style import png
    from synthgait.validate import ablation

    where = _found(recordings)
    settings = ablation.Ablation(tuple(sensors), tuple(strides), tuple(people), recipe)
    if generated is None:
        say("No --generated is given, so only the seed dataset teaches; make strides with `synthgait generate`.")
    rows = ablation.ablate(settings, real.load(where), datasets.load(data), () if generated is None else datasets.files(generated))
    figure = draw(rows)
    if plot is not None and figure is not None:
        plot.parent.mkdir(parents=True, exist_ok=True)
        plot.write_bytes(png(figure))
    return rows, ablation.as_text(rows)


def bench(what: str, model: Path | None = None, moco_limit_s: float = 900.0) -> tuple[dict[str, Any], str]:
    """Figures and text of one of ``BENCHES``; without a model, of the bundled generator. Raises InputError."""
    if what not in BENCHES:
        raise InputError(f"there is no bench called {what!r}; there are {', '.join(BENCHES)}")
    if what == "generate":
        from synthgait.generators import bench as generating

        figures = generating.bench_generate(model)
        return figures, generating.table_text(figures)
    if what == "estimate":
        from synthgait.demo import progress_bar
        from synthgait.estimators import bench as estimating

        with progress_bar("bench estimate") as show:
            figures = estimating.bench_estimate(datasets.teaching, progress=show)
        return figures, estimating.as_text(figures)
    from synthgait import bench as simulating

    if what == "mesh":
        figures = simulating.bench_mesh()
        return figures, simulating.mesh_text(figures)
    figures = simulating.bench_simulate(moco_limit_s=moco_limit_s)
    return figures, simulating.as_text(figures)
