"""The CasADi side: walking as an optimal-control problem with exact derivatives, and the sweep.

In: a study. Out: its certified gaits; ``synthgait.simulate("quick")`` runs one.

Nothing here imports casadi at package import; ``dynamics``, ``problem`` and ``solve`` do, in worker
processes of their own (the casadi and opensim wheels cannot share a process).
"""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from synthgait.trials import Trials


class _Verb(ModuleType):
    """The package is its own verb, so that the front door reads ``synthgait.simulate(study)``."""

    def __call__(self, study: str | Path, out: str | Path | None = None, workers: int = 1, progress: bool = True) -> Trials:
        """Run a study, given by its YAML or the name of a bundled one, and read what came out.

        Args:
            out: folder of the run, by default ``runs/<study>``; an interrupted run goes on.

        Raises:
            InputError: a study that does not hold together, or a folder of another run.
        """
        from synthgait import storage
        from synthgait.simulate.sweep import run
        from synthgait.studies import Study

        declared = Study.load(study)
        return storage.read(run(declared, out or Path("runs") / declared.name, workers, progress=progress))


sys.modules[__name__].__class__ = _Verb
