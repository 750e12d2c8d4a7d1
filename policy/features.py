"""Turns features into Vowpal Wabbit text: the one place where they meet its syntax.

Every feature becomes one token. Its first letter tells its kind, and every character that means
something to VW or to this encoding is percent-encoded, so that two different features never become
the same token and no text can open a namespace or another example:

    category  c<name>=<value>
    flag      t<name> or f<name>
    number    n<name>:<sign(value) * log(1 + |value|)>, rounded to float32
    our own   _<name>=<value>
"""

import math
import re
import struct
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import NoReturn

from policy.errors import RequestError

FeatureValue = float | str | bool
Features = Mapping[str, FeatureValue]
Token = tuple[str, float]
"""Text of a feature, without spaces, and the number that it counts with."""
Tokens = tuple[Token, ...]

FEATURES_MAX = 256
NAME_BYTES_MAX = 128
CATEGORY_BYTES_MAX = 256
MESSAGE_CHARS_MAX = 256
# Three numbers are multiplied, and the product squared, in float32. Their logarithms stay far below
# its limits.
NUMBER_MAX = 1e9
# Smaller ones count as 0: VW's parser gets some tiny numbers wrong.
NUMBER_MIN = 1e-6

_FLOAT32 = struct.Struct("<f")
# Unicode spaces included: VW splits at ASCII ones only, but a reader of the text would be misled.
_UNSAFE = re.compile(r"[^\w.\-+/@]|[^\x21-\x7e]")


def check_features(features: Features, field: str) -> None:
    """Checks names, values and their number.

    Raises:
        RequestError: INVALID_FIELD, naming the feature.
    """
    if len(features) > FEATURES_MAX:
        _refuse(field, f"has {len(features)} entries; {FEATURES_MAX} is the most")
    for name, value in features.items():
        if problem := name_problem(name):
            _refuse(f"{field} name", problem)
        if problem := value_problem(value):
            _refuse(f"{field}[{name}]", problem)


def name_problem(name: str) -> str:
    """What is wrong with a feature's name; empty if nothing."""
    return _text_problem(name, NAME_BYTES_MAX)


def value_problem(value: FeatureValue) -> str:
    """What is wrong with a feature's value; empty if nothing."""
    if isinstance(value, str):
        return _text_problem(value, CATEGORY_BYTES_MAX)
    if isinstance(value, float) and not math.isfinite(value):
        return "is not finite; leave the feature out if it is not known"
    if abs(value) > NUMBER_MAX:
        return f"is beyond ±{NUMBER_MAX:.0e}; choose a larger unit"
    return ""


def feature_tokens(features: Features) -> Tokens:
    """The features as VW tokens, sorted by name."""
    return tuple([_token(name, value) for name, value in sorted(features.items())])


@lru_cache(maxsize=65_536)
def builtin_token(name: str, value: object) -> Token:
    """A feature of our own, such as an offer's name; no feature from outside becomes the same."""
    return f"_{name}={escape(str(value))}", 1.0


def token_text(tokens: Iterable[Token]) -> str:
    """Tokens as VW reads them, separated by single spaces; a number of 1 need not be written."""
    return " ".join([text if value == 1.0 else f"{text}:{value!r}" for text, value in tokens])


def _token(name: str, value: FeatureValue) -> Token:
    if isinstance(value, bool):
        return f"{'t' if value else 'f'}{escape(name)}", 1.0
    if isinstance(value, str):
        return _category(name, value), 1.0
    return _number(name), scaled(value)


# Kept whole, since texts that are one object are found again without being compared or hashed.
@lru_cache(maxsize=65_536)
def _category(name: str, value: str) -> str:
    return f"c{escape(name)}={escape(value)}"


@lru_cache(maxsize=65_536)
def _number(name: str) -> str:
    return f"n{escape(name)}"


def scaled(value: float) -> float:
    """A number as the model counts with it: sign(value) * log(1 + |value|), as a float32.

    Steps of the learner are not free of scale: money and counts have to be of a size with flags.
    """
    if abs(value) < NUMBER_MIN:
        return 0.0
    rounded: float = _FLOAT32.unpack(_FLOAT32.pack(math.copysign(math.log1p(abs(value)), value)))[0]
    return rounded


@lru_cache(maxsize=65_536)
def escape(text: str) -> str:
    """`text` with every character but a few plain ones percent-encoded, byte by byte in UTF-8.

    Total and injective over every `str`: lone surrogates, which have no UTF-8, are encoded in the
    same scheme. `check_features` refuses them all the same.
    """
    return _UNSAFE.sub(_percent, text)


def _percent(match: re.Match[str]) -> str:
    return "".join(f"%{byte:02X}" for byte in match[0].encode(errors="surrogatepass"))


def _text_problem(text: str, bytes_max: int) -> str:
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        return "is not Unicode text: it has a lone surrogate"
    if not size:
        return "is empty"
    return f"has {size} bytes; {bytes_max} is the most" if size > bytes_max else ""


def _refuse(field: str, problem: str) -> NoReturn:
    # A name may be a megabyte long: the message must not be.
    raise RequestError("INVALID_FIELD", field[:MESSAGE_CHARS_MAX], problem)
