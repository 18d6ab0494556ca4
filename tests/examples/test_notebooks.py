"""Every notebook runs from top to bottom, shows its figures, and is stored without outputs."""

from __future__ import annotations

import time
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from synthgait import bundled, recordings, storage
from synthgait.errors import InputError
from varied_walkers import varied_walkers

FOLDER = Path(__file__).parents[2] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
LONGEST_S = 300.0


def _small_data(notebook: nbformat.NotebookNode, folder: Path) -> None:
    """Analytic walkers stand in where this clone has no bundled seed dataset."""
    for cell in notebook.cells:
        if "data" in cell.metadata.get("tags", []):
            try:
                bundled.seed_dataset()
            except InputError:
                storage.write(varied_walkers(90, seed=2), folder / "walkers.h5")
                cell.source = "data = 'walkers.h5'"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_runs(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        monkeypatch.setenv(name, "1")
    # whatever lies on this machine, virtual people stand in for recordings
    monkeypatch.delenv(recordings.ENVIRONMENT_VARIABLE, raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    notebook = nbformat.read(path, as_version=4)
    _small_data(notebook, tmp_path)
    started = time.monotonic()
    NotebookClient(notebook, timeout=LONGEST_S, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}).execute()
    print(f"{path.stem}: {time.monotonic() - started:.0f} s")
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert sum("image/png" in output.get("data", {}) for output in outputs) >= 2


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_is_stored_without_outputs(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    assert all(not cell.outputs and cell.execution_count is None for cell in notebook.cells if cell.cell_type == "code")


def test_there_are_notebooks() -> None:
    assert len(NOTEBOOKS) >= 4
