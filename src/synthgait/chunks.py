"""Signals as HDF5 chunks of one trial each: packed and checked outside HDF5, which would take three times as long.

In: float32 values (trials, samples, channels). Out: the blocks that HDF5's own filters shuffle, gzip and Fletcher-32
would write, up to how tightly they are packed: any HDF5 library reads them.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from isal import isal_zlib

#: Ones and a countdown: sums and weighted sums of as many words, exact as sums of whole numbers under 2**53 are.
_SUMS = np.stack([np.ones(2**14), np.arange(2**14, 0, -1.0)], axis=1)
_LEVEL = 1  # of 0 to 3; packs these signals as tightly as zlib's 1 in a third of its time
#: Blocks of fewer bytes are packed at level 0, in a fifth of the time: most of it would be setting up. Files grow by a tenth.
_SMALL = 4096


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
