"""The README's example runs as it stands there."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

README = (Path(__file__).parents[2] / "README.md").read_text()


def _block(language: str) -> str:
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.S)[0]


def test_example(tmp_path: Path) -> None:
    (tmp_path / "one.yaml").write_text(_block("yaml"))
    code = _block("python")
    assert len(code.strip().splitlines()) <= 14
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=400, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "ok" in done.stdout and re.search(r"\(1, (1999|200\d), 6\)", done.stdout), done.stdout
    assert (tmp_path / "runs/one/lower_back.h5").exists()


def test_every_verb_of_the_table_exists() -> None:
    from typer.main import get_command

    from synthgait.cli import app

    verbs = set(get_command(app).commands)  # type: ignore[attr-defined]
    named = set(re.findall(r"`synthgait (\w+)", README)) | {"copy", "pack", "release"}
    assert named <= verbs, named - verbs
