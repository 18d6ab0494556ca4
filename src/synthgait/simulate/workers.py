"""Worker processes that keep a library loaded: one for casadi, one for opensim, one thread each.

In: ``"module:function"`` and plain arguments. Out: what the function returns, or the error it raised.

casadi and opensim cannot share a process and each takes seconds to load, so every worker of a sweep
has one ``Side`` of each and keeps it from trial to trial. A side is a plain subprocess that speaks
pickle over its pipes; it dies with the process that started it.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import os
import pickle
import signal
import struct
import subprocess
import sys
import threading
import traceback
from collections.abc import Iterator
from typing import IO, Any

_ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")
_LENGTH = struct.Struct("<Q")
_PR_SET_PDEATHSIG = 1
_own = threading.local()
_all: list[Side] = []
#: How often ``close_all`` was called: a process that died because of it is not replaced.
_closings = 0


class SideDied(RuntimeError):
    """The process ended while it was working (crash, out of memory, killed)."""


class SideError(RuntimeError):
    """The function raised; the message is the last line of its traceback, ``details`` all of it."""

    def __init__(self, message: str, details: str, kind: str) -> None:
        super().__init__(message)
        self.details, self.kind = details, kind


class Side:
    """One persistent process."""

    def __init__(self) -> None:
        path = os.pathsep.join(p for p in sys.path if p)
        environment = os.environ | dict.fromkeys(_ONE_THREAD, "1") | {"PYTHONPATH": path}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "synthgait.simulate.workers", str(os.getpid())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
        )
        _all.append(self)

    def call(self, function: str, *arguments: Any) -> Any:
        """Run ``module:function`` there.

        Raises:
            SideDied, SideError.
        """
        assert self._process.stdin is not None and self._process.stdout is not None
        try:
            _send(self._process.stdin, (function, arguments))
            kind, *answer = _receive(self._process.stdout)
        except (EOFError, OSError) as error:
            self.close()
            raise SideDied(f"the worker process ended with code {self._process.returncode}") from error
        if kind == "":
            return answer[0]
        raise SideError(answer[0], answer[1], kind)

    @property
    def alive(self) -> bool:
        """Whether it can be called."""
        return self._process.poll() is None

    def close(self) -> None:
        """End it, working or not."""
        self._process.kill()
        self._process.wait()
        # another thread may just have done it
        with contextlib.suppress(ValueError):
            _all.remove(self)


@contextlib.contextmanager
def one_thread_for_children() -> Iterator[None]:
    """Processes started within use one thread for linear algebra (they read this when they load it)."""
    before = {name: os.environ.get(name) for name in _ONE_THREAD}
    os.environ.update(dict.fromkeys(_ONE_THREAD, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def call(side: str, function: str, *arguments: Any) -> Any:
    """Run ``module:function`` in this thread's own process of that name, started where there is none.

    A process that dies is replaced and asked once more, so that only a trial that kills its worker
    twice is lost. One that ``close_all`` ended meanwhile is not replaced.

    Raises:
        SideDied, SideError.
    """
    sides = _own.__dict__.setdefault("sides", {})
    closings = _closings
    for attempt in (1, 2):
        if side not in sides or not sides[side].alive:
            sides[side] = Side()
            if closings != _closings:
                # started too late for close_all to have seen it
                sides[side].close()
        try:
            return sides[side].call(function, *arguments)
        except SideDied:
            if attempt == 2 or closings != _closings:
                raise
    raise AssertionError("not reached")


def close_all() -> None:
    """End every process that this one started, and with SideDied the calls that wait for them."""
    global _closings
    _closings += 1
    for side in list(_all):
        side.close()


def _send(stream: IO, message: Any) -> None:
    block = pickle.dumps(message, protocol=5)
    stream.write(_LENGTH.pack(len(block)) + block)
    stream.flush()


def _receive(stream: IO) -> Any:
    head = stream.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        raise EOFError
    (length,) = _LENGTH.unpack(head)
    block = stream.read(length)
    if len(block) < length:
        raise EOFError
    return pickle.loads(block)


def _die_with_parent(parent: int) -> None:
    """On Linux the kernel kills this process when its parent ends, even in the middle of a solve;
    elsewhere it ends when its input does."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit()


def _serve(parent: int) -> None:
    _die_with_parent(parent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Libraries print to file 1; answers go through a copy of it that nobody else knows.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    questions = sys.stdin.buffer
    while True:
        try:
            function, arguments = _receive(questions)
        except EOFError:
            return
        try:
            module, name = function.split(":")
            answer: tuple[Any, ...] = ("", getattr(importlib.import_module(module), name)(*arguments))
        except Exception as error:
            text = " ".join(str(error).split()) or "no message"
            answer = (type(error).__name__, text, traceback.format_exc())
        _send(answers, answer)


if __name__ == "__main__":
    _serve(int(sys.argv[1]))
