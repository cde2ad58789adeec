"""The run on a bare GPU machine: what it does before a minute is spent, on the processor."""
import subprocess
import sys
from pathlib import Path

import gpu_run
import torch

FOLDER = Path(__file__).resolve().parents[1]


def test_the_first_step_is_made_of_what_the_run_is_made_of(capsys):
    gpu_run.first_step(torch.device("cpu"))
    assert "a step of nano on cpu by " in capsys.readouterr().out


def test_a_run_without_packed_files_ends_at_once_and_says_why(tmp_path):
    command = [sys.executable, "gpu_run.py", "--packed", str(tmp_path), "--out", str(tmp_path / "out"),
               "--device", "cpu", "--seconds", "60"]
    result = subprocess.run(command, cwd=FOLDER, capture_output=True, text=True, timeout=120)
    assert result.returncode != 0
    assert "stopped: Expected" in result.stdout + result.stderr and "packed.json" in result.stdout + result.stderr
