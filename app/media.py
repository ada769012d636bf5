"""The panel's own way of handing out media: by digest, from the store alone, with ranges so that players can seek."""

import re
from functools import lru_cache
from pathlib import Path
from urllib.parse import quote

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, Response
from starlette.routing import Route

from app import shared
from pipeline.referred import Referred
from pipeline.timelines import File

_DIGEST = re.compile(r"[0-9a-f]{64}")


def url(file: File) -> str:
    """Where a browser finds a file that the show refers to."""
    return f"/store/{file.digest}/{quote(file.name)}"


async def serve(request: Request) -> Response:
    """The bytes of a digest under the name that the show gives them; everything else is not found."""
    digest, name = request.path_params["digest"], request.path_params["name"]
    # What is no digest never comes near a path.
    found = await run_in_threadpool(_find, digest, name) if _DIGEST.fullmatch(digest) else None
    if found is None:
        return PlainTextResponse("This show has no such file.", 404)
    path, kind = found
    # The name says what the bytes are, for ever; only this person's browser keeps them.
    headers = {
        "etag": f'"{digest}"',
        "cache-control": "private, max-age=31536000, immutable",
        "x-content-type-options": "nosniff",
    }
    if request.headers.get("if-none-match") == headers["etag"]:
        return Response(status_code=304, headers=headers)
    return FileResponse(path, media_type=kind, headers=headers)


def _find(digest: str, name: str) -> tuple[Path, str] | None:
    try:
        return _referred(shared.show_folder()).find(digest, name)
    except ValueError:  # A show.toml that cannot be read refers to nothing; the page says why.
        return None


@lru_cache(maxsize=1)
def _referred(folder: Path) -> Referred:
    return Referred(folder)


route = Route("/store/{digest}/{name:path}", serve, methods=["GET"])
