"""Drops the features that the catalog does not keep, before anybody sees them.

What is not used need not be stored, and what is not stored cannot leak, be asked for or have to be
erased. The policy sees what is stored and nothing else, so that training and serving agree.
"""

from collections.abc import Collection
from dataclasses import replace

from policy.catalog import Catalog
from policy.features import Features
from policy.request import Request


def minimised(request: Request, catalog: Catalog) -> tuple[Request, int]:
    """A request with the features that the catalog keeps, and how many others it had.

    Args:
        request: checked, dropped features included.
        catalog: the one in force.
    """
    kept = catalog.features
    if kept.keep is None and kept.keep_of_offers is None:
        return request, 0
    features = _kept(request.features, kept.keep)
    offers = {
        offer: _kept(each, kept.keep_of_offers) for offer, each in request.offer_features.items()
    }
    less = replace(
        request,
        features=features,
        offer_features={offer: each for offer, each in offers.items() if each},
    )
    return less, _count(request) - _count(less)


def _kept(features: Features, names: Collection[str] | None) -> Features:
    if names is None:
        return features
    return {name: value for name, value in features.items() if name in names}


def _count(request: Request) -> int:
    return len(request.features) + sum(len(each) for each in request.offer_features.values())
