"""What the services refuse themselves, before or after asking policy and log."""


class RefusalError(Exception):
    """Any refusal of this package."""


class UnknownDecisionError(RefusalError):
    """No decision has this id."""

    def __init__(self, decision_id: str) -> None:
        self.decision_id = decision_id
        super().__init__(f"this log holds no decision {decision_id}")


class InexplicableError(RefusalError):
    """What made a stored decision is not there any more."""

    def __init__(self, decision_id: str, problem: str) -> None:
        self.decision_id = decision_id
        self.problem = problem
        super().__init__(f"decision {decision_id} cannot be explained: {problem}")


class RequestReusedError(RefusalError):
    """A request id came back with another request."""

    def __init__(self, request_id: str, decision_id: str) -> None:
        self.request_id = request_id
        self.decision_id = decision_id
        """The decision that answered the first request."""
        super().__init__(
            f"request id {request_id!r} was used for another request, which decision "
            f"{decision_id} answered: give every request an id of its own"
        )


class BatchSizeError(RefusalError):
    """A batch is empty or too large."""

    def __init__(self, size: int, maximum: int) -> None:
        self.size = size
        self.maximum = maximum
        super().__init__(f"a batch has 1 to {maximum} entries, this one has {size}")


class TooManyStreamsError(RefusalError):
    """A worker has as many streams open as it takes."""

    def __init__(self, maximum: int) -> None:
        self.maximum = maximum
        super().__init__(
            f"this worker has {maximum} streams or erasures under way, the most that it takes: try "
            "again later, over another channel, or send batches"
        )


class TokenRequiredError(RefusalError):
    """The call carries no valid token."""

    def __init__(self) -> None:
        super().__init__("send a valid token as metadata: authorization: Bearer TOKEN")
