"""The command line: verbs that hand their arguments to the library and hold no logic.

In: arguments. Out: files and tables. Bad input is one sentence on stderr and exit code 2.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from synthgait.errors import InputError

app = typer.Typer(
    name="synthgait", help="Synthetic gait data from physics.", no_args_is_help=True, pretty_exceptions_enable=False, add_completion=False
)
Json = Annotated[Path | None, typer.Option("--json", help="Write the figures there; - is the screen.")]


def _show(figures: Any, lines: str, json_path: Path | None) -> None:
    """A table for people, and the same figures by machine where asked for."""
    if json_path is None or str(json_path) != "-":
        typer.echo(lines)
    if json_path is not None:
        block = json.dumps(figures, indent=1, sort_keys=True)
        typer.echo(block) if str(json_path) == "-" else json_path.write_text(block + "\n")


@app.command()
def simulate(
    study: Annotated[str, typer.Argument(help="A study's YAML, or the name of a bundled one.")],
    out: Annotated[Path | None, typer.Option("-o", "--out", help="Folder of the run; by default runs/<study>.")] = None,
    workers: Annotated[int, typer.Option(help="Trials at a time on this machine.")] = 1,
    scheduler: Annotated[str | None, typer.Option(help="Address of a running dask scheduler.")] = None,
) -> None:
    """Simulate a study: optimal-control walking, certified by OpenSim, packed into one dataset."""
    from synthgait import inspection, studies
    from synthgait.simulate import sweep

    declared = studies.Study.load(study)
    packed = sweep.run(declared, out or Path("runs") / declared.name, workers, scheduler)
    typer.echo(inspection.text(inspection.inspect(packed)))


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
def copy(name: Annotated[str, typer.Argument(help="A name of `synthgait list`.")], target: Path = Path()) -> None:
    """Copy a bundled declaration, to edit it."""
    from synthgait import bundled

    typer.echo(bundled.copy(name, target))


@app.command()
def release(
    folder: Annotated[Path, typer.Argument(help="The release folder.")],
    data: Annotated[list[Path] | None, typer.Option("--data", help="Dataset files to make the release of.")] = None,
    name: Annotated[str, typer.Option(help="Name of the dataset.")] = "synthgait",
    description: Annotated[str, typer.Option(help="One sentence for the card.")] = "Synthetic gait data made with synthgait.",
    verify: Annotated[bool, typer.Option("--verify", help="Only re-read and check an existing release.")] = False,
    json_path: Json = None,
) -> None:
    """Make a release folder, or verify one."""
    from synthgait import inspection
    from synthgait import release as releases

    if not verify and not data:
        raise InputError("a release needs --data FILE, or --verify to check an existing folder")
    told = releases.verify(folder) if verify else releases.create(data or [], folder, name=name, description=description)
    _show(told, inspection.text(told), json_path)


def main() -> None:
    """Entry point of the console script."""
    try:
        app()
    except InputError as error:
        print(f"synthgait: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
