"""The secret under which subjects and request ids are stored, kept in a file outside the log."""

import hmac
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from decisionlog import key_files
from decisionlog.ids import ENTROPY_BITS
from decisionlog.key_files import SECRET_BYTES

PSEUDONYM_BYTES: Final = 16
REQUEST_KEY_BYTES: Final = 16
REQUEST_DIGEST_BYTES: Final = 16
FINGERPRINT_BYTES: Final = 16


class Keys:
    """Keyed hashes for one log.

    Every purpose has a subkey of its own (HKDF-SHA-256, RFC 5869), so that no hash can be
    compared with one made for something else.
    """

    def __init__(self, secret: bytes) -> None:
        if len(secret) != SECRET_BYTES:
            raise ValueError(f"a secret has {SECRET_BYTES} bytes")
        self._subject = subkey(secret, "subject", SECRET_BYTES)
        self._request_key = subkey(secret, "request key", SECRET_BYTES)
        self._request_entropy = subkey(secret, "request entropy", SECRET_BYTES)
        self._request_digest = subkey(secret, "request digest", SECRET_BYTES)
        self.fingerprint = subkey(secret, "fingerprint", FINGERPRINT_BYTES)
        """16 bytes that name the secret without telling it; the log keeps them."""

    def __repr__(self) -> str:
        return f"Keys(fingerprint={self.fingerprint.hex()})"

    def pseudonym(self, subject_id: str) -> bytes:
        """Return what is stored in a subject's place.

        Returns:
            HMAC-SHA-256 of the id, its first 16 bytes.
        """
        return _hash(self._subject, subject_id)[:PSEUDONYM_BYTES]

    def request_key(self, request_id: str) -> bytes:
        """Return the key of a request in the table of requests, 16 bytes."""
        return _hash(self._request_key, request_id)[:REQUEST_KEY_BYTES]

    def request_digest(self, content: bytes) -> bytes:
        """Return what tells whether a request is the same as an earlier one, 16 bytes.

        Keyed as well: of a request all but the subject may be known, and guesses could be tried.
        """
        return hmac.digest(self._request_digest, content, "sha256")[:REQUEST_DIGEST_BYTES]

    def request_entropy(self, request_id: str) -> int:
        """Return the 62 bits from which a decision on this request draws.

        A repeated request draws the same, even if the first answer never reached the log.
        """
        return int.from_bytes(_hash(self._request_entropy, request_id)[:8], "big") >> (
            64 - ENTROPY_BITS
        )


def load_keys(
    path: Path,
    *,
    data_directory: Path,
    create: bool = False,
    random_bytes: Callable[[int], bytes] = os.urandom,
) -> Keys:
    """Read the key file.

    Args:
        path: A file of 64 hexadecimal digits that only its owner can read.
        data_directory: Where the log lies; the key must not, or a copy of the data would
            carry it along.
        create: Make the file with a new secret if there is none.
        random_bytes: Source of a new secret.

    Raises:
        KeyFileError: It is missing, malformed, inside the data directory, or open to others.
    """
    key_files.check_outside(path, data_directory)
    if create and not path.exists():
        key_files.create(path, [random_bytes(SECRET_BYTES)])
    secrets = key_files.read_secrets(path)
    if len(secrets) != 1:
        raise key_files.malformed(path)
    return Keys(secrets[0])


def subkey(secret: bytes, purpose: str, length_bytes: int) -> bytes:
    """Return a key for one purpose, by HKDF-SHA-256, RFC 5869."""
    info = f"sendwise decision log, {purpose}".encode()
    return HKDF(algorithm=SHA256(), length=length_bytes, salt=None, info=info).derive(secret)


def _hash(key: bytes, text: str) -> bytes:
    # Lone surrogates cannot be encoded strictly; every text must have a hash.
    return hmac.digest(key, text.encode("utf-8", "surrogatepass"), "sha256")
