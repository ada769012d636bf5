"""What is read before anybody opens a page."""

import subprocess
import sys

from app import warm
from pipeline.settings import PROJECT

SAID = "import sys; from pathlib import Path; from app import warm; warm.begin(Path(sys.argv[1])).join(); "


def test_all_that_pages_import_is_there_before_the_first_page(spies_copy):
    ask = f"{SAID}print(*(name for name in warm.NEEDED if name not in sys.modules))"
    command = [sys.executable, "-c", ask, spies_copy]
    answer = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=True, stdin=subprocess.DEVNULL)
    assert answer.stdout.split() == []
    assert answer.stderr == ""


def test_a_show_that_cannot_be_read_stops_no_server(tmp_path):
    warm.up(tmp_path)
