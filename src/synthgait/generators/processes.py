"""The processes that train together, and Ctrl-C between two steps of theirs.

In: the environment that ``accelerate launch`` or ``torchrun`` sets, or none of it. Out: which process this
is, on which device, and what several of them share: gradients, losses and the wish to stop. Networks stay as they
are, so that a checkpoint of two processes is a checkpoint of one.
"""

from __future__ import annotations

import atexit
import signal
import threading
from collections.abc import Iterable
from typing import Any, Self

import numpy as np
import torch
from torch import nn


class Processes:
    """This process among those that train; one alone shares nothing. CPU, or bfloat16 on a GPU where there is one."""

    def __init__(self) -> None:
        from accelerate import Accelerator

        cuda = torch.cuda.is_available()
        self._accelerator = Accelerator(mixed_precision="bf16" if cuda else "no", cpu=not cuda)
        self.autocast, self.backward = self._accelerator.autocast, self._accelerator.backward
        self.device, self.wait = self._accelerator.device, self._accelerator.wait_for_everyone
        self.count, self.index = self._accelerator.num_processes, self._accelerator.process_index
        self.is_main = self._accelerator.is_main_process
        if self.count > 1:
            atexit.unregister(_part)
            atexit.register(_part)

    def mean(self, values: list[float]) -> list[float]:
        """Every value's mean over the processes, the same everywhere."""
        if self.count == 1:
            return values
        return self._accelerator.reduce(torch.tensor(values, dtype=torch.float32, device=self.device), "mean").tolist()

    def average_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Every gradient becomes its mean over the processes. (DistributedDataParallel would rename the weights.)"""
        if self.count == 1:
            return
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        mean = self._accelerator.reduce(nn.utils.parameters_to_vector(gradients), "mean")
        nn.utils.vector_to_parameters(mean, gradients)

    def gather(self, values: torch.Tensor) -> torch.Tensor:
        """Values (K,) of all processes, (count, K) on the CPU."""
        return self._accelerator.gather(values[None].to(self.device)).cpu()

    def random(self, seed: int) -> torch.Generator:
        """This process's random stream at the first step."""
        return torch.Generator().manual_seed(seed * 1_000_003 + self.index)

    def random_anew(self, seed: int, step: int) -> torch.Generator:
        """The stream from a step on that other numbers of processes have come to."""
        drawn = np.random.SeedSequence([seed, step, self.count, self.index]).generate_state(1, np.uint64)
        return torch.Generator().manual_seed(int(drawn[0]))


def _part() -> None:
    """Leave the others in good order: where a process ends while its threads still talk to them, it may be aborted."""
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


class Interruption:
    """Ctrl-C waits for the end of a step, because half a step can be gone on with by nobody; a second one does not wait.

    As a context: leaving it raises KeyboardInterrupt if there was one. Other than in the main thread, or where somebody else
    handles Ctrl-C already, it changes nothing.
    """

    def __init__(self, processes: Processes) -> None:
        self._processes = processes
        self._asked = self._ours = False

    def asked(self) -> bool:
        """Whether any process was asked to stop, the same everywhere; to be called by every process between two steps."""
        if self._processes.mean([float(self._asked)])[0] == 0:
            return False
        self._asked = True
        return True

    def __enter__(self) -> Self:
        main = threading.current_thread() is threading.main_thread()
        self._ours = main and signal.getsignal(signal.SIGINT) is signal.default_int_handler
        if self._ours:
            signal.signal(signal.SIGINT, self._ask)
        return self

    def _ask(self, *_: Any) -> None:
        self._asked = True
        signal.signal(signal.SIGINT, signal.default_int_handler)

    def __exit__(self, kind: Any, *_: Any) -> None:
        if self._ours:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        if self._asked and kind is None:
            raise KeyboardInterrupt
