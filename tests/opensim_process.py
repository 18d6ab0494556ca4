"""Runs a function where OpenSim or CasADi may be loaded: each in one process of its own, kept for all tests.

The two cannot share a process, so the tests' own process loads neither. A call fails when the process
has loaded the other library.
"""

from __future__ import annotations

import multiprocessing
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from typing import Any


@cache
def _pool(library: str) -> ProcessPoolExecutor:
    return ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"))


def in_opensim(function: Callable[..., Any], *arguments: Any) -> Any:
    """``function(*arguments)`` in the OpenSim process; function, arguments and result are pickled."""
    return _submit("opensim", "casadi", function, arguments)


def in_casadi(function: Callable[..., Any], *arguments: Any) -> Any:
    """``function(*arguments)`` in the CasADi process; function, arguments and result are pickled."""
    return _submit("casadi", "opensim", function, arguments)


def solved_in_turn(jobs: Sequence[tuple[str, Any, Any, str]]) -> dict[str, Any]:
    """Name -> solution of each (name, body, task, name of the walk it starts from, "" for the bundled one)."""
    return in_casadi(_solve_in_turn, jobs)


def _solve_in_turn(jobs: Sequence[tuple[str, Any, Any, str]]) -> dict[str, Any]:
    from synthgait.simulate.solve import solve_walking

    found: dict[str, Any] = {"": None}
    for name, body, task, start in jobs:
        found[name] = solve_walking(body, task, found[start])
    del found[""]
    return found


def _submit(library: str, other: str, function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
    for name in (library, other):
        assert name not in sys.modules, f"a test module imports {name} at its top"
    return _pool(library).submit(_alone, library, other, function, arguments).result()


def _alone(library: str, other: str, function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
    result = function(*arguments)
    assert library in sys.modules and other not in sys.modules
    return result
