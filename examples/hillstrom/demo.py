"""The whole loop on 64,000 real customers: decide, log, learn, predict, deploy, compare, verify."""

import json
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from examples.hillstrom import driver
from examples.hillstrom.data import TRUTH, Customer, load

# Workers look for a new rollout five times a second; nineteen in twenty get the champion.
SWAP_SECONDS, MOST = 1.0, 0.9
HERE = Path(__file__).parent
CATALOG = HERE / "catalog.toml"
OUT = HERE.parent.parent / "demo"
DATA = OUT / "data"
KEY = OUT / "data.key"
FIXED = [f"fixed/{arm}" for arm in TRUTH]
# A public key, so that everybody's demo draws the same. A real one is made by `sendwise serve`.
DEMO_KEY = "5e0d" * 16
# The outcomes are those of two whole weeks: look at the log from when they are over.
AS_OF = f"{datetime.now(UTC) + timedelta(days=15):%Y-%m-%dT%H:%M:%S}"

console = Console(highlight=False)


def main() -> None:
    """Runs the loop and writes `demo/summary.json` and `demo/report.html`."""
    started = time.monotonic()
    customers = load(OUT / "cache")
    console.print(f"{len(customers):,} customers; their known figures are reproduced")
    begin_anew()
    half = len(customers) // 2
    with server() as address:
        replay(address, customers[:half], "1 uniform policy decides")
        with console.status("2 train, evaluate, compare, promote"):
            trained, before = learn()
        console.print(f"2 trained {trained}; the gate let it pass; the server takes it up")
        time.sleep(SWAP_SECONDS)
        answered = replay(address, customers[half:], "3 trained policy decides")
        if answered[trained] < MOST * answered.total():
            raise SystemExit(f"the server did not take up {trained}: {dict(answered)}")
    summary = {"customers": len(customers), **conclude(trained, before)}
    (OUT / "summary.json").write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
    show(summary)
    console.print(f"{time.monotonic() - started:.0f} s; see demo/report.html, demo/summary.json")
    sys.exit(0 if holds(summary) else 1)


def begin_anew() -> None:
    """An empty log under a known key."""
    shutil.rmtree(DATA, ignore_errors=True)
    KEY.unlink(missing_ok=True)
    KEY.touch(mode=0o600)
    KEY.write_text(DEMO_KEY, encoding="ascii")


@contextmanager
def server() -> Iterator[str]:
    """The real server as its own process; yields its address."""
    command = [*sendwise("serve"), "--catalog", str(CATALOG), "--port", "0"]
    command += ["--log-level", "warning"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None  # noqa: S101 - for the type checker: it is a pipe
        line = process.stdout.readline()
        if "serving on" not in line:
            raise SystemExit("the server did not start; its messages are above")
        console.print(line.strip())
        try:
            yield line.split()[3]
        finally:
            process.terminate()
            process.wait()


def replay(address: str, customers: Sequence[Customer], title: str) -> Counter[str]:
    """Has customers decided for, with a bar; counts who answered."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console) as bar:
        task = bar.add_task(title, total=len(customers))
        return driver.replay(address, customers, lambda count: bar.advance(task, count))


def learn() -> tuple[str, Mapping[str, Any]]:
    """Trains, evaluates, passes the gate, promotes; returns the version and what was predicted."""
    trained = run("train", "--as-of", AS_OF)["version"]
    policies = [
        part for name in ("logging", "uniform", *FIXED, trained) for part in ("--policy", name)
    ]
    before = run("evaluate", "--as-of", AS_OF, *policies)["policies"]
    run("promote", trained, "--as-of", AS_OF)
    return trained, before


def conclude(trained: str, before: Mapping[str, Any]) -> dict[str, Any]:
    """What was predicted beside what came true, and whether the log can prove it."""
    with console.status("4 verify every probability, balance the ledger, write the report"):
        report = run("report", "--as-of", AS_OF, "--out", str(OUT / "report.html"))
    ledger = report["ledger"]
    found = {named(name): estimate(one) for name, one in before.items()}
    return {
        "decided": ledger["decided"],
        "delivered": ledger["delivered"],
        "rewards": ledger["rewards"],
        "logging_value": found.pop("logging")["value"],
        "policies": found,
        **{key: report["prediction"][key] for key in ("predicted", "realised")},
        "verify": report["verify"],
        "ledger": ledger,
        "trained": trained,
    }


def holds(summary: Mapping[str, Any]) -> bool:
    """Whether the log proves itself, and the estimates cover what is known of the experiment."""
    covered = [
        low <= truth <= high
        for name, truth in truths().items()
        for low, high in [summary["policies"][name]["interval"]]
    ]
    sound = summary["verify"]["mismatched"] == 0 and summary["ledger"]["balanced"]
    return sound and all(covered)


def truths() -> dict[str, float]:
    """Visits that are known: of each e-mail sent to everybody, and of an even draw."""
    found = {f"fixed/{arm}": visit for arm, (_, visit, _) in TRUTH.items()}
    return {**found, "uniform": sum(found.values()) / len(found)}


def estimate(found: Mapping[str, Any]) -> dict[str, Any]:
    """Value, interval and effective sample size of an evaluation."""
    snips = found["estimates"]["snips"]
    return {
        "value": snips["value"],
        "interval": snips["interval"],
        "ess": found["diagnostics"]["ess"],
    }


def named(version: str) -> str:
    """The trained policy by a name that stays the same from run to run."""
    return "trained" if version.startswith("chain-") else version


def show(summary: Mapping[str, Any]) -> None:
    """Prints a short table."""
    truth = truths()
    console.print(
        f"\n{'visits per customer':22}{'estimate':>9}  {'95% interval':>16}  {'truth':>7}"
    )
    for name, found in summary["policies"].items():
        known = f"{truth[name]:7.2%}" if name in truth else ""
        console.print(f"{name:22}{cells(found)}  {known}")
    console.print(f"{'trained, predicted':22}{cells(summary['predicted'])}")
    console.print(f"{'trained, realised':22}{cells(summary['realised'])}\n")
    verify, ledger = summary["verify"], summary["ledger"]
    console.print(
        f"verify: {verify['exact']:,} of {verify['decisions']:,} decisions recomputed exactly"
    )
    console.print(f"ledger: {'balanced' if ledger['balanced'] else 'NOT BALANCED'}")


def cells(found: Mapping[str, Any]) -> str:
    """An estimate and its interval."""
    low, high = found["interval"]
    return f"{found['value']:9.2%}  {low:7.2%} - {high:6.2%}"


def run(command: str, *arguments: str) -> Any:  # noqa: ANN401 - whatever JSON the command prints
    """Runs a command of `sendwise` and returns the JSON that it printed."""
    result = subprocess.run(
        [*sendwise(command), *arguments, "--format", "json"], capture_output=True, check=False
    )
    if result.returncode:
        said = result.stderr.decode() + result.stdout.decode()
        raise SystemExit(f"sendwise {command} failed: {said}")
    return json.loads(result.stdout)


def sendwise(command: str) -> list[str]:
    """A command on the demo's data directory."""
    return [str(Path(sys.executable).with_name("sendwise")), command, "--data", str(DATA)]


if __name__ == "__main__":
    main()
