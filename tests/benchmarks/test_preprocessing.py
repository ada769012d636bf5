"""The benchmark of preprocessing, small and on whatever is here."""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_its_last_line_says_how_many_clips_and_captions_a_minute_and_how_busy_the_encoder_was():
    command = [sys.executable, "-m", "benchmarks.preprocessing", "--tiny", "--clips", "2", "--size", "64x64x9"]
    answer = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    found = json.loads(answer.stdout.splitlines()[-1])["preprocessing"]
    assert found["clips_per_min"] > 0
    for name in ("captions", "pictures", "sounds"):
        assert found[name]["a_minute"] > 0
        assert 0 < found[name]["gpu_share"] <= 1.01
