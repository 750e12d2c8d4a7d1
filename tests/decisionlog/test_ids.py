"""Decision ids: well-formed, sorted by time whatever the clock does, carrying their entropy."""

from threading import Thread
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from decisionlog import ids
from decisionlog.errors import MalformedDecisionId
from decisionlog.ids import DecisionIds

clock_readings = st.lists(st.integers(0, 2**48 - 2), min_size=1, max_size=50)
entropies = st.integers(0, 2**62 - 1)


class FakeRandom:
    """Gives always the same bits."""

    def __init__(self, bit: int) -> None:
        self.bit = bit

    def __call__(self, bits: int) -> int:  # noqa: D102 - as `secrets.randbits`
        return self.bit * ((1 << bits) - 1)


@given(clock_readings, st.sampled_from([0, 1]))
def test_ids_rise_whatever_the_clock_does(readings: list[int], bit: int) -> None:
    """Each id is larger than the one before, also when the clock steps back or stands still."""
    source = DecisionIds(iter(readings).__next__, FakeRandom(bit))
    made = [source.new() for _ in readings]
    assert made == sorted(set(made))


def test_ids_rise_past_a_full_millisecond() -> None:
    """More ids than the counter can hold run ahead of the clock and stay in order."""
    source = DecisionIds(lambda: 1_000, FakeRandom(0))
    made = [source.new() for _ in range(4096 + 1)]
    assert made == sorted(set(made))
    assert [ids.time_ms(made[i]) for i in (0, 4095, 4096)] == [1_000, 1_000, 1_001]


def test_a_millisecond_holds_at_least_2048_ids() -> None:
    """Even the highest random start of the counter leaves half of it."""
    source = DecisionIds(lambda: 1_000, FakeRandom(1))
    made = [source.new() for _ in range(2049)]
    assert ids.time_ms(made[-1]) == 1_000


def test_a_clock_an_hour_back_keeps_the_time_of_the_last_id() -> None:
    """After the clock was set back, ids go on from the last one, not from the clock."""
    readings = iter([7_200_000, 3_600_000, 7_200_001])
    source = DecisionIds(readings.__next__, FakeRandom(0))
    assert [ids.time_ms(source.new()) for _ in range(3)] == [7_200_000, 7_200_000, 7_200_001]


@given(st.integers(0, 2**48 - 1), entropies)
def test_an_id_is_a_uuid_of_version_7(time_ms: int, entropy: int) -> None:
    """The layout is RFC 9562's, and time and entropy can be read back."""
    made = DecisionIds(lambda: time_ms).new(entropy)
    uuid = UUID(bytes=made)
    assert (uuid.version, uuid.variant) == (7, "specified in RFC 4122")
    assert ids.time_ms(made) == time_ms
    assert ids.entropy(made) == entropy


@pytest.mark.parametrize("entropy", [-1, 2**62])
def test_entropy_of_another_size_is_refused(entropy: int) -> None:
    """Entropy that would spill into the variant is an error."""
    with pytest.raises(ValueError, match="62 bits"):
        DecisionIds(lambda: 0).new(entropy)


def test_entropy_is_drawn_anew_without_a_request_id() -> None:
    """Without given entropy the injected source is asked for 62 bits."""
    assert ids.entropy(DecisionIds(lambda: 0, FakeRandom(1)).new()) == 2**62 - 1


@given(st.integers(0, 2**48 - 1), entropies)
def test_text_round_trip(time_ms: int, entropy: int) -> None:
    """The text is the canonical one of a UUID and is read back in either case."""
    made = DecisionIds(lambda: time_ms).new(entropy)
    text = ids.to_text(made)
    assert text == str(UUID(bytes=made))
    assert ids.from_text(text) == ids.from_text(text.upper()) == made


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0199a1b2c3d47e5f8123456789abcdef",
        "{0199a1b2-c3d4-7e5f-8123-456789abcdef}",
        "0199a1b2-c3d4-7e5f-8123-456789abcdef\n",
        "0199a1b2-c3d4-4e5f-8123-456789abcdef",
        "0199a1b2-c3d4-7e5f-c123-456789abcdef",
        "0199a1b2-c3d4-7e5f-8123-456789abcde\u0663",
        "x" * 1_000_000,
    ],
)
def test_other_texts_are_refused(text: str) -> None:
    """Other texts than the canonical one of a version 7 are refused, and not shown in full."""
    with pytest.raises(MalformedDecisionId) as caught:
        ids.from_text(text)
    assert caught.value.text == text
    assert len(str(caught.value)) < 200


def test_threads_never_share_an_id() -> None:
    """Threads that ask at the same time get different ids."""
    source = DecisionIds(lambda: 0, FakeRandom(0))
    made: list[bytes] = []
    threads = [
        Thread(target=lambda: made.extend(source.new(0) for _ in range(2_000))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(made)) == len(made) == 8_000


@given(st.integers(1, 2**48 - 1), entropies)
def test_lower_bound_separates_times(time_ms: int, entropy: int) -> None:
    """No id of a time is below its bound, every id of the millisecond before is."""
    bound = ids.lower_bound(time_ms)
    assert DecisionIds(lambda: time_ms - 1).new(entropy) < bound
    assert bound <= DecisionIds(lambda: time_ms, FakeRandom(0)).new(0)
