"""The training loop: interrupted anywhere, in several processes, finished already, and watched."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import yaml
from accelerate import Accelerator
from typer.testing import CliRunner

from synthgait import storage
from synthgait.cli import app
from synthgait.errors import InputError
from synthgait.generators import load, train
from synthgait.generators.train import Recipe, parse_recipe
from synthgait.trials import Trials
from varied_walkers import varied_walkers

SCRIPT = Path(__file__).parents[1] / "standins" / "train_together.py"
NETWORKS = {"diffusion": {"width": 32, "depth": 1, "sampling_steps": 2}, "gan": {"width": 32, "depth": 1, "critic_updates": 2}}
WEIGHTS = {"diffusion": "denoiser", "gan": "synthesizer"}

pytestmark = pytest.mark.usefixtures("one_torch_thread")


def tiny(method: str = "diffusion", validation_fraction: float | None = None) -> Recipe:
    """A dozen steps. Nobody is held out from the diffusion unless asked for: the first validation might be the best, and
    weights of step 4 would tell nothing of step 12.
    """
    fraction = {"diffusion": 0.0, "gan": 0.1}[method] if validation_fraction is None else validation_fraction
    training = {"steps": 12, "batch_size": 16, "validate_every": 4, "checkpoint_every": 5, "warmup_steps": 2}
    return parse_recipe(
        {
            "method": method,
            "settings": NETWORKS[method],
            "representation": {"max_components": 16},
            "training": training | {"validation_fraction": fraction},
        }
    )


def weights(folder: Path, method: str = "diffusion") -> bytes:
    return (folder / WEIGHTS[method] / "diffusion_pytorch_model.safetensors").read_bytes()


@pytest.fixture(scope="module")
def seeds() -> Trials:
    return varied_walkers(40, seed=1)


@pytest.fixture(scope="module", params=sorted(NETWORKS))
def straight(request: pytest.FixtureRequest, seeds: Trials, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """A method and the folder of a run that never stopped."""
    folder = tmp_path_factory.mktemp(request.param) / "straight"
    train(tiny(request.param), seeds, folder, progress=False)
    return request.param, folder


def during_update(monkeypatch: pytest.MonkeyPatch, number: int, happens: Callable[[], Any]) -> None:
    """Let something happen in the middle of a network's update."""
    plain, updates = Accelerator.backward, count()

    def backward(self: Accelerator, loss: torch.Tensor, **kwargs: Any) -> None:
        plain(self, loss, **kwargs)
        if next(updates) == number:
            happens()

    monkeypatch.setattr(Accelerator, "backward", backward)


def interrupt() -> None:
    raise KeyboardInterrupt


# -- interrupted -------------------------------------------------------------------------------------------


#: How often networks are updated in a step.
UPDATES = {"diffusion": 1, "gan": 3}


@pytest.mark.parametrize("step", [2, 7])
def test_torn_out_of_a_step(straight: tuple[str, Path], step: int, seeds: Trials, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    method, whole = straight
    with monkeypatch.context() as patch:
        during_update(patch, (step + 1) * UPDATES[method] - 1, interrupt)  # of a GAN when its critic has moved already
        with pytest.raises(KeyboardInterrupt):
            train(tiny(method), seeds, tmp_path, progress=False)
    assert (tmp_path / "checkpoint.pt").exists() == (step > 5) and not (tmp_path / "generator.json").exists()
    train(tiny(method), seeds, tmp_path, progress=False)
    assert weights(tmp_path, method) == weights(whole, method)
    assert (tmp_path / "history.csv").read_bytes() == (whole / "history.csv").read_bytes()


def test_ctrl_c_waits_for_the_end_of_a_step(
    straight: tuple[str, Path], seeds: Trials, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    method, whole = straight
    for further, reached in ((3, 4), (6, 11), (0, 12)):
        with monkeypatch.context() as patch:
            during_update(patch, further * UPDATES[method], lambda: signal.raise_signal(signal.SIGINT))
            with pytest.raises(KeyboardInterrupt):
                train(tiny(method), seeds, tmp_path, progress=False)
        assert torch.load(tmp_path / "checkpoint.pt", weights_only=True)["step"] == reached
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    train(tiny(method), seeds, tmp_path, progress=False)
    assert weights(tmp_path, method) == weights(whole, method)
    assert (tmp_path / "history.csv").read_bytes() == (whole / "history.csv").read_bytes()


def test_a_second_ctrl_c_does_not_wait(seeds: Trials, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def twice() -> None:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)

    during_update(monkeypatch, 7, twice)
    with pytest.raises(KeyboardInterrupt):
        train(tiny(), seeds, tmp_path, progress=False)
    assert torch.load(tmp_path / "checkpoint.pt", weights_only=True)["step"] == 5


# -- several processes ---------------------------------------------------------------------------------------


def together(*words: object) -> None:
    """``train_together.py`` in two processes on the CPU."""
    launch = ["-m", "torch.distributed.run", "--nproc-per-node", "2", "--local-addr", "127.0.0.1"]
    meet = ["--rdzv-backend", "c10d", "--rdzv-endpoint", "127.0.0.1:0"]
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, *launch, *meet, str(SCRIPT), *map(str, words)], capture_output=True, text=True, timeout=240, env=environment
    )
    assert done.returncode == 0, done.stderr[-3000:]


def test_two_processes(seeds: Trials, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    diffusion, gan = tmp_path / "diffusion.yaml", tmp_path / "gan.yaml"
    diffusion.write_text(yaml.safe_dump(tiny().model_dump()))
    gan.write_text(yaml.safe_dump(tiny("gan").model_dump()))
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    together(gan, tmp_path / "gan", diffusion, whole, diffusion, broken, 6)
    assert all(torch.load(f"{broken}-{rank}.pt") == "stopped" for rank in (0, 1))
    content = torch.load(broken / "checkpoint.pt", weights_only=True)
    assert content["step"] == 7 and len(content["random"]) == 2 and not torch.equal(*content["random"])
    shutil.copytree(broken, tmp_path / "alone")

    together(diffusion, broken)
    assert weights(broken) == weights(whole) and (broken / "history.csv").read_bytes() == (whole / "history.csv").read_bytes()
    for folder in (tmp_path / "gan", whole, broken):
        ours, theirs = (torch.load(f"{folder}-{rank}.pt") for rank in (0, 1))
        assert all(torch.equal(value, theirs[key]) for key, value in ours.items())

    capsys.readouterr()
    alone = train(diffusion, seeds, tmp_path / "alone", progress=False)
    assert "process count of 2, not 1: from step 7" in capsys.readouterr().out
    assert [row["step"] for row in alone.notes["history"]] == [4, 8, 12]
    assert weights(tmp_path / "alone") != weights(whole)


# -- finished --------------------------------------------------------------------------------------------------


def test_a_finished_run_is_left_as_it_is(
    straight: tuple[str, Path], seeds: Trials, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    method, whole = straight
    folder = tmp_path / "copy"
    shutil.copytree(whole, folder)
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    model = train(tiny(method), seeds, folder)
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before
    assert f"{folder} is trained already" in capsys.readouterr().out
    assert model.sample(3, seed=1).signals["pelvis"].tobytes() == load(whole).sample(3, seed=1).signals["pelvis"].tobytes()

    (folder / "prior.safetensors").write_bytes(b"")
    train(tiny(method), seeds, folder, progress=False)
    assert "is damaged" in capsys.readouterr().out and weights(folder, method) == weights(whole, method)
    (folder / "recipe.yaml").unlink()
    with pytest.raises(InputError, match="another recipe"):
        train(tiny(method), seeds, folder, progress=False)


# -- watched ---------------------------------------------------------------------------------------------------


def test_losses_for_tensorboard(seeds: Trials, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    train(tiny(validation_fraction=0.1), seeds, tmp_path, progress=False, tensorboard=True, stop_after=7)
    train(tiny(validation_fraction=0.1), seeds, tmp_path, progress=False, tensorboard=True)
    shown = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert [event.step for event in shown.Scalars("loss/denoiser")] == list(range(1, 13))
    rows = [line.split(",") for line in (tmp_path / "history.csv").read_text().splitlines()[1:]]
    found = {event.step: event.value for event in shown.Scalars("loss/validation")}
    assert found == pytest.approx({int(row[0]): float(row[2]) for row in rows}, rel=1e-4)


def test_what_goes_to_tensorboard(seeds: Trials, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the package: a writer that remembers."""
    told: list[tuple] = []

    class Writer:
        def __init__(self, folder: str, purge_step: int) -> None:
            told.append((folder, purge_step))

        def add_scalar(self, name: str, value: float, step: int) -> None:
            told.append((name, step))

        def close(self) -> None:
            told.append(("closed",))

    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", SimpleNamespace(SummaryWriter=Writer))
    train(tiny(validation_fraction=0.1), seeds, tmp_path, progress=False, tensorboard=True, stop_after=3)
    assert told == [(str(tmp_path / "tensorboard"), 1), *(("loss/denoiser", step) for step in (1, 2, 3)), ("closed",)]
    told.clear()
    train(tiny(validation_fraction=0.1), seeds, tmp_path, progress=False, tensorboard=True, stop_after=4)
    assert told == [(str(tmp_path / "tensorboard"), 4), ("loss/denoiser", 4), ("loss/validation", 4), ("closed",)]


def test_tensorboard_that_cannot_be(seeds: Trials, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="needs a folder"):
        train(tiny(), seeds, progress=False, tensorboard=True)
    monkeypatch.delitem(sys.modules, "torch.utils.tensorboard", raising=False)
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    with pytest.raises(InputError, match=r"pip install synthgait\[tensorboard\]"):
        train(tiny(), seeds, tmp_path / "run", progress=False, tensorboard=True)
    assert not (tmp_path / "run").exists()


def test_the_verb(seeds: Trials, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    storage.write(seeds, tmp_path / "seeds.h5")
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(tiny().model_dump()))
    asked = ["train", str(tmp_path / "tiny.yaml"), "--data", str(tmp_path / "seeds.h5"), "-o", str(tmp_path / "run")]
    assert CliRunner().invoke(app, asked).exit_code == 0
    again = CliRunner().invoke(app, asked)
    assert again.exit_code == 0 and "is trained already" in again.output
    monkeypatch.delitem(sys.modules, "torch.utils.tensorboard", raising=False)
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    assert "synthgait[tensorboard]" in str(CliRunner().invoke(app, [*asked, "--tensorboard"]).exception)
