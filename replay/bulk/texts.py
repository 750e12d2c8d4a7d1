"""Numbers for the texts of a log: versions, offers, names of rewards."""

import numpy as np

from replay.bulk.kernels import Bytes, Ints
from replay.bulk.loops import number_texts


class Texts:
    """Gives each text a number, the same for all of a reading."""

    def __init__(self) -> None:
        self.all: list[str] = []
        """Texts by their numbers."""
        self._numbers: dict[str, int] = {}

    def number(self, text: str) -> int:
        """The number of a text; a new one if it has none."""
        found = self._numbers.setdefault(text, len(self.all))
        if found == len(self.all):
            self.all.append(text)
        return found

    def numbers(self, buffer: Bytes, starts: Ints, sizes: Ints) -> Ints:
        """The numbers of texts that stand in UTF-8 in a buffer.

        Raises:
            UnicodeDecodeError: one of them is none.
        """
        local = np.zeros(len(starts), np.int64)
        firsts = np.zeros(len(starts), np.int64)
        count = number_texts(buffer, starts, sizes, local, firsts)
        known = [
            self.number(buffer[starts[row] : starts[row] + sizes[row]].tobytes().decode())
            for row in firsts[:count]
        ]
        return np.array(known, np.int64)[local] if known else local
