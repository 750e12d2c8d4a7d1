"""Asks what to send to one customer, then reports that it was sent and what followed."""

import sys

import grpc

from sendwise.v1.common_pb2 import Feature
from sendwise.v1.decision_service_pb2 import DecideRequest
from sendwise.v1.decision_service_pb2_grpc import DecisionServiceStub
from sendwise.v1.feedback_service_pb2 import (
    DELIVERY_STATUS_SENT,
    ReportDeliveryRequest,
    ReportRewardRequest,
)
from sendwise.v1.feedback_service_pb2_grpc import FeedbackServiceStub

channel = grpc.insecure_channel(sys.argv[1])
known = {"recency": Feature(number=3), "channel": Feature(category="Web")}
request = DecideRequest(request_id="spring-17", subject_id="anna", features=known)
decision = DecisionServiceStub(channel).Decide(request)
print(decision)

about = decision.decision_id
feedback = FeedbackServiceStub(channel)
sent = ReportDeliveryRequest(decision_id=about, delivery_id="mail-1", status=DELIVERY_STATUS_SENT)
visit = ReportRewardRequest(decision_id=about, reward_id="visit-1", name="visit", value=1)
print(feedback.ReportDelivery(sent), feedback.ReportReward(visit), sep="")
