"""Compiled node functions: the interpreter's bits, another cache folder, and no harm where they cannot be made."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from opensim_process import in_casadi
from synthgait.anthropometry import build_model
from synthgait.planar import planar
from synthgait.subjects import Subject

BODY = planar(build_model(Subject("adult")), compliant=True)


def _problem():
    from synthgait.simulate.problem import WalkingProblem

    return WalkingProblem(BODY, 2, False)


def _same_bits(folder: Path, points: int) -> tuple[bool, int]:
    """Whether the node's constraints and cost, interpreted and compiled, are the same bytes at random points."""
    import casadi as ca

    from synthgait.simulate import compiled

    functions = [f for f in _problem()._node_functions() if f.name() in ("node", "node_gradient")]
    assert compiled.build(functions, folder)
    twins = compiled.load(functions, folder)
    assert twins is not None
    rng, seen = np.random.default_rng(1), set()
    for _ in range(points):
        for one, other in zip(functions, twins, strict=True):
            at = [ca.DM(rng.normal(0.0, 1.0, one.size_in(i))) for i in range(one.n_in())]
            a, b = (b"".join(np.array(part.nonzeros()).tobytes() for part in f.call(at)) for f in (one, other))
            if a != b:
                return False, len(seen)
            seen.add(a)
    return True, len(seen)


def test_compiled_functions_give_the_interpreters_bits(tmp_path: Path) -> None:
    assert in_casadi(_same_bits, tmp_path, 20) == (True, 40)


def _small(expression: str):
    import casadi as ca

    x = ca.SX.sym("x", 3)
    return ca.Function("small", [x], [{"sine": ca.sin(x), "cosine": ca.cos(x), "sum": ca.sum1(x)}[expression]])


def _loaded(folder: Path, expression: str) -> bool:
    from synthgait.simulate import compiled

    return compiled.load([_small(expression)], folder) is not None


def _built(folder: Path, expression: str, path: str) -> bool:
    from synthgait.simulate import compiled

    before, os.environ["PATH"] = os.environ["PATH"], path
    try:
        return compiled.build([_small(expression)], folder)
    finally:
        os.environ["PATH"] = before


def test_without_a_compiler_there_is_the_interpreter(tmp_path: Path) -> None:
    assert not in_casadi(_built, tmp_path / "none", "sine", str(tmp_path))
    assert not in_casadi(_loaded, tmp_path / "none", "sine")
    # a compiler that fails leaves nothing behind
    broken = tmp_path / "bin" / "cc"
    broken.parent.mkdir()
    broken.write_text("#!/bin/sh\nexit 1\n")
    broken.chmod(0o755)
    assert not in_casadi(_built, tmp_path / "broken", "sine", f"{broken.parent}:/bin:/usr/bin")
    assert not list((tmp_path / "broken").iterdir())


@pytest.mark.parametrize("other", ["cosine", "sum"])
def test_a_library_of_other_equations_is_not_taken(tmp_path: Path, other: str) -> None:
    assert in_casadi(_built, tmp_path, "sine", os.environ["PATH"])
    assert in_casadi(_loaded, tmp_path, "sine")
    assert not in_casadi(_loaded, tmp_path, other)


def test_a_damaged_library_is_not_taken_and_built_again(tmp_path: Path) -> None:
    (tmp_path / "small.so").write_bytes(b"\x7fELF and nothing more")
    assert not in_casadi(_loaded, tmp_path, "sine")
    assert in_casadi(_built, tmp_path, "sine", os.environ["PATH"])
    # that of other equations too, in a process that has loaded it
    assert in_casadi(_built, tmp_path, "cosine", os.environ["PATH"]) and not in_casadi(_loaded, tmp_path, "sine")


def _places(chosen: str | None) -> tuple[str, str, str]:
    """The cache folder, and the library folders of two structures."""
    from synthgait.simulate import compiled

    before = os.environ.pop("SYNTHGAIT_CACHE", None)
    try:
        if chosen:
            os.environ["SYNTHGAIT_CACHE"] = chosen
        return str(compiled.cache_folder()), str(compiled.library("one structure")), str(compiled.library("another"))
    finally:
        os.environ.pop("SYNTHGAIT_CACHE", None)
        if before is not None:
            os.environ["SYNTHGAIT_CACHE"] = before


def test_the_cache_folder_can_be_chosen_and_structures_lie_apart(tmp_path: Path) -> None:
    folder, one, another = in_casadi(_places, str(tmp_path))
    assert folder == str(tmp_path) and Path(one).parent == tmp_path and one != another
    assert in_casadi(_places, None)[0].endswith("synthgait") and in_casadi(_places, None)[0] != folder
