"""Which token positions of which rows: the left-hand side of everything that a store keeps."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int, UInt8

Entry = tuple[bytes, int]
"""SHA-256 of a row's token ids, and a token index in that row."""

HASH_BYTES = 32


def row_hash(ids: Sequence[int]) -> bytes:
    """Identity of a row: SHA-256 of its token ids as little-endian int32."""
    return hashlib.sha256(np.asarray(ids, dtype="<i4").tobytes()).digest()


@dataclass(frozen=True)
class Entries:
    """Entries in columns; rows that repeat stand once.

    Attributes:
        rows: hashes of the rows.
        row_of: per entry, which of ``rows``.
        token: per entry, the token index.
    """

    rows: UInt8[np.ndarray, "row 32"]
    row_of: Int[np.ndarray, "entry"]
    token: Int[np.ndarray, "entry"]

    def __len__(self) -> int:
        return len(self.token)

    @classmethod
    def of(cls, pairs: Sequence[Entry]) -> "Entries":
        """Columns of a list of pairs, in its order."""
        number: dict[bytes, int] = {}
        row_of = np.fromiter((number.setdefault(row, len(number)) for row, _ in pairs), "<u4", len(pairs))
        token = np.fromiter((token for _, token in pairs), "<i4", len(pairs))
        return cls(hashes(list(number)), row_of, token)

    def pairs(self) -> list[Entry]:
        """One pair per entry."""
        rows = [row.tobytes() for row in self.rows]
        return [(rows[row], token) for row, token in zip(self.row_of.tolist(), self.token.tolist(), strict=True)]

    def take(self, which: Int[np.ndarray, "some"]) -> "Entries":
        """Some of the entries, in the order given; rows that none of them needs are left out."""
        used, row_of = np.unique(self.row_of[which], return_inverse=True)
        return Entries(self.rows[used], row_of.astype("<u4"), self.token[which])


def hashes(rows: Sequence[bytes]) -> UInt8[np.ndarray, "row 32"]:
    """Row hashes as an array."""
    return np.frombuffer(b"".join(rows), dtype=np.uint8).reshape(-1, HASH_BYTES)
