"""Gets a data directory ready to be served: key, log, catalog, rollout."""

import logging
from datetime import UTC, datetime
from pathlib import Path

from decisionlog import AuditKind, DecisionLog, LogMissing, load_keys
from policy.catalog import Catalog, parse_catalog
from policy.catalog_notes import notes_of
from policy.catalog_text import read_catalog
from policy.contact_rules import reach_ms
from policy.errors import InvalidRolloutError
from policy.registry import Registry
from policy.releases import Releases
from policy.rollout import Rollout
from policy.warm_up import warm_up
from server.auth import Tokens
from server.keeping import DAY_MS, limits_of
from server.serve_errors import InvalidSettingError
from server.settings import ServeSettings

_log = logging.getLogger(__name__)


def prepare(settings: ServeSettings, catalog: Path | None) -> Rollout:
    """Makes the key and the log if there are none, and puts the catalog into force.

    To be called by who holds the directory, before any worker starts.

    Args:
        settings: name directory and key file.
        catalog: file to put into force; None keeps the one that is.

    Raises:
        InvalidSettingError: if the tokens cannot be read.
        CatalogError: if the catalog is not valid.
        InvalidRolloutError: if none was given and none is in force.
        DecisionLogError: if key or log cannot be used.
    """
    Tokens.load(settings.token_file)
    registry = Registry(settings.data_dir)
    releases = Releases(registry, lambda: datetime.now(UTC))
    if catalog is None:
        rollout = _present(releases)
        _check(settings, registry.catalog(rollout.catalog))
        _prepare(settings)
    else:
        # A server that does not start must not change what is in force: all checks come first.
        text = read_catalog(catalog)
        found = parse_catalog(text, str(catalog))
        _check(settings, found)
        _prepare(settings)
        for note in notes_of(found, text, datetime.now(UTC)):
            _log.warning("%s: %s", catalog, note)
        rollout = releases.publish(text, str(catalog))
    _note_start(settings, rollout)
    return rollout


def _note_start(settings: ServeSettings, rollout: Rollout) -> None:
    """Notes in the audit trail who starts the service on what."""
    facts = {"catalog": rollout.catalog, "rollout": rollout.sequence, "workers": settings.workers}
    with DecisionLog.open(
        settings.data_dir,
        keys=None,
        map_size_bytes=settings.map_size_bytes,
        key_ring=settings.record_keys,
    ) as log:
        log.record_act(AuditKind.SERVE, facts)


def check_retention(setting: str, age_ms: int | None, catalog: Catalog) -> None:
    """Refuses to forget what rules and history still look at.

    Raises:
        InvalidSettingError: naming the setting, and how far back the catalog looks.
    """
    reach = reach_ms(catalog)
    if age_ms is not None and age_ms < reach:
        days = -(-reach // DAY_MS)
        raise InvalidSettingError(
            setting, f"should be {days} days at least: so far back the catalog's rules look"
        )


def _check(settings: ServeSettings, catalog: Catalog) -> None:
    check_retention("retain_days", limits_of(settings, catalog).age_ms, catalog)


def _prepare(settings: ServeSettings) -> None:
    """Makes what the workers find: key, log, and compiled code, which takes longest."""
    keys = load_keys(settings.key_file, data_directory=settings.data_dir, create=_is_new(settings))
    DecisionLog.open(
        settings.data_dir,
        keys=keys,
        map_size_bytes=settings.map_size_bytes,
        key_ring=settings.record_keys,
    ).close()
    warm_up()


def _present(releases: Releases) -> Rollout:
    try:
        return releases.present()
    except InvalidRolloutError:
        raise InvalidRolloutError("no catalog is in force yet: give one with --catalog") from None


def _is_new(settings: ServeSettings) -> bool:
    """Whether there is no log yet: only then may a missing key be made."""
    try:
        DecisionLog.open(
            settings.data_dir, keys=None, read_only=True, key_ring=settings.record_keys
        ).close()
    except LogMissing:
        return True
    return False
