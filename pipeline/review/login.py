"""How a person and a program get into the Label Studio that Dailies starts, and what that Label Studio is told."""

import json
import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

from pipeline.review.errors import LabelStudioError
from pipeline.review.interface import DISARMED

DATABASE = "label_studio.sqlite3"
ADDRESS = "server.url"


@dataclass(frozen=True, slots=True)
class Login:
    """How a person (e-mail, password) and a program (token) get in."""

    email: str
    password: str
    token: str


def saved_login(data: Path) -> Login | None:
    """The login of the Label Studio whose data lie in `data`; None before its first start."""
    path = data / "login.json"
    return Login(**json.loads(path.read_text())) if path.exists() else None


def address(data: Path) -> str | None:
    """Where the Label Studio whose data lie in `data` listens; None while it does not run."""
    path = data / ADDRESS
    return path.read_text() if path.exists() else None


def login_of(data: Path, email: str) -> Login:
    """The login of this data folder; Label Studio reads it only when it makes the user, so it stays what it was."""
    known = saved_login(data)
    if known:
        return known
    if (data / DATABASE).exists():
        raise LabelStudioError(
            f"{data} has a database but no login.json, and Label Studio keeps its first login: put login.json back"
            " from a backup, or move the folder away and push again (the reviews you pulled are in the show's store)"
        )
    login = Login(email, secrets.token_urlsafe(12), secrets.token_hex(20))
    path = data / "login.json"
    aside = path.with_suffix(".new")
    aside.unlink(missing_ok=True)
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as stream:
        json.dump({"email": login.email, "password": login.password, "token": login.token}, stream, indent=1)
    aside.replace(path)
    return login


def as_owner(login: Login) -> dict[str, str]:
    return {"Authorization": f"Token {login.token}"}


def environment(data: Path, document_root: Path, login: Login) -> dict[str, str]:
    """All that Label Studio is told. It reads HOST, PORT and more without any prefix too, so it gets nothing else."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR") if name in os.environ}
    keymap = {name.partition(":")[2]: {"key": None, "description": "off"} for name in DISARMED}
    return kept | {
        "LABEL_STUDIO_BASE_DATA_DIR": str(data),
        "LABEL_STUDIO_USERNAME": login.email,
        "LABEL_STUDIO_PASSWORD": login.password,
        "LABEL_STUDIO_USER_TOKEN": login.token,
        "LABEL_STUDIO_ENABLE_LEGACY_API_TOKEN": "true",
        "LABEL_STUDIO_DISABLE_SIGNUP_WITHOUT_LINK": "true",
        "LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED": "true",
        "LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT": str(document_root.resolve()),
        "LABEL_STUDIO_EDITOR_KEYMAP": json.dumps(keymap),
        # Nothing leaves this machine: no telemetry, no version check, no error reports, no downloads.
        "LABEL_STUDIO_COLLECT_ANALYTICS": "false",
        "LABEL_STUDIO_LATEST_VERSION_CHECK": "false",
        "LABEL_STUDIO_CONVERTER_DOWNLOAD_RESOURCES": "false",
        "SENTRY_DSN": "",
        "FRONTEND_SENTRY_DSN": "",
        "PYTHONUNBUFFERED": "1",
    }


def postgres(address: str) -> dict[str, str]:
    """Label Studio's variables for a PostgreSQL database. A host in the query is a socket's folder, as libpq has it."""
    parts = urlsplit(address)
    name = parts.path.removeprefix("/")
    if parts.scheme not in ("postgresql", "postgres") or not name or not parts.username:
        raise ValueError("label_studio_database is no postgresql://user:password@host:port/name")
    return {
        "DJANGO_DB": "default",
        "POSTGRE_NAME": unquote(name),
        "POSTGRE_USER": unquote(parts.username),
        "POSTGRE_PASSWORD": unquote(parts.password or ""),
        "POSTGRE_HOST": parts.hostname or next(iter(parse_qs(parts.query).get("host", ())), "localhost"),
        "POSTGRE_PORT": str(parts.port or 5432),
    }
