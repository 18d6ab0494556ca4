"""Who may import whom: libraries that cannot share a process stay apart, and what senses, estimates and
validates knows nothing of simulation and generation."""

from __future__ import annotations

import ast
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

import synthgait

ROOT = Path(synthgait.__file__).parent
MODULES = sorted(ROOT.rglob("*.py"))
#: Library -> the modules that may import it.
ONLY = {
    "opensim": {"opensim_model", "opensim_reader", "certify", "moco"},
    "casadi": {"simulate.dynamics", "simulate.problem", "simulate.solve", "simulate.compiled"},
    "h5py": {"storage"},
}
#: What senses, estimates and validates may reach of simulation: plain values and pure functions.
PLAIN = {"simulate", "simulate.task"}


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def imports(path: Path) -> frozenset[str]:
    """Every module named by an import anywhere in a file, but for those that only type checkers see."""
    tree = ast.parse(path.read_text())
    skipped = {
        id(node)
        for block in ast.walk(tree)
        if isinstance(block, ast.If) and ast.unparse(block.test).endswith("TYPE_CHECKING")
        for part in block.body
        for node in ast.walk(part)
    }
    package = ["synthgait", *path.relative_to(ROOT).parts[:-1]]
    found: set[str] = set()
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) + 1 - node.level] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            found |= {module, *(f"{module}.{alias.name}" for alias in node.names)}
    return frozenset(found)


def inside(path: Path) -> set[str]:
    """The synthgait modules that a file imports, without the leading package."""
    known = {name_of(p) for p in MODULES}
    return {n.removeprefix("synthgait.") for n in imports(path) if n.startswith("synthgait.") and n.removeprefix("synthgait.") in known}


def reached(start: set[str]) -> set[str]:
    """Everything that importing these modules may load, directly or not (packages' own modules too)."""
    files = {name_of(p): p for p in MODULES}
    seen: set[str] = set()
    waiting = set(start)
    while waiting:
        module = waiting.pop()
        seen.add(module)
        parents = {module.rsplit(".", 1)[0]} if "." in module else set()
        waiting |= ((inside(files[module]) | parents) & set(files)) - seen
    return seen


def test_the_walk_finds_the_modules() -> None:
    names = {name_of(p) for p in MODULES}
    assert {"simulate.solve", "certify", "storage", "sensors.imu", "estimators.fit", "validate.run"} <= names
    for library, modules in ONLY.items():
        assert {name_of(p) for p in MODULES if library in {i.split(".")[0] for i in imports(p)}} == modules


def test_no_module_leads_to_both_solver_libraries() -> None:
    """Nothing that loads casadi loads a module that loads opensim, or the other way round."""
    assert not reached(ONLY["casadi"]) & ONLY["opensim"]
    assert not reached(ONLY["opensim"]) & ONLY["casadi"]


@pytest.mark.parametrize("package", ["sensors", "estimators", "validate", "recordings"])
def test_what_senses_estimates_and_validates_imports_neither_solvers_nor_generators(package: str) -> None:
    for path in MODULES:
        if name_of(path).split(".")[0] != package:
            continue
        direct = inside(path)
        assert not {m for m in direct if m.split(".")[0] in ("generators", "simulate")} - PLAIN, path
        assert not {m for m in reached(direct) if m in ONLY["casadi"] | ONLY["opensim"]}, path


LOADED = """
import sys
import synthgait, synthgait.cli, synthgait.studies, synthgait.gait, synthgait.simulate.sweep
print(*sorted({"casadi", "opensim", "torch"} & set(sys.modules)))
"""


def test_importing_the_package_and_its_command_line_loads_no_solver() -> None:
    done = subprocess.run([sys.executable, "-c", LOADED], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_both_solver_libraries_in_one_process_fail() -> None:
    """Why they are kept apart. Should a release of theirs end this, the two-sided design can be thought over."""
    done = subprocess.run([sys.executable, "-c", "import casadi, opensim"], capture_output=True, text=True)
    assert done.returncode != 0
