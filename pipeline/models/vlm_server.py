"""Talking with a model server over HTTP: patience with one that is busy, and clear words where it cannot help."""

import email.utils
import random
import re
import threading
import time
from dataclasses import dataclass, field
from typing import Any

import httpx

from pipeline.models.vlm_pace import Pace

BUSY = frozenset({408, 425, 429, 500, 502, 503, 504, 529})
"""What passes: too many requests, starting, loading, restarting. A 500 may be one worker that died."""

TRIES_WHERE_BROKEN = 3
"""So often a server may fail (500) or not answer in time on one request before the request is what is wrong."""

FIRST_WAIT, LONGEST_WAIT, CLOSING_SECONDS = 0.5, 30.0, 5.0

_TOO_LONG = re.compile(
    r"context (?:length|size|window)|maximum (?:model |context )?length|longer than the maximum|too many tokens"
    r"|max_(?:completion_)?tokens. is too large",
    re.IGNORECASE,
)
URL_SETTING, KEY_SETTING = "model_server_url (DAILIES_MODEL_SERVER_URL)", "DAILIES_MODEL_SERVER_KEY"


class ServerError(ValueError):
    """What the server will not do, and the remedy."""


class RefusedError(ServerError):
    """The request is at fault, says the server: `status` is 4xx, `message` its own words."""

    def __init__(self, url: str, status: int, message: str) -> None:
        self.status, self.message = status, message
        super().__init__(f"the model server at {url} refuses the request ({status}): {message}")


@dataclass
class Server:
    """One server. Threads may share it. Every ask leaves the server as it was, so that it may be made again.

    `timeout` are the seconds that one answer may take, `patience` those for which a server that is busy or restarting
    is asked again. Raises ServerError.
    """

    url: str
    key: str | None = field(default=None, repr=False)
    timeout: float = 600.0
    patience: float = 300.0
    first_wait: float = FIRST_WAIT
    pace: Pace = field(default_factory=Pace)
    closed: threading.Event = field(default_factory=threading.Event)
    _idle: threading.Condition = field(default_factory=threading.Condition)
    _under_way: int = 0

    def __post_init__(self) -> None:
        base = self.url.rstrip("/")
        # People write the address with and without the version that all paths begin with.
        self.base = base if base.endswith("/v1") else f"{base}/v1"
        limits = httpx.Limits(max_connections=self.pace.most, max_keepalive_connections=self.pace.most)
        headers = {"Authorization": f"Bearer {self.key}"} if self.key else {}
        times = httpx.Timeout(self.timeout, connect=10.0)
        try:
            self._client = httpx.Client(headers=headers, timeout=times, limits=limits, trust_env=False)
            httpx.URL(self.base)
        except (httpx.InvalidURL, UnicodeEncodeError) as error:
            raise ServerError(f"{URL_SETTING} or {KEY_SETTING} cannot be used: {error}") from error

    def close(self) -> None:
        """End the connections. What is still being asked has a moment to end by itself, then it is broken off."""
        self.closed.set()
        with self._idle:
            self._idle.wait_for(lambda: not self._under_way, CLOSING_SECONDS)
        self._client.close()

    def models(self) -> list[dict[str, Any]]:
        """What it says it serves; empty where it does not say. Asked once: a server that is away is told at once."""
        try:
            response = self._client.get(f"{self.base}/models", timeout=10.0)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise self._unreachable(error) from error
        if response.status_code in (401, 403):
            raise self._unauthorised(response)
        found = _json(response).get("data") if response.is_success else None
        return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []

    def chat(self, body: dict[str, Any]) -> dict[str, Any]:
        """Ask `/chat/completions`, and again while the server is busy or away."""
        began, tries, broken = time.monotonic(), 0, 0
        while True:
            started = time.monotonic()
            wait, lasting = None, None
            try:
                response = self._post(body)
            except httpx.TimeoutException as error:
                lasting = ServerError(
                    f"the model server at {self.url} did not answer within {self.timeout:.0f} s"
                    f" ({type(error).__name__}): it is too slow for this request, or hangs"
                )
                broken += 1
            except (httpx.TransportError, httpx.InvalidURL) as error:
                lasting = self._unreachable(error)
            else:
                if response.is_success:
                    return self._answer(response, started)
                if response.status_code not in BUSY:
                    raise self._refusal(response)
                wait = _retry_after(response)
                broken += response.status_code == 500
                lasting = ServerError(
                    f"the model server at {self.url} keeps failing ({response.status_code}): {_message(response)}"
                )
            now = time.monotonic()
            self.pace.refused(started, now)
            tries += 1
            # Each waits another while, so that they do not all come back at once.
            wait = (
                wait
                if wait is not None
                else random.uniform(0.5, 1) * min(self.first_wait * 2 ** (tries - 1), LONGEST_WAIT)
            )
            if broken >= TRIES_WHERE_BROKEN or now + wait - began > self.patience or self.closed.wait(wait):
                raise lasting

    def _post(self, body: dict[str, Any]) -> httpx.Response:
        with self._idle:
            self._under_way += 1
        try:
            return self._client.post(f"{self.base}/chat/completions", json=body)
        finally:
            with self._idle:
                self._under_way -= 1
                self._idle.notify_all()

    def _answer(self, response: httpx.Response, started: float) -> dict[str, Any]:
        found = _json(response)
        usage = found.get("usage") or {}
        self.pace.answered(
            started, time.monotonic(), usage.get("prompt_tokens") or 0, usage.get("completion_tokens") or 0
        )
        if not isinstance(found.get("choices"), list) or not found["choices"]:
            raise ServerError(
                f"what answers at {self.url} is no OpenAI-compatible model server ({response.text[:80]!r}): set"
                f" {URL_SETTING}"
            )
        return found

    def _refusal(self, response: httpx.Response) -> ServerError:
        message = _message(response)
        if response.status_code in (401, 403):
            return self._unauthorised(response)
        if _TOO_LONG.search(message):
            return ServerError(
                f"a request is longer than the model server at {self.url} takes ({message}): give it fewer frames,"
                " shorter clips or less context, or start the server with a longer context"
            )
        return RefusedError(self.url, response.status_code, message)

    def _unauthorised(self, response: httpx.Response) -> ServerError:
        given = "does not accept the key that it was given" if self.key else "wants a key"
        return ServerError(
            f"the model server at {self.url} {given} ({response.status_code}): set {KEY_SETTING} in the environment"
        )

    def _unreachable(self, error: Exception) -> ServerError:
        reason = str(error) or type(error).__name__
        return ServerError(
            f"the model server at {self.url} cannot be reached ({reason}): start it, or set"
            f" {URL_SETTING} to where it is"
        )


def _retry_after(response: httpx.Response) -> float | None:
    """What the header Retry-After asks for, in seconds: a number, or a date."""
    value = response.headers.get("retry-after", "").strip()
    if re.fullmatch(r"\d+(\.\d+)?", value):
        return float(value)
    try:
        return max(email.utils.parsedate_to_datetime(value).timestamp() - time.time(), 0.0)
    except (ValueError, TypeError):
        return None


def _json(response: httpx.Response) -> dict[str, Any]:
    try:
        found = response.json()
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _message(response: httpx.Response) -> str:
    """The server's own words: `{"error": {"message": …}}`, `{"detail": …}`, `{"message": …}`, or the text."""
    found = _json(response)
    error = found.get("error", found)
    text = error if isinstance(error, str) else ""
    if isinstance(error, dict):
        text = str(error.get("message") or error.get("detail") or "")
    return " ".join((text or response.text or "no reason given").split())[:400]
