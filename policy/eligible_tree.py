"""Builds the eligible tree fast: what most requests share is built once and kept.

A tree depends on the windows of the channels and on what concerns single offers. Mostly nothing
does: then the very same tree object comes back, so that later stages can keep what they made of it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from policy.catalog import NO_CHANNEL, NO_SEND, Catalog
from policy.reasons import BYPASSABLE
from policy.request import Request
from policy.send_times import TICK_MS, validity_mask, validity_ms, window_mask
from policy.situation import ChannelNode, Grid, OfferNode, Tree
from policy.standing import CATALOGS_MAX
from policy.steps import Barred, Checks, Listed

TREES_MAX = 64
"""So many trees are kept; one of 10,000 offers takes 1 MiB."""
Masks = tuple[int, ...]
"""Eligible windows of each channel, in the order of `_Shape.order`."""


@dataclass(frozen=True, slots=True)
class _Shape:
    """A catalog's offers, the way they are walked."""

    order: tuple[str, ...]
    """Names of the channels. Catalogs that are equal may list them in different orders: the one
    that came first says in which order masks are kept for all of them."""
    consents: frozenset[str]
    """All that any of the channels needs."""
    names: tuple[str, ...]
    """In the catalog's order; no send, where there is one, comes last."""
    channels: tuple[tuple[tuple[str, int], ...], ...]
    """Of each offer: name and place of its channels."""
    places: dict[str, int]
    """Where an offer is among the names."""
    dated: tuple[tuple[int, int, int], ...]
    """Place, start and end of each offer with validity dates."""


@dataclass(frozen=True, slots=True)
class _Shared:
    """What a tree is where nothing concerns single offers."""

    nodes: tuple[OfferNode | None, ...]
    """Of each name of the shape; None where nothing is left."""
    tree: Tree


def eligible_tree(checks: Checks) -> Tree:
    """Everything that all rules allow; offers in the catalog's order, no send last."""
    request, catalog = checks.request, checks.catalog
    barred = [one for one in checks.barred if not (request.critical and one.reason in BYPASSABLE)]
    masks = _channel_masks(checks, barred)
    shared, shape = _shared(catalog, masks), _shape(catalog)
    single = [one for one in barred if one.offers is not None]
    changed = dict(_changed(shape, masks, checks.windows, single))
    has_lists = bool(request.eligible_offers or request.excluded_offers)
    if not changed and not has_lists:
        return shared.tree
    nodes = list(shared.nodes)
    for place, node in changed.items():
        nodes[place] = node
    return tuple(filter(None, _listed(checks.listed_offers, shape, nodes) if has_lists else nodes))


def _listed(
    lists: Listed, shape: _Shape, nodes: list[OfferNode | None]
) -> Iterator[OfferNode | None]:
    """The nodes that the caller's lists allow."""
    kept = (lists.eligible or shape.places.keys()) - lists.excluded
    return (nodes[place] for place in sorted(shape.places[name] for name in kept))


def _channel_masks(checks: Checks, barred: list[Barred]) -> Masks:
    request, catalog = checks.request, checks.catalog
    masks = _open_windows(
        catalog,
        request.time_zone,
        checks.windows.earliest_ms // TICK_MS * TICK_MS,
        # What is kept must be small: a caller may name thousands of consents and channels.
        request.granted_consents & _shape(catalog).consents,
        _unlisted(checks, _shape(catalog).order),
        request.critical,
    )
    if request.latest_ms is not None:
        in_time = window_mask(checks.windows, request.latest_ms)
        masks = tuple(mask & in_time for mask in masks)
    for one in barred:
        if one.offers is None:
            pairs = zip(_shape(catalog).order, masks, strict=True)
            masks = tuple(mask & ~one.windows if one.is_on(name) else mask for name, mask in pairs)
    return masks


def _unlisted(checks: Checks, channels: tuple[str, ...]) -> tuple[str, ...]:
    """The channels that the caller's lists close."""
    if not checks.request.eligible_channels and not checks.request.excluded_channels:
        return ()
    return tuple(name for name in channels if not checks.listed_channels.allows(name))


@lru_cache(maxsize=4096)
def _open_windows(  # noqa: PLR0913, PLR0917 - the key of the cache
    catalog: Catalog,
    time_zone: str,
    tick_ms: int,
    granted: frozenset[str],
    excluded: tuple[str, ...],
    critical: bool,  # noqa: FBT001
) -> Masks:
    """What the channels' rules leave in the quarter of an hour from `tick_ms`."""
    request = Request(
        now_ms=tick_ms,
        time_zone=time_zone,
        granted_consents=granted,
        excluded_channels=excluded,
        critical=critical,
    )
    checks = Checks(request, catalog, request.windows(catalog))
    return tuple(checks.left(checks.of_channel(name)) for name in _shape(catalog).order)


def _changed(
    shape: _Shape, masks: Masks, windows: Grid, barred: list[Barred]
) -> Iterator[tuple[int, OfferNode | None]]:
    """The nodes of offers that something concerns alone: their dates, or bars."""
    closed: dict[int, int] = {}
    end_ms = windows.send_before_ms(len(windows.local_minutes) - 1)
    for place, from_ms, until_ms in shape.dated:
        if from_ms > windows.earliest_ms or until_ms < end_ms:
            closed[place] = ~validity_mask(windows, from_ms, until_ms)
    for one in barred:
        # A bar may name an offer of an earlier catalog, one that a subject once responded to.
        gone = one.windows if one.channels is None else 0
        for name in one.offers or ():
            found = shape.places.get(name)
            if found is not None:
                closed[found] = closed.get(found, 0) | gone
    pairs = [one for one in barred if one.channels is not None]
    for place, gone in closed.items():
        name = shape.names[place]
        yield place, _node(name, _open_channels(shape, place, masks, gone, pairs))


def _open_channels(
    shape: _Shape, place: int, masks: Masks, gone: int, pairs: list[Barred]
) -> tuple[ChannelNode, ...]:
    """The channels of an offer, without the windows that are gone for it."""
    name, found = shape.names[place], []
    for channel, index in shape.channels[place]:
        mask = masks[index] & ~gone
        for one in pairs:
            if name in (one.offers or ()) and one.is_on(channel):
                mask &= ~one.windows
        if mask:
            found.append(ChannelNode(channel, mask))
    return tuple(found)


def _node(name: str, channels: tuple[ChannelNode, ...]) -> OfferNode | None:
    return OfferNode(name, channels) if channels else None


@lru_cache(maxsize=TREES_MAX)
def _shared(catalog: Catalog, masks: Masks) -> _Shared:
    shape, kept = _shape(catalog), {}
    for channels in set(shape.channels):
        open_ = ((name, masks[index]) for name, index in channels)
        kept[channels] = tuple(ChannelNode(*item) for item in open_ if item[1])
    if catalog.no_send is not None:
        kept[()] = (ChannelNode(NO_CHANNEL, 1),)
    nodes = tuple(
        _node(name, kept[channels])
        for name, channels in zip(shape.names, shape.channels, strict=True)
    )
    return _Shared(nodes, tuple(filter(None, nodes)))


@lru_cache(maxsize=CATALOGS_MAX)
def _shape(catalog: Catalog) -> _Shape:
    index = {name: place for place, name in enumerate(catalog.channels)}
    offers = {
        name: tuple((channel, index[channel]) for channel in offer.channels)
        for name, offer in catalog.offers.items()
    }
    dated = (
        (place, *validity_ms(offer.valid_from, offer.valid_until))
        for place, offer in enumerate(catalog.offers.values())
        if offer.valid_from or offer.valid_until
    )
    # No send has no channel of the catalog: it is recognised by that.
    if catalog.no_send is not None:
        offers[NO_SEND] = ()
    names = tuple(offers)
    places = {name: place for place, name in enumerate(names)}
    consents = frozenset(one.consent for one in catalog.channels.values() if one.consent)
    return _Shape(tuple(index), consents, names, tuple(offers.values()), places, tuple(dated))
