"""Signals as HDF5 chunks of one trial each: packed and checked outside HDF5, which would take three times as long.

In: float32 values (trials, samples, channels). Out: the blocks that HDF5's own filters shuffle, gzip and Fletcher-32
would write, up to how tightly they are packed: any HDF5 library reads them. Datasets of an open file are checked chunk by chunk.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from isal import isal_zlib

from synthgait.errors import InputError

#: Ones and a countdown: sums and weighted sums of as many words, exact as sums of whole numbers under 2**53 are.
_SUMS = np.stack([np.ones(2**14), np.arange(2**14, 0, -1.0)], axis=1)
_LEVEL = 1  # of 0 to 3; packs these signals as tightly as zlib's 1 in a third of its time
#: Blocks of fewer bytes are packed at level 0, in a fifth of the time: most of it would be setting up. Files grow by a tenth.
_SMALL = 4096
#: Rows of a signal that is not packed like ours that are unpacked at a time.
_SLAB_ROWS = 1024
#: Numbers of HDF5's filters (H5Zpublic.h).
_SHUFFLE, _FLETCHER32 = 2, 3


def packed(values: np.ndarray) -> Iterator[bytes]:
    """The block of each trial of values (n, T, C)."""
    numbers = np.ascontiguousarray(values, "<f4").reshape(len(values), -1)
    # shuffle: all first bytes of the numbers, then all second ones, ...
    planes = np.ascontiguousarray(numbers.view(np.uint8).reshape(*numbers.shape, 4).swapaxes(1, 2))
    for plane in planes:
        block = isal_zlib.compress(plane, _LEVEL if plane.size >= _SMALL else 0)
        yield block + fletcher32(block).to_bytes(4, "little")


def is_whole(block: bytes) -> bool:
    """Whether a block agrees with its checksum, which costs a third of unpacking it."""
    return fletcher32(block[:-4]) == int.from_bytes(block[-4:], "little")


def fletcher32(block: bytes) -> int:
    """HDF5's Fletcher-32 checksum: sums modulo 65535 of big-endian 16-bit words (H5checksum.c), where a sum
    that is a multiple of 65535 but not 0 counts as 65535.
    """
    words = np.frombuffer(block + b"\0" * (len(block) % 2), ">u2")
    plain = weighted = 0
    for start in range(0, len(words), len(_SUMS)):
        part = words[start : start + len(_SUMS)]
        total, counted = (int(value) for value in part.astype(float) @ _SUMS[-len(part) :])
        weighted += counted + total * (len(words) - start - len(part))
        plain += total
    low, high = ((value - 1) % 65535 + 1 if value else 0 for value in (plain, weighted))
    return high << 16 | low


def read_column(column: Any, name: str) -> np.ndarray:
    """The values of a column (an ``h5py.Dataset``), if it has as many chunks as its rows ask for, each where it belongs: of one that is
    not there HDF5 makes zeros without a word, as many as a damaged length says.

    Raises InputError, or what h5py raises of a damaged file.
    """
    if column.chunks is not None:
        starts = range(0, column.shape[0], column.chunks[0])
        missing = column.id.get_num_chunks() != len(starts) or any(column.id.read_direct_chunk((start,))[0] for start in starts)
        if missing or _shuffled_otherwise(column):
            raise InputError(f"{name} is damaged; copy or make the file again")
    return column[...]


def check_signal(array: Any, name: str) -> None:
    """Compare the checksum of every chunk of a signal (an ``h5py.Dataset``) as it lies in the file; unpack what is stored in
    another way. Raises as ``read_column``.
    """
    if _shuffled_otherwise(array):
        raise InputError(f"{name} is damaged; copy or make the file again")
    array[:1]  # whether HDF5 can unpack it
    filters = array.id.get_create_plist()
    last = filters.get_nfilters() - 1
    if last < 0 or filters.get_filter(last)[0] != _FLETCHER32 or array.chunks != (1, *array.shape[1:]):
        for start in range(0, len(array), _SLAB_ROWS):
            array[start : start + _SLAB_ROWS]
        return
    for row in range(len(array)):
        skipped, block = array.id.read_direct_chunk((row, 0, 0))
        if skipped or not is_whole(block):
            raise InputError(f"{name} is damaged in trial {row}; copy or make the file again")


def _shuffled_otherwise(dataset: Any) -> bool:
    """Whether the bytes are shuffled as those of numbers of another size, which no checksum tells."""
    shuffle = dataset.id.get_create_plist().get_filter_by_id(_SHUFFLE)
    return shuffle is not None and tuple(shuffle[1]) != (dataset.dtype.itemsize,)
