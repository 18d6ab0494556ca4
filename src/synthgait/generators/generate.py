"""Any number of strides to disk: streamed, interruptible, resumable, with flat memory.

In: a generator's folder, a request, a seed. Out: one HDF5 file (``out.h5``) or a folder of shards.

Strides depend on the model, the request, the seed and their number only (``base``), and a shard is
written whole or not at all (``storage``). So a run that was stopped goes on with the shards that are
missing, on however many workers, and ends with the bytes of an undisturbed run.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from tqdm import tqdm

from synthgait import bundled, storage
from synthgait.errors import InputError
from synthgait.generators.base import ATTEMPTS, BLOCK, StrideGenerator
from synthgait.generators.conditions import Value
from synthgait.simulate.workers import one_thread_for_children

#: Strides per shard: about 0.25 GB with all groups, and a whole number of blocks.
SHARD_STRIDES = 20 * BLOCK


@dataclass(frozen=True)
class _Request:
    """Everything that a shard depends on, besides its number."""

    model: str
    n: int
    seed: int
    shard_strides: int
    attempts: int
    max_residual: float | None
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
        workers: processes.
        shard_strides: strides per shard, a multiple of ``BLOCK``.
        groups: signal groups to write; None is all.
        attempts, max_residual, guidance_scale, conditions: as ``StrideGenerator.sample``.

    Returns ``n_strides, n_ok, n_drawn_again, messages`` (reason -> count), ``files``.

    Raises:
        InputError: a bad request or model, or ``out`` holds another run or file.
    """
    if n < 1 or shard_strides < BLOCK or shard_strides % BLOCK:
        raise InputError(f"give at least 1 stride, and shards of a multiple of {BLOCK} strides ({n} and {shard_strides} were given)")
    model = bundled.generator() if model is None else model
    generator = StrideGenerator.load(model)
    generator.space.check_request(conditions)
    given = {name: list(v) if isinstance(v, tuple) else v for name, v in conditions.items() if v is not None}
    request = _Request(fingerprint(model), n, seed, shard_strides, attempts, max_residual, guidance_scale, groups, given)
    target = Path(out)
    single = target.suffix == ".h5"
    folder = target.with_name(target.name + ".parts") if single else target
    _claim(folder, target if single else None, request)
    missing = [shard for shard in range(-(-n // shard_strides)) if not _whole(folder / _name(shard))]
    with tqdm(total=n, initial=n - sum(_size(request, s) for s in missing), desc="generate", unit="stride", disable=not progress) as bar:
        for done in _write_all(str(model), request, folder, missing, workers):
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
    stated = json.dumps(asdict(request), indent=1, sort_keys=True) + "\n"
    note = folder / "request.json"
    if note.is_file():
        if note.read_text() != stated:
            raise InputError(f"{folder} holds a run of another request or model; remove it or give another name")
        return
    if folder.exists() and any(folder.iterdir()):
        raise InputError(f"{folder} is not empty and no run of ours; give another name")
    folder.mkdir(parents=True, exist_ok=True)
    partial = note.with_suffix(".partial")
    partial.write_text(stated)
    os.replace(partial, note)


def _whole(path: Path) -> bool:
    if not path.is_file():
        return False
    try:
        storage.check(path)
    except InputError:
        path.unlink()
        return False
    return True


def _write_all(model: str, request: _Request, folder: Path, shards: list[int], workers: int) -> Iterator[int]:
    if workers <= 1 or len(shards) <= 1:
        generator = StrideGenerator.load(model)
        for shard in shards:
            yield from _write(generator, request, folder, shard)
        return
    pool = ProcessPoolExecutor(min(workers, len(shards)), get_context("spawn"), _start_worker, (model,))
    try:
        with one_thread_for_children():  # one process per core: threads of linear algebra would only wait for each other
            running = {pool.submit(_write_in_worker, request, str(folder), shard) for shard in shards}
        while running:
            finished, running = wait(running, return_when=FIRST_COMPLETED)
            for future in finished:
                yield future.result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _write(generator: StrideGenerator, request: _Request, folder: Path, shard: int) -> Iterator[int]:
    """Write one shard, telling how many strides each step added."""
    first, count = shard * request.shard_strides, _size(request, shard)
    conditions = {name: tuple(v) if isinstance(v, list) else v for name, v in request.conditions.items()}
    blocks = generator.sample_blocks(
        first,
        count,
        seed=request.seed,
        attempts=request.attempts,
        max_residual=request.max_residual,
        guidance_scale=request.guidance_scale,
        **conditions,
    )
    provenance = {"config": json.dumps(asdict(request), sort_keys=True)}
    with storage.writer(folder / _name(shard), kind="synthetic", groups=request.groups, provenance=provenance, expected_rows=count) as file:
        for strides in blocks:
            file.append(strides)
            yield len(strides)


_worker: StrideGenerator | None = None


def _start_worker(model: str) -> None:
    global _worker
    import torch

    torch.set_num_threads(1)
    _worker = StrideGenerator.load(model)


def _write_in_worker(request: _Request, folder: str, shard: int) -> int:
    assert _worker is not None
    return sum(_write(_worker, request, Path(folder), shard))


def _summary(shards: list[Path]) -> dict[str, Any]:
    n = ok = again = 0
    messages: Counter[str] = Counter()
    for path in shards:
        table = storage.read(path, groups=[]).table
        n += len(table)
        ok += int((table["status"] == "ok").sum())
        again += int((table["attempts"] > 1).sum())
        # the reason without its number, so that like goes with like
        messages.update(re.sub(r"\d+(\.\d+)?", "…", text) for text in table["status_message"] if text)
    return {"n_strides": n, "n_ok": ok, "n_drawn_again": again, "messages": dict(messages)}
