"""What a training leaves to look at: history.csv, loss.png and, where it is asked for, a log for TensorBoard.

In: losses by name, step after step. Out: files in the run's folder.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from synthgait.errors import InputError


def write_history(history: list[dict[str, float]], folder: Path) -> None:
    """Rows of losses with their ``step`` as a table and a picture; without rows nothing."""
    import matplotlib

    matplotlib.use("Agg", force=False)
    from matplotlib.figure import Figure

    if not history:
        return
    names = list(history[0])
    lines = [",".join(names), *(",".join(f"{row[name]:.6g}" for name in names) for row in history)]
    (folder / "history.csv").write_text("\n".join(lines) + "\n")
    figure = Figure(figsize=(6, 3.5), layout="constrained")
    axes = figure.subplots()
    for name in names[1:]:
        axes.plot([row["step"] for row in history], [row[name] for row in history], label=name)
    axes.set(xlabel="step", ylabel="loss")
    axes.legend(frameon=False)
    figure.savefig(folder / "loss.png", dpi=120)


class LossLog:
    """Losses of every step for TensorBoard, in a run folder's ``tensorboard``; without a folder nothing.

    Raises InputError: TensorBoard is not installed.
    """

    def __init__(self, folder: Path | None, step: int) -> None:
        # of a run that went on from a checkpoint TensorBoard shows nothing that was written after the checkpoint before
        self._writer = None if folder is None else summary_writer()(str(folder / "tensorboard"), purge_step=step + 1)

    def write(self, step: int, losses: dict[str, float]) -> None:
        """The losses after a step, each as loss/<name>."""
        if self._writer is not None:
            for name, value in losses.items():
                self._writer.add_scalar(f"loss/{name}", value, step)

    def close(self) -> None:
        """Everything is in the file afterwards."""
        if self._writer is not None:
            self._writer.close()


def summary_writer() -> Any:
    """TensorBoard's writer. Raises InputError: it is not installed."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise InputError("TensorBoard is not installed; run `pip install synthgait[tensorboard]`") from error
    return SummaryWriter
