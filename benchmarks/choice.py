"""How fast a whole choice is, beside one joint model that reads every action as a line of text."""

import time
from collections.abc import Callable
from dataclasses import replace
from itertools import count
from statistics import median

import vowpalwabbit

from policy.catalog import Catalog, parse_catalog
from policy.choice import choose
from policy.eligibility import eligibility
from policy.exploration import Exploration
from policy.features import Features, token_text
from policy.learning import Student
from policy.policies import Uniform
from policy.request import Request, check_request
from policy.situation import Situation
from policy.tokens import context_tokens

REPETITIONS = 5
NOW_MS = 1_800_000_000_000
FEATURES = {f"feature_{index}": float(index) for index in range(8)}
LESSONS = 2_000


def run() -> dict[str, float]:
    """Choices a second on one core: rules, eligible tree, three stages, draws; medians."""
    medium, large = catalog(20, 4, 24), catalog(200, 5, 48)
    chain = median(rate(chooser(medium), 500) for _ in range(REPETITIONS))
    wide = median(rate(chooser(large), 50) for _ in range(REPETITIONS))
    own = median(rate(chooser(large, own_tree), 50) for _ in range(REPETITIONS))
    joint = median(rate(joint_chooser(medium), 20) for _ in range(REPETITIONS))
    return {
        "choices_per_s_20x4x24": chain,
        "choices_per_s_200x5x48": wide,
        "choices_per_s_200x5x48_own_trees": own,
        "joint_text_choices_per_s_20x4x24": joint,
        "ratio_to_joint_text": chain / joint,
    }


def catalog(offers: int, channels: int, windows: int) -> Catalog:
    """A catalog of that size, with a rule of each kind."""
    return parse_catalog(catalog_text(offers, channels, windows))


def catalog_text(offers: int, channels: int, windows: int) -> str:
    """The same as a file."""
    names = [f"channel_{index}" for index in range(channels)]
    lines = ["schema = 1", 'name = "benchmark"', "[no_send]", "[reward]", "weights = { visit = 1 }"]
    lines += ["[send_times]", f"windows = {windows}"]
    for name in names:
        lines += [f"[channels.{name}]", "quiet_hours = { start = 22:00:00, end = 07:00:00 }"]
    for index in range(offers):
        lines += [f"[offers.offer_{index}]", f"channels = {names}"]
        lines += [f'features = {{ kind = "kind_{index % 5}" }}']
    return "\n".join(lines)


def chooser(
    content: Catalog, ask: Callable[[int], Request] | None = None
) -> Callable[[int], object]:
    """The product's whole path from a request, by default `asked`, to a choice."""
    chain, ask = taught(content).chain, ask or asked

    def run_once(turn: int) -> object:
        request = ask(turn)
        check_request(request, content)
        return choose(chain, eligibility(request, content).situation, turn * 7919)

    return run_once


def asked(turn: int) -> Request:
    """A request with ten features; equal ones come again now and then, as in a campaign."""
    features: Features = {**FEATURES, "turn": float(turn % 7), "plan": f"plan_{turn % 11}"}
    return Request(NOW_MS + turn * 1000, "Europe/Berlin", features)


_own = count()


def own_tree(turn: int) -> Request:
    """The same with a list of excluded offers that no other request has."""
    number = next(_own)
    digits = (number % 200, number // 200 % 200, number // 40_000 % 200)
    excluded = tuple(dict.fromkeys(f"offer_{digit}" for digit in digits))
    return replace(asked(turn), excluded_offers=excluded)


def taught(content: Catalog) -> Student:
    """A student that has learned from random choices."""
    student = Student(Exploration())
    for turn in range(LESSONS):
        situation = eligibility(asked(turn), content).situation
        path = choose(Uniform(), situation, turn).path
        student.learn(situation, path, float(turn % 5 == 0))
    return student


def joint_chooser(content: Catalog) -> Callable[[int], object]:
    """Offer x channel x send time as one set of actions, each a line of text for each request."""
    workspace = vowpalwabbit.Workspace("--cb_explore_adf --squarecb -q ca -b 18 --quiet")

    def run_once(turn: int) -> object:
        situation = eligibility(asked(turn), content).situation
        lines = [f"shared |c {token_text(context_tokens(situation))}", *joint_lines(situation)]
        return workspace.predict(lines)

    return run_once


def joint_lines(situation: Situation) -> list[str]:
    """Every action of a tree as a line."""
    return [
        f"|a {token_text(situation.catalog.offer_tokens[offer.offer])} "
        f"channel={channel.channel} window={window}"
        for offer in situation.tree
        for channel in offer.channels
        for window in range(channel.windows.bit_length())
        if channel.windows >> window & 1
    ]


def rate(run_once: Callable[[int], object], turns: int) -> float:
    """Turns a second."""
    run_once(0)
    started = time.perf_counter()
    for turn in range(turns):
        run_once(turn)
    return turns / (time.perf_counter() - started)
