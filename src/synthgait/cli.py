"""The command line: verbs that hand their arguments to the library and hold no logic.

In: arguments. Out: files and tables. Bad input is one sentence on stderr and exit code 2.
"""

from __future__ import annotations

import errno
import json
import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from synthgait.errors import InputError

app = typer.Typer(
    name="synthgait", help="Synthetic gait data from physics.", no_args_is_help=True, pretty_exceptions_enable=False, add_completion=False
)
_CONDITIONS = (
    "Any condition, a number or a range: height_m, mass_kg, leg_length_m, stride_time_s, slope (rise over run), knee_varus_rad, "
    "age_years, severity or walking_speed_mps; or names like sex=female, pathology=none,parkinson or affected_side=left. May be repeated."
)


def _target(path: Path | None) -> Path | None:
    """A file for figures, refused before the work and not after it."""
    if path is not None and str(path) != "-":
        place = next(p for p in (path, *path.absolute().parents) if p.exists())
        if path.is_dir() or (place.is_file() and place != path) or not os.access(place, os.W_OK):
            raise InputError(f"--json cannot write to {path}; name a file in a folder that can be written")
    return path


Json = Annotated[Path | None, typer.Option("--json", help="Write the figures there; - is the screen.", callback=_target)]


def _show(figures: Any, lines: str, json_path: Path | None) -> None:
    """A table for people, and the same figures by machine where asked for."""
    if json_path is None or str(json_path) != "-":
        typer.echo(lines)
    if json_path is not None:
        block = json.dumps(figures, indent=1, sort_keys=True)
        if str(json_path) == "-":
            typer.echo(block)
        else:
            json_path.parent.mkdir(parents=True, exist_ok=True)
            json_path.write_text(block + "\n")


@app.command()
def simulate(
    study: Annotated[str, typer.Argument(help="A study's YAML, or the name of a bundled one.")],
    out: Annotated[Path | None, typer.Option("-o", "--out", help="Folder of the run; by default runs/<study>.")] = None,
    workers: Annotated[int | None, typer.Option(help="Trials at a time on this machine; by default 1.")] = None,
    scheduler: Annotated[str | None, typer.Option(help="Address of a running dask scheduler, which has workers of its own.")] = None,
    json_path: Json = None,
) -> None:
    """Simulate a study: optimal-control walking, certified by OpenSim, packed into one dataset."""
    from synthgait import inspection, studies
    from synthgait.simulate import sweep

    if scheduler is not None and workers is not None:
        raise InputError("a --scheduler has workers of its own; leave --workers or --scheduler out")
    declared = studies.Study.load(study)
    folder = out or Path("runs") / declared.name
    if remark := declared.remark():
        typer.echo(f"synthgait: {remark}", err=True)
    try:
        packed = sweep.run(declared, folder, 1 if workers is None else workers, scheduler)
    except KeyboardInterrupt:
        typer.echo(f"synthgait: stopped; what is done is in {folder}, and the same command goes on from there", err=True)
        raise typer.Exit(130) from None
    told = inspection.inspect(packed)
    _show(told, inspection.text(told), json_path)


@app.command()
def inspect(path: Annotated[Path, typer.Argument(help="Any file or folder of synthgait.")], json_path: Json = None) -> None:
    """Tell what a file is, whole or broken."""
    from synthgait import inspection

    told = inspection.inspect(path)
    _show(told, inspection.text(told), json_path)
    raise typer.Exit(1 if told["kind"] == "broken" else 0)


@app.command()
def pack(
    units: Annotated[list[Path], typer.Argument(help="Dataset files, in order.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="The dataset to write.")],
) -> None:
    """Stream several dataset files into one."""
    from synthgait import storage

    storage.pack(units, out)


@app.command("list")
def list_declarations() -> None:
    """List the studies, pathologies and recipes that come with synthgait."""
    from synthgait import bundled

    for name, description in bundled.listing():
        typer.echo(f"{name:<44} {description}")


@app.command()
def copy(
    name: Annotated[str, typer.Argument(help="A name of `synthgait list`.")],
    target: Annotated[Path, typer.Option(help="A folder, or the file to write.")] = Path(),
) -> None:
    """Copy a bundled declaration, to edit it."""
    from synthgait import bundled

    typer.echo(bundled.copy(name, target))


@app.command()
def train(
    recipe: Annotated[str, typer.Argument(help="A recipe's YAML, or the name of a bundled one.")] = "diffusion",
    data: Annotated[list[Path] | None, typer.Option("--data", help="Seed datasets; by default the bundled one.")] = None,
    out: Annotated[Path | None, typer.Option("-o", "--out", help="Folder of the generator; by default runs/<recipe>.")] = None,
    tensorboard: Annotated[bool, typer.Option("--tensorboard", help="Also log the losses for TensorBoard.")] = False,
) -> None:
    """Train a generator on seed gaits; an interrupted training goes on."""
    from synthgait import bundled, datasets
    from synthgait.generators import train as learn

    path = Path(recipe) if Path(recipe).suffix else bundled.find(f"generators/{recipe}")
    folder = out or Path("runs") / path.stem
    learn(path, datasets.load(data), folder, tensorboard=tensorboard)
    typer.echo(f"The generator is in {folder}.")


@app.command()
def generate(
    n: Annotated[int, typer.Option("-n", help="How many strides.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="An .h5 file, or a folder of shards.")],
    model: Annotated[Path | None, typer.Argument(help="Folder of a generator; by default the bundled one.")] = None,
    age: Annotated[str | None, typer.Option(help="Years: one number or a range like 65-85.")] = None,
    speed: Annotated[str | None, typer.Option(help="Walking speed in m/s: a number or a range.")] = None,
    sex: Annotated[str | None, typer.Option(help="female or male.")] = None,
    pathology: Annotated[list[str] | None, typer.Option(help="A name of `synthgait list`, or none; may be repeated.")] = None,
    severity: Annotated[str | None, typer.Option(help="0 to 1: a number or a range.")] = None,
    side: Annotated[str | None, typer.Option(help="Affected side.")] = None,
    settings: Annotated[list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help=_CONDITIONS)] = None,
    guidance: Annotated[float, typer.Option(help="Over 1 pushes towards the conditions.")] = 1.0,
    seed: Annotated[int, typer.Option(help="Another seed, other strides.")] = 0,
    workers: Annotated[int, typer.Option(help="Processes; the bytes do not depend on them.")] = 1,
    max_residual: Annotated[float | None, typer.Option(help="Largest force residual, before its repair, in body weights.")] = None,
    max_residual_moment: Annotated[float | None, typer.Option(help="Largest moment residual left after the repair, in N m/kg.")] = None,
) -> None:
    """Generate strides of the people you ask for; what is not said is drawn as in the seed dataset."""
    from synthgait.generators import conditions
    from synthgait.generators.generate import generate as make

    asked = {"age_years": age, "walking_speed_mps": speed, "sex": sex, "severity": severity, "affected_side": side}
    given = conditions.from_words(asked | {"pathology": ",".join(pathology) if pathology else None}, settings or ())
    given |= {"max_residual": max_residual, "max_residual_moment": max_residual_moment, "guidance_scale": guidance}
    told = make(model, n, out, seed=seed, workers=workers, **given)
    typer.echo(", ".join(f"{key} {value}" for key, value in told.items()))


@app.command()
def sense(
    data: Annotated[Path, typer.Argument(help="A dataset of strides.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder of the sensor datasets.")],
    sensor: Annotated[list[str] | None, typer.Option("--sensor", help="Placement of an IMU, or another sensor; may be repeated.")] = None,
    duration: Annotated[float, typer.Option(help="Seconds of every walk.")] = 10.0,
    imu_class: Annotated[str, typer.Option(help="research, consumer or phone.")] = "consumer",
    mounting: Annotated[str | None, typer.Option(help="How IMUs sit: taped, strapped or pocket; by default rigid and exact.")] = None,
    impact: Annotated[
        str | None, typer.Option(help="What footfalls do to IMUs: hard_heels, soft_shoes or any; by default nothing.")
    ] = None,
    view: Annotated[
        str | None, typer.Option(help="Of the sensor camera: right, left, front, back, front_right, ...; by default right.")
    ] = None,
    panning: Annotated[bool, typer.Option("--panning", help="Cameras turn with the walker.")] = False,
    keypoints: Annotated[str | None, typer.Option(help="coco_17, body_25, mediapipe_33 or joints, of cameras and keypoints_3d.")] = None,
    emg: Annotated[str, typer.Option(help="envelope, or raw at 1000 Hz.")] = "envelope",
    errors: Annotated[list[str] | None, typer.Option(metavar="SENSOR=CLASS", help="As camera=good_video; may be repeated.")] = None,
    seed: int = 0,
) -> None:
    """Write what sensors would record of every gait of a dataset; classes and their sources are in simulations/sensors."""
    from synthgait import sensing, storage

    settings = sensing.Settings(imu_class, mounting, impact, view, panning, keypoints, emg, sensing.error_classes(errors or ()))
    files = sensing.sense(storage.read(data), sensor or ["lower_back"], out, duration_s=duration, settings=settings, seed=seed)
    typer.echo("\n".join(str(file) for file in files))


@app.command()
def fit(
    recipe: Annotated[str, typer.Argument(help="gait_parameters, muscle_activation, all, or a recipe's YAML.")],
    data: Annotated[list[Path] | None, typer.Option("--data", help="Strides to learn from; by default the bundled generator's.")] = None,
    out: Annotated[Path | None, typer.Option("-o", "--out", help="By default runs/<recipe>; of all, the folder of folders.")] = None,
    seed: Annotated[int | None, typer.Option(help="Instead of the recipe's.")] = None,
) -> None:
    """Train an estimator, or all that there are recipes of, on synthetic strides only."""
    from synthgait import datasets, demo
    from synthgait.estimators import shipped

    with demo.progress_bar(f"fit {Path(recipe).stem}") as show:
        made = shipped.make(recipe, datasets.load(data) if data else datasets.teaching(), out, seed=seed, progress=show)
    typer.echo(shipped.told(made))


@app.command()
def estimate(
    walk: Annotated[Path, typer.Argument(help="CSV of one walk (time_s and the sensor's channels), or a folder of recordings.")],
    sensor: Annotated[
        str | None,
        typer.Option(
            help="lower_back, foot, shank, thigh (several: foot+shank), keypoints_3d, keypoints_2d or joint_angles; a folder needs none."
        ),
    ] = None,
    estimator: Annotated[
        Path | None, typer.Option(help="A fitted one's folder, or a bundled one's name (gait_parameters or muscle_activation).")
    ] = None,
    height: Annotated[float | None, typer.Option(help="Body height in m.")] = None,
    leg_length: Annotated[float | None, typer.Option(help="Leg length in m.")] = None,
    focal: Annotated[float | None, typer.Option(help="Focal length in pixels of the standing camera of keypoints_2d.")] = None,
    out: Annotated[Path | None, typer.Option("-o", "--out", help="A JSON file, with a walk's picture beside it; - is the screen.")] = None,
) -> None:
    """Estimate speed, steps and their timing, or muscle activation, of one walk or of every recording of a folder."""
    from synthgait.estimators import estimate as judge

    found, text = judge.told(walk, estimator, sensor, height_m=height, leg_length_m=leg_length, focal_px=focal, out=out)
    _show(found, text, out)


@app.command()
def validate(
    what: Annotated[str, typer.Argument(help="recordings, simulations, generator or coverage.")] = "recordings",
    recordings: Annotated[Path | None, typer.Option(help="Folder of datasets.")] = None,
    estimator: Annotated[
        list[Path] | None, typer.Option(help="Fitted ones' folders or bundled ones' names; by default all bundled.")
    ] = None,
    data: Annotated[list[Path] | None, typer.Option("--data", help="Seed datasets; by default the bundled one.")] = None,
    real_baseline: Annotated[bool, typer.Option("--real-baseline", help="Also train the network on real people, leaving out.")] = False,
    figures: Annotated[Path | None, typer.Option(help="Folder for the pictures of recordings, coverage or a generator.")] = None,
    json_path: Json = None,
) -> None:
    """Check estimators, simulated gaits or generators, or what a seed dataset covers, and print the table."""
    from synthgait import verdicts

    told, text = verdicts.of(what, recordings, estimator or [], data, real_baseline, figures)
    _show(told, text, json_path)


@app.command()
def ablate(
    recordings: Annotated[Path | None, typer.Option(help="Folder of datasets.")] = None,
    data: Annotated[list[Path] | None, typer.Option("--data", help="Seed datasets; by default the bundled one.")] = None,
    generated: Annotated[Path | None, typer.Option(help="Generated strides, of `synthgait generate`.")] = None,
    sensor: Annotated[list[str] | None, typer.Option("--sensor", help="By default lower_back; may be repeated.")] = None,
    strides: Annotated[
        list[int] | None, typer.Option("--strides", help="How many to learn from, by default 100, 1000 and 10000; may be repeated.")
    ] = None,
    people: Annotated[
        list[int] | None, typer.Option("--people", help="Real people to train on, by default 1, 2 and 4, 0 for none; may be repeated.")
    ] = None,
    recipe: Annotated[str, typer.Option(help="The networks and their training, as of fit.")] = "gait_parameters",
    plot: Annotated[Path | None, typer.Option(help="A PNG to draw.")] = None,
    json_path: Json = None,
) -> None:
    """What synthetic data is worth: the same network from different teachers, on real recordings."""
    from synthgait import verdicts

    sizes, taught = strides or [100, 1_000, 10_000], [n for n in people or [1, 2, 4] if n]
    figures, text = verdicts.ablate(recordings, data, generated, sensor or ["lower_back"], sizes, taught, recipe, plot)
    _show(figures, text, json_path)


@app.command()
def bench(
    what: Annotated[str, typer.Argument(help="simulate, mesh, generate or estimate.")],
    model: Annotated[Path | None, typer.Option(help="Folder of a generator, for generate; by default the bundled one.")] = None,
    moco_limit: Annotated[float, typer.Option(help="Seconds after which one Moco solve is ended, for simulate.")] = 900.0,
    json_path: Json = None,
) -> None:
    """Measure speed beside a peer in the same run, or what a three times finer mesh changes."""
    from synthgait import verdicts

    figures, text = verdicts.bench(what, model, moco_limit)
    _show(figures, text, json_path)


@app.command("demo")
def run_demo(
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder of everything it makes.")] = Path("runs/demo"),
    recordings: Annotated[Path | None, typer.Option(help="Folder of real recordings.")] = None,
    workers: Annotated[int, typer.Option(help="Processes that simulate and generate.")] = 2,
) -> None:
    """Run the whole line: simulate, train, generate, sense, fit, validate, report."""
    from synthgait import demo

    typer.echo(f"The report is {demo.run(out, recordings, workers).resolve()}")


@app.command()
def release(
    folder: Annotated[Path | None, typer.Argument(help="The release folder; to verify, by default the bundled seed dataset.")] = None,
    data: Annotated[list[Path] | None, typer.Option("--data", help="Dataset files to make the release of.")] = None,
    name: Annotated[str, typer.Option(help="Name of the dataset.")] = "synthgait",
    description: Annotated[str, typer.Option(help="One sentence for the card.")] = "Synthetic gait data made with synthgait.",
    verify: Annotated[bool, typer.Option("--verify", help="Only re-read and check an existing release.")] = False,
    json_path: Json = None,
) -> None:
    """Make a release folder, or verify one."""
    from synthgait import release as releases

    if not verify and not (folder and data):
        raise InputError("a release needs a folder and --data FILE, or --verify to check one that exists")
    if verify and data:
        raise InputError("--verify only checks a release that exists and reads no --data; leave one of them out")
    told = releases.create(data or [], folder, name=name, description=description) if folder and not verify else releases.verify(folder)
    _show(told, releases.text(told), json_path)


def main() -> None:
    """Entry point of the console script."""
    try:
        app()
    except InputError as error:
        print(f"synthgait: {error}", file=sys.stderr)
        sys.exit(2)
    except OSError as error:
        # paths and disks fail in more ways than every verb could tell in words of its own; what names no path is ours
        what = error.filename2 or error.filename
        if what is None and error.errno != errno.ENOSPC:
            raise
        print(
            f"synthgait: {what or 'a file'} cannot be read or written ({error.strerror}); give another path or make room", file=sys.stderr
        )
        sys.exit(2)


if __name__ == "__main__":
    main()
