"""Sign-in by a company's own OIDC provider: Streamlit's `st.login`, begun from the sign-in page.

Streamlit's routes and its signed cookie are used as they are. What `st.login` does in a page, asking for the address to
go to, is done outside of pages here, since nobody sees one before they are known.
"""

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from streamlit.auth_util import get_cookie_with_chunks
from streamlit.user_info import generate_login_redirect_url
from streamlit.web.server.starlette.starlette_app_utils import decode_signed_value
from streamlit.web.server.starlette.starlette_server_config import USER_COOKIE_NAME

from pipeline import access

LOGIN, LOGOUT, CALLBACK = "/auth/login", "/auth/logout", "/oauth2callback"
PATHS = (LOGIN, LOGOUT, CALLBACK)


def doors(auth: Mapping[str, Any]) -> dict[str, str]:
    """Where each provider of `[auth]` in secrets.toml is gone to, by its name."""
    return {name: generate_login_redirect_url(name) for name in access.providers(auth)} if auth else {}


def name(cookies: Mapping[str, str], auth: Mapping[str, Any]) -> str:
    """The e-mail of whoever signed in with these cookies; empty where nobody did, or it is not known to be theirs."""
    if not auth:
        return ""
    secret = str(auth["cookie_secret"])

    def one(cookie: str) -> bytes | None:
        value = cookies.get(cookie)
        return decode_signed_value(secret, cookie, value.encode("latin-1", "replace")) if value else None

    found = get_cookie_with_chunks(one, USER_COOKIE_NAME)
    try:
        said = json.loads(found) if found else {}
    except ValueError:
        return ""
    parts = urlsplit(str(auth["redirect_uri"]))
    ours = said.get("is_logged_in") is True and said.get("origin") == f"{parts.scheme}://{parts.netloc}"
    # Some providers leave the second claim out; where they say that nobody checked the address, it is nobody's.
    return str(said.get("email", "")) if ours and said.get("email_verified", True) is True else ""
