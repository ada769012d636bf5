"""Ray's Job API as it is used here: every answer comes within bounds, and each line of a job's log once."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ray.job_submission import JobSubmissionClient

LIVE = ("PENDING", "RUNNING")
CONNECT_SECONDS, ANSWER_SECONDS = 10.0, 60.0
QUIET_SECONDS = 30.0
"""A job that says nothing for so long is asked after: a machine that is switched off closes no connection."""

LOST_TRIES, LOST_SECONDS = 5, 3.0
"""A host that does not answer for so long is given up; its job may go on there, and the next run attaches."""
_LOOK_SECONDS = 1.0


class LostHostError(ConnectionError):
    """The host does not answer any more."""


def client(name: str, address: str, token: str | None) -> "JobSubmissionClient":
    """Who speaks with the host called `name`. Raises LostHostError where it does not answer."""
    import requests
    from ray.job_submission import JobSubmissionClient

    class Bounded(JobSubmissionClient):
        """Ray's own waits for ever for a machine that does not answer."""

        def _do_request(self, method: str, endpoint: str, **how: Any) -> requests.Response:
            try:
                how.setdefault("timeout", (CONNECT_SECONDS, ANSWER_SECONDS))
                return super()._do_request(method, endpoint, **how)
            except requests.RequestException as error:
                raise lost(name, address, error) from error

    logging.getLogger("ray").setLevel(logging.WARNING)  # It tells of every package that it sends.
    return Bounded(address.rstrip("/"), headers={"Authorization": f"Bearer {token}"} if token else {})


def lost(name: str, address: str, error: BaseException) -> LostHostError:
    """What to say of a host that does not answer any more, and what to do, in one line."""
    said = (str(error).strip() or type(error).__name__).splitlines()[0]
    return LostHostError(
        f"host {name} does not answer any more at {address}: start it again (`dailies host up {name}`, `dailies host"
        f" ssh-tunnel {name}`) and run again; finished items are kept there ({said})"
    )


def status(of: "JobSubmissionClient", identity: str) -> str | None:
    """Ray's word for how a job is; None where it knows none of that name."""
    try:
        return str(of.get_job_status(identity).value)
    except RuntimeError as error:
        if "404" in str(error) or "does not exist" in str(error):
            return None
        raise


async def lines(of: "JobSubmissionClient", identity: str, name: str, address: str) -> AsyncIterator[str]:
    """The job's lines from its first, each once, through broken streams, until it has ended or is forgotten.

    Raises LostHostError.
    """
    import aiohttp

    seen, tries = 0, 0
    while True:
        rest, number = "", 0
        try:
            async for chunk in _watched(of.tail_job_logs(identity), lambda: status(of, identity)):
                tries = 0  # It answers, if only with what was told before.
                *whole, rest = (rest + chunk).split("\n")
                for line in whole:
                    number += 1
                    if number > seen:
                        seen = number
                        yield line + "\n"
            if await asyncio.to_thread(status, of, identity) not in LIVE:
                if rest and number + 1 > seen:
                    yield rest + "\n"
                return
        except (RuntimeError, OSError, aiohttp.ClientError) as error:
            if await asyncio.to_thread(_is_forgotten, of, identity):
                return
            tries += 1
            if tries == LOST_TRIES:
                raise error if isinstance(error, LostHostError) else lost(name, address, error) from error
        await asyncio.sleep(LOST_SECONDS if tries else _LOOK_SECONDS)


def _is_forgotten(of: "JobSubmissionClient", identity: str) -> bool:
    """Whether a host answers that knows nothing of the job: it was started anew."""
    try:
        return status(of, identity) is None
    except (RuntimeError, OSError):
        return False


async def _watched(chunks: AsyncIterator[str], ask: Callable[[], object]) -> AsyncIterator[str]:
    """The chunks; `ask` is called as long as none comes, and what it raises ends them."""
    coming = None
    try:
        while True:
            coming = asyncio.ensure_future(_next(chunks))
            while not (await asyncio.wait({coming}, timeout=QUIET_SECONDS))[0]:
                await asyncio.to_thread(ask)
            if (chunk := coming.result()) is None:
                return
            yield chunk
    finally:
        if coming is not None:
            coming.cancel()


async def _next(chunks: AsyncIterator[str]) -> str | None:
    return await anext(chunks, None)
