"""Where the declarations are: ``simulations/`` and ``generators/`` of the wheel, or of the repository.

In: the name of a folder. Out: its path.
"""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from synthgait.errors import InputError


def declarations(kind: str) -> Path:
    """The folder ``simulations`` or ``generators``. Raises InputError when an installation lacks it."""
    package = Path(str(resources.files("synthgait")))
    for folder in (package / "declarations" / kind, package.parents[1] / kind):
        if folder.is_dir():
            return folder
    raise InputError(f"the declarations {kind!r} are missing from this installation; install synthgait again")
