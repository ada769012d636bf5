"""How loud an episode is, for the player's timeline: from disk, or worked out in a process of its own."""

import asyncio
import sys
from urllib.parse import quote

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from app import shared
from pipeline import control, waveforms
from pipeline.waveforms import Waveform

PATIENCE_SECONDS = 600
_ONE = asyncio.Lock()  # an episode is listened to by all processors as it is


def url(episode: str) -> str:
    return f"/sound/{quote(episode, safe='')}"


async def serve(request: Request) -> Response:
    """The levels of an episode, as JSON; only names of the show's own episodes are ever looked up."""
    episode = request.path_params["episode"]
    known, found = await run_in_threadpool(_look, episode)
    if not known:
        return PlainTextResponse("This show has no such episode.", 404)
    if found is None:
        async with _ONE:
            _, found = await run_in_threadpool(_look, episode)  # Somebody else may have waited for it as well.
            if found is None and await _work_out(episode):
                _, found = await run_in_threadpool(_look, episode)
    if found is None:
        return PlainTextResponse(f"The sound of {episode} cannot be read: the panel's log says why.", 503)
    return JSONResponse(found.levels, headers={"cache-control": "private, no-cache"})


def _look(episode: str) -> tuple[bool, Waveform | None]:
    """Whether there is such an episode, and what is on disk of it."""
    try:
        show = control.open_show(shared.show_folder())
    except ValueError:  # The pages say why.
        return False, None
    known = episode in show.episodes()
    return known, waveforms.there(show, episode) if known else None


async def _work_out(episode: str) -> bool:
    """Whether it was done; what went wrong stands in the panel's log."""
    command = [sys.executable, "-m", waveforms.__name__, str(shared.show_folder()), episode]
    process = await asyncio.create_subprocess_exec(*command, stdin=asyncio.subprocess.DEVNULL)
    try:
        return await asyncio.wait_for(process.wait(), PATIENCE_SECONDS) == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


route = Route("/sound/{episode}", serve, methods=["GET"])
