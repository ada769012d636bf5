"""The page where people sign in, and the way out. It is the only one that a stranger sees, and runs no script."""

import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from html import escape
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import anyio
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from app import access as door
from app import oidc, shared
from pipeline import access, panel_log
from pipeline.sessions import HOURS, Sessions

_PAGE = Path(__file__).with_name("sign_in.html")
_LONGEST_FORM = 4096  # bytes
_AT_ONCE = 2  # passwords that are hashed at the same time: each takes 64 MiB and a tenth of a second
_WRONG = "That name and password do not go together."


@dataclass(slots=True)
class Patience:
    """How long somebody has to wait after wrong passwords: nothing at first, then twice as long each time."""

    free: int = 5
    longest_seconds: float = 300.0
    most: int = 10_000  # names and addresses that are remembered; the oldest are forgotten first
    _failed: OrderedDict[str, tuple[int, float]] = field(default_factory=OrderedDict)

    def wait_seconds(self, keys: Sequence[str], now: float) -> float:
        return max((self._wait(*self._failed[key], now) for key in keys if key in self._failed), default=0.0)

    def failed(self, keys: Sequence[str], now: float) -> None:
        for key in keys:
            count, _ = self._failed.pop(key, (0, 0.0))
            self._failed[key] = (count + 1, now)
        while len(self._failed) > self.most:
            self._failed.popitem(last=False)

    def forgive(self, keys: Sequence[str]) -> None:
        for key in keys:
            self._failed.pop(key, None)

    def _wait(self, count: int, at: float, now: float) -> float:
        if count < self.free:
            return 0.0
        pause = min(2.0 ** min(count - self.free, 30), self.longest_seconds)
        return max(0.0, at + pause - now)


# Somebody who guesses from one place is slowed down soon. All places together are slowed down late: people share an
# address behind a proxy, and nobody should lose their way in because a stranger guesses at it.
_guesses, _everywhere = Patience(free=5), Patience(free=50)


@lru_cache(maxsize=1)
def _turns() -> anyio.CapacityLimiter:
    return anyio.CapacityLimiter(_AT_ONCE)


async def sign_in(request: Request) -> Response:
    """The form; or, when it was sent, the way in."""
    folder = shared.show_folder()
    if request.method == "GET":
        asked = request.query_params
        return _page(folder, asked.get("next", "/"), stranger=_stranger(request, folder))
    if not _from_our_page(request):
        return _page(folder, "/", "The form was sent from another site.", 403)
    form = await _form(request)
    if form is None:
        return _page(folder, "/", "That form is too long.", 413)
    name, password, wanted = (form.get(key, "") for key in ("name", "password", "next"))
    address = door.told_address(request.client.host if request.client else "")
    who, now = access.known_as(name)[:200], time.monotonic()
    one, wide = [f"{who} from {address}"], [f"name {who}", f"address {address}"]
    if wait := max(_guesses.wait_seconds(one, now), _everywhere.wait_seconds(wide, now)):
        answer = _page(folder, wanted, f"Too many wrong passwords: try again in {wait:.0f} s.", 429, name)
        answer.headers["retry-after"] = f"{wait:.0f}"
        return answer
    # Counted before it is looked at, so that many at once are not each the first.
    _guesses.failed(one, now)
    _everywhere.failed(wide, now)
    async with _turns():
        person = await run_in_threadpool(access.signed_in, folder, name, password)
    if person is None:
        panel_log.note(folder, "sign in", by=name, address=address, outcome="refused")
        return _page(folder, wanted, _WRONG, 401, name)
    _guesses.forgive(one)
    _everywhere.forgive(wide)
    panel_log.note(folder, "sign in", by=person.name, address=address)
    response = RedirectResponse(_own(wanted), 303)
    response.set_cookie(
        door.COOKIE,
        Sessions(folder).begin(person),
        max_age=HOURS * 3600,
        httponly=True,
        samesite="lax",
        secure=request.url.scheme == "https",
    )
    return response


async def sign_out(request: Request) -> Response:
    """Ends the session here, and at the provider where one signed in by OIDC."""
    if not _from_our_page(request):
        return _page(shared.show_folder(), "/", "The way out was asked for by another site.", 403)
    folder = shared.show_folder()
    person = door.holder(request.cookies, folder)
    if cookie := request.cookies.get(door.COOKIE):
        Sessions(folder).end(cookie)
    if person:
        address = door.told_address(request.client.host if request.client else "")
        panel_log.note(folder, "sign out", by=person.name, address=address)
    by_provider = oidc.name(request.cookies, access.oidc(folder))
    response = RedirectResponse(oidc.LOGOUT if by_provider else door.SIGN_IN, 303)
    response.delete_cookie(door.COOKIE, httponly=True, samesite="lax")
    # Films and pictures that this browser kept are not for whoever uses it next.
    response.headers["clear-site-data"] = '"cache", "storage"'
    return response


def _stranger(request: Request, folder: Path) -> str:
    """The e-mail of somebody whom the provider knows and this show does not; else empty."""
    return "" if door.holder(request.cookies, folder) else oidc.name(request.cookies, access.oidc(folder))


def _from_our_page(request: Request) -> bool:
    """Whether a form came from a page of ours: browsers say so, and other programs have nobody's cookies to abuse."""
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site in ("same-origin", "none")
    origin = request.headers.get("origin")
    return origin is None or urlsplit(origin).netloc == request.headers.get("host")


async def _form(request: Request) -> dict[str, str] | None:
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > _LONGEST_FORM:
            return None
    fields = parse_qs(body.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=10)
    return {key: values[0] for key, values in fields.items()}


def _own(address: str) -> str:
    """The address to go to, if it is one of this panel; browsers read `//` and `/\\` as another site's."""
    parts = urlsplit(address) if address.isprintable() else urlsplit("")
    plain = address.startswith("/") and not address.startswith(("//", "/\\")) and "\\" not in parts.path
    return address if plain and not parts.netloc and parts.path != door.SIGN_IN else "/"


def _page(
    folder: Path, wanted: str, problem: str = "", status: int = 200, name: str = "", stranger: str = ""
) -> Response:
    ways: Mapping[str, str] = oidc.doors(access.oidc(folder))
    if stranger:
        problem = (
            f"{stranger} is signed in, and may not use this panel. Ask for: dailies panel user add {stranger} --oidc"
        )
    labels = {each: "" if each == "default" else f" with {each.capitalize()}" for each in ways}
    by_provider = "".join(
        f'<a class="way" href="{escape(url)}">Sign in{escape(labels[each])}</a>' for each, url in ways.items()
    )
    by_password = any(person.password for person in access.people(folder).values())
    filled = {
        "problem": f'<p role="alert">{escape(problem)}</p>' if problem else "",
        "form": "" if by_password else "hidden",
        "ways": by_provider,
        "or": "" if by_password and by_provider else "hidden",
        "next": escape(_own(wanted)),
        "name": escape(name),
    }
    html = _PAGE.read_text(encoding="utf-8")
    for key, value in filled.items():
        html = html.replace(f"{{{{{key}}}}}", value)
    policy = (
        "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    )
    return HTMLResponse(html, status, headers={"content-security-policy": policy, "cache-control": "no-store"})


routes = [
    Route(door.SIGN_IN, sign_in, methods=["GET", "POST"]),
    Route(door.SIGN_OUT, sign_out, methods=["POST"]),
]
