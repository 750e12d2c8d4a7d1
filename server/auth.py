"""Bearer tokens: who may call, if the operator gave a token file."""

import hashlib
import hmac
from collections.abc import Iterable
from pathlib import Path
from typing import Self

from server.refusals import TokenRequiredError
from server.serve_errors import InvalidSettingError

_BEARER = "Bearer "
_NAME_DIGITS = 8


class Tokens:
    """The tokens that callers may bring; none at all lets everyone in."""

    def __init__(self, tokens: Iterable[str] | None) -> None:
        """Takes the tokens.

        Args:
            tokens: None lets everyone in, no tokens lets nobody in.
        """
        self._tokens = None if tokens is None else [token.encode() for token in tokens]

    @classmethod
    def load(cls, path: Path | None) -> Self:
        """Reads a file with a token on each line; None lets everyone in.

        Raises:
            InvalidSettingError: if the file cannot be read or has no token.
        """
        if path is None:
            return cls(None)
        try:
            tokens = path.read_text(encoding="utf-8").split()
        except (OSError, UnicodeDecodeError) as error:
            raise InvalidSettingError("token_file", f"cannot be read: {error}") from None
        if not tokens:
            raise InvalidSettingError("token_file", "has no token; write one on each line")
        return cls(tokens)

    def check(self, metadata: Iterable[tuple[str, str | bytes]] | None) -> None:
        """Lets a call with a valid token pass.

        Raises:
            TokenRequiredError: if it has none.
        """
        if self._tokens is None:
            return
        given = _given(metadata)
        if not (given.startswith(_BEARER) and self._knows(given)):
            raise TokenRequiredError

    def name(self, metadata: Iterable[tuple[str, str | bytes]] | None) -> str | None:
        """What a caller's token is called in the audit trail; None if none is needed.

        Returns:
            "token" and the first 8 hexadecimal digits of the token's SHA-256.
        """
        if self._tokens is None:
            return None
        token = _given(metadata).removeprefix(_BEARER).encode()
        return f"token {hashlib.sha256(token).hexdigest()[:_NAME_DIGITS]}"

    def _knows(self, given: str) -> bool:
        # All are compared, each in constant time: how long it takes tells nothing.
        token = given.removeprefix(_BEARER).encode()
        equal = [hmac.compare_digest(token, known) for known in self._tokens or ()]
        return any(equal)


def _given(metadata: Iterable[tuple[str, str | bytes]] | None) -> str:
    given = dict(metadata or ()).get("authorization", "")
    return given if isinstance(given, str) else ""
