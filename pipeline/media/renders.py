"""Videos that a model made, as files that every browser plays."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.media import ffmpeg

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SOUND_RATE_HZ = 48_000


def write(
    path: Path,
    pictures: NDArray[np.uint8],
    fps: float,
    sound: NDArray[np.float32] | None = None,
    rate_hz: int = SOUND_RATE_HZ,
) -> None:
    """Write pictures (frames, height, width, RGB; even sides) and sound (channels, samples; in [-1, 1]) to an mp4 of
    H.264 and AAC. The sound begins with the picture and ends with it. The same input gives the same bytes with the same
    build of ffmpeg. Raises ValueError with ffmpeg's own words where it fails.
    """
    frames, height, width, _ = pictures.shape
    raw, wave = path.with_suffix(".rgb"), path.with_suffix(".f32")
    raw.write_bytes(pictures.tobytes())
    arguments = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}", "-r", f"{fps:g}", "-i", str(raw)]
    if sound is not None:
        wave.write_bytes(sound.T.astype("<f4").tobytes())
        arguments += ["-f", "f32le", "-ar", str(rate_hz), "-ac", str(len(sound)), "-i", str(wave)]
        arguments += [
            "-af",
            f"apad,atrim=end={frames / fps:.6f},aresample={SOUND_RATE_HZ}",
            "-c:a",
            "aac",
            "-b:a",
            "192k",
        ]
    # x264's macroblock tree reads memory that nobody set at some widths, so that bytes would differ (media/clips.py).
    arguments += ["-c:v", "libx264", "-preset", "veryfast", "-crf", "16", "-x264-params", "mbtree=0", "-threads", "1"]
    arguments += ["-vf", "scale=out_range=tv:flags=accurate_rnd+full_chroma_int+bitexact,format=yuv420p"]
    arguments += ["-fflags", "+bitexact", "-flags:v", "+bitexact", "-flags:a", "+bitexact", "-movflags", "+faststart"]
    try:
        ffmpeg.run([*arguments, "-f", "mp4", str(path)], f"writing a video of {frames} frames of {width}x{height}")
    finally:
        raw.unlink()
        wave.unlink(missing_ok=True)
