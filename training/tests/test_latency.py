"""The latencies that `cleric bench speed` sets beside its own."""
import json
import subprocess
import sys
from pathlib import Path

MODEL = Path(__file__).parents[2] / "test" / "fixtures" / "nano.safetensors"


def run(*options: str, stdin: str = "") -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "cleric_training.latency", "--model", str(MODEL), "--threads", "1", *options]
    return subprocess.run(command, cwd=Path(__file__).parents[1], input=stdin, capture_output=True, text=True)


def test_runs_when_told_to_and_refuses_anything_else():
    result = run("--tile", "64", stdin="decode\nencode\nboth\n")
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert lines[0]["name"].startswith("PyTorch ") and lines[0]["threads"] == 1
    assert [line["direction"] for line in lines[1:]] == ["decode", "encode"]
    assert all(line["seconds"] > 0 for line in lines[1:])
    assert result.returncode == 2 and "Expected encode or decode but received 'both'" in result.stderr


def test_runs_alone_after_a_warm_up():
    lines = run("--tile", "64", "--runs", "2").stdout.splitlines()
    assert [json.loads(line)["direction"] for line in lines[1:]] == ["encode", "decode"] * 2


def test_a_wrong_side_is_refused():
    result = run("--tile", "100")
    assert result.returncode == 2 and "Expected a multiple of 64 for --tile but received 100" in result.stderr
