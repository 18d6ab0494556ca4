"""What comes with synthgait: declarations, the seed dataset, fitted estimators; where they lie and how they are read.

In: names. Out: paths; contents of ``simulations/`` and ``generators/``, of the repository or of the
installed wheel.
"""

from __future__ import annotations

import shutil
from importlib import resources
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from synthgait.errors import InputError

KINDS = ("simulations", "generators")
#: What a wrong kind of value should have been, in YAML's words where pydantic's are Python's.
_WANTED = dict.fromkeys(("tuple_type", "list_type"), "write a list, as [1, 2]") | dict.fromkeys(
    ("dict_type", "model_type", "model_attributes_type"), "write keys and values"
)


def folder(kind: str) -> Path:
    """The folder ``simulations`` or ``generators``."""
    package = Path(str(resources.files("synthgait")))
    for place in (package / "declarations" / kind, package.parents[1] / kind):
        if place.is_dir():
            return place
    raise InputError(f"the declarations {kind!r} are missing from this installation; install synthgait again")


def seed_dataset() -> Path:
    """The seed dataset that comes with synthgait. Raises InputError when an installation lacks it."""
    path = Path(str(resources.files("synthgait"))) / "data" / "seed-v1.h5"
    if not path.is_file():
        raise InputError("the bundled seed dataset is missing from this installation; install synthgait again or give --data FILE")
    return path


def estimators() -> dict[str, Path]:
    """Name -> folder of the fitted estimators that come with synthgait; empty where an installation has none."""
    place = Path(str(resources.files("synthgait"))) / "data" / "estimators"
    return {path.parent.name: path.parent for path in sorted(place.glob("*/config.json"))}


def generator() -> Path:
    """The folder of the generator that comes with synthgait. Raises InputError when an installation lacks it."""
    path = Path(str(resources.files("synthgait"))) / "data" / "generator"
    if not (path / "generator.json").is_file():
        raise InputError("no generator comes with this installation; give the folder of one that `synthgait train` wrote")
    return path


class _EachKeyOnce(yaml.SafeLoader):
    """Refuses a key that stands twice in one mapping, of which YAML would keep the last without a word."""

    def compose_mapping_node(self, anchor: Any) -> Any:
        # here and not where mappings are made: by then merged keys (<<) may stand beside their own
        node = super().compose_mapping_node(anchor)
        seen: set[str] = set()
        for name, line in ((key.value, key.start_mark.line + 1) for key, _ in node.value if isinstance(key.value, str)):
            if name in seen:
                raise InputError(f"line {line} gives the key {name!r} again; keep one of them")
            seen.add(name)
        return node


def read_yaml(path: Path) -> dict[str, Any]:
    """A YAML file that holds a mapping, each key once. Raises InputError naming the file."""
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), _EachKeyOnce)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}); give the path of a YAML file") from error
    except RecursionError as error:
        raise InputError(f"{path} is nested too deeply for a declaration; mend its brackets") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not YAML ({' '.join(str(error).split())[:150]}); mend it there") from error
    if not isinstance(content, dict):
        raise InputError(f"{path} should hold keys and values; see simulations/README.md")
    return content


def one_sentence(error: ValidationError) -> str:
    """The first thing that is wrong, naming its key."""
    first = error.errors()[0]
    path = [str(part) for part in first["loc"]]
    message = _WANTED.get(first["type"], first["msg"].removeprefix("Value error, "))
    if path[-1:] == ["float"]:  # pydantic's name of the first of two kinds that such a value can have
        path, message = path[:-1], "write a number or a range [low, high]"
    where = ".".join(path) or "the whole"
    if first["type"] == "extra_forbidden":
        return f"unknown key {where!r}; remove it or mend its spelling"
    if first["type"] == "missing":
        return f"the key {where!r} is missing; add it"
    given = "" if isinstance(first["input"], dict | list) else f" (given {first['input']!r})"
    return f"{where}: {message.replace('Tuple', 'the list').replace(' after validation', '')}{given}"


def listing() -> list[tuple[str, str]]:
    """Name of every declaration (``simulations/quick``, ``simulations/pathologies/crouch``, ...) and the first line of its
    description, or the names of its classes where it has none.
    """
    rows = []
    for kind in KINDS:
        for path in sorted(folder(kind).rglob("*.yaml")):
            content = read_yaml(path)
            description = str(content.get("description", "")).strip().splitlines() or [f"Classes: {', '.join(map(str, content))}."]
            rows.append((str(Path(kind) / path.relative_to(folder(kind)).with_suffix("")), description[0]))
    return rows


def find(name: str) -> Path:
    """The path of a declaration by its listed name or the last part of it. Raises InputError."""
    names = [listed for listed, _ in listing() if listed == name or listed.endswith("/" + name)]
    if len(names) != 1:
        told = f"several: {', '.join(names)}" if names else "none; `synthgait list` shows all"
        raise InputError(f"{name!r} should name one declaration, and there are {told}")
    kind, _, rest = names[0].partition("/")
    return folder(kind) / f"{rest}.yaml"


def copy(name: str, target: str | Path = ".") -> Path:
    """Copy a declaration into a folder, or to a path that does not exist yet. Raises InputError."""
    source, path = find(name), Path(target)
    path = path / source.name if path.is_dir() else path
    if path.exists():
        raise InputError(f"{path} exists; remove it or give another name")
    path.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, path)
    return path
