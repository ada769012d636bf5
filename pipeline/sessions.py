"""Sessions of people who signed in with a password: a signed cookie that ends by itself, and at once when it must.

A cookie says who and until when, and carries a mark of the password it was made by: a new password, a removed person or
a sign-out ends it on the server too.
"""

import hashlib
import json
import secrets
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from itsdangerous import BadSignature, URLSafeSerializer

from pipeline import access
from pipeline.access import Person

HOURS = 7 * 24
"""How long a session lasts; then one signs in again."""

_SECRET_BYTES = 32


@dataclass(slots=True)
class Sessions:
    """The sessions of one show's panel."""

    show: Path
    _ended: dict[str, float] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        if self._path.exists():
            known = json.loads(self._path.read_bytes())
            self._ended = {id_: until for id_, until in known.items() if until > time.time()}

    def begin(self, person: Person) -> str:
        """A new session's cookie."""
        until = int(time.time()) + HOURS * 3600
        return str(self._signer().dumps([person.name, until, secrets.token_urlsafe(12), _mark(person)]))

    def holder(self, cookie: str) -> Person | None:
        """Whose session it is; None for one that was never begun here, is over, or was ended."""
        found = self._read(cookie)
        if found is None:
            return None
        name, until, id_, mark = found
        person = access.people(self.show).get(name)
        if person is None or person.password is None or until <= time.time() or id_ in self._ended:
            return None
        return person if secrets.compare_digest(mark, _mark(person)) else None

    def end(self, cookie: str) -> None:
        """Sign out: from now on the cookie is nobody's, whoever kept a copy of it."""
        if found := self._read(cookie):
            _, until, id_, _ = found
            with self._lock:
                now = time.time()
                self._ended = {each: then for each, then in self._ended.items() if then > now} | {id_: until}
                access.write_private(self._path, json.dumps(self._ended).encode())

    @property
    def _path(self) -> Path:
        return access.folder_of(self.show) / "ended.json"

    def _read(self, cookie: str) -> tuple[str, int, str, str] | None:
        try:
            name, until, id_, mark = self._signer().loads(cookie)
        except (BadSignature, ValueError):
            return None
        return str(name), int(until), str(id_), str(mark)

    def _signer(self) -> URLSafeSerializer:
        return URLSafeSerializer(
            self._secret(), salt="dailies-session", signer_kwargs={"digest_method": hashlib.sha256}
        )

    def _secret(self) -> bytes:
        path = access.folder_of(self.show) / "secret"
        with self._lock:
            if not path.exists():
                access.write_private(path, secrets.token_hex(_SECRET_BYTES).encode())
            return path.read_bytes()


def _mark(person: Person) -> str:
    return hashlib.sha256((person.password or "").encode()).hexdigest()[:16]
