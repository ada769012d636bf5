"""`dailies init`: a new show's folder with the two files that people write."""

import re
from importlib import resources
from pathlib import Path


def init(folder: Path) -> list[Path]:
    """Make `show.toml`, `bible.toml` and `episodes/`; what is there already stays. The files that were written."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "episodes").mkdir(exist_ok=True)
    name = re.sub(r"[^a-z0-9]+", "_", folder.resolve().name.lower()).strip("_")[:40] or "show"
    written = []
    for file in ("show.toml", "bible.toml"):
        path = folder / file
        if not path.exists():
            template = resources.files("pipeline").joinpath("templates", file).read_text(encoding="utf-8")
            path.write_text(template.replace("{name}", name), encoding="utf-8")
            written.append(path)
    return written
