"""The benchmark of training, on tiny models and whatever is here."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MODELS = ("tiny-ltx2", "tiny-wan")


def test_its_last_line_has_every_figure_by_model_and_shape_beside_a_plain_loop():
    asked = ["--models", *MODELS, "--shapes", "64x64x9", "--levers", "plain", "ours", "--steps", "1"]
    command = [sys.executable, "-m", "benchmarks.training", *asked]
    alone = {**os.environ, "OMP_NUM_THREADS": "1"}  # Of models this small, threads only wait.
    answer = subprocess.run(command, cwd=ROOT, env=alone, capture_output=True, text=True, check=True)
    found = json.loads(answer.stdout.splitlines()[-1])
    assert found["tflops"] > 0
    named = [(each["model"], each["shape"], each["lever"]) for each in found["runs"]]
    assert named == [(model, "64x64x9", lever) for model in MODELS for lever in ("plain", "ours")]
    for plain, ours in (found["runs"][:2], found["runs"][2:]):
        for each in (plain, ours):
            assert each["step_ms"] > 0
            assert each["tokens_s"] > 0
            assert 0 <= each["mfu"] < 1  # Rounded: of models this small next to nothing.
            assert each["peak_gb"] is None or each["peak_gb"] > 0
        assert ours["ratio_to_plain"] == pytest.approx(plain["step_ms"] / ours["step_ms"], abs=0.01)
        assert ours["words"].startswith("base weights in ")
