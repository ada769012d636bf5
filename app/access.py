"""The one door to the panel: every page, websocket, static file, medium and health check passes it, or is turned away.

Where nobody has to sign in, only this machine is let in. Where people do, a request without a session gets to the
sign-in page and no further, and each message on a websocket is asked again, so that a session that has ended is over.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import streamlit as st
from starlette.datastructures import Headers
from starlette.requests import HTTPConnection
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app import oidc, shared
from pipeline import access
from pipeline.access import Person
from pipeline.sessions import Sessions

COOKIE = "dailies-session"
SIGN_IN, SIGN_OUT = "/sign-in", "/sign-out"

PERSON_HEADER = b"x-dailies-person"
"""Streamlit lets only the person who has a session take it up again; which header names them, config.toml says."""

_OPEN = {SIGN_IN, SIGN_OUT, *oidc.PATHS}
_SIGN_IN_FIRST = 4401  # the code that a websocket is closed with
_HEADERS = {
    "content-security-policy": "frame-ancestors 'self'",
    "referrer-policy": "same-origin",
    "x-content-type-options": "nosniff",
}


class Door:
    """What stands before all that the panel serves (ASGI)."""

    def __init__(self, app: ASGIApp, folder: Path) -> None:
        self._app, self._folder = app, folder
        # Once people have to sign in they have to as long as this process lives, whatever becomes of the files.
        self._closed = bool(access.ways(folder))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        try:
            self._closed = self._closed or bool(access.ways(self._folder))
            answer, person = self._judged(HTTPConnection(scope))
        except ValueError as error:  # Who may come in cannot be told, so nobody may.
            answer, person = PlainTextResponse(f"Nobody can sign in: {error}", 503), None
        if answer is not None:
            await _turned_away(answer, scope, receive, send)
            return
        scope = {**scope, "headers": _named(scope["headers"], person)}
        if scope["type"] == "http":
            await self._app(scope, receive, _with_headers(send))
        else:
            await self._app(scope, self._asked_again(scope, receive, send, person), send)

    def _judged(self, asked: HTTPConnection) -> tuple[Response | None, Person | None]:
        """The answer for whoever may not pass, else None and who it is."""
        if not self._closed:
            return (None, None) if _is_here(asked) else (PlainTextResponse(_not_here(asked), 403), None)
        person = holder(asked.cookies, self._folder)
        if person or asked.url.path in _OPEN:
            return None, person
        if _is_page(asked.scope, asked.headers):
            wanted = asked.url.path + (f"?{asked.url.query}" if asked.url.query else "")
            return RedirectResponse(f"{SIGN_IN}?next={quote(wanted)}", 303), None
        return PlainTextResponse("Sign in first.", 401), None

    def _asked_again(self, scope: Scope, receive: Receive, send: Send, person: Person | None) -> Receive:
        """Each message is heard only as long as its sender's session stands."""
        cookies = HTTPConnection(scope).cookies

        async def heard() -> Message:
            message = await receive()
            if message["type"] == "websocket.receive" and self._closed:
                try:
                    now = holder(cookies, self._folder)
                except ValueError:
                    now = None
                if person is None or now is None or now.name != person.name:
                    await send({"type": "websocket.close", "code": _SIGN_IN_FIRST, "reason": "sign in again"})
                    return {"type": "websocket.disconnect", "code": _SIGN_IN_FIRST}
            return message

        return heard


def holder(cookies: Mapping[str, str], folder: Path) -> Person | None:
    """Whose cookies these are, as whom they may work now. Raises ValueError where that cannot be told."""
    if (cookie := cookies.get(COOKIE)) and (person := Sessions(folder).holder(cookie)):
        return person
    if name := oidc.name(cookies, access.oidc(folder)):
        return access.people(folder).get(access.known_as(name))
    return None


# Within a page


def is_closed() -> bool:
    """Whether people have to sign in."""
    return bool(access.ways(shared.show_folder()))


def person() -> Person | None:
    """Who has this page open, asked anew each time; None where nobody signs in, or the session is over."""
    return holder(cookies(), shared.show_folder())


def cookies() -> dict[str, str]:
    return dict(st.context.cookies)


def address() -> str:
    """Where this page is looked at from."""
    return told_address(st.context.ip_address or "")


def told_address(ip: str) -> str:
    """An address as the log has it; Streamlit gives none for a browser on the panel's own machine."""
    return "this machine" if not ip or access.is_loopback(ip) else ip


# What a request says


def _is_here(asked: HTTPConnection) -> bool:
    """Whether it came over loopback and asked for this machine by name: a page elsewhere, or a proxy for everybody, has
    another host in its request.
    """
    server: Any = asked.scope.get("server")
    return bool(server) and access.is_loopback(str(server[0])) and access.is_loopback(_host(asked))


def _not_here(asked: HTTPConnection) -> str:
    return f"Dailies: {access.refusal(_host(asked) or 'an unknown address')}"


def _host(asked: HTTPConnection) -> str:
    try:
        return asked.url.hostname or ""
    except ValueError:
        return ""


def _is_page(scope: Scope, headers: Headers) -> bool:
    """Whether a person opens a page, and does not merely load a part of one."""
    return scope["type"] == "http" and scope["method"] == "GET" and "text/html" in headers.get("accept", "")


def _named(headers: list[tuple[bytes, bytes]], person: Person | None) -> list[tuple[bytes, bytes]]:
    """The headers with who it is; whatever a browser says of that itself is dropped."""
    kept = [(name, value) for name, value in headers if name != PERSON_HEADER]
    return [*kept, (PERSON_HEADER, quote(person.name).encode())] if person else kept


def _with_headers(send: Send) -> Send:
    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start":
            there = {name.lower() for name, _ in message["headers"]}
            more = [(n.encode(), v.encode()) for n, v in _HEADERS.items() if n.encode() not in there]
            message = {**message, "headers": [*message["headers"], *more]}
        await send(message)

    return sent


async def _turned_away(answer: Response, scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.close", "code": _SIGN_IN_FIRST})
    else:
        await answer(scope, receive, _with_headers(send))
