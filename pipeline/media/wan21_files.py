"""What Wan2.1 trainers read beside clips: a zip, lists, settings. Pure, but for the zip.

Formats: facts of fal-ai/fal's wan_trainer.py, kohya-ss/musubi-tuner 0.3.4 (docs/dataset_config.md),
tdrussell/diffusion-pipe (examples/dataset.toml) and modelscope/DiffSynth-Studio, read in November 2026.
"""

import csv
import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from pipeline.media.sample_config import SampleConfig
from pipeline.schemas.datasets import Sample

FOLDER = "clips"
"""Where the lists and settings expect the unpacked zip, beside themselves."""


def bundle(target: Path, media: Mapping[str, Path], texts: Mapping[str, str]) -> None:
    """A flat zip with the same bytes for the same content: sorted names, one date, no compression."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted([*media, *texts]):
            # The first moment that zip can tell; plain files that everybody may read, as written under Unix.
            entry = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            entry.create_system, entry.external_attr = 3, 0o100644 << 16
            archive.writestr(entry, media[name].read_bytes() if name in media else texts[name].encode())


def metadata_csv(samples: Sequence[Sample]) -> str:
    """DiffSynth-Studio's, for `--dataset_base_path clips`."""
    stream = io.StringIO()
    rows = csv.writer(stream, lineterminator="\n")
    rows.writerow(["video", "prompt"])
    rows.writerows([sample.video.name, sample.caption] for sample in samples)
    return stream.getvalue()


def metadata_jsonl(samples: Sequence[Sample], folder: str) -> str:
    """musubi-tuner's `video_jsonl_file`."""
    rows = ({"video_path": folder + sample.video.name, "caption": sample.caption} for sample in samples)
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def musubi_toml(config: SampleConfig) -> str:
    return f"""\
# For musubi-tuner: unpack wan21.zip into {FOLDER}/ beside this file and start it here.
[general]
resolution = [{config.width}, {config.height}]
caption_extension = ".txt"
batch_size = 1
enable_bucket = true
bucket_no_upscale = true

[[datasets]]
video_directory = "{FOLDER}"
cache_directory = "cache"
# Every clip is used whole, because its caption speaks of all its frames.
frame_extraction = "full"
max_frames = {config.max_frames}
source_fps = {config.FPS:.1f}
"""


def diffusion_pipe_toml(samples: Sequence[Sample], config: SampleConfig) -> str:
    found = sorted({sample.num_frames for sample in samples}) or [config.max_frames]
    buckets = ", ".join(f"[{config.width}, {config.height}, {num_frames}]" for num_frames in found)
    return f"""\
# For diffusion-pipe: unpack wan21.zip into {FOLDER}/ beside this file and start it here.
# One bucket for each length, so that no clip is cut shorter than its caption.
size_buckets = [{buckets}]

[[directory]]
path = "{FOLDER}"
num_repeats = 1
"""


def package_json(samples: Sequence[Sample], config: SampleConfig) -> str:
    facts = {
        "trigger": config.trigger,
        "trigger_in_captions": config.trigger_in_captions,
        "fps": config.FPS,
        "width": config.width,
        "height": config.height,
        "clips": [
            {
                "file": sample.video.name,
                "split": sample.split,
                "num_frames": sample.num_frames,
                "episode": sample.episode,
                "start": round(sample.window.start, 3),
                "end": round(sample.window.end, 3),
                "sha256": sample.video.digest,
            }
            for sample in samples
        ],
    }
    return json.dumps(facts, indent=1, ensure_ascii=False) + "\n"
