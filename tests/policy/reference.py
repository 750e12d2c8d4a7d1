"""The rules as the catalog's words have them, looked at window by window: slow and plain."""

from datetime import UTC, date, datetime, time, timedelta
from math import ceil
from zoneinfo import ZoneInfo

from policy.catalog import NO_CHANNEL, NO_SEND, Catalog, Channel, Offer
from policy.catalog_fields import WEEKDAYS
from policy.catalog_rules import Budget, Cap, CoolDown
from policy.reasons import Reason
from policy.request import Request
from policy.standing import NO_STANDING, NOTHING_SPENT, Contact, Spent, Standing

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS
QUARTER, HOUR = timedelta(minutes=15), timedelta(hours=1)
Plain = dict[str, dict[str, tuple[int, ...]]]


class Reference:
    """What a request may get, by the plain reading of every rule."""

    def __init__(
        self,
        request: Request,
        catalog: Catalog,
        standing: Standing = NO_STANDING,
        spent: Spent = NOTHING_SPENT,
    ) -> None:
        self._request = request
        self._catalog = catalog
        self._zone = ZoneInfo(request.time_zone or catalog.send_times.time_zone)
        self._step_ms = catalog.send_times.step_minutes * MINUTE_MS
        self._earliest_ms = max(request.now_ms, request.earliest_ms or 0)
        self._start_ms = self._earliest_ms - self._earliest_ms % self._step_ms
        self._responses = standing.responses
        self._spent = spent
        self._contacts = [one for one in standing.contacts if self._counts(one)]

    def tree(self) -> Plain:
        """The windows of each channel of each offer, without what is empty."""
        found: Plain = {}
        for name, offer in self._catalog.offers.items():
            channels = {channel: self._windows(channel, name) for channel in offer.channels}
            found[name] = {
                channel: windows
                for channel, windows in channels.items()
                if windows and self._channel_allowed(channel)
            }
        if self._catalog.no_send is not None:
            found[NO_SEND] = {NO_CHANNEL: (0,)}
        return {name: kept for name, kept in found.items() if kept and self._offer_allowed(name)}

    def send_time_ms(self, window: int) -> int:
        """When a message of a window is sent."""
        return max(self._start_ms + window * self._step_ms, self._earliest_ms)

    def broken(self, offer: str, channel: str, send_ms: int) -> set[Reason]:
        """The rules about contacts that a message would break, critical or not."""
        found = {
            Reason.CAP_REACHED: any(
                self._over(cap, offer, channel, send_ms) for cap in self._catalog.caps
            ),
            Reason.MINIMUM_GAP: self._too_close(channel, send_ms),
            Reason.BUDGET_SPENT: self._unpaid("offer", offer, send_ms)
            or self._unpaid("channel", channel, send_ms),
            Reason.EXCLUSION_GROUP: self._excluded(offer, send_ms),
            Reason.COOL_DOWN: any(
                self._cooling(rule, offer, channel, send_ms) for rule in self._catalog.cool_downs
            ),
        }
        return {reason for reason, so in found.items() if so}

    def _counts(self, contact: Contact) -> bool:
        hours = self._catalog.contacts.confirm_within_hours
        waited_ms = self._request.now_ms - contact.send_time_ms
        return contact.confirmed or hours is None or waited_ms < hours * HOUR_MS

    def _over(self, cap: Cap, offer: str, channel: str, send_ms: int) -> bool:
        if cap.offer not in {None, offer} or cap.channel not in {None, channel}:
            return False
        length_ms = (cap.hours or 0) * HOUR_MS + (cap.days or 0) * DAY_MS
        times = [
            one.send_time_ms
            for one in self._contacts
            if cap.offer in {None, one.offer} and cap.channel in {None, one.channel}
        ]
        # A fullest stretch can be moved on until it begins with a message.
        starts = [start for start in [*times, send_ms] if start <= send_ms < start + length_ms]
        return any(
            sum(start <= moment < start + length_ms for moment in [*times, send_ms]) > cap.messages
            for start in starts
        )

    def _too_close(self, channel: str, send_ms: int) -> bool:
        for hours, contacts in (
            (self._catalog.contacts.minimum_gap_hours, self._contacts),
            (
                self._catalog.channels[channel].minimum_gap_hours,
                [one for one in self._contacts if one.channel == channel],
            ),
        ):
            gap_ms = (hours or 0) * HOUR_MS
            if any(abs(one.send_time_ms - send_ms) < gap_ms for one in contacts):
                return True
        return False

    def _excluded(self, offer: str, send_ms: int) -> bool:
        return any(
            abs(one.send_time_ms - send_ms) < group.days * DAY_MS
            for group in self._catalog.exclusion_groups.values()
            for one in self._contacts
            if offer in group.offers and one.offer in group.offers and one.offer != offer
        )

    def _cooling(self, rule: CoolDown, offer: str, channel: str, send_ms: int) -> bool:
        if (rule.offers and offer not in rule.offers) or (
            rule.channels and channel not in rule.channels
        ):
            return False
        return any(
            send_ms < one.occurred_at_ms + rule.days * DAY_MS
            for one in self._responses
            if one.name == rule.after
            and (not rule.same_offer or one.offer == offer)
            and (not rule.same_channel or one.channel == channel)
        )

    def _unpaid(self, kind: str, name: str, send_ms: int) -> bool:
        offers, channels = self._catalog.offers, self._catalog.channels
        budget = offers[name].budget if kind == "offer" else channels[name].budget
        return budget is not None and self._is_too_much(budget, (kind, name), send_ms)

    def _is_too_much(self, budget: Budget, owner: tuple[str, str], send_ms: int) -> bool:
        zone = ZoneInfo(self._catalog.send_times.time_zone)
        day = utc(send_ms).astimezone(zone).date()
        begin, end = first_moment(day, zone), first_moment(day + timedelta(days=1), zone)
        messages = list(self._spent.get((*owner, day.toordinal()), [0] * 25))
        messages[(utc(send_ms) - begin) // HOUR] += 1
        return any(
            sum(messages[: slot + 1]) > allowed_by(budget, (slot + 1) * HOUR / (end - begin))
            for slot in range((utc(send_ms) - begin) // HOUR, 25)
        )

    def _offer_allowed(self, name: str) -> bool:
        listed = self._request.eligible_offers
        return name not in self._request.excluded_offers and (not listed or name in listed)

    def _channel_allowed(self, name: str) -> bool:
        listed, consent = self._request.eligible_channels, self._catalog.channels[name].consent
        wanted = name not in self._request.excluded_channels and (not listed or name in listed)
        return wanted and (consent is None or consent in self._request.granted_consents)

    def _windows(self, channel: str, offer: str) -> tuple[int, ...]:
        windows = range(self._catalog.send_times.windows)
        return tuple(window for window in windows if self._window_allowed(window, channel, offer))

    def _window_allowed(self, window: int, channel: str, offer: str) -> bool:
        begin_ms = self.send_time_ms(window)
        end_ms = self._start_ms + (window + 1) * self._step_ms
        if self._request.latest_ms is not None and begin_ms > self._request.latest_ms:
            return False
        if not self._is_valid(self._catalog.offers[offer], utc(begin_ms), utc(end_ms)):
            return False
        broken = self.broken(offer, channel, begin_ms)
        if self._request.critical:
            return not broken - {Reason.CAP_REACHED, Reason.MINIMUM_GAP}
        return not broken and not self._is_quiet(self._catalog.channels[channel], begin_ms, end_ms)

    @staticmethod
    def _is_valid(offer: Offer, begin: datetime, end: datetime) -> bool:
        if offer.valid_from is not None and begin < offer.valid_from:
            return False
        return offer.valid_until is None or end <= offer.valid_until

    def _is_quiet(self, channel: Channel, begin_ms: int, end_ms: int) -> bool:
        minutes = range(begin_ms - begin_ms % MINUTE_MS, end_ms, MINUTE_MS)
        return any(self._quiet(channel, ms) for ms in minutes)

    def _quiet(self, channel: Channel, moment_ms: int) -> bool:
        local = utc(moment_ms).astimezone(self._zone)
        if WEEKDAYS[local.weekday()] in channel.quiet_days:
            return True
        hours = channel.quiet_hours
        if hours is None:
            return False
        clock = local.time()
        if hours.end == time.max:
            return clock >= hours.start
        if hours.start < hours.end:
            return hours.start <= clock < hours.end
        return clock >= hours.start or clock < hours.end


def allowed_by(budget: Budget, share: float) -> int:
    """Messages that may be sent until so much of a day has passed."""
    if budget.pacing == "none":
        return budget.per_day
    # Shares are of at most 100 quarters of an hour: less than a millionth more is no share more.
    return ceil(budget.per_day * min(share, 1.0) - 1e-6)


def utc(moment_ms: int) -> datetime:
    """A moment in UTC, to the millisecond."""
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=moment_ms)


def first_moment(day: date, zone: ZoneInfo) -> datetime:
    """The first quarter of an hour of a day in a zone, found by trying one after the other."""
    moment = datetime.combine(day, time(), tzinfo=UTC) - timedelta(days=1)
    while moment.astimezone(zone).date() < day:
        moment += QUARTER
    return moment
