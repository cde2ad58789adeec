"""A small archive, made once with the untrained model of the tests, and the process that all tests share."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "python" / "src"))
# Processes that tests start find the package, too, and decode by the clone.
os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT / "python" / "src"), os.environ.get("PYTHONPATH", "")])
os.environ["CLERIC_HOME"] = str(ROOT)

MODEL = str(ROOT / "test" / "fixtures" / "nano.safetensors")
ON_CPU: Any = {"model": MODEL, "device": "cpu"}


def needed_module(name: str) -> Any:
    """A module without which a test is skipped. In continuous integration it fails: what isn't run isn't checked."""
    return importlib.import_module(name) if os.environ.get("CI") == "true" else pytest.importorskip(name)


def cleric_command(*argv: str) -> None:
    """Runs the command line of the clone."""
    subprocess.run(["node", str(ROOT / "dist" / "cli" / "start.cjs"), *argv, "--quiet"], check=True)


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("slides")


@pytest.fixture(scope="session")
def archive(folder: Path) -> str:
    """Path of an archive of 700 x 500 pixels, of tiles of 128, all of which the network makes."""
    path = str(folder / "a.cleric.tif")
    options = ["--model", MODEL, "--device", "cpu", "--tile", "128", "--no-check"]
    cleric_command("compress", "synthetic:700x500:5", "-o", path, *options)
    return path


@pytest.fixture(scope="session")
def exported(folder: Path, archive: str) -> str:
    """Path of what ``cleric export`` makes of it, without loss: OpenSlide reads the same pixels."""
    path = str(folder / "exported.tif")
    cleric_command("export", archive, "-o", path, "--codec", "deflate", "--model", MODEL, "--device", "cpu")
    return path


@pytest.fixture()
def slide(archive: str) -> Iterator[Any]:
    import cleric

    with cleric.OpenSlide(archive, **ON_CPU) as opened:
        yield opened
