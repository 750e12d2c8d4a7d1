"""Features become VW tokens: nothing from outside can forge, hide or merge anything."""

import math
from collections.abc import Iterator
from urllib.parse import unquote_to_bytes

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy.errors import RequestError
from policy.features import (
    CATEGORY_BYTES_MAX,
    FEATURES_MAX,
    NAME_BYTES_MAX,
    NUMBER_MAX,
    NUMBER_MIN,
    Features,
    FeatureValue,
    builtin_token,
    check_features,
    escape,
    feature_tokens,
    scaled,
    token_text,
)
from policy.vw import Regression

MEGABYTE = "x" * 1_000_000
# VW and its Python wrapper stop reading a number's digits too late to keep more than float32 has.
FLOAT32_RELATIVE = 2e-6
LOG_2 = 0.6931471824645996  # as a float32
CONSTANT = "\x80"  # VW's own namespace, with one feature that is always 1

HOSTILE = "|:=%# \t\n\r\0\x0b\x0c\x1c\x85\u2028\ufeff\u202e'\"\\{}[]^,;ab_.-+/@Aé٣🙂"
hostile_text = st.text(st.sampled_from(HOSTILE), min_size=1, max_size=12)
# What escapes are made of: a text may look like the escape of another.
pieces = st.sampled_from(["|", "%", "%7C", "%257C", "7C", "25", "=", "%3D", "a"])
escapes = st.lists(pieces, min_size=1, max_size=3).map("".join)
texts = st.one_of(hostile_text, escapes, st.text(min_size=1, max_size=12))
encodable = texts.filter(lambda text: text.encode(errors="ignore").decode() == text)
numbers = st.floats(-NUMBER_MAX, NUMBER_MAX)
values = st.one_of(encodable, st.booleans(), numbers, st.integers(-(10**9), 10**9))
features = st.dictionaries(encodable, values, max_size=8)


@pytest.fixture(scope="module")
def model() -> Iterator[Regression]:
    """A model to parse with."""
    model = Regression(0.2)
    yield model
    model.close()


def feature_text(found: Features) -> str:
    """Features as VW reads them."""
    return token_text(feature_tokens(found))


def meaning(value: FeatureValue) -> tuple[str, FeatureValue]:
    """What tells values apart: 1, True and "1" are three things, 1 and 1.0, 0.0 and 5e-324 one."""
    if isinstance(value, bool | str):
        return type(value).__name__, value
    return "number", scaled(value)


def meanings(found: Features) -> dict[str, tuple[str, FeatureValue]]:
    """The same for all features."""
    return {name: meaning(value) for name, value in found.items()}


def sizes(model: Regression, text: str) -> dict[str, int]:
    """The number of features in each namespace of the one example that VW reads in a text."""
    example = model._workspace.parse(text)
    assert not isinstance(example, list)
    spaces = [example.get_ns(index) for index in range(example.num_namespaces())]
    read = {space.ns: example.num_features_in(space) for space in spaces}
    model._workspace.predict(example)
    model._workspace.finish_example(example)
    read.pop(CONSTANT, None)
    return read


def number_read(model: Regression, number: float) -> float:
    """The number that VW reads; 0 if it leaves the feature out."""
    example = model._workspace.parse(f"|c {feature_text({'x': number})}")
    read = 0.0
    if example.num_namespaces() and example.get_ns(0).ns == "c":
        assert example.num_features_in(example.get_ns(0)) == 1
        read = float(example.feature_weight(example.get_ns(0), 0))
    model._workspace.predict(example)
    model._workspace.finish_example(example)
    return read


@given(texts, texts)
def test_escaping_is_injective(left: str, right: str) -> None:
    """Two texts have the same escape only if they are the same text."""
    assert (escape(left) == escape(right)) == (left == right)


@given(st.one_of(texts, st.text()))
def test_an_escape_can_be_read_back(text: str) -> None:
    """Undoing the escape gives the text again: no two texts, however strange, share one."""
    read = unquote_to_bytes(escape(text)).decode(errors="surrogatepass")
    assert read == text


@given(escapes, escapes)
def test_a_text_that_looks_like_an_escape_is_escaped_itself(left: str, right: str) -> None:
    """`%7C` as it was sent and `|` as it is escaped stay apart."""
    assert escape("%7C") != escape("|")
    assert (escape(left) == escape(right)) == (left == right)


@given(st.text(st.characters(min_codepoint=0xD800, max_codepoint=0xDFFF), max_size=3), texts)
def test_escaping_takes_any_text(surrogates: str, text: str) -> None:
    """A lone surrogate, which is no Unicode text, is escaped like everything else."""
    assert escape(surrogates + text).isascii()
    assert (escape(surrogates) == escape(text)) == (surrogates == text)


@given(texts)
def test_escaped_text_has_no_character_with_a_meaning(text: str) -> None:
    """Only printable ASCII is left, and none of what VW or the encoding gives a meaning to."""
    escaped = escape(text)
    assert escaped.isascii()
    assert escaped.isprintable()
    assert not set(escaped) & set("|:=# ")


@given(features, features)
def test_different_features_never_give_the_same_text(left: Features, right: Features) -> None:
    """Two sets of features have the same text only if they mean the same."""
    assert (feature_text(left) == feature_text(right)) == (meanings(left) == meanings(right))


@given(encodable, encodable, values, values)
def test_different_features_never_give_the_same_token(
    left: str, right: str, value: FeatureValue, other: FeatureValue
) -> None:
    """One token stands for one name and one meaning of its value."""
    same = left == right and meaning(value) == meaning(other)
    assert (feature_text({left: value}) == feature_text({right: other})) == same


@given(encodable, values, encodable, encodable)
def test_no_feature_gives_a_token_of_our_own(
    name: str, value: FeatureValue, ours: str, our_value: str
) -> None:
    """What comes from outside is never mistaken for an offer's name or a send window."""
    ((text, _),) = feature_tokens({name: value})
    assert text != builtin_token(ours, our_value)[0]


@given(features)
def test_no_feature_creates_an_example_a_namespace_or_another_feature(
    model: Regression, found: Features
) -> None:
    """VW reads one example, one namespace and one feature for each that is not 0."""
    read = sizes(model, f"|c {feature_text(found)} |o t")
    seen = [value for value in found.values() if not is_zero(value)]
    assert read == {"o": 1, **({"c": len(seen)} if seen else {})}


def is_zero(value: FeatureValue) -> bool:
    """Whether VW leaves the feature out: 0 has no effect in a linear model."""
    return not isinstance(value, bool | str) and abs(value) < NUMBER_MIN


@given(st.lists(hostile_text, min_size=1, max_size=5, unique=True))
def test_no_category_or_flag_creates_an_example(model: Regression, names: list[str]) -> None:
    """Features stay as many as there were, and stay on their side, whatever they hold."""
    found = feature_text({name: name for name in names} | {f"{name}!": True for name in names})
    assert sizes(model, f"|c {found} |o {found}") == dict.fromkeys("co", found.count(" ") + 1)
    assert found.count(" ") + 1 == len({*names, *(f"{name}!" for name in names)})


def as_counted(number: float) -> float:
    """What a number counts as, from the formula of the module's docstring."""
    return math.copysign(math.log1p(abs(number)), number)


@given(st.one_of(numbers, st.floats(-1.0, 1.0), st.floats(-1e-5, 1e-5)))
def test_vw_reads_the_logarithm_of_the_number(model: Regression, number: float) -> None:
    """Every notation, `1e-05` too, is read as it was meant, up to float32's digits."""
    if abs(number) < NUMBER_MIN:
        assert number_read(model, number) == 0.0
    else:
        assert number_read(model, number) == pytest.approx(as_counted(number), rel=FLOAT32_RELATIVE)


@pytest.mark.parametrize(
    "number", [5e-324, 2.2250738585072014e-308, 1.43e-212, 1e-300, 9.9e-7, -0.0, 0]
)
def test_a_number_that_is_too_small_is_zero(model: Regression, number: float) -> None:
    """VW, which reads some tiny numbers as infinite, gets to read 0."""
    assert number_read(model, number) == 0.0
    assert feature_text({"x": number}) == "nx:0.0"


@pytest.mark.parametrize("number", [1e-05, -1e-05, 1e9, -1e9, 1e-6, 123456789.12345678, 7, 1e5])
def test_vw_reads_notable_numbers(model: Regression, number: float) -> None:
    """Exponents, signs, many digits and whole numbers are all read as they are meant."""
    assert number_read(model, number) == pytest.approx(as_counted(number), rel=FLOAT32_RELATIVE)


@given(numbers, numbers)
def test_numbers_keep_their_order(left: float, right: float) -> None:
    """A larger number never counts for less, and signs stay."""
    assert (scaled(left) <= scaled(right)) or left > right
    assert scaled(-left) == -scaled(left)


@given(numbers)
def test_what_a_number_counts_as_is_a_float32(number: float) -> None:
    """Rounded once, so that Vowpal Wabbit and the blocks multiply with the same number."""
    assert float(np.float32(scaled(number))) == scaled(number)
    assert scaled(number) == pytest.approx(as_counted(number), rel=1e-7, abs=NUMBER_MIN)


def test_a_number_that_counts_one_need_not_be_written() -> None:
    """A token that counts once is its text alone, as VW reads it."""
    assert token_text([("nx", 1.0), ("ny", 2.0), ("tz", 1.0)]) == "nx ny:2.0 tz"
    assert token_text([]) == ""


def test_a_zero_has_no_sign() -> None:
    """-0.0 and 0.0 are the same number and the same text."""
    assert feature_text({"x": -0.0}) == feature_text({"x": 0.0}) == feature_text({"x": 0})


def test_a_whole_number_is_the_same_as_int_and_as_float() -> None:
    """1 from a file and 1.0 from the wire give the same text."""
    assert feature_text({"x": 1}) == feature_text({"x": 1.0}) == f"nx:{LOG_2}"


def test_numbers_of_numpy_are_written_like_our_own() -> None:
    """A float64 out of an array gives a number that VW can read, not `np.float64(0.5)`."""
    assert feature_text({"x": np.float64(1.0)}) == f"nx:{LOG_2}"


def test_the_order_of_features_does_not_matter() -> None:
    """The text is sorted by name."""
    found: Features = {"b": 1.0, "a": "x", "c": True}
    other: Features = {"c": True, "a": "x", "b": 1.0}
    assert feature_text(found) == feature_text(other) == f"ca=x nb:{LOG_2} tc"


@given(features)
def test_whatever_is_within_the_limits_is_accepted(found: Features) -> None:
    """Characters, signs and kinds are no reason to refuse."""
    check_features(found, "features")


AT_THE_LIMIT: list[Features] = [
    {"n" * NAME_BYTES_MAX: 1.0},
    {"é" * (NAME_BYTES_MAX // 2): 1.0},
    {"x": "c" * CATEGORY_BYTES_MAX},
    {"x": "é" * (CATEGORY_BYTES_MAX // 2)},
    {"x": NUMBER_MAX, "y": -NUMBER_MAX, "z": int(NUMBER_MAX)},
    {str(index): True for index in range(FEATURES_MAX)},
    {},
]

BEYOND: list[tuple[Features, str, str]] = [
    ({"n" * (NAME_BYTES_MAX + 1): 1.0}, "features name", "129 bytes"),
    ({"é" * (NAME_BYTES_MAX // 2 + 1): 1.0}, "features name", "130 bytes"),
    ({MEGABYTE: 1.0}, "features name", "1000000 bytes"),
    ({"": 1.0}, "features name", "empty"),
    ({"x": "c" * (CATEGORY_BYTES_MAX + 1)}, "features[x]", "257 bytes"),
    ({"x": MEGABYTE}, "features[x]", "1000000 bytes"),
    ({"x": ""}, "features[x]", "empty"),
    ({"x": math.nan}, "features[x]", "not finite"),
    ({"x": math.inf}, "features[x]", "not finite"),
    ({"x": -math.inf}, "features[x]", "not finite"),
    ({"x": np.float64("nan")}, "features[x]", "not finite"),
    ({"x": math.nextafter(NUMBER_MAX, math.inf)}, "features[x]", "beyond"),
    ({"x": -1e300}, "features[x]", "beyond"),
    ({"x": 10**400}, "features[x]", "beyond"),
    ({"x": -(10**400)}, "features[x]", "beyond"),
    ({str(index): True for index in range(FEATURES_MAX + 1)}, "features", "257 entries"),
    ({"x\ud800": 1.0}, "features name", "not Unicode text"),
    ({"x": "a\udc80b"}, "features[x]", "not Unicode text"),
]


@pytest.mark.parametrize("found", AT_THE_LIMIT)
def test_a_limit_itself_is_allowed(found: Features) -> None:
    """128 bytes of name, 256 of category, a thousand million and 256 features are fine."""
    check_features(found, "features")


@pytest.mark.parametrize(("found", "field", "problem"), BEYOND)
def test_what_is_beyond_a_limit_is_refused(found: Features, field: str, problem: str) -> None:
    """The error is INVALID_FIELD, names the feature and the limit, and stays short."""
    with pytest.raises(RequestError) as caught:
        check_features(found, "features")
    error = caught.value
    assert (error.reason, error.field) == ("INVALID_FIELD", field)
    assert problem in error.problem
    assert len(str(error)) < 400
    str(error).encode()


@given(st.dictionaries(texts, st.one_of(values, texts, st.floats(), st.integers()), max_size=4))
def test_whatever_passes_the_check_has_a_text(found: Features) -> None:
    """Features are either refused with a RequestError or become printable ASCII."""
    refused = None
    try:
        check_features(found, "features")
    except RequestError as error:
        refused = error
    if refused is None:
        assert feature_text(found).isascii()
    else:
        assert refused.reason == "INVALID_FIELD"
        assert len(str(refused)) < 500
