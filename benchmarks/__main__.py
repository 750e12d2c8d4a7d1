"""Runs every benchmark and writes benchmarks/results.json: `python -m benchmarks [NAME …]`."""

import json
import os
import platform
import sys
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path

from benchmarks import (
    choice,
    commit,
    encryption,
    evaluation,
    learning,
    open_bandit,
    rescoring,
    scale,
    serving,
    size,
    telemetry,
    training,
)

RESULTS = Path(__file__).with_name("results.json")
BENCHMARKS: Mapping[str, Callable[[], Mapping[str, float]]] = {
    "choice": choice.run,
    "commit": commit.run,
    "encryption": encryption.run,
    "evaluation": evaluation.run,
    "learning": learning.run,
    "scale": scale.run,
    "open_bandit": open_bandit.run,
    "rescoring": rescoring.run,
    "serving": serving.run,
    "size": size.run,
    "telemetry": telemetry.run,
    "training": training.run,
}
PACKAGES = (
    "grpcio",
    "lmdb",
    "numba",
    "numpy",
    "protobuf",
    "pyarrow",
    "vowpalwabbit",
    "vw-estimators",
)


def main(names: list[str]) -> None:
    """Runs the named benchmarks, all by default; results of others are kept."""
    if unknown := set(names) - set(BENCHMARKS):
        raise SystemExit(f"{__doc__} Names: {', '.join(BENCHMARKS)}; not {', '.join(unknown)}.")
    results = json.loads(RESULTS.read_bytes()) if RESULTS.exists() and names else {}
    results["machine"] = machine()
    for name in names or BENCHMARKS:
        print(f"{name} …", flush=True)
        found = {key: float(f"{value:.4g}") for key, value in BENCHMARKS[name]().items()}
        for key, value in found.items():
            print(f"  {key:45} {value:>12,.6g}")
        results |= {name: found} if found else {}
    if "size" in (names or BENCHMARKS):
        size.draw(results["size"])
        print(size.table(results["size"]))
    RESULTS.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


def machine() -> dict[str, str]:
    """What the figures were measured on."""
    info = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    model = next((line.split(":")[1].strip() for line in info if "model name" in line), "unknown")
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {
        "processor": model,
        "cores": str(os.cpu_count()),
        "memory": f"{memory:.0f} GiB",
        "kernel": platform.release(),
        "load_at_start": f"{os.getloadavg()[0]:.1f}",
        "python": platform.python_version(),
        **{name: version(name) for name in PACKAGES},
    }


if __name__ == "__main__":
    main(sys.argv[1:])
