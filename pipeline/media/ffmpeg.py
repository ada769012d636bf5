"""The ffmpeg program, for what is easier said to it than done through its libraries."""

import shutil
import subprocess
from collections.abc import Sequence
from functools import cache


@cache
def executable() -> str:
    """The system's ffmpeg if there is one, else the one that the imageio-ffmpeg package carries."""
    if found := shutil.which("ffmpeg"):
        return found
    import imageio_ffmpeg  # type: ignore[import-untyped]

    return str(imageio_ffmpeg.get_ffmpeg_exe())


def run(arguments: Sequence[str], what: str) -> None:
    """Run ffmpeg quietly; it overwrites its outputs and is asked nothing.

    `what` says in words what is being done to which file. Raises ValueError with it and the last line of
    ffmpeg's own complaint.
    """
    command = [executable(), "-hide_banner", "-nostdin", "-y", "-loglevel", "error", *arguments]
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", check=False
    )
    if done.returncode != 0:
        raise ValueError(f"{what}: ffmpeg failed ({_complaint(done.stderr) or f'exit {done.returncode}'})")


def _complaint(stderr: str) -> str:
    # The last line often only says that the conversion failed; the one before it says why.
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    telling = [line for line in lines if not line.startswith(("Conversion failed", "Error opening output files"))]
    return (telling or lines or [""])[-1]
