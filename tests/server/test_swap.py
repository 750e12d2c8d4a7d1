"""A new rollout is taken up while calls are in flight, and old policies leave nothing behind."""

import logging
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import pytest

from policy.policies import Policy
from policy.registry import Registry
from policy.releases import Releases
from policy.rollout import Arm, ArmShare, Rollout
from replay.verify import Sought, verify
from sendwise.v1 import common_pb2 as common
from sendwise.v1 import decision_service_pb2 as decision_api
from server.serving import Current
from tests.server.service import Service, number, request
from tests.shop import CATALOG, Clock, register_chain

SWAPS = 20
CALLERS = 4
RELOADS = 200
GROWTH_BYTES_MAX = 96 * 2**20  # what leaks without care is several times that
WAIT_SECONDS = 60  # far beyond what anything here takes: only a hang gets there


def wait_until(what: str, holds: Callable[[], bool]) -> None:
    """Returns when something holds; fails if it never does."""
    deadline = time.monotonic() + WAIT_SECONDS
    while not holds():
        assert time.monotonic() < deadline, f"never happened: {what}"
        time.sleep(0.005)


def resident_bytes() -> int:
    """Memory that this process really has."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def call_until(service: Service, end: Event, caller: int) -> list[str]:
    """Decides all the time; the versions that answered."""
    versions = []
    while not end.is_set():
        versions.append(service.decide(f"customer-{caller}", explain=True).policy_version)
    return versions


def test_swaps_lose_no_call(service: Service) -> None:
    """While the rollout flips, no call fails, each is one version's, and all can be recomputed."""
    chains = [register_chain(service.registry, seed) for seed in (1, 2)]
    service.promote(chains[0])
    end = Event()
    with ThreadPoolExecutor(CALLERS) as pool:
        calls = [pool.submit(call_until, service, end, caller) for caller in range(CALLERS)]
        for swap in range(SWAPS):
            rollout = service.releases.promote(chains[(swap + 1) % 2])
            wait_until(
                "the swap",
                lambda rollout=rollout: service.current().rollout == rollout,  # type: ignore[misc]
            )
        end.set()
        versions = [version for call in calls for version in call.result()]
    assert set(versions) == set(chains)
    verification = verify(Sought(service.log, service.registry))
    assert verification.mismatches == ()
    assert verification.exact == len(versions) == service.log.counts().decisions


def put_into_force(service: Service, version: str) -> Rollout:
    """Replaces the rollout file without the checks that would refuse a damaged policy."""
    present = service.releases.present()
    arms = (ArmShare(arm=Arm.CHAMPION, policy=version, share=1.0),)
    rollout = present.model_copy(update={"sequence": present.sequence + 1, "arms": arms})
    service.registry.rollout_file.replace(rollout)
    return rollout


def test_a_damaged_model_leaves_the_old_one_in_force(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    """The log says which file is damaged; calls go on; the next good rollout is taken up."""
    good, bad = (register_chain(service.registry, seed) for seed in (1, 2))
    service.promote(good)
    path = service.registry._models / bad / "weights.npy"
    path.write_bytes(path.read_bytes()[:-1])
    with caplog.at_level(logging.ERROR):
        put_into_force(service, bad)
        wait_until("a word in the log", lambda: "cannot be loaded" in caplog.text)
    assert f"'weights.npy' of '{bad}' is not what was registered" in caplog.text
    assert service.decide().policy_version == good
    rollout = service.releases.promote("uniform")
    wait_until("the swap", lambda: service.current().rollout == rollout)
    assert service.decide().policy_version == "uniform"


def test_a_file_that_is_no_rollout_is_ignored(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    """What is in force stays in force."""
    with caplog.at_level(logging.ERROR):
        service.registry.rollout_file._path.write_text("{}")
        wait_until("a word in the log", lambda: "cannot be loaded" in caplog.text)
    assert service.decide().policy_version == "uniform"


class FlakyRegistry(Registry):
    """A registry whose disk fails once."""

    failures = 0

    def policy(self, version: str) -> Policy:
        """Fails, if it is to."""
        if self.failures:
            self.failures -= 1
            raise OSError("the disk is away")
        return super().policy(version)


def test_a_disk_that_fails_once_is_asked_again(tmp_path: Path) -> None:
    """A rollout that could not be read is read at the next look, though it did not change."""
    registry = FlakyRegistry(tmp_path)
    releases = Releases(registry, Clock().now)
    releases.publish(CATALOG)
    current = Current(registry)
    rollout = releases.promote("fixed/loyal")
    registry.failures = 1
    with pytest.raises(OSError, match="the disk is away"):
        current.refresh()
    assert current().rollout.champion == "uniform"
    current.refresh()
    assert current().rollout == rollout


def grown_by(act: Callable[[], object]) -> int:
    """How much memory many turns take for good, after a few that warm up."""
    for _ in range(RELOADS // 10):
        act()
    before = resident_bytes()
    for _ in range(RELOADS):
        act()
    return resident_bytes() - before


def test_reloads_keep_memory_flat(service: Service) -> None:
    """Policies that are not in force any more are freed, with the examples that they kept."""
    service.promote(register_chain(service.registry))

    def reload() -> None:
        service.current._serving = service.current._load({})  # without what is loaded already
        affinities = [common.FeatureSet(features={"fit": number(n)}) for n in range(20)]
        asked = [request(offer_features={"spring": one, "loyal": one}) for one in affinities]
        service.decisions.BatchDecide(decision_api.BatchDecideRequest(requests=asked))

    assert grown_by(reload) < GROWTH_BYTES_MAX
