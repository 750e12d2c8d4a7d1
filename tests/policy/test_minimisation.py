"""Features that the catalog does not keep are dropped, and counted."""

from hypothesis import given
from hypothesis import strategies as st

from policy.catalog import Catalog, parse_catalog
from policy.minimisation import minimised
from policy.request import Request
from tests.shop import CATALOG

NAMES = st.sampled_from(["age", "plan", "vip", "city"])
FEATURES = st.dictionaries(NAMES, st.floats(-5, 5))
LISTS = st.none() | st.lists(NAMES, unique=True)


def keeping(keep: list[str] | None, of_offers: list[str] | None) -> Catalog:
    """The shop's catalog with lists of what is kept."""
    lists = {"keep": keep, "keep_of_offers": of_offers}
    lines = [f"{key} = {names}" for key, names in lists.items() if names is not None]
    return parse_catalog("\n".join([CATALOG, "[features]", *lines]))


@given(FEATURES, st.dictionaries(st.sampled_from(["spring", "loyal"]), FEATURES), LISTS, LISTS)
def test_what_is_listed_stays_and_all_else_goes(
    features: dict[str, float],
    offers: dict[str, dict[str, float]],
    keep: list[str] | None,
    of_offers: list[str] | None,
) -> None:
    """Every feature is either kept with its value or counted; without a list all are kept."""
    request = Request(1, features=features, offer_features=offers)
    less, dropped = minimised(request, keeping(keep, of_offers))
    expected = {name: value for name, value in features.items() if keep is None or name in keep}
    assert less.features == expected
    kept_of_offers = 0
    for offer, given_ in offers.items():
        left = less.offer_features.get(offer, {})
        assert left == {k: v for k, v in given_.items() if of_offers is None or k in of_offers}
        kept_of_offers += len(left)
    total = len(features) + sum(len(each) for each in offers.values())
    assert dropped == total - len(expected) - kept_of_offers


def test_no_list_renames_no_catalog() -> None:
    """An empty table means what no table means; a list that keeps nothing is another catalog."""
    assert keeping(None, None).version == parse_catalog(CATALOG).version
    assert keeping([], None).version != parse_catalog(CATALOG).version
