"""What the table `meta` says of encryption: which key seals now, and which ones have sealed."""

from typing import Final

from decisionlog.drafts import Lookup, Transaction
from decisionlog.key_ring import KEY_ID_BYTES
from decisionlog.sealing import seal, unseal
from decisionlog.tables import Table

_KEYS: Final = b"record_keys"
"""Ids of all keys that rows may be sealed under, joined; the one that seals now is the last."""


def sealing_key(transaction: Lookup) -> bytes | None:
    """Return the id of the key that seals now, None if rows are stored in plain form."""
    return (record_keys(transaction) or (None,))[-1]


def is_encrypted(transaction: Lookup) -> bool:
    """Tell whether any row may be encrypted."""
    return transaction.get(Table.META, _KEYS) is not None


def record_keys(transaction: Lookup) -> tuple[bytes, ...]:
    """Return the ids of all keys that rows may be sealed under; the last one seals now.

    Raises:
        DamagedRecord: It is not what was written.
    """
    value = transaction.get(Table.META, _KEYS)
    joined = b"" if value is None else unseal(Table.META, _KEYS, value)
    return tuple(joined[at : at + KEY_ID_BYTES] for at in range(0, len(joined), KEY_ID_BYTES))


def seal_under(transaction: Transaction, key_id: bytes) -> None:
    """Let a key seal from the next transaction on."""
    others = [each for each in record_keys(transaction) if each != key_id]
    transaction.put(Table.META, _KEYS, seal(b"".join([*others, key_id])))


def forget_others(transaction: Transaction) -> None:
    """Note that no row is sealed but under the key that seals now."""
    transaction.put(Table.META, _KEYS, seal(record_keys(transaction)[-1]))
