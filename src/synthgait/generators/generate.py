"""Any number of strides to disk: streamed, interruptible, resumable, with flat memory.

In: a generator's folder, a request, a seed. Out: one HDF5 file (``out.h5``) or a folder of shards.

Strides depend on the model, the request, the seed and their number only (``base``), and a shard is
written whole or not at all (``storage``). So a run that was stopped goes on with the shards that are
missing, on however many workers, and ends with the bytes of an undisturbed run: every block is computed on one thread
(``base``), because sums of more threads end in other last bits.

Workers write a shard each as long as there is one for everybody. Of those that are left they compute the blocks, and this
process writes them.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections import Counter, deque
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import islice
from multiprocessing import get_context, parent_process
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
from tqdm import tqdm

from synthgait import __version__, bundled, storage
from synthgait.errors import InputError
from synthgait.generators.base import ATTEMPTS, BLOCK, GENERATOR_FORMAT, StrideGenerator, check_seed
from synthgait.generators.conditions import Value
from synthgait.generators.plausibility import reason
from synthgait.simulate.workers import one_thread_for_children
from synthgait.trials import Trials

try:
    import fcntl
except ImportError:  # there is none on Windows
    fcntl = None  # type: ignore[assignment]

#: Strides per shard: about 0.25 GB with all groups, and a whole number of blocks.
SHARD_STRIDES = 20 * BLOCK


@dataclass(frozen=True)
class _Request:
    """Everything that a shard depends on, besides its number."""

    synthgait_version: str
    generator_format: str
    model: str
    n: int
    seed: int
    shard_strides: int
    attempts: int
    max_residual: float | None
    max_residual_moment: float | None
    guidance_scale: float
    groups: tuple[str, ...] | None
    conditions: dict[str, Any]


def generate(
    model: str | Path | None,
    n: int,
    out: str | Path,
    *,
    seed: int = 0,
    workers: int = 1,
    shard_strides: int = SHARD_STRIDES,
    attempts: int = ATTEMPTS,
    max_residual: float | None = None,
    max_residual_moment: float | None = None,
    guidance_scale: float = 1.0,
    groups: tuple[str, ...] | None = None,
    progress: bool = True,
    **conditions: Value,
) -> dict[str, Any]:
    """Generate ``n`` strides into ``out``, or go on with what an interrupted run left.

    Args:
        model: a generator's folder; None is the one that comes with synthgait.
        out: ends with .h5: one file, its shards beside it in ``out.parts`` until they are packed;
            otherwise a folder of shards.
        seed: from 0 to 2**63 - 1.
        workers: processes; the bytes do not depend on them.
        shard_strides: strides per shard, a multiple of ``BLOCK``.
        groups: signal groups to write; None is all.
        attempts, max_residual, max_residual_moment, guidance_scale, conditions: as ``StrideGenerator.sample``.

    Returns ``n_strides, n_ok, n_drawn_again, n_rejected_draws, rejections`` (reason -> draws that broke this limit, of every
    attempt), ``messages`` (reason -> strides that were kept as implausible), ``files``. The table has ``rejected_message``
    (FORMAT.md) besides the columns of ``StrideGenerator.sample``.

    Raises:
        InputError: a bad request or model, or ``out`` holds another run or file or cannot be made.
    """
    if n < 1 or shard_strides < BLOCK or shard_strides % BLOCK:
        raise InputError(f"give at least 1 stride, and shards of a multiple of {BLOCK} strides ({n} and {shard_strides} were given)")
    if workers < 1:
        raise InputError(f"workers is {workers}; give at least 1")
    check_seed(seed)
    if not 0 <= guidance_scale < np.inf:
        raise InputError(f"guidance_scale is {guidance_scale}; give a number of at least 0, 1 for none")
    model = bundled.generator() if model is None else model
    generator = StrideGenerator.load(model)
    generator.limits.barred(max_residual, max_residual_moment)
    generator.space.draw(conditions, [np.random.default_rng(seed)])  # a request that cannot be met leaves nothing behind
    given = {name: list(v) if isinstance(v, tuple) else v for name, v in conditions.items() if v is not None}
    bars = max_residual, max_residual_moment
    identity = __version__, GENERATOR_FORMAT, fingerprint(model)
    request = _Request(*identity, n, seed, shard_strides, attempts, *bars, guidance_scale, groups, given)
    target = Path(out)
    single = target.suffix == ".h5"
    folder = target.with_name(target.name + ".parts") if single else target
    _claim(folder, target if single else None, request)
    with _alone(folder):
        missing = [shard for shard in range(-(-n // shard_strides)) if not _whole(folder / _name(shard))]
        made = n - sum(_size(request, shard) for shard in missing)
        with tqdm(total=n, initial=made, desc="generate", unit="stride", disable=not progress) as bar:
            for done in _write_all(generator, str(model), request, folder, missing, workers):
                bar.update(done)
        shards = [folder / _name(shard) for shard in range(-(-n // shard_strides))]
        summary = _summary(shards)
        if single:
            if len(shards) == 1:
                os.replace(shards[0], target)
            else:
                storage.pack(shards, target)
            shutil.rmtree(folder)
            shards = [target]
    return summary | {"files": [str(path) for path in shards]}


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Nobody else writes there meanwhile, where the system can tell; a killed process holds nothing."""
    with (folder / "request.json").open() as note:
        if fcntl is not None:
            try:
                fcntl.flock(note, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise InputError(f"another process is writing {folder}; wait for it or give another name") from None
        yield


def fingerprint(model: str | Path) -> str:
    """SHA-256 over the files of a generator's folder that its strides depend on."""
    digest = hashlib.sha256()
    folder = Path(model)
    for path in sorted(p for p in folder.rglob("*") if p.suffix in (".json", ".csv", ".safetensors")):
        if path.name != "history.csv":
            digest.update(str(path.relative_to(folder)).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def _name(shard: int) -> str:
    return f"strides-{shard:06d}.h5"


def _size(request: _Request, shard: int) -> int:
    return min(request.n - shard * request.shard_strides, request.shard_strides)


def _claim(folder: Path, target: Path | None, request: _Request) -> None:
    if target is not None and target.exists():
        raise InputError(f"{target} exists; remove it or give another name")
    _make(folder)
    stated = json.dumps(asdict(request), indent=1, sort_keys=True) + "\n"
    note = folder / "request.json"
    if note.is_file():
        if note.read_text() != stated:
            raise InputError(f"{folder} holds a run of another request, model or version of synthgait; remove it or give another name")
        return
    if any(folder.iterdir()):
        raise InputError(f"{folder} is not empty and no run of ours; give another name")
    partial = note.with_suffix(".partial")
    partial.write_text(stated)
    os.replace(partial, note)


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise InputError(f"{folder} is a file; remove it, or give a folder or a name that ends with .h5") from None
    except OSError as error:
        raise InputError(f"the folder {folder} cannot be made ({error.strerror}); give another name") from None
    if not os.access(folder, os.W_OK):
        raise InputError(f"nothing can be written into {folder}; give another name")


def _whole(path: Path) -> bool:
    if not path.is_file():
        return False
    try:
        storage.check(path)
    except InputError:
        path.unlink()
        return False
    return True


def _write_all(generator: StrideGenerator, model: str, request: _Request, folder: Path, shards: list[int], workers: int) -> Iterator[int]:
    """Write shards, telling how many strides each step added."""
    parts = [(shard, first) for shard in shards for first in range(0, _size(request, shard), BLOCK)]
    workers = min(workers, len(parts))
    if workers <= 1:
        for shard in shards:
            yield from _write(request, folder, shard, _strides(generator, request, shard))
        return
    apart = len(shards) - len(shards) % workers
    pool = ProcessPoolExecutor(workers, get_context("spawn"), _start_worker, (model, request, str(folder)))
    try:
        with one_thread_for_children():  # one process per core: threads of linear algebra would only wait for each other
            for future in as_completed([pool.submit(_write_in_worker, shard) for shard in shards[:apart]]):
                yield future.result()
            shared = _in_order(pool, [part for part in parts if part[0] in shards[apart:]], workers + 2)
            for shard in shards[apart:]:
                yield from _write(request, folder, shard, islice(shared, -(-_size(request, shard) // BLOCK)))
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _in_order(pool: ProcessPoolExecutor, parts: list[tuple[int, int]], ahead: int) -> Iterator[Trials]:
    """Blocks that workers compute; never more than ``ahead`` of them are under way or waiting, so that memory stays flat."""
    waiting: deque[Future[Trials]] = deque()
    for part in parts:
        waiting.append(pool.submit(_draw_in_worker, *part))
        if len(waiting) == ahead:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


def _write(request: _Request, folder: Path, shard: int, blocks: Iterator[Trials]) -> Iterator[int]:
    """Write one shard, telling how many strides each of its blocks has."""
    provenance = {"config": json.dumps(asdict(request), sort_keys=True)}
    path, count = folder / _name(shard), _size(request, shard)
    with storage.writer(path, kind="synthetic", groups=request.groups, provenance=provenance, expected_rows=count) as file:
        for strides in blocks:
            file.append(strides)
            yield len(strides)


def _strides(generator: StrideGenerator, request: _Request, shard: int, start: int = 0, count: int | None = None) -> Iterator[Trials]:
    """Blocks of a shard, from its stride ``start`` on."""
    count = _size(request, shard) - start if count is None else count
    conditions: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in request.conditions.items()}
    yield from generator.sample_blocks(
        shard * request.shard_strides + start,
        count,
        seed=request.seed,
        attempts=request.attempts,
        max_residual=request.max_residual,
        max_residual_moment=request.max_residual_moment,
        guidance_scale=request.guidance_scale,
        **conditions,
    )


_worker: tuple[StrideGenerator, _Request, Path] | None = None


def _start_worker(model: str, request: _Request, folder: str) -> None:
    global _worker
    # workers of a pool whose parent was killed would wait for work for ever
    Thread(target=_end_with, args=(parent_process(),), daemon=True).start()
    _worker = StrideGenerator.load(model), request, Path(folder)


def _end_with(parent: Any) -> None:
    if parent is not None:
        parent.join()
        os._exit(1)


def _write_in_worker(shard: int) -> int:
    assert _worker is not None
    generator, request, folder = _worker
    return sum(_write(request, folder, shard, _strides(generator, request, shard)))


def _draw_in_worker(shard: int, start: int) -> Trials:
    assert _worker is not None
    generator, request, _ = _worker
    return next(_strides(generator, request, shard, start, min(BLOCK, _size(request, shard) - start)))


def _summary(shards: list[Path]) -> dict[str, Any]:
    n = ok = again = attempts = 0
    messages: Counter[str] = Counter()
    rejections: Counter[str] = Counter()
    for path in shards:
        table = storage.read(path, groups=[]).table
        n += len(table)
        ok += int((table["status"] == "ok").sum())
        again += int((table["attempts"] > 1).sum())
        attempts += int(table["attempts"].sum())
        messages.update(reason(text) for text in table["status_message"] if text)
        for text in table["rejected_message"]:
            for count, why in re.findall(r"(\d+) x ([^;]+)", text):
                rejections[why] += int(count)
    told = {"n_strides": n, "n_ok": ok, "n_drawn_again": again, "n_rejected_draws": attempts - ok}
    return told | {"rejections": dict(sorted(rejections.items())), "messages": dict(messages)}
