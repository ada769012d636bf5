"""The benchmark of captioning: tiny, through the product's own loader, and the words for what limits it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.captioning import limit

ROOT = Path(__file__).parents[2]


def test_its_last_line_says_how_many_clips_a_minute_and_what_limits_them():
    asked = ["--tiny", "--batches", "1", "3", "--rounds", "1", "--ways", "ours", "fixed"]
    command = [sys.executable, "-m", "benchmarks.captioning", *asked]
    answer = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    found = json.loads(answer.stdout.splitlines()[-1])["captioning"]
    assert "Qwen2_5_VLForConditionalGeneration" in found["notes"][0]
    ways = [("ours", 1), ("ours", 3), ("fixed", 1), ("fixed", 3)]
    assert [(each["way"], each["batch"]) for each in found["batches"]] == ways
    for each in found["batches"]:
        assert each["fits"]
        assert each["clips_per_min"] > 0
        assert each["tokens_out"] >= 32
        assert each["tokens_in"] > 100
        assert sum(each["shares"].values()) == pytest.approx(1, abs=0.01)
        assert each["limit"]


def test_what_limits_is_the_largest_part_and_for_writing_its_reason():
    parts = {"prepare": 0.1, "see": 0.1, "read": 0.2, "write": 1.0, "rest": 0.1}
    assert "memory" in limit(parts, 0.7, 0.9)
    assert "launches" in limit(parts, 0.2, 0.5)
    assert "kernels that move more" in limit(parts, 0.2, 0.9)
    assert limit({**parts, "see": 2.0}, 0.7, 0.9) == "the eyes"
    assert limit({**parts, "prepare": 2.0}, 0.7, 0.9).startswith("the processor")
