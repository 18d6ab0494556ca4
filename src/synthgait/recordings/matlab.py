"""Reading MATLAB structures by dotted names.

In: paths of .mat files (version 5 to 7.2). Out: nested structures and their fields.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from scipy.io import loadmat

from synthgait.errors import InputError
from synthgait.recordings.tables import one_line


def load_mat(path: Path, variable: str) -> Any:
    """One variable of a .mat file. Raises InputError when file or variable cannot be read."""
    try:
        content = loadmat(path, squeeze_me=True, struct_as_record=False)
    except FileNotFoundError:
        raise InputError(f"{path} is not there; the dataset is incomplete") from None
    except Exception as error:
        raise InputError(f"{path} cannot be read as a MATLAB file ({one_line(error)}); restore the file") from None
    if variable not in content:
        raise InputError(f"{path} has no variable {variable!r}; it has {', '.join(k for k in content if not k.startswith('_'))}")
    return content[variable]


def fields(structure: Any) -> list[str]:
    """Names in a structure; none where it is no structure."""
    return list(getattr(structure, "_fieldnames", []))


def field(structure: Any, dotted: str) -> Any:
    """The value under a dotted name, or None where a part of it is missing."""
    for name in dotted.split("."):
        if name not in fields(structure):
            return None
        structure = getattr(structure, name)
    return structure
