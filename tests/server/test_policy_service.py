"""Rollouts shown and replaced, and decisions explained, over a real socket."""

import hashlib
import shutil
from dataclasses import replace
from pathlib import Path

import grpc
import pytest

from decisionlog import AuditKind, LogFull
from decisionlog.codec import encode_decision
from decisionlog.ids import from_text
from decisionlog.tables import Table
from policy.draw import uniform
from policy.rollout import Arm
from sendwise.v1 import common_pb2 as common
from sendwise.v1 import policy_service_pb2 as policy_api
from sendwise.v1.decision_service_pb2 import BatchDecideRequest
from tests.server.service import Refusal, Service, refused, request, running
from tests.shop import START_MS, register_chain, shop

UNKNOWN = "0199a1b2-c3d4-7e5f-8123-456789abcdef"


def arm(kind: int, version: str, share: float) -> policy_api.ArmShare:
    """An arm of a rollout."""
    return policy_api.ArmShare(arm=kind, policy_version=version, share=share)  # type: ignore[arg-type]


MEGABYTE = "x" * 1_000_000
CHAMPION = arm(common.ARM_CHAMPION, "uniform", 1.0)


def set_arms(
    service: Service, *arms: policy_api.ArmShare, expected: int = 1
) -> policy_api.SetRolloutResponse:
    """Replaces the rollout."""
    message = policy_api.SetRolloutRequest(expected_sequence=expected, arms=arms)
    return service.policies.SetRollout(message)


def explained(service: Service, decision_id: str) -> policy_api.ExplainResponse:
    """How a decision came about."""
    return service.policies.Explain(policy_api.ExplainRequest(decision_id=decision_id))


def test_the_rollout_in_force_is_shown(service: Service) -> None:
    """Every field is the rollout file's."""
    rollout = service.policies.GetRollout(policy_api.GetRolloutRequest()).rollout
    assert rollout.sequence == 1
    assert rollout.catalog_version == shop().version
    assert list(rollout.arms) == [CHAMPION]
    assert rollout.updated_at.ToMilliseconds() == START_MS


def test_a_rollout_is_replaced(service: Service) -> None:
    """The answer, the file and later reads agree; new decisions come from the new arms."""
    chain = register_chain(service.registry)
    arms = (arm(common.ARM_CHAMPION, chain, 0.0), arm(common.ARM_CANARY, "fixed/loyal", 1.0))
    service.clock.now_ms += 5000
    rollout = set_arms(service, *arms).rollout
    assert (rollout.sequence, list(rollout.arms)) == (2, list(arms))
    assert rollout.updated_at.ToMilliseconds() == START_MS + 5000
    assert service.policies.GetRollout(policy_api.GetRolloutRequest()).rollout == rollout
    service.current.refresh()
    answer = service.decide()
    assert (answer.arm, answer.policy_version) == (common.ARM_CANARY, "fixed/loyal")
    assert answer.send.offer == "loyal"


def test_who_replaced_a_rollout_is_in_the_audit_trail(service: Service) -> None:
    """Without tokens the caller's address, without its port; a refused call leaves no entry."""
    set_arms(service, CHAMPION)
    refused(lambda: set_arms(service, CHAMPION, expected=1))
    (act,) = service.log.audit_trail()
    assert act.kind == AuditKind.ROLLOUT
    assert act.actor.startswith("peer ipv")
    assert dict(act.details) == {"call": "SetRollout", "champion": "uniform", "sequence": "2"}


def test_a_rollout_that_cannot_be_noted_stays_out_of_force(service: Service) -> None:
    """Nothing changes without its entry in the audit trail."""

    def fail(*_: object, **__: object) -> None:
        raise LogFull(Path("log"), "there is no room left")

    service.engine._log.record_act = fail  # type: ignore[method-assign,assignment]
    assert refused(lambda: set_arms(service, CHAMPION)).reason == "LOG_FULL"
    assert service.policies.GetRollout(policy_api.GetRolloutRequest()).rollout.sequence == 1
    assert len(list(service.registry.rollout_file.history())) == 1


def test_a_token_is_named_by_its_hash_alone(tmp_path: Path) -> None:
    """The trail tells tokens apart and tells no token."""
    with running(tmp_path / "data", tokens=["secret"]) as service:
        message = policy_api.SetRolloutRequest(expected_sequence=1, arms=[CHAMPION])
        service.policies.SetRollout(message, metadata=(("authorization", "Bearer secret"),))
        (act,) = service.log.audit_trail()
    assert act.actor == f"token {hashlib.sha256(b'secret').hexdigest()[:8]}"


def test_a_rollout_that_came_between_is_not_overwritten(service: Service) -> None:
    """ABORTED with both sequences; the rollout of the other stays."""
    set_arms(service, CHAMPION)
    found = refused(lambda: set_arms(service, CHAMPION, expected=1))
    assert (found.code, found.reason) == (grpc.StatusCode.ABORTED, "ROLLOUT_CHANGED")
    assert found.metadata == {"expected": "1", "actual": "2"}
    assert service.releases.present().sequence == 2


@pytest.mark.parametrize(
    ("arms", "problem"),
    [
        ([], "there is no champion"),
        ([CHAMPION, CHAMPION], "an arm is named twice"),
        ([arm(1, "uniform", 0.5)], "the shares sum to 0.5, not 1"),
        ([arm(5, "uniform", 1.0)], "there is no champion"),
        ([arm(1, "chain-0123456789abcdef", 1.0)], "'chain-0123456789abcdef' is not registered"),
        ([arm(1, "", 1.0)], "'' is not registered"),
        ([arm(1, "../models", 1.0)], "'../models' is not registered"),
        ([arm(1, "fixed/", 1.0)], "'fixed/' is not registered"),
        ([arm(1, "fixed/a/b/c", 1.0)], "'fixed/a/b/c' is not registered"),
        ([arm(1, "chain-\0", 1.0)], "'chain-\\x00' is not registered"),
    ],
)
def test_an_invalid_rollout_is_refused(
    service: Service, arms: list[policy_api.ArmShare], problem: str
) -> None:
    """FAILED_PRECONDITION with the problem, in one line; the rollout in force stays."""
    found = refused(lambda: set_arms(service, *arms))
    assert (found.code, found.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "INVALID_ROLLOUT")
    assert found.metadata["problem"].startswith(problem)
    assert "\n" not in found.text
    assert service.releases.present().sequence == 1


@pytest.mark.parametrize("version", ["chain-" + MEGABYTE, f"fixed/{MEGABYTE}/email"])
def test_a_version_of_any_length_is_only_unknown(service: Service, version: str) -> None:
    """A name longer than any file's is not registered, and a rule no rule, like any other."""
    found = refused(lambda: set_arms(service, arm(1, version, 1.0)))
    assert found.reason == "INVALID_ROLLOUT"
    assert len(found.text) < 1000


def test_a_damaged_model_cannot_be_put_into_force(service: Service) -> None:
    """A file that differs from its manifest is named."""
    version = register_chain(service.registry)
    path = service.registry._models / version / "weights.npy"
    path.write_bytes(path.read_bytes() + b"\0")
    found = refused(lambda: set_arms(service, arm(1, version, 1.0)))
    assert found.reason == "INVALID_ROLLOUT"
    assert "weights.npy" in found.metadata["problem"]


@pytest.mark.parametrize(
    ("bad", "field"),
    [
        (arm(0, "uniform", 1.0), "arms[1].arm"),
        (arm(99, "uniform", 1.0), "arms[1].arm"),
        (arm(2, "uniform", -0.1), "arms[1].share"),
        (arm(2, "uniform", 1.1), "arms[1].share"),
        (arm(2, "uniform", float("nan")), "arms[1].share"),
    ],
)
def test_a_bad_arm_is_refused(service: Service, bad: policy_api.ArmShare, field: str) -> None:
    """INVALID_FIELD names the arm and what is wrong with it."""
    found = refused(lambda: set_arms(service, CHAMPION, bad))
    assert (found.code, found.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD")
    assert list(found.fields) == [field] == [found.metadata["field"]]


def test_a_stored_decision_is_explained(service: Service) -> None:
    """The stages are those that the answer itself would have explained, and exact."""
    service.promote(register_chain(service.registry))
    answer = service.decide(explain=True)
    service.promote("uniform")
    found = explained(service, answer.decision_id)
    assert found.explanation == answer.explanation
    assert found.exact


def test_a_policy_without_values_explains_without_them(service: Service) -> None:
    """The uniform policy expects nothing of anything, so no action has a value."""
    found = explained(service, service.decide().decision_id)
    actions = [action for stage in found.explanation.stages for action in stage.actions]
    assert found.exact
    assert not any(action.HasField("value") for action in actions)


def test_a_decision_without_choice_has_no_stages(service: Service) -> None:
    """Where nothing was eligible there is nothing to explain, exactly."""
    answer = service.decide(eligible_offers=["past"])
    found = explained(service, answer.decision_id)
    assert list(found.explanation.stages) == []
    assert found.exact


def overwrite(service: Service, decision_id: str, **changes: object) -> None:
    """Edits a stored decision behind the log's back, checksum and all."""
    edited = replace(service.record(decision_id), **changes)  # type: ignore[arg-type]
    with service.log._store.write() as transaction:
        transaction.put(Table.DECISIONS, edited.decision_id, encode_decision(edited))


def test_an_edited_probability_is_not_exact(service: Service) -> None:
    """One bit of one stored probability is enough."""
    decision_id = service.decide().decision_id
    offer, *others = service.record(decision_id).stages
    pmf = (offer.pmf[0] + 2**-53, *offer.pmf[1:])
    overwrite(service, decision_id, stages=(replace(offer, pmf=pmf), *others))
    assert not explained(service, decision_id).exact


def test_an_edited_choice_is_not_exact(service: Service) -> None:
    """The draw says which window it was; a record that says another is found out."""
    answer = service.decide(eligible_offers=["loyal"])
    *others, window = service.record(answer.decision_id).stages
    other = (window.chosen + 1) % len(window.pmf)
    overwrite(service, answer.decision_id, stages=(*others, replace(window, chosen=other)))
    assert not explained(service, answer.decision_id).exact


def test_an_unknown_decision_cannot_be_explained(service: Service) -> None:
    """NOT_FOUND with its id."""
    found = refused(lambda: explained(service, UNKNOWN))
    assert (found.code, found.reason) == (grpc.StatusCode.NOT_FOUND, "UNKNOWN_DECISION")
    assert found.metadata == {"decision_id": UNKNOWN}


@pytest.mark.parametrize(
    "text", ["", "spring", UNKNOWN[:-1], UNKNOWN.replace("-7", "-4"), " " + UNKNOWN]
)
def test_a_malformed_id_is_refused(service: Service, text: str) -> None:
    """INVALID_FIELD, not NOT_FOUND: no decision could have it."""
    found = refused(lambda: explained(service, text))
    assert (found.code, found.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD")
    assert list(found.fields) == ["decision_id"]


def test_a_decision_outlives_its_policy(service: Service) -> None:
    """Without its model it cannot be explained, and the version is named; others still can."""
    version = register_chain(service.registry)
    service.promote(version)
    answer = service.decide(request_id="old", explain=True)
    service.promote("uniform")
    shutil.rmtree(service.registry._models / version)
    found: Refusal = refused(lambda: explained(service, answer.decision_id))
    assert (found.code, found.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "INEXPLICABLE")
    assert found.metadata["decision_id"] == answer.decision_id
    assert version in found.metadata["problem"]
    assert service.record(answer.decision_id).policy_version == version
    asked = [request(request_id="old", explain=True), request("bob", explain=True)]
    old, new = service.decisions.BatchDecide(BatchDecideRequest(requests=asked)).results
    # The first answer still stands; only how it came about cannot be said any more.
    assert old.response.decision_id == answer.decision_id
    assert not old.response.HasField("explanation")
    service.record(new.response.decision_id)


def test_the_holdout_is_logged_as_such(service: Service) -> None:
    """A holdout has no policy, whatever version its share names."""
    holdout = arm(common.ARM_HOLDOUT, "fixed/loyal", 1.0)
    set_arms(service, arm(common.ARM_CHAMPION, "uniform", 0.0), holdout)
    service.current.refresh()
    answer = service.decide()
    assert (answer.arm, answer.policy_version) == (common.ARM_HOLDOUT, "holdout")
    assert service.record(answer.decision_id).arm == Arm.HOLDOUT
    assert answer.no_send.reason == common.NO_SEND_REASON_HOLDOUT


def test_draws_are_the_documented_ones(service: Service) -> None:
    """The number shown is the keyed hash of the decision's random bits and the stage."""
    answer = service.decide(explain=True)
    bits = int.from_bytes(from_text(answer.decision_id)[8:], "big") & (2**62 - 1)
    for stage in answer.explanation.stages:
        assert stage.draw == uniform(bits, stage.stage)
