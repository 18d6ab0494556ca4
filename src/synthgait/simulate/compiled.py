"""The programme's node functions as machine code, where a C compiler is there.

In: CasADi functions and what tells them apart. Out: the same functions from a shared library in the
user's cache, or None. A compiled function gives the same bits as the interpreted one (no contraction of
floating point, no other instruction set), only several times sooner, so it does not matter who used which.

The library is built once per machine and version of the equations, in about two minutes and 2 GB, which
pays from about sixty gaits on: ``build`` is called by those who are going to solve that many.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from importlib import resources
from pathlib import Path

import casadi as ca
import numpy as np

_FLAGS = ("-O1", "-fPIC", "-shared", "-ffp-contract=off", "-fno-builtin")
#: Modules whose text makes the functions.
_SOURCES = ("conventions.py", "simulate/dynamics.py", "simulate/problem.py", "simulate/task.py")


def cache_folder() -> Path:
    """``$SYNTHGAIT_CACHE``, or the user's cache folder (XDG base directory specification)."""
    chosen = os.environ.get("SYNTHGAIT_CACHE")
    return Path(chosen) if chosen else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "synthgait"


def library(structure: object) -> Path:
    """Where the library of a body structure lies or would lie: named after all that its code depends on."""
    digest = hashlib.sha256(repr((structure, ca.CasadiMeta.version(), _FLAGS)).encode())
    for name in _SOURCES:
        digest.update(resources.files("synthgait").joinpath(name).read_bytes())
    return cache_folder() / f"walk_{digest.hexdigest()[:24]}.so"


def load(functions: Sequence[ca.Function], path: Path) -> list[ca.Function] | None:
    """The compiled twins of the functions; None where there is no library or it does not give the same bits."""
    if not path.exists():
        return None
    try:
        twins = [ca.external(function.name(), str(path)) for function in functions]
    except RuntimeError:
        return None
    return twins if all(map(_equal, functions, twins)) else None


def build(functions: Sequence[ca.Function], path: Path) -> bool:
    """Compile the functions into the library unless it is there. False where there is no compiler or it fails."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if path.exists() or compiler is None:
        return path.exists()
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        generator = ca.CodeGenerator("walk.c")
        for function in functions:
            generator.add(function)
        generator.generate(folder + os.sep)
        made = Path(folder) / "walk.so"
        done = subprocess.run([compiler, *_FLAGS, str(Path(folder) / "walk.c"), "-o", str(made)], capture_output=True)
        if done.returncode == 0:
            os.replace(made, path)
    return path.exists()


def _equal(one: ca.Function, other: ca.Function) -> bool:
    """Whether both give the same bits at a point in the middle of everything."""
    if [one.size_in(i) for i in range(one.n_in())] != [other.size_in(i) for i in range(other.n_in())]:
        return False
    rng = np.random.default_rng(0)
    point = [ca.DM(rng.uniform(0.1, 0.5, one.size_in(i))) for i in range(one.n_in())]
    results = (function.call(point) for function in (one, other))
    return all(
        a.sparsity() == b.sparsity() and np.array(a.nonzeros()).tobytes() == np.array(b.nonzeros()).tobytes()
        for a, b in zip(*results, strict=True)
    )
