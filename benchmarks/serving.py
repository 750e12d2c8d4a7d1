"""How many decisions a second a server answers, beside the barest call on the same server."""

import re
import shutil
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from google.protobuf.message import Message
from grpc_health.v1 import health_pb2

from sendwise.v1 import common_pb2 as common
from sendwise.v1 import decision_service_pb2 as decision_api

REPETITIONS = 3
CALLS = 20_000
BATCHES = 400
BATCH = 50
IN_FLIGHT = 64
CONNECTIONS = 16
CATALOG = Path(__file__).parent.parent / "examples" / "hillstrom" / "catalog.toml"


def run() -> dict[str, float]:
    """Closed loop, 64 calls in flight over four connections (h2load); medians.

    Every decision is new, durable before it is answered, and has ten features.
    """
    with tempfile.TemporaryDirectory() as scratch, served(Path(scratch)) as address:
        rounds = [one_round(Path(scratch), address) for _ in range(REPETITIONS)]
    return {key: median(each[key] for each in rounds) for key in rounds[0]}


def one_round(scratch: Path, address: str) -> dict[str, float]:
    """All three kinds of call, one after the other."""
    batch = decision_api.BatchDecideRequest(requests=[request() for _ in range(BATCH)])
    decide = load(scratch, address, "sendwise.v1.DecisionService/Decide", request(), CALLS)
    many = load(scratch, address, "sendwise.v1.DecisionService/BatchDecide", batch, BATCHES)
    health = health_pb2.HealthCheckRequest()
    bare = load(scratch, address, "grpc.health.v1.Health/Check", health, CALLS)
    return {
        "decide_calls_per_s": decide,
        "batch_decisions_per_s": many * BATCH,
        "bare_calls_per_s": bare,
        "decide_ratio_to_bare_call": decide / bare,
    }


def request() -> decision_api.DecideRequest:
    """A request with ten features and no id, so that every call is a new decision."""
    features = {f"feature_{index}": common.Feature(number=index) for index in range(10)}
    return decision_api.DecideRequest(subject_id="subject", features=features)


@contextmanager
def served(scratch: Path) -> Iterator[str]:
    """A server with a worker a core; yields its address."""
    sendwise = str(Path(sys.executable).with_name("sendwise"))
    command = [sendwise, "serve", "--data", str(scratch / "data"), "--catalog", str(CATALOG)]
    with subprocess.Popen([*command, "--port", "0"], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().split()[3]
        finally:
            process.terminate()
            process.wait()


def load(scratch: Path, address: str, method: str, message: Message, calls: int) -> float:
    """Calls a second that were answered; all must be."""
    body = message.SerializeToString()
    payload = scratch / "payload"
    payload.write_bytes(struct.pack(">BI", 0, len(body)) + body)
    h2load = shutil.which("h2load")
    if h2load is None:
        raise SystemExit("the serving benchmark needs h2load: run `make system`")
    command = [h2load, "-n", str(calls), "-c", str(CONNECTIONS)]
    command += ["-m", str(IN_FLIGHT // CONNECTIONS), "-d", str(payload)]
    command += ["-H", "content-type: application/grpc", "-H", "te: trailers"]
    found = subprocess.run(
        [*command, f"http://{address}/{method}"], check=True, capture_output=True, text=True
    ).stdout
    answered = re.search(r"(\d+) succeeded, 0 failed", found)
    speed = re.search(r"([\d.]+) req/s", found)
    if not answered or int(answered[1]) != calls or not speed:
        raise SystemExit(f"h2load did not get every answer:\n{found}")
    return float(speed[1])
