"""The server keeps its log within its limits while it serves."""

import logging
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from decisionlog import erasure
from decisionlog.upkeep import Limits
from policy.catalog import parse_catalog
from policy.contact_rules import reach_ms
from replay.ledger import ledger
from sendwise.v1 import decision_service_pb2 as api
from server.converters import delivery_of, reward_of
from server.keeping import DAY_MS, Keeper, kept, limits_of
from server.preparation import prepare
from server.serve_errors import InvalidSettingError
from server.settings import ServeSettings
from tests.server.service import (
    KEYS,
    Service,
    delivery,
    refused,
    request,
    reward,
    running,
)
from tests.shop import CATALOG, shop
from tests.simulation.workers import worker

CAPPED = CATALOG + "\n[[caps]]\nmessages = 50\ndays = 30\n"


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    """Yields a service."""
    with running(tmp_path / "data") as found:
        yield found


def settings_of(service: Service, **limits: float) -> ServeSettings:
    """Returns the settings of a server with limits."""
    directory = service.registry.data_dir
    return ServeSettings.create(
        data_dir=directory, key_file=directory.with_name("data.key"), **limits
    )


def live(service: Service, days: int, each_day: int = 20) -> None:
    """Decides and reports, day after day."""
    for day in range(days):
        names = [f"{day}-{turn}" for turn in range(each_day)]
        asked = [request(name, request_id=name) for name in names]
        answers = service.decisions.BatchDecide(api.BatchDecideRequest(requests=asked))
        ids = [result.response.decision_id for result in answers.results]
        now_ms = service.clock()
        service.engine.report_deliveries([delivery_of(delivery(each), now_ms) for each in ids])
        service.engine.report_rewards([reward_of(reward(each), now_ms) for each in ids])
        service.clock.now_ms += DAY_MS


def keep(service: Service, settings: ServeSettings) -> None:
    """Lets a keeper do all that is to be done."""
    keeper = Keeper(service.log, settings, service.current, service.clock)
    for _ in range(30):
        keeper.tick()


def test_old_decisions_go_while_serving(service: Service) -> None:
    """What is older than allowed goes with all that hangs on it; the books balance."""
    live(service, 4)
    keep(service, settings_of(service, retain_days=2))
    found = ledger(service.log, shop().reward)
    assert found.balanced
    assert (found.decided, found.decisions_expired, found.rewards_expired) == (80, 40, 40)
    assert service.log.counts().requests == 40


def test_without_limits_only_old_request_ids_go(service: Service) -> None:
    """All decisions are kept; request ids are forgotten after their days."""
    live(service, 4)
    keep(service, settings_of(service, request_days=1))
    assert service.log.counts().decisions == 80
    assert service.log.counts().requests == 20


def test_a_log_that_is_too_large_loses_its_oldest(service: Service) -> None:
    """As much goes as is needed, not more than a slice beyond it."""
    live(service, 3, 150)
    used = service.log.store
    with used.read() as transaction:
        before = transaction.used_bytes()
    settings = settings_of(service)
    keeper = Keeper(service.log, settings, service.current, service.clock)
    keeper._upkeep.limits = Limits(size_bytes=before * 3 // 4)
    while keeper._upkeep.expire() is not None:
        pass
    assert not keeper._upkeep.is_too_large()
    assert 450 - 256 <= service.log.counts().decisions < 450


def test_what_rules_look_at_stays_whatever_the_size(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Caps would be exceeded if their contacts went: the server says that it needs more room."""
    with running(tmp_path / "data", CAPPED) as service:
        live(service, 2, 50)
        settings = settings_of(service, retain_bytes=2**16)
        limits = limits_of(settings, service.current().catalog)
        assert limits.reach_ms == 30 * DAY_MS + 6 * 3_600_000
        keeper = Keeper(service.log, settings, service.current, service.clock)
        with caplog.at_level(logging.WARNING, "server.keeping"):
            for _ in range(3):
                keeper.tick()
        assert service.log.counts().decisions == 100
    assert sum("--retain-gib" in record.message for record in caplog.records) == 1


def test_a_keeper_finishes_what_was_stopped(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An erasure that a crash stopped half-way is finished when the server starts."""
    live(service, 1)
    with monkeypatch.context() as patch:
        patch.setattr(erasure, "_remove_group", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            erasure.erase(service.log.store, [KEYS.pseudonym("0-0")], service.clock())
    with kept(service.log, settings_of(service), service.current, service.clock):
        pass
    assert all(each.is_complete for each in erasure.tombstones(service.log.store))
    assert service.log.counts().decisions == 19


def test_a_keeper_finishes_what_another_worker_left(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An erasure that a killed worker began is finished without a start of the server.

    One that was begun just now is left to its worker.
    """
    live(service, 1)
    monkeypatch.setattr("server.keeping.SWEEP_SECONDS", 0.0)
    keeper = Keeper(service.log, settings_of(service), service.current, service.clock)
    with monkeypatch.context() as patch:
        patch.setattr(erasure, "_remove_group", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            erasure.erase(service.log.store, [KEYS.pseudonym("0-0")], service.clock())
    keeper.tick()
    assert service.log.counts().decisions == 20
    keeper.tick()
    assert all(each.is_complete for each in erasure.tombstones(service.log.store))
    assert service.log.counts().decisions == 19


def test_retention_shorter_than_the_rules_is_refused(tmp_path: Path) -> None:
    """A server does not start that would forget what its caps count; nothing is made."""
    file = tmp_path / "catalog.toml"
    file.write_text(CAPPED)
    settings = ServeSettings.create(
        data_dir=tmp_path / "data", key_file=tmp_path / "key", retain_days=29
    )
    with pytest.raises(InvalidSettingError, match="31 days at least"):
        prepare(settings, file)
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("rules", "days"),
    [
        ("", 0),
        ("[[caps]]\nmessages = 1\ndays = 3\n", 3),
        ('[[cool_downs]]\nafter = "visit"\ndays = 90\n', 90),
        ('[history]\nclicks = ["visit"]\n', 30),
        ('[exclusion_groups.one]\noffers = ["spring", "loyal"]\ndays = 12\n', 12),
        ("[contacts]\nminimum_gap_hours = 48\n", 2),
    ],
)
def test_rules_say_how_far_back_they_look(rules: str, days: int) -> None:
    """Caps, gaps, groups, pauses and history, and the length of the send windows beside."""
    ahead_ms = 6 * 3_600_000 if days else 0
    assert reach_ms(parse_catalog(CATALOG + "\n" + rules)) == days * DAY_MS + ahead_ms


def fill(service: Service) -> None:
    """Decides until the log has no room left."""
    for turn in range(1_000):
        service.decide(f"customer {turn}", request_id=str(turn))
        service.clock.now_ms += 1_000


def test_a_full_log_serves_again_when_there_is_room(tmp_path: Path) -> None:
    """A full map refuses with its reason; what retention frees is used again."""
    with running(tmp_path / "data", map_size_bytes=512 * 1024) as service:
        found = refused(lambda: fill(service))
        assert (found.code, found.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "LOG_FULL")
        full = service.log.counts()
        assert full.decisions == full.requests
        service.clock.now_ms += DAY_MS
        keep(service, settings_of(service, retain_days=1))
        assert service.log.counts().decisions < full.decisions
        assert service.decide("alice").decision_id
        assert ledger(service.log, shop().reward).balanced


def test_a_reader_killed_beside_the_server_does_not_let_the_file_grow(service: Service) -> None:
    """What it held, such as a backup that was stopped, is free after the next look at the log."""
    log, directory = service.log, service.registry.data_dir
    with worker("read", directory) as killed:
        assert killed.line() == "reading"
        killed.kill()
        killed.wait()
        assert str(killed.pid) in log.store._environment.readers().split()
    Keeper(log, settings_of(service), service.current, service.clock).tick()
    assert str(killed.pid) not in log.store._environment.readers().split()
