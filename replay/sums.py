"""Exact sums and sums of products of float64 columns: the order of the rows changes no digit.

A sum is held as one very long integer of 32-bit digits that covers all of float64 (Kulisch 2013,
"Computer Arithmetic and Validity", chapter 8), so that sums merge by addition. Rows are not added
to it one by one: within a block all values are cut at common bits, so that the upper parts add up
without rounding in float64, and the lower parts are cut again until nothing is left (Rump, Ogita
and Oishi 2008, "Accurate floating-point summation I", algorithm 3.3). A product is its float64
value and its rounding error (Dekker 1971).
"""

import math
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from policy.compiled import compiled
from replay.errors import MergeError

Floats = NDArray[np.float64]
Digits = NDArray[np.int64]
Term = tuple[int, int] | tuple[int, int, int]
"""What is summed: a column's index with `PLAIN`, or the indices of columns to be multiplied.
Products of
three are scaled by `CUBE_SCALE` and rounded before they are summed."""

PLAIN = -1
"""Stands for no second or third column."""

CUBE_SCALE = 2.0**-399
"""Factor of products of three columns, so that cubes of weighted rewards stay within float64."""
_CUBE_ROOT_SCALE = 2.0**-133

BLOCK_ROWS = 1024
"""Rows cut at a time; a power of two. Their scratch space stays in a core's nearest cache."""

_LANES = 8
"""Where the folding of a block ends."""
_ROOM_BITS = 11
"""Bits kept free above the largest value, so that adding a whole block cannot round."""
_CUT_BITS = 53 - _ROOM_BITS
"""Bits by which a cut leaves values smaller than they were."""
_LARGEST = 2.0**1000
"""Beyond this the room is missing; infinities and NaN are never below it."""
_SPLITTER = 2.0**27 + 1.0
"""Veltkamp's constant: halves the 53 bits of a float64."""
_POINT = 1088
"""Bits of a long integer behind the point; float64 has 1074 of them."""
_DIGIT_BITS = 32
_DIGIT_MASK = 2**32 - 1
_DIGITS = 69
"""Digits of a long integer: up to 2**1000, times 2**87 values."""


class ExactSums:
    """Sums of columns and of products of columns, without any rounding.

    Products whose rounding error is below 1e-290 lose digits, the same ones in any order.
    """

    def __init__(self, terms: Sequence[Term]) -> None:
        self.terms = tuple(terms)
        padded = [(*term, PLAIN)[:3] for term in self.terms]
        self._indices = np.array(padded, dtype=np.int64).reshape(-1, 3)
        self.digits = np.zeros((len(self.terms), _DIGITS), dtype=np.int64)

    def add(self, columns: Floats) -> None:
        """Take in rows.

        Args:
            columns: Shape (k, n), below 2**1000 in magnitude, and so their products.

        Raises:
            OverflowError: A value is infinite, not a number, or too large.
        """
        digits = self.digits.copy()
        if not _add_rows(np.ascontiguousarray(columns), self._indices, digits):
            raise OverflowError("a value is infinite, not a number, or too large to be summed")
        self.digits = digits

    def merge(self, other: "ExactSums") -> None:
        """Take in the rows that another one has seen.

        Raises:
            MergeError: The other one sums other terms.
        """
        if other.terms != self.terms:
            raise MergeError(f"sums {self.terms}", f"sums {other.terms}")
        self.digits += other.digits
        _carry(self.digits)

    def total(self, index: int) -> Fraction:
        """The exact sum of a term."""
        digits = self.digits[index]
        lower = int.from_bytes(digits[:-1].astype("<u4").tobytes(), "little")
        whole = lower + (int(digits[-1]) << (_DIGIT_BITS * (_DIGITS - 1)))
        return Fraction(whole, 1 << _POINT)


def exact_sum(values: Floats) -> Fraction:
    """Sum without any rounding.

    Args:
        values: Any length, finite, below 2**1000 in magnitude.

    Raises:
        OverflowError: A value is infinite, not a number, or too large.
    """
    sums = ExactSums([(0, PLAIN)])
    sums.add(values[np.newaxis])
    return sums.total(0)


@compiled
def _add_rows(columns: Floats, terms: Digits, digits: Digits) -> bool:
    """Adds all rows to each term's digits; false if a value was too large."""
    rest, error, high = np.empty(BLOCK_ROWS), np.empty(BLOCK_ROWS), np.empty(BLOCK_ROWS)
    for start in range(0, columns.shape[1], BLOCK_ROWS):
        stop = min(start + BLOCK_ROWS, columns.shape[1])
        for term in range(terms.shape[0]):
            left, right = columns[terms[term, 0]][start:stop], columns[terms[term, 1]][start:stop]
            if terms[term, 1] == PLAIN:
                _fill(rest, left)
            elif terms[term, 2] != PLAIN:
                _multiply_three(left, right, columns[terms[term, 2]][start:stop], rest)
            else:
                _multiply(left, right, rest, error)
                if not _add_block(error, high, digits[term]):
                    return False
            if not _add_block(rest, high, digits[term]):
                return False
    _carry(digits)
    return True


@compiled
def _fill(rest: Floats, values: Floats) -> None:
    """Copies a block of values; missing rows are zero."""
    for row in range(values.size):
        rest[row] = values[row]
    for row in range(values.size, BLOCK_ROWS):
        rest[row] = 0.0


@compiled
def _multiply(left: Floats, right: Floats, product: Floats, error: Floats) -> None:
    """Products and their rounding errors: `product + error` is exact."""
    for row in range(left.size):
        one, other = left[row], right[row]
        scaled = one * _SPLITTER
        one_high = scaled - (scaled - one)
        one_low = one - one_high
        scaled = other * _SPLITTER
        other_high = scaled - (scaled - other)
        other_low = other - other_high
        rounded = one * other
        product[row] = rounded
        error[row] = (
            ((one_high * other_high - rounded) + one_high * other_low) + one_low * other_high
        ) + one_low * other_low
    for row in range(left.size, BLOCK_ROWS):
        product[row] = error[row] = 0.0


@compiled
def _multiply_three(first: Floats, second: Floats, third: Floats, product: Floats) -> None:
    """Scaled and rounded products of three."""
    for row in range(first.size):
        pair = (first[row] * _CUBE_ROOT_SCALE) * (second[row] * _CUBE_ROOT_SCALE)
        product[row] = pair * (third[row] * _CUBE_ROOT_SCALE)
    for row in range(first.size, BLOCK_ROWS):
        product[row] = 0.0


@compiled
def _add_block(rest: Floats, high: Floats, digits: Digits) -> bool:
    """Adds a block, which is left at zero; false if a value was too large or not a number."""
    largest = _largest(rest, high)
    if largest == 0.0:
        return _fold(rest) == 0.0  # not so if there is a NaN
    while largest > 0.0:
        if not largest <= _LARGEST:
            return False
        _, exponent = math.frexp(largest)
        _cut(rest, high, math.ldexp(1.0, exponent + _ROOM_BITS))
        upper = _fold(high)
        # The first cut says how large the rest can be: no need to look before the second.
        _cut(rest, high, math.ldexp(1.0, exponent + _ROOM_BITS - _CUT_BITS))
        lower = _fold(high)
        if math.isnan(upper):
            return False
        _deposit(upper, digits)
        _deposit(lower, digits)
        largest = _largest(rest, high)
    return True


@compiled
def _largest(values: Floats, folded: Floats) -> float:
    """Largest magnitude; NaN may be left out.

    A block is folded in halves: processors do many rows of such loops at a time.
    """
    half = BLOCK_ROWS // 2
    for row in range(half):
        one, other = abs(values[row]), abs(values[row + half])
        folded[row] = max(other, one)
    while half > _LANES:
        half //= 2
        for row in range(half):
            one, other = folded[row], folded[row + half]
            folded[row] = max(other, one)
    largest = 0.0
    for row in range(_LANES):
        largest = max(largest, folded[row])
    return largest


@compiled
def _cut(rest: Floats, high: Floats, anchor: float) -> None:
    """Moves what lies above the anchor's last bit from `rest` to `high`."""
    for row in range(BLOCK_ROWS):
        upper = (rest[row] + anchor) - anchor
        high[row] = upper
        rest[row] -= upper


@compiled
def _fold(values: Floats) -> float:
    """Sum of a block that was cut, which is overwritten. No addition rounds, in any order."""
    half = BLOCK_ROWS
    while half > _LANES:
        half //= 2
        for row in range(half):
            values[row] += values[row + half]
    total = 0.0
    for row in range(_LANES):
        total += values[row]
    return total


@compiled
def _deposit(value: float, digits: Digits) -> None:
    """Adds one number to a long integer, without carrying."""
    if value == 0.0:
        return
    mantissa, exponent = math.frexp(abs(value))
    whole = np.int64(math.ldexp(mantissa, 53))
    place = exponent - 53 + _POINT
    if place < 0:  # a number so small ends in zeros
        whole >>= -place
        place = 0
    digit, shift = place // _DIGIT_BITS, place % _DIGIT_BITS
    sign = 1 if value > 0 else -1
    low, high = (whole & _DIGIT_MASK) << shift, (whole >> _DIGIT_BITS) << shift
    digits[digit] += sign * (low & _DIGIT_MASK)
    digits[digit + 1] += sign * ((low >> _DIGIT_BITS) + (high & _DIGIT_MASK))
    digits[digit + 2] += sign * (high >> _DIGIT_BITS)


@compiled
def _carry(digits: Digits) -> None:
    """Brings every digit but the first back to 32 bits: one form for one sum, and no overflow."""
    for term in range(digits.shape[0]):
        carried = 0
        for place in range(digits.shape[1] - 1):
            value = digits[term, place] + carried
            carried = value >> _DIGIT_BITS
            digits[term, place] = value & _DIGIT_MASK
        digits[term, -1] += carried
