"""The programme's node functions as machine code, where a C compiler is there.

In: CasADi functions and what tells them apart. Out: the same functions from a shared library in the
user's cache, or None. A compiled function gives the same bits as the interpreted one (no contraction of
floating point, no other instruction set), only several times sooner, so it does not matter who used which.

The libraries, one for each function, are built once per machine and version of the equations, in about two
minutes of one core, which pays from about sixty gaits on: ``build`` is called by those who are going to
solve that many.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from importlib import metadata, resources
from pathlib import Path

import casadi as ca
import numpy as np

_FLAGS = ("-O1", "-fPIC", "-shared", "-ffp-contract=off", "-fno-builtin")
#: Modules whose text makes the functions.
_SOURCES = ("conventions.py", "simulate/dynamics.py", "simulate/normative.py", "simulate/problem.py", "simulate/task.py", "textbook.py")


def cache_folder() -> Path:
    """``$SYNTHGAIT_CACHE``, or the user's cache folder (XDG base directory specification)."""
    chosen = os.environ.get("SYNTHGAIT_CACHE")
    return Path(chosen) if chosen else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "synthgait"


def library(structure: object) -> Path:
    """The folder of the libraries of a body structure, there or not: named after all that their code depends on."""
    digest = hashlib.sha256(repr((structure, metadata.version("casadi"), _FLAGS)).encode())
    for name in _SOURCES:
        digest.update(resources.files("synthgait").joinpath(name).read_bytes())
    return cache_folder() / f"walk_{digest.hexdigest()[:24]}"


def load(functions: Sequence[ca.Function], folder: Path) -> list[ca.Function] | None:
    """The compiled twins of the functions; None where one has no library or does not give the same bits."""
    if not all(_file(function, folder).exists() for function in functions):
        return None
    try:
        twins = [ca.external(function.name(), str(_file(function, folder))) for function in functions]
    except RuntimeError:
        return None
    return twins if all(map(_equal, functions, twins)) else None


def build(functions: Sequence[ca.Function], folder: Path) -> bool:
    """Compile the functions that have no library yet, or one that ``load`` does not take. False where there is no
    compiler or it fails.
    """
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        return False
    folder.mkdir(parents=True, exist_ok=True)
    for function in functions:
        if load([function], folder) is not None:
            continue
        target = _file(function, folder)
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            generator = ca.CodeGenerator(function.name())
            generator.add(function)
            source, made = generator.generate(scratch + os.sep), Path(scratch) / target.name
            if subprocess.run([compiler, *_FLAGS, source, "-o", str(made)], capture_output=True).returncode == 0:
                os.replace(made, target)
    return load(functions, folder) is not None


def _file(function: ca.Function, folder: Path) -> Path:
    return folder / f"{function.name()}.so"


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
