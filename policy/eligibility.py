"""Builds the eligible tree: everything that all rules allow, and why the rest is not in it."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

from policy.catalog import NO_CHANNEL, NO_SEND, Catalog
from policy.request import Request
from policy.send_times import awake_mask, grid, validity_mask, window_mask
from policy.situation import ChannelNode, Grid, OfferNode, PlainTree, Situation


class Reason(IntEnum):
    """Why something is not eligible; numbered as `sendwise.v1.SuppressionReason`."""

    OFFER_NOT_VALID = 1
    NO_CONSENT = 2
    QUIET_HOURS = 3
    CALLER = 9
    NO_SEND_WINDOW = 10
    NO_CHANNEL = 11


@dataclass(frozen=True, slots=True)
class Suppression:
    """Something that is not eligible."""

    offer: str
    """Empty where a whole channel is not eligible."""
    channel: str
    """Empty where a whole offer is not eligible; both are set where just this pair is not."""
    reason: Reason


@dataclass(frozen=True, slots=True)
class Eligibility:
    """What may be chosen, and what may not."""

    situation: Situation
    suppressions: tuple[Suppression, ...]


def eligibility(request: Request, catalog: Catalog) -> Eligibility:
    """Applies every rule of the catalog to a checked request."""
    zone_name = request.time_zone or catalog.send_times.time_zone
    windows = grid(catalog.send_times, zone_name, request.now_ms, request.earliest_ms)
    suppressions: list[Suppression] = []
    channels = _channels(request, catalog, zone_name, windows, suppressions)
    tree = tuple(_offers(request, catalog, windows, channels, suppressions))
    situation = Situation(catalog, request.features, request.offer_features, windows, tree)
    return Eligibility(situation, tuple(suppressions))


def _channels(
    request: Request,
    catalog: Catalog,
    zone_name: str,
    windows: Grid,
    suppressions: list[Suppression],
) -> dict[str, int]:
    """Eligible windows of each channel that has any."""
    in_time = window_mask(windows, request.latest_ms)
    masks = {}
    for name, channel in catalog.channels.items():
        awake = in_time if request.critical else in_time & awake_mask(channel, zone_name, windows)
        if not _listed(name, request.eligible_channels, request.excluded_channels):
            reason = Reason.CALLER
        elif channel.consent is not None and channel.consent not in request.granted_consents:
            reason = Reason.NO_CONSENT
        elif not awake:
            reason = Reason.QUIET_HOURS if in_time else Reason.NO_SEND_WINDOW
        else:
            masks[name] = awake
            continue
        suppressions.append(Suppression("", name, reason))
    return masks


def _offers(
    request: Request,
    catalog: Catalog,
    windows: Grid,
    channels: dict[str, int],
    suppressions: list[Suppression],
) -> Iterator[OfferNode]:
    """The eligible offers, in the catalog's order; no send comes last."""
    for name, offer in catalog.offers.items():
        if not _listed(name, request.eligible_offers, request.excluded_offers):
            suppressions.append(Suppression(name, "", Reason.CALLER))
            continue
        valid = validity_mask(windows, offer.valid_from, offer.valid_until)
        masks = {open_: channels[open_] & valid for open_ in offer.channels if open_ in channels}
        if any(masks.values()):
            yield OfferNode(name, tuple(ChannelNode(*item) for item in masks.items() if item[1]))
            suppressions += _not_valid(name, masks)
        else:
            reason = Reason.NO_CHANNEL if valid else Reason.OFFER_NOT_VALID
            suppressions.append(Suppression(name, "", reason))
    if catalog.no_send is None:
        return
    if _listed(NO_SEND, request.eligible_offers, request.excluded_offers):
        yield OfferNode(NO_SEND, (ChannelNode(NO_CHANNEL, 1),))
    else:
        suppressions.append(Suppression(NO_SEND, "", Reason.CALLER))


def _not_valid(offer: str, masks: dict[str, int]) -> Iterator[Suppression]:
    """Channels that may send, but in no window in which the offer is valid."""
    for channel, mask in masks.items():
        if not mask:
            yield Suppression(offer, channel, Reason.OFFER_NOT_VALID)


def _listed(name: str, eligible: tuple[str, ...], excluded: tuple[str, ...]) -> bool:
    return (not eligible or name in eligible) and name not in excluded


def is_no_send(tree: PlainTree, offer: int) -> bool:
    """Whether an offer of the tree means not to send."""
    name, _ = tree[offer]
    return name == NO_SEND
