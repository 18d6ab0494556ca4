"""The whole line in one command: from virtual people to an estimate checked on real recordings.

In: a folder. Out: everything that the stages make and ``report.html``. Each stage is a verb of the
command line; a stage whose settings and inputs are unchanged since it finished is not done again, and
those that take long go on inside themselves, so that Ctrl-C and the same command lose nothing. A folder
of other settings is refused by the stages that cannot go on in it (simulate, train, generate).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
from tqdm import tqdm

from synthgait import __version__, bundled, datasets, storage

SYNTHETIC_STRIDES = 2000
SENSED_STRIDES = 100
SENSORS = ("lower_back", "foot_l", "foot_r", "camera_right", "emg")
RECIPES = ("gait_parameters", "muscle_activation")
#: Networks per sensor; the bundled estimators have three times as many, which takes three times as long.
_MEMBERS = 2


@contextmanager
def progress_bar(what: str) -> Iterator[Callable[[str, int, int], None]]:
    """A tqdm bar as the callback ``(label, done, total)`` that fits report to."""
    with tqdm(desc=what, unit="step") as bar:

        def show(label: str, done: int, total: int) -> None:
            if done < bar.n:
                bar.reset(total)
            bar.total = total
            bar.set_postfix_str(label, refresh=False)
            bar.update(done - bar.n)

        yield show


class _Stages:
    """Remembers what each stage was made from: one small file per finished stage."""

    def __init__(self, folder: Path) -> None:
        self.marks = folder / "stages"
        self.marks.mkdir(parents=True, exist_ok=True)

    def once(self, name: str, made_from: Any, products: Sequence[Path], make: Callable[[], None]) -> str:
        """Run ``make`` unless the same inputs gave these products already; returns the inputs' digest."""
        text = json.dumps([__version__, name, made_from], sort_keys=True, default=str)
        digest = hashlib.sha256(text.encode()).hexdigest()
        mark = self.marks / name
        if mark.exists() and mark.read_text() == digest and all(product.exists() for product in products):
            tqdm.write(f"{name}: done already")
            return digest
        make()
        mark.write_text(digest)
        return digest


def run(out: str | Path = "runs/demo", recordings: str | Path | None = None, workers: int = 2, study: str = "quick") -> Path:
    """Simulate, train, generate, sense, fit, validate and report into a folder.

    Args:
        recordings: folder of real recordings; None looks where ``recordings.find`` does.
        workers: processes that simulate and generate.
        study: what is simulated.

    Returns the report's path. Raises InputError.
    """
    from synthgait import recordings as real
    from synthgait.studies import Study

    folder = Path(out)
    stages = _Stages(folder)
    declared = Study.load(study)
    simulated, generator = folder / "simulate" / f"{declared.name}.h5", folder / "generator"
    synthetic, sensed = folder / "synthetic.h5", folder / "sensors"
    estimators = {name: folder / "estimators" / name for name in RECIPES}
    rows, pairs, report = folder / "validation.json", folder / "pairs.csv", folder / "report.html"

    key = stages.once("simulate", declared.config_sha256, [simulated], lambda: _simulate(declared, simulated.parent, workers))
    data = [bundled.seed_dataset(), simulated]
    recipe = bundled.find("generators/diffusion")
    key = stages.once(
        "train", [key, recipe.read_text(), _digest(data[0])], [generator / "generator.json"], lambda: _train(recipe, data, generator)
    )
    key = stages.once("generate", [key, SYNTHETIC_STRIDES], [synthetic], lambda: _generate(generator, synthetic, workers))
    products = [sensed / f"{name}.h5" for name in SENSORS]
    stages.once("sense", [key, SENSORS, SENSED_STRIDES], products, lambda: _sense(synthetic, sensed))
    for name, path in estimators.items():
        key = stages.once(f"fit_{name}", [key, _MEMBERS], [path / "config.json"], lambda name=name, path=path: _fit(name, synthetic, path))  # type: ignore[misc]
    where = real.find(recordings)
    key = stages.once("validate", [key, str(where)], [rows, pairs], lambda: _validate(estimators, where, rows, pairs))
    stages.once("report", key, [report], lambda: _report(simulated, synthetic, rows, pairs, where, report))
    return report


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _simulate(study: Any, folder: Path, workers: int) -> None:
    from synthgait.simulate import sweep

    sweep.run(study, folder, workers)


def _train(recipe: Path, data: list[Path], folder: Path) -> None:
    from synthgait.generators import train

    train(recipe, datasets.load(data), folder)


def _generate(generator: Path, out: Path, workers: int) -> None:
    from synthgait.generators.generate import generate

    out.unlink(missing_ok=True)
    generate(generator, SYNTHETIC_STRIDES, out, workers=workers)


def _sense(synthetic: Path, folder: Path) -> None:
    from synthgait.sensing import sense

    with tqdm(total=len(SENSORS), desc="sense", unit="sensor") as bar:
        strides = storage.read(synthetic, rows=range(SENSED_STRIDES))
        for name in SENSORS:
            sense(strides, [name], folder)
            bar.update()


def _fit(recipe: str, synthetic: Path, folder: Path) -> None:
    from synthgait.estimators import fit, read_recipe

    with progress_bar(f"fit {recipe}") as show:
        fit({**read_recipe(recipe), "members": _MEMBERS, "members_of": {}}, synthetic, progress=show).save(folder)


def _validate(estimators: dict[str, Path], where: Path | None, rows_path: Path, pairs_path: Path) -> None:
    from synthgait import verdicts
    from synthgait.estimators import GaitEstimator
    from synthgait.validate import run

    fitted = {name: GaitEstimator.load(path) for name, path in estimators.items()}
    if where is None:
        tqdm.write(NO_RECORDINGS)
        pairs_path.write_text("")
        run.write_json(held_out_rows(fitted), rows_path)
        return
    table = verdicts.pairs(list(fitted.values()), where)
    table.to_csv(pairs_path, index=False)
    result = run.rows(table)
    run.write_json(result, rows_path)
    tqdm.write(run.as_text(result))


#: Said where there is nothing real to validate on.
NO_RECORDINGS = (
    "No real recordings found: put datasets (see docs/recordings.md for where to get them) into a folder and give it as "
    "--recordings FOLDER or $SYNTHGAIT_RECORDINGS; meanwhile the figures are those of held-out synthetic people."
)


def held_out_rows(fitted: dict[str, Any]) -> list[dict[str, Any]]:
    """The errors on synthetic people that were kept out of the fit, in the rows of ``validate``."""
    rows = []
    for estimator in fitted.values():
        for sensor, errors in estimator.config["held_out_errors"].items():
            for quantity, mae in errors.items():
                empty = dict.fromkeys(("mape", "bias", "loa_low", "loa_high", "r", "icc"))
                common = {"dataset": "synthetic_held_out", "sensor": sensor, "group": "all", "quantity": quantity, "method": "zero_shot"}
                rows.append(common | {"n_recordings": 0, "n_people": 0, "mae": float(mae)} | empty)
    return rows


def _report(simulated: Path, synthetic: Path, rows: Path, pairs: Path, where: Path | None, out: Path) -> None:
    from synthgait import report

    table = pd.read_csv(pairs) if pairs.stat().st_size else None
    notes = [] if where is not None else [NO_RECORDINGS]
    with tqdm(total=1, desc="report") as bar:
        seed, made = storage.read(simulated), storage.read(synthetic)
        report.write(out, seed=seed, synthetic=made, rows=json.loads(rows.read_text()), pairs=table, notes=notes)
        bar.update()
