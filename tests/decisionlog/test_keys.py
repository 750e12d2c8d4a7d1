"""The key file: made once, kept from others, and hashes that never change."""

import hmac
from pathlib import Path
from threading import Barrier, Thread

import pytest
from hypothesis import given
from hypothesis import strategies as st

from decisionlog.errors import KeyFileError
from decisionlog.keys import Keys, load_keys
from tests.decisionlog.samples import KEYS

any_text = st.text(max_size=50)  # lone surrogates too


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Return an empty data directory."""
    directory = tmp_path / "data"
    directory.mkdir()
    return directory


def write_key(path: Path, content: str = "ab" * 32, mode: int = 0o600) -> Path:
    """Write a key file."""
    path.write_text(content)
    path.chmod(mode)
    return path


def test_a_missing_file_is_made_when_asked(tmp_path: Path, data: Path) -> None:
    """The new file holds the secret in hexadecimal and only its owner can read it."""
    path = tmp_path / "key"
    made = load_keys(path, data_directory=data, create=True, random_bytes=lambda n: b"\xab" * n)
    assert path.read_text() == "ab" * 32 + "\n"
    assert path.stat().st_mode & 0o777 == 0o600
    assert load_keys(path, data_directory=data).fingerprint == made.fingerprint
    assert sorted(each.name for each in tmp_path.iterdir()) == ["data", "key"]


def test_an_existing_file_is_never_replaced(tmp_path: Path, data: Path) -> None:
    """Asking for a file that is there reads it."""
    path = write_key(tmp_path / "key")
    load_keys(path, data_directory=data, create=True)
    assert path.read_text() == "ab" * 32


def test_processes_that_begin_together_get_one_key(tmp_path: Path, data: Path) -> None:
    """Whoever comes second takes the first one's key."""
    barrier, fingerprints = Barrier(8), set()

    def start() -> None:
        barrier.wait()
        keys = load_keys(tmp_path / "key", data_directory=data, create=True)
        fingerprints.add(keys.fingerprint)

    threads = [Thread(target=start) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(fingerprints) == 1


def test_a_missing_file_is_an_error_unless_asked(tmp_path: Path, data: Path) -> None:
    """A lost key is not replaced by a new one behind the operator's back."""
    path = tmp_path / "key"
    with pytest.raises(KeyFileError, match="missing") as caught:
        load_keys(path, data_directory=data)
    assert caught.value.path == path
    assert not path.exists()


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o610, 0o777])
def test_a_file_open_to_others_is_refused(tmp_path: Path, data: Path, mode: int) -> None:
    """A key that others could read or change is refused, with the remedy."""
    path = write_key(tmp_path / "key", mode=mode)
    with pytest.raises(KeyFileError, match="chmod 600"):
        load_keys(path, data_directory=data)


@pytest.mark.parametrize(
    "content", ["", "ab" * 31, "ab" * 33, "zz" * 32, "ab" * 2000, "\u0661" * 64]
)
def test_a_malformed_file_is_refused_without_telling_it(
    tmp_path: Path, data: Path, content: str
) -> None:
    """The error names the file and the form, and neither it nor its causes show the content."""
    path = write_key(tmp_path / "key", content)
    with pytest.raises(KeyFileError, match="64 hexadecimal digits") as caught:
        load_keys(path, data_directory=data)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


def test_a_directory_is_no_key_file(tmp_path: Path, data: Path) -> None:
    """What cannot be read is refused with the system's reason."""
    with pytest.raises(KeyFileError, match="cannot be read: Is a directory"):
        load_keys(tmp_path, data_directory=data)


def test_a_place_that_does_not_exist_is_an_error(tmp_path: Path, data: Path) -> None:
    """A file that cannot be made is refused with the system's reason."""
    with pytest.raises(KeyFileError, match="cannot be made: No such file"):
        load_keys(tmp_path / "nowhere" / "key", data_directory=data, create=True)


@pytest.mark.parametrize("place", ["key", "log/key", "../data/key"])
def test_a_key_inside_the_data_is_refused(data: Path, place: str) -> None:
    """A copy of the data must not carry the key along."""
    with pytest.raises(KeyFileError, match="outside the data directory"):
        load_keys(data / place, data_directory=data, create=True)


def test_a_link_into_the_data_is_refused(tmp_path: Path, data: Path) -> None:
    """Where the file really lies is what counts."""
    (tmp_path / "key").symlink_to(write_key(data / "hidden"))
    with pytest.raises(KeyFileError, match="outside the data directory"):
        load_keys(tmp_path / "key", data_directory=data)


def test_hashes_never_change() -> None:
    """Logs of the first version can be used with the same key for ever."""
    assert KEYS.fingerprint.hex() == "0f27b492106208d00fbb3b3fad536493"
    assert KEYS.pseudonym("customer-1").hex() == "b1fb4a84f46fbcb77622d1e5e3fb3dbf"
    assert KEYS.request_key("spring-17").hex() == "3e516232bd4be77b14945b30780e577c"
    assert KEYS.request_entropy("spring-17") == 1194643223834510892
    assert KEYS.request_digest(b"spring").hex() == "7f149623cd004c5d0f92f39e9e2ad056"


def test_a_pseudonym_is_an_hmac_under_a_derived_key() -> None:
    """The hashes are HMAC-SHA-256 under HKDF-SHA-256, computed here from RFC 5869's formula."""
    extracted = hmac.digest(bytes(32), bytes(range(32)), "sha256")
    subkey = hmac.digest(extracted, b"sendwise decision log, subject\x01", "sha256")
    assert KEYS.pseudonym("\u00fc") == hmac.digest(subkey, b"\xc3\xbc", "sha256")[:16]


@given(any_text)
def test_every_text_has_its_hashes(text: str) -> None:
    """Whatever an id holds, its hashes have their sizes and differ by purpose and by key."""
    pseudonym, request_key = KEYS.pseudonym(text), KEYS.request_key(text)
    assert len(pseudonym) == len(request_key) == 16
    assert pseudonym not in (request_key, Keys(bytes(32)).pseudonym(text))
    assert 0 <= KEYS.request_entropy(text) < 2**62


def test_keys_do_not_show_their_secret() -> None:
    """What may end in a log file names the key only by its fingerprint."""
    assert repr(KEYS) == f"Keys(fingerprint={KEYS.fingerprint.hex()})"


def test_a_secret_has_its_length() -> None:
    """A short secret is refused."""
    with pytest.raises(ValueError, match="32 bytes"):
        Keys(bytes(31))
