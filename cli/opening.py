"""Opens what a command needs of a data directory."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from cli.key_ring import ring_source
from cli.output import warn
from decisionlog import (
    AuditKind,
    DecisionLog,
    DecisionLogError,
    Keys,
    LogMissing,
    Tombstone,
)
from decisionlog.erasure import tombstones
from decisionlog.ids import from_text, lower_bound
from policy.catalog import Catalog, load_catalog
from policy.registry import Registry
from policy.releases import Releases
from replay.source import Source


def now() -> datetime:
    """The time, in UTC."""
    return datetime.now(UTC)


def releases(data_dir: Path) -> Releases:
    """What changes the rollout of a data directory.

    Raises:
        LogMissing: if nothing was ever in force there: the server begins log and rollout together.
    """
    registry = Registry(data_dir)
    if registry.rollout_file.read() is None:
        raise LogMissing(data_dir)
    return Releases(registry, now)


@dataclass(frozen=True, slots=True)
class Scope:
    """Which decisions a command looks at, and from when."""

    catalog_file: Path | None = None
    as_of: datetime | None = None
    since: datetime | None = None
    until: datetime | None = None
    made_by: str | None = None
    until_id: str | None = None


def log(data_dir: Path) -> DecisionLog:
    """A log, read only: a server may go on writing to it."""
    return opener(data_dir)()


def opener(data_dir: Path) -> Callable[[], DecisionLog]:
    """Opens a log, read only, in whatever process calls it."""
    ring = ring_source(data_dir)
    return partial(DecisionLog.open, data_dir, keys=None, read_only=True, key_ring=ring)


def writable(data_dir: Path, keys: Keys | None = None) -> DecisionLog:
    """A log that is there, to be written beside a server that serves from it.

    Raises:
        LogMissing: if there is none: a command must not begin one.
    """
    log(data_dir).close()
    return DecisionLog.open(data_dir, keys=keys, key_ring=ring_source(data_dir))


def record_act(data_dir: Path, kind: AuditKind, **details: object) -> None:
    """Notes in the audit trail what this user has done; a directory without a log has no trail.

    What is done is done: a log that cannot be written, as it is full or may only be read, takes
    nothing of it back, so that is only a warning.
    """
    try:
        with writable(data_dir) as opened:
            opened.record_act(kind, details)
    except LogMissing:
        return
    except DecisionLogError as error:
        warn(f"the audit trail has no entry of this {kind.name.lower()}: {error}")


def buried(data_dir: Path) -> list[Tombstone]:
    """The tombstones of a log; a directory without one has none."""
    try:
        with log(data_dir) as opened:
            return tombstones(opened.store)
    except LogMissing:
        return []


def key_file_of(data_dir: Path, key_file: Path | None) -> Path:
    """The key file that was given, or the one beside the data directory."""
    return key_file or data_dir.with_name(f"{data_dir.name}.key")


def now_ms() -> int:
    """Unix time."""
    return _ms(now())


def present_catalog(data_dir: Path) -> Catalog:
    """The catalog in force."""
    return _catalog(Registry(data_dir), None)


@contextmanager
def source(data_dir: Path, scope: Scope) -> Iterator[Source]:
    """The interactions of a log, read only: a server may go on writing to it."""
    registry = Registry(data_dir)
    with log(data_dir) as opened:
        found = Source(
            opened,
            registry,
            _catalog(registry, scope.catalog_file),
            _ms(scope.as_of or now()),
            start=bound(scope.since) or b"",
            until=_end(scope),
            made_by=scope.made_by,
            open_log=opener(data_dir),
        )
        try:
            yield found
        finally:
            if found.damaged:
                warn_of_damage(f"{len(found.damaged):,} decisions are left out")


def warn_of_damage(effect: str) -> None:
    """Says that records are damaged, and what that did to a command that went on without them."""
    warn(f"damaged records in the log (`sendwise check-log` names them): {effect}")


def bound(moment: datetime | None) -> bytes | None:
    """An id that none of that moment or later is below; None for none."""
    return None if moment is None else lower_bound(max(_ms(moment), 0))


def _end(scope: Scope) -> bytes | None:
    """The first id that is left out, by time or by the last one that is not."""
    ends = [bound(scope.until)]
    if scope.until_id is not None:
        ends.append(from_text(scope.until_id) + b"\0")
    return min((end for end in ends if end is not None), default=None)


def _catalog(registry: Registry, file: Path | None) -> Catalog:
    if file is not None:
        return load_catalog(file)
    return registry.catalog(releases(registry.data_dir).present().catalog)


def _ms(moment: datetime) -> int:
    """Unix milliseconds; a time without an offset is taken for UTC, as the options say."""
    return int(moment.replace(tzinfo=moment.tzinfo or UTC).timestamp() * 1000)
