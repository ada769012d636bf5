"""Who may use the panel of a show, and as what: people with a role, their passwords or their company's sign-in.

`.dailies/panel/people.json` has them, readable by its owner alone. As long as it is empty and no OIDC provider is named
in `.streamlit/secrets.toml` beside show.toml, nobody signs in, and the panel is for this machine only.
"""

import ipaddress
import json
import os
import tomllib
import unicodedata
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, get_args

import portalocker
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

Role = Literal["viewer", "operator"]
Way = Literal["password", "oidc"]

ROLES: tuple[Role, ...] = get_args(Role)
LONGEST_NAME = 80  # letters
SHORTEST_PASSWORD = 10  # letters; NIST SP 800-63B asks for 8 at least
_LONGEST_PASSWORD = 200  # letters; more makes hashing costly
_NEEDED = ("redirect_uri", "cookie_secret")
_OF_PROVIDER = ("client_id", "client_secret", "server_metadata_url")
_SHORTEST_SECRET = 32  # letters


class Person(BaseModel):
    """Somebody who may use the panel. `password` is an argon2id hash; None signs in by OIDC only."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    role: Role
    password: str | None = None

    @property
    def may_change(self) -> bool:
        return self.role == "operator"


_PEOPLE = TypeAdapter(tuple[Person, ...])


def folder_of(show: Path) -> Path:
    """Where a show keeps who may use its panel and what they did. It needs no show.toml that can be read."""
    return show / ".dailies" / "panel"


# Whether anybody must sign in


def ways(show: Path) -> tuple[Way, ...]:
    """How people sign in; none: nobody does. Raises ValueError where that cannot be told, so that nothing opens."""
    found: list[Way] = []
    if any(person.password for person in people(show).values()):
        found.append("password")
    if oidc(show):
        found.append("oidc")
    return tuple(found)


def oidc(show: Path) -> dict[str, Any]:
    """The `[auth]` table of `.streamlit/secrets.toml` beside show.toml, as `st.login` reads it; empty without one.

    Raises ValueError for what is missing in it.
    """
    path = show / ".streamlit" / "secrets.toml"
    stamp = _stamp(path)
    return _oidc(path, stamp) if stamp else {}


@lru_cache(maxsize=4)
def _oidc(path: Path, stamp: tuple[int, ...]) -> dict[str, Any]:
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8")).get("auth")
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is no TOML: {error}") from None
    if table is None:
        return {}
    if not isinstance(table, dict):
        raise ValueError(f"{path}: `auth` must be a table, `[auth]`")
    named = providers(table)
    lacking = [key for key in _NEEDED if not table.get(key)]
    lacking += [f"{name}.{key}" for name, of in named.items() for key in _OF_PROVIDER if not of.get(key)]
    if lacking:
        raise ValueError(f"{path}: [auth] lacks {', '.join(lacking)}")
    if len(str(table["cookie_secret"])) < _SHORTEST_SECRET:
        raise ValueError(f"{path}: cookie_secret is shorter than {_SHORTEST_SECRET} letters: `openssl rand -hex 32`")
    if not str(table["redirect_uri"]).endswith("/oauth2callback"):
        raise ValueError(f"{path}: redirect_uri must be the panel's own address with /oauth2callback at its end")
    return table


def providers(auth: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """The OIDC providers of an `[auth]` table by name; "default" is the one that has no table of its own."""
    named = {name: value for name, value in auth.items() if isinstance(value, Mapping)}
    return named or {"default": auth}


def is_loopback(host: str) -> bool:
    """Whether what listens on `host` is reached from this machine only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def check_open(show: Path, host: str) -> None:
    """Raises ValueError where others could reach the panel at `host` and nobody would have to sign in."""
    if not is_loopback(host) and not ways(show):
        raise ValueError(refusal(host or "every address"))


def refusal(host: str) -> str:
    return (
        f"the panel does not open on {host} without sign-in, or everybody there could start and change all of it."
        " Give somebody a password (`dailies panel user add NAME --role operator`), or name your OIDC provider in"
        " .streamlit/secrets.toml beside show.toml, or set host = 127.0.0.1"
    )


# People


def people(show: Path) -> dict[str, Person]:
    """All who may use the panel, by name. Raises ValueError where the file cannot be trusted."""
    path = folder_of(show) / "people.json"
    stamp = _stamp(path)
    return _people(path, stamp) if stamp else {}


@lru_cache(maxsize=4)
def _people(path: Path, stamp: tuple[int, ...]) -> dict[str, Person]:
    if path.stat().st_mode & 0o077:
        raise ValueError(f"{path} can be read by others: `chmod 600 {path}`")
    try:
        found = _PEOPLE.validate_json(path.read_bytes())
    except ValidationError as error:
        raise ValueError(f"{path} cannot be read: put it back from a backup, or mend it: {error}") from None
    return {person.name: person for person in found}


def add(show: Path, name: str, role: Role, password: str | None) -> Person:
    """Somebody new; without a password for OIDC only. Raises ValueError for one who is there, or a poor password."""
    with _changing(show) as found:
        wanted = known_as(name)
        if not wanted or len(wanted) > LONGEST_NAME or not wanted.isprintable() or " " in wanted:
            raise ValueError(
                f"{name!r} is no name: an e-mail or a login, without blanks, {LONGEST_NAME} letters at most"
            )
        if wanted in found:
            raise ValueError(f"{wanted} is there already, as {found[wanted].role}")
        found[wanted] = Person(name=wanted, role=role, password=None if password is None else hashed(password))
        return found[wanted]


def change(show: Path, name: str, *, role: Role | None = None, password: str | None = None) -> Person:
    """Another role or password. A new password ends all sessions of the old. Raises ValueError for nobody known."""
    with _changing(show) as found:
        person = _one(found, name)
        news: dict[str, Any] = {} if role is None else {"role": role}
        news |= {} if password is None else {"password": hashed(password)}
        found[person.name] = person.model_copy(update=news)
        return found[person.name]


def remove(show: Path, name: str) -> Person:
    """Nobody by this name may use the panel any more, from their next click on. Raises ValueError for nobody known."""
    with _changing(show) as found:
        return found.pop(_one(found, name).name)


def known_as(name: str) -> str:
    """One spelling for each name: people type theirs in capitals, and letters with accents in two ways."""
    return unicodedata.normalize("NFC", name).strip().casefold()


def _one(found: Mapping[str, Person], name: str) -> Person:
    if known_as(name) not in found:
        raise ValueError(f"there is nobody called {name}; there are {', '.join(found) or 'no people yet'}")
    return found[known_as(name)]


@contextmanager
def _changing(show: Path) -> Iterator[dict[str, Person]]:
    """The people, to change in place; written down at the end, whole or not at all."""
    folder = folder_of(show)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (folder / "people.lock").open("a") as lock:
        portalocker.lock(lock, portalocker.LockFlags.EXCLUSIVE)
        found = dict(people(show))
        yield found
        write_private(folder / "people.json", _PEOPLE.dump_json(tuple(found.values()), indent=1))


def write_private(path: Path, content: bytes) -> None:
    """A small file that only its owner can read: all of the new content or the old, never readable in between."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    aside = path.with_name(f"{path.name}.new")
    aside.unlink(missing_ok=True)
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(content)
    aside.replace(path)


def _stamp(path: Path) -> tuple[int, ...]:
    """Another one after every change; empty without a file."""
    try:
        status = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return ()
    return status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino


# Passwords


def hashed(password: str) -> str:
    """argon2id with argon2-cffi's parameters (RFC 9106, low memory). Raises ValueError for a poor password."""
    if not SHORTEST_PASSWORD <= len(password) <= _LONGEST_PASSWORD:
        raise ValueError(f"a password has {SHORTEST_PASSWORD} to {_LONGEST_PASSWORD} letters")
    from argon2 import PasswordHasher

    return PasswordHasher().hash(_comparable(password))


def signed_in(show: Path, name: str, password: str) -> Person | None:
    """The person, where name and password are right. Takes as long for a name that nobody has."""
    from argon2 import PasswordHasher
    from argon2.exceptions import VerificationError

    person = people(show).get(known_as(name))
    stored = person.password if person else None
    try:
        PasswordHasher().verify(stored or _nobodys(), _comparable(password[: _LONGEST_PASSWORD + 1]))
    except VerificationError:
        return None
    return person if stored else None


@lru_cache(maxsize=1)
def _nobodys() -> str:
    """A hash that costs what everybody's costs and that no password has."""
    from argon2 import PasswordHasher

    return PasswordHasher().hash(os.urandom(32))


def _comparable(password: str) -> str:
    """One spelling of letters that keyboards make in two ways (RFC 8265)."""
    return unicodedata.normalize("NFC", password)


def as_json(found: Mapping[str, Person]) -> str:
    """People as programs are told of them: without their hashes."""
    return json.dumps(
        [{"name": each.name, "role": each.role, "password": each.password is not None} for each in found.values()]
    )
