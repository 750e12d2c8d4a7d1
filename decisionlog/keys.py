"""The secret under which subjects and request ids are stored, kept in a file outside the log."""

import hmac
import os
import stat
from collections.abc import Callable
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Final

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from decisionlog.errors import KeyFileError
from decisionlog.ids import ENTROPY_BITS

SECRET_BYTES: Final = 32
PSEUDONYM_BYTES: Final = 16
REQUEST_KEY_BYTES: Final = 16
FINGERPRINT_BYTES: Final = 16

_MAX_FILE_BYTES: Final = 1024
_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO


class Keys:
    """Keyed hashes for one log.

    Every purpose has a subkey of its own (HKDF-SHA-256, RFC 5869), so that no hash can be
    compared with one made for something else.
    """

    def __init__(self, secret: bytes) -> None:
        if len(secret) != SECRET_BYTES:
            raise ValueError(f"a secret has {SECRET_BYTES} bytes")
        self._subject = _subkey(secret, "subject", SECRET_BYTES)
        self._request_key = _subkey(secret, "request key", SECRET_BYTES)
        self._request_entropy = _subkey(secret, "request entropy", SECRET_BYTES)
        self.fingerprint = _subkey(secret, "fingerprint", FINGERPRINT_BYTES)
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
    if path.resolve().is_relative_to(data_directory.resolve()):
        raise KeyFileError(path, f"keep it outside the data directory {data_directory}")
    if create and not path.exists():
        _create(path, random_bytes(SECRET_BYTES))
    return Keys(_secret(path, _read(path)))


def _subkey(secret: bytes, purpose: str, length_bytes: int) -> bytes:
    info = f"sendwise decision log, {purpose}".encode()
    return HKDF(algorithm=SHA256(), length=length_bytes, salt=None, info=info).derive(secret)


def _hash(key: bytes, text: str) -> bytes:
    # Lone surrogates cannot be encoded strictly; every text must have a hash.
    return hmac.digest(key, text.encode("utf-8", "surrogatepass"), "sha256")


def _create(path: Path, secret: bytes) -> None:
    """Make the file whole or not at all; one that another process made first stays."""
    try:
        # The temporary file is readable by its owner alone from the start.
        with NamedTemporaryFile("wb", dir=path.parent, prefix=f".{path.name}.") as file:
            file.write(secret.hex().encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
            Path(path).hardlink_to(file.name)
        _sync_directory(path.parent)
    except FileExistsError:
        return
    except OSError as error:
        raise KeyFileError(path, f"it cannot be made: {error.strerror}") from error


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            if not stat.S_ISREG(mode):
                raise KeyFileError(path, "it is not a file")
            if mode & _OTHERS:
                raise KeyFileError(path, "others can read or change it; run chmod 600 on it")
            return file.read(_MAX_FILE_BYTES)
    except FileNotFoundError as error:
        raise KeyFileError(path, "it is missing; restore it, or make one for a new log") from error
    except OSError as error:
        raise KeyFileError(path, f"it cannot be read: {error.strerror}") from error


def _secret(path: Path, content: bytes) -> bytes:
    try:
        secret = bytes.fromhex(content.decode("ascii").strip())
    except ValueError:
        secret = b""  # the cause is not chained: it would show parts of the content
    if len(secret) != SECRET_BYTES:
        raise KeyFileError(path, f"it must hold {2 * SECRET_BYTES} hexadecimal digits")
    return secret
