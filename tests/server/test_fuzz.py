"""Whatever a request says, the answer is a valid choice or a documented status."""

import grpc
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from grpc_status import rpc_status
from hypothesis import given, settings
from hypothesis import strategies as st

from sendwise.v1 import common_pb2 as common
from sendwise.v1 import decision_service_pb2 as decision_api
from sendwise.v1 import feedback_service_pb2 as feedback_api
from sendwise.v1 import policy_service_pb2 as policy_api
from tests.server.service import Service, refusal_of
from tests.shop import DAY_MS, START_MS

REASONS = {
    "INVALID_FIELD",
    "UNKNOWN_TIME_ZONE",
    "UNKNOWN_OFFER",
    "UNKNOWN_CHANNEL",
    "REQUEST_ID_REUSED",
}

REPORT_REASONS = {
    "INVALID_FIELD",
    "DELIVERY_ID_REUSED",
    "REWARD_ID_REUSED",
    "INVALID_ROLLOUT",
    "ROLLOUT_CHANGED",
}
UNKNOWN = "0199a1b2-c3d4-7e5f-8123-456789abcdef"

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12) | st.sampled_from(
    ["|", "a|b:c d\n", "\0", "no_send", "none", "é" * 200]
)
offers = st.lists(st.sampled_from(["spring", "loyal", "past", "no_send"]) | texts, max_size=3)
channels = st.lists(st.sampled_from(["email", "push"]) | texts, max_size=3)
features = (
    st.builds(common.Feature, number=st.floats(width=64))
    | st.builds(common.Feature, category=texts)
    | st.builds(common.Feature, flag=st.booleans())
)
feature_maps = st.dictionaries(texts, features | st.just(common.Feature()), max_size=4)
near = st.integers(START_MS - DAY_MS, START_MS + 2 * DAY_MS).map(
    lambda ms: Timestamp(seconds=ms // 1000, nanos=ms % 1000 * 1_000_000)
)
times = near | st.builds(
    Timestamp, seconds=st.integers(-(2**63), 2**63 - 1), nanos=st.integers(-(2**31), 2**31 - 1)
)
requests = st.builds(
    decision_api.DecideRequest,
    request_id=st.just("") | st.sampled_from(["one", "two"]) | texts,
    subject_id=st.just("alice") | texts,
    time_zone=st.sampled_from(["", "UTC", "Pacific/Apia", "America/St_Johns"]) | texts,
    features=feature_maps,
    offer_features=st.dictionaries(
        st.sampled_from(["spring", "no_send"]) | texts,
        st.builds(common.FeatureSet, features=feature_maps),
        max_size=2,
    ),
    eligible_offers=offers,
    excluded_offers=offers,
    eligible_channels=channels,
    excluded_channels=channels,
    granted_consents=st.lists(st.just("marketing") | texts, max_size=2),
    earliest_send_time=st.none() | times,
    latest_send_time=st.none() | times,
    priority=st.integers(0, 3),
    explain=st.booleans(),
)


def assert_valid(service: Service, response: decision_api.DecideResponse) -> None:
    """A choice with its probability, on disk, and the same when computed again."""
    stages = response.stage_probabilities
    assert all(0 < one <= 1 for one in (stages.offer, stages.channel, stages.send_time))
    assert 0 < response.action_probability <= 1
    assert response.WhichOneof("outcome") in {"send", "no_send"}
    if response.HasField("send"):
        send = response.send
        assert START_MS <= send.send_time.ToMilliseconds() < send.send_before.ToMilliseconds()
    record = service.record(response.decision_id)
    assert service.engine.explain_stored(record.decision_id)[1]


def test_any_request_gets_a_valid_answer(service: Service) -> None:
    """Never INTERNAL: a choice that is logged and exact, or a documented reason and no record."""

    @settings(settings.get_profile("server"), max_examples=300)
    @given(asked=requests)
    def ask(asked: decision_api.DecideRequest) -> None:
        before = service.log.counts()
        try:
            response = service.decisions.Decide(asked)
        except grpc.RpcError as error:
            status = rpc_status.from_call(error)
            assert status is not None
            assert refusal_of(status).reason in REASONS
            assert service.log.counts() == before
        else:
            assert_valid(service, response)
            stored = service.log.counts().decisions - before.decisions
            assert stored == (0 if response.repeated else 1)

    ask()


ids = st.sampled_from(["", "x", UNKNOWN]) | texts
deliveries = st.builds(
    feedback_api.ReportDeliveryRequest,
    decision_id=ids,
    delivery_id=st.sampled_from(["a", "b"]) | texts,
    status=st.integers(0, 5),
    occurred_at=st.none() | times,
    actual=st.none() | st.builds(common.Send, offer=texts, channel=texts, send_time=times),
    detail=texts,
)
rewards = st.builds(
    feedback_api.ReportRewardRequest,
    decision_id=ids,
    reward_id=st.sampled_from(["a", "b"]) | texts,
    name=texts,
    value=st.floats(width=64),
    occurred_at=st.none() | times,
)
rollouts = st.builds(
    policy_api.SetRolloutRequest,
    expected_sequence=st.integers(0, 3) | st.just(2**64 - 1),
    arms=st.lists(
        st.builds(
            policy_api.ArmShare,
            arm=st.integers(0, 6),
            policy_version=st.sampled_from(["uniform", "fixed/loyal"]) | texts,
            share=st.sampled_from([0.0, 0.5, 1.0]) | st.floats(width=64),
        ),
        max_size=3,
    ),
)


def test_any_report_and_rollout_gets_a_documented_answer(service: Service) -> None:
    """Never INTERNAL, and what is refused leaves the log and the rollout as they were."""
    calls = {
        feedback_api.ReportDeliveryRequest: service.feedback.ReportDelivery,
        feedback_api.ReportRewardRequest: service.feedback.ReportReward,
        policy_api.SetRolloutRequest: service.policies.SetRollout,
    }

    @settings(settings.get_profile("server"), max_examples=300)
    @given(asked=deliveries | rewards | rollouts)
    def ask(asked: Message) -> None:
        before = (service.log.counts(), service.releases.present())
        try:
            calls[type(asked)](asked)  # type: ignore[operator]
        except grpc.RpcError as error:
            status = rpc_status.from_call(error)
            assert status is not None
            assert refusal_of(status).reason in REPORT_REASONS
            assert (service.log.counts(), service.releases.present()) == before

    ask()
