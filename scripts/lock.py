"""Writes the lock files: all packages of both environments, pinned with hashes, for Python 3.11 and 3.12.

uv resolves (it can solve for several Pythons and systems at once; pip locks only for the machine it runs on) and
pip installs. What stands in the lock stays unless pyproject.toml forbids it; `--upgrade` asks for all anew.
"""

import argparse
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

CLONE = Path(__file__).resolve().parents[1]
UV = "uv==0.13.9"
TARGETS = {
    "requirements.lock": ("pyproject.toml", "--group", "demo", "--group", "dev"),
    "requirements-label-studio.lock": ("requirements-label-studio.in",),
}
HOW = (
    *("--universal", "--python-version", "3.11", "--fork-strategy", "fewest", "--generate-hashes"),
    *("--custom-compile-command", "make lock", "--annotation-style", "line", "--quiet"),
)
# What [tool.uv] environments in pyproject.toml asks for is true of every line, so saying it on each is noise.
EVERYWHERE = (
    " ; python_full_version < '3.13' and (sys_platform == 'darwin' or sys_platform == 'linux')",
    "python_full_version < '3.13' and ",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--upgrade", action="store_true", help="take the newest allowed release of everything")
    upgrade = ("--upgrade",) if parser.parse_args().upgrade else ()
    with tempfile.TemporaryDirectory() as folder:
        venv.create(folder, with_pip=True)
        subprocess.run((f"{folder}/bin/python", "-m", "pip", "install", "--quiet", UV), check=True)
        for lock, sources in TARGETS.items():
            what = (*sources, "--output-file", lock, "--python", sys.executable)
            subprocess.run((f"{folder}/bin/uv", "pip", "compile", *what, *HOW, *upgrade), cwd=CLONE, check=True)
            tidy(CLONE / lock)


def tidy(lock: Path) -> None:
    text = lock.read_text(encoding="utf-8")
    for marker in EVERYWHERE:
        text = text.replace(marker, "")
    lock.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
