"""A dataset as one download: the trainer's folder as a zip that is written while it is sent, however large it is."""

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from app import shared
from pipeline import control, datasets

CHUNK_BYTES = 1 << 20


def url(step: str) -> str:
    return f"/download/{step}.zip"


async def serve(request: Request) -> Response:
    """The dataset that stands, named by its step; only names of datasets are ever looked up."""
    step = request.path_params["step"]
    folder = await run_in_threadpool(_folder, step) if step in datasets.DATASETS.values() else None
    if folder is None:
        return PlainTextResponse("This show has no such dataset.", 404)
    headers = {"content-disposition": f'attachment; filename="{folder.parent.name}.zip"', "cache-control": "no-store"}
    return StreamingResponse(zipped(folder), media_type="application/zip", headers=headers)


def _folder(step: str) -> Path | None:
    """The files of the run that stands for a dataset."""
    try:
        show = control.open_show(shared.show_folder())
    except ValueError:  # The pages say why.
        return None
    made = show.store.head(step, shared.SHOW)
    return show.store.run_path(made.name) / "files" if made else None


def zipped(folder: Path) -> Iterator[bytes]:
    """The files below `folder` as a zip, piece by piece. Nothing is compressed: films are already."""
    sink = _Sink()
    with zipfile.ZipFile(sink, "w") as archive:
        for path in sorted(each for each in folder.rglob("*") if each.is_file()):
            info = zipfile.ZipInfo.from_file(path, path.relative_to(folder).as_posix())
            with path.open("rb") as source, archive.open(info, "w", force_zip64=True) as target:
                while piece := source.read(CHUNK_BYTES):
                    target.write(piece)
                    yield sink.taken()
    yield sink.taken()


class _Sink(io.RawIOBase):
    """What a zip is written to that cannot go back: it keeps the bytes until they are taken."""

    def __init__(self) -> None:
        super().__init__()
        self._pieces: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, piece: Any) -> int:
        self._pieces.append(bytes(piece))
        return len(piece)

    def taken(self) -> bytes:
        found, self._pieces = b"".join(self._pieces), []
        return found


route = Route("/download/{step}.zip", serve, methods=["GET"])
