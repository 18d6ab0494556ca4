"""Runs a function where OpenSim may be loaded: in one process of its own, kept for all tests.

OpenSim and CasADi cannot share a process, so the tests' own process loads neither. A call fails when
the OpenSim process has loaded CasADi.
"""

from __future__ import annotations

import multiprocessing
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from typing import Any


@cache
def _pool() -> ProcessPoolExecutor:
    return ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"))


def in_opensim(function: Callable[..., Any], *arguments: Any) -> Any:
    """``function(*arguments)`` in the OpenSim process; function, arguments and result are pickled."""
    assert "opensim" not in sys.modules, "a test module imports opensim at its top"
    return _pool().submit(_alone, function, arguments).result()


def _alone(function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
    result = function(*arguments)
    assert "opensim" in sys.modules and "casadi" not in sys.modules
    return result
