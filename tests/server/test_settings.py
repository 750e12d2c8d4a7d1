"""Settings: what is refused, with which words, and the way to the workers."""

import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.serve_errors import InvalidSettingError
from server.settings import ServeSettings, WorkerSettings

REQUIRED = {"data_dir": Path("data"), "key_file": Path("key")}

valid_settings = st.builds(
    ServeSettings,
    data_dir=st.text("ab/ é\n").map(lambda name: Path(f"data/{name}")),
    key_file=st.just(Path("/keys/key")),
    host=st.text(min_size=1, max_size=20),
    port=st.integers(0, 1_000),
    workers=st.integers(1, 1_024),
    threads=st.integers(1, 1_024),
    grace_seconds=st.floats(0, 3_600),
    token_file=st.none() | st.just(Path("/keys/tokens")),
    metrics_port=st.none() | st.integers(2_000, 60_000),
    otlp_endpoint=st.just("http://127.0.0.1:4317"),
    trace_ratio=st.floats(0, 1),
    map_size_bytes=st.integers(2**20, 2**60),
    log_level=st.sampled_from(["debug", "info", "warning", "error"]),
    log_format=st.sampled_from(["text", "json"]),
)


@given(valid_settings, st.integers(0, 1_023), st.integers(61_100, 65_535))
def test_a_worker_reads_what_its_supervisor_wrote(
    settings: ServeSettings, index: int, port: int
) -> None:
    """On one line, whatever the values; only number and port are the worker's own."""
    told = WorkerSettings.of(settings, index=index, port=port)
    line = told.to_json()
    assert b"\n" not in line
    assert WorkerSettings.from_json(line) == told
    assert (told.index, told.port) == (index, port)
    assert told.data_dir == settings.data_dir
    assert told.trace_ratio == settings.trace_ratio


def test_there_is_a_worker_for_each_core() -> None:
    """Unless told otherwise, and only for cores that this process may use."""
    assert ServeSettings.create(**REQUIRED).workers == len(os.sched_getaffinity(0))


@pytest.mark.parametrize(
    ("given_settings", "message"),
    [
        ({"port": 70_000}, "port: must be at most 65,535 (it is 70000)"),
        ({"workers": 0}, "workers: must be at least 1 (it is 0)"),
        ({"port": "http"}, "port: must be a whole number"),
        ({"grace_seconds": float("nan")}, "grace_seconds: must be"),
        ({"log_level": "loud"}, "log_level: must be 'debug', 'info'"),
        ({"colour": "red"}, "colour: "),
        ({"data_dir": None}, "data_dir: Input is not a valid path"),
        ({"otlp_endpoint": "127.0.0.1:4317"}, "otlp_endpoint: should look like http://127.0.0.1"),
        ({"trace_ratio": 0.1}, "trace_ratio: needs otlp_endpoint"),
        ({"metrics_port": 0}, "metrics_port: should be a fixed port"),
        ({"metrics_port": 65_535, "workers": 2}, "metrics_port: 2 workers need ports up to 65536"),
        (
            {"metrics_port": 50_050, "workers": 2},
            "metrics_port: ports 50050 to 50051 include the service's own",
        ),
        ({"key_file": Path("data/key")}, "key_file: should be outside data_dir"),
        ({"key_file": Path("x/../data/key")}, "key_file: should be outside data_dir"),
    ],
)
def test_a_wrong_setting_is_named(given_settings: dict[str, Any], message: str) -> None:
    """The error says which setting it is and what it should be."""
    with pytest.raises(InvalidSettingError) as refusal:
        ServeSettings.create(**(REQUIRED | given_settings))
    assert str(refusal.value).startswith(message)
    assert str(refusal.value).startswith(f"{refusal.value.setting}: ")


def test_what_is_missing_is_named() -> None:
    """Settings without a default have to be given."""
    with pytest.raises(InvalidSettingError, match="key_file: "):
        ServeSettings.create(data_dir=Path("data"))


@pytest.mark.parametrize("line", [b"", b"{", b"[]", b'{"index": -1}'])
def test_a_line_that_holds_no_settings_is_refused(line: bytes) -> None:
    """A worker of another version fails with a word, not with a traceback."""
    with pytest.raises(InvalidSettingError):
        WorkerSettings.from_json(line)
