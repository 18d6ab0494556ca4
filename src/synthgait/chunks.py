"""Signals as chunks of one trial each: packed and checked outside HDF5, which would take three times as long.

In: an h5py dataset of float32 (trials, samples, channels) with shuffle, gzip and Fletcher-32, one trial per chunk. Out: the
same file as HDF5's own filters write, byte for byte in all but how well it is packed: any HDF5 library reads it.
"""

from __future__ import annotations

import h5py
import numpy as np
from isal import isal_zlib

from synthgait.errors import InputError

_COUNTDOWN = np.arange(2**14, 0, -1, dtype=float)
_LEVEL = 1  # of 0 to 3; packs these signals as tightly as zlib's 1 in a third of its time


def write_rows(dataset: h5py.Dataset, first: int, values: np.ndarray) -> None:
    """Put values (n, T, C) into rows ``first`` to ``first + n`` of a dataset that has them."""
    blocks = np.ascontiguousarray(values, "<f4").reshape(len(values), -1)
    # shuffle: all first bytes of the numbers, then all second ones, ...
    planes = np.ascontiguousarray(blocks.view(np.uint8).reshape(*blocks.shape, 4).swapaxes(1, 2))
    for row, plane in enumerate(planes, first):
        packed = isal_zlib.compress(plane, _LEVEL)
        dataset.id.write_direct_chunk((row, 0, 0), packed + fletcher32(packed).to_bytes(4, "little"))


def check(dataset: h5py.Dataset, name: str) -> bool:
    """Compare every chunk's checksum as it lies in the file, which costs a third of unpacking it. False where the chunks
    are not those that ``write_rows`` writes. Raises InputError where one is damaged.
    """
    filters = dataset.id.get_create_plist()
    last = filters.get_nfilters() - 1
    if last < 0 or filters.get_filter(last)[0] != h5py.h5z.FILTER_FLETCHER32 or dataset.chunks != (1, *dataset.shape[1:]):
        return False
    for row in range(len(dataset)):
        skipped, chunk = dataset.id.read_direct_chunk((row, 0, 0))
        if skipped or fletcher32(chunk[:-4]) != int.from_bytes(chunk[-4:], "little"):
            raise InputError(f"{name} is damaged in trial {row}; copy or make the file again")
    return True


def fletcher32(block: bytes) -> int:
    """HDF5's Fletcher-32 checksum: sums modulo 65535 of big-endian 16-bit words (H5checksum.c), where a sum
    that is a multiple of 65535 but not 0 counts as 65535.
    """
    words = np.frombuffer(block + b"\0" * (len(block) % 2), ">u2")
    plain = weighted = 0
    for start in range(0, len(words), len(_COUNTDOWN)):
        part = words[start : start + len(_COUNTDOWN)].astype(float)  # sums of whole numbers under 2**53 are exact
        total = int(part.sum())
        weighted += int(part @ _COUNTDOWN[-len(part) :]) + total * (len(words) - start - len(part))
        plain += total
    low, high = ((value - 1) % 65535 + 1 if value else 0 for value in (plain, weighted))
    return high << 16 | low
