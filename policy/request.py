"""A request as the policy sees it, and whether the catalog in force can answer it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from policy.catalog import NO_SEND, Catalog
from policy.errors import RequestError
from policy.features import Features, check_features
from policy.send_times import grid, zone
from policy.situation import Grid

AHEAD_DAYS_MAX = 366
HISTORY_PREFIX = "history."
"""Names of features that begin so are those of `policy.history`."""
_DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class Request:
    """Who is asked for, and within which limits; times are Unix milliseconds."""

    now_ms: int
    time_zone: str = ""
    features: Features = field(default_factory=dict)
    offer_features: Mapping[str, Features] = field(default_factory=dict)
    eligible_offers: tuple[str, ...] = ()
    excluded_offers: tuple[str, ...] = ()
    eligible_channels: tuple[str, ...] = ()
    excluded_channels: tuple[str, ...] = ()
    granted_consents: frozenset[str] = frozenset()
    earliest_ms: int | None = None
    latest_ms: int | None = None
    critical: bool = False

    def zone_name(self, catalog: Catalog) -> str:
        """The subject's zone; the catalog's where the request names none."""
        return self.time_zone or catalog.send_times.time_zone

    def windows(self, catalog: Catalog) -> Grid:
        """The send windows to choose from."""
        return grid(catalog.send_times, self.zone_name(catalog), self.now_ms, self.earliest_ms)


def check_request(request: Request, catalog: Catalog) -> None:
    """Checks everything that only the catalog and the time zone data can tell.

    Raises:
        RequestError: INVALID_FIELD, UNKNOWN_TIME_ZONE, UNKNOWN_OFFER or UNKNOWN_CHANNEL.
    """
    zone(request.zone_name(catalog))
    check_features(request.features, "features")
    _check_reserved(request.features)
    _check_offer_features(request, catalog)
    _check_offers("eligible_offers", request.eligible_offers, catalog)
    _check_offers("excluded_offers", request.excluded_offers, catalog)
    for name in ("eligible_channels", "excluded_channels"):
        _check_names(name, getattr(request, name), catalog.channels, "UNKNOWN_CHANNEL")
    _check_times(request)


def _offers(catalog: Catalog) -> set[str]:
    return {*catalog.offers, *([NO_SEND] if catalog.no_send else [])}


def _check_offer_features(request: Request, catalog: Catalog) -> None:
    known = _offers(catalog) if request.offer_features else set()
    for offer, features in request.offer_features.items():
        if offer not in known:
            _refuse("UNKNOWN_OFFER", f"offer_features[{offer[:64]}]", "is not in the catalog")
        check_features(features, f"offer_features[{offer}]")


def _check_reserved(features: Features) -> None:
    for name in features:
        if name.startswith(HISTORY_PREFIX):
            problem = f"begins with {HISTORY_PREFIX!r}, which is kept for features of the service"
            _refuse("INVALID_FIELD", f"features[{name}]", problem)


def _check_offers(field_name: str, names: tuple[str, ...], catalog: Catalog) -> None:
    if names:  # mostly there are none, and a catalog may have thousands
        _check_names(field_name, names, _offers(catalog), "UNKNOWN_OFFER")


def _check_names(field_name: str, names: Iterable[str], known: Iterable[str], reason: str) -> None:
    for index, name in enumerate(names):
        if name not in known:
            _refuse(reason, f"{field_name}[{index}]", f"{name[:64]!r} is not in the catalog")


def _check_times(request: Request) -> None:
    earliest_ms, latest_ms = request.earliest_ms or 0, request.latest_ms
    if earliest_ms > request.now_ms + AHEAD_DAYS_MAX * _DAY_MS:
        problem = f"is more than {AHEAD_DAYS_MAX} days ahead"
        _refuse("INVALID_FIELD", "earliest_send_time", problem)
    if latest_ms is not None and earliest_ms > latest_ms:
        _refuse("INVALID_FIELD", "latest_send_time", "is before earliest_send_time")


def _refuse(reason: str, field_name: str, problem: str) -> None:
    raise RequestError(reason, field_name, problem)
