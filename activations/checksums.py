"""Checksums of blocks: damage is found by whoever reads the block, and nobody has to hash a whole shard for it."""

import numpy as np
import xxhash
from jaxtyping import UInt8
from numpy.typing import NDArray

BLOCK_BYTES = 2**16
"""Bytes under one checksum. Small enough that a lone row costs little, large enough to be hashed at memory speed."""
SUM_BYTES = 16


def n_blocks(n_bytes: int) -> int:
    """How many blocks so many bytes make; the last may be short."""
    return -(-n_bytes // BLOCK_BYTES)


def block_sum(data: memoryview, block: int) -> bytes:
    """XXH3-128 of one block. Made against accidents, not against forgers."""
    return xxhash.xxh3_128_digest(data[block * BLOCK_BYTES : (block + 1) * BLOCK_BYTES])


def block_sums(data: NDArray[np.uint8]) -> UInt8[np.ndarray, "block 16"]:
    """Checksums of all blocks of a flat array of bytes."""
    view = data.data
    sums = b"".join([block_sum(view, block) for block in range(n_blocks(len(data)))])
    return np.frombuffer(sums, dtype=np.uint8).reshape(-1, SUM_BYTES)


def as_bytes(array: NDArray[np.generic]) -> UInt8[np.ndarray, "byte"]:
    """The memory of a C-contiguous array, without a copy."""
    return array.reshape(-1).view(np.uint8)
