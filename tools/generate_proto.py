"""Generates the code in proto/ from the .proto files, or checks that it is current and linted."""

import argparse
import filecmp
import subprocess
import sys
import tempfile
from importlib.resources import files
from pathlib import Path

from google.rpc import status_pb2

ROOT = Path(__file__).resolve().parent.parent
PROTO = ROOT / "proto"
BIN = Path(sys.executable).parent


def sources() -> list[str]:
    """Paths of the .proto files below proto/, sorted."""
    return sorted(str(path.relative_to(PROTO)) for path in PROTO.rglob("*.proto"))


def protoc(*outputs: str) -> None:
    """Runs the compiler over all sources.

    Raises:
        subprocess.CalledProcessError: if a source is wrong; the compiler has said where.
    """
    well_known = Path(str(files("grpc_tools"))) / "_proto"
    google_apis = Path(status_pb2.__file__).parents[2]
    includes = [f"-I{root}" for root in (PROTO, well_known, google_apis)]
    command = [sys.executable, "-m", "grpc_tools.protoc", *includes, *outputs, *sources()]
    subprocess.run(command, check=True, cwd=PROTO)


def generate(target: Path) -> None:
    """Writes messages, services and their type stubs below `target`."""
    protoc(
        f"--plugin=protoc-gen-mypy={BIN / 'protoc-gen-mypy'}",
        f"--plugin=protoc-gen-mypy_grpc={BIN / 'protoc-gen-mypy_grpc'}",
        f"--python_out={target}",
        f"--mypy_out=quiet:{target}",
        f"--grpc_python_out={target}",
        f"--mypy_grpc_out=quiet:{target}",
    )


def stale() -> list[str]:
    """Generated files that differ from what the sources give now."""
    with tempfile.TemporaryDirectory() as scratch:
        generate(Path(scratch))
        fresh = sorted(str(p.relative_to(scratch)) for p in Path(scratch).rglob("*.py*"))
        _, differing, missing = filecmp.cmpfiles(scratch, PROTO, fresh, shallow=False)
    committed = {str(p.relative_to(PROTO)) for p in PROTO.rglob("*_pb2*.py") if p.suffix != ".pyc"}
    return sorted({*differing, *missing, *(committed - set(fresh))})


def lint() -> None:
    """Runs buf's standard rules over our own files, without a network."""
    with tempfile.TemporaryDirectory() as scratch:
        image = Path(scratch) / "image.binpb"
        protoc("--include_imports", "--include_source_info", f"--descriptor_set_out={image}")
        ours = [option for name in sources() for option in ("--path", name)]
        subprocess.run([BIN / "buf", "lint", str(image), *ours], check=True, cwd=PROTO)


def main() -> int:
    """Generates, or checks and lints; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing; fail if not current")
    if not parser.parse_args().check:
        generate(PROTO)
        return 0
    lint()
    names = stale()
    for name in names:
        print(f"proto/{name} is not current: run `make proto`", file=sys.stderr)
    return 1 if names else 0


if __name__ == "__main__":
    sys.exit(main())
