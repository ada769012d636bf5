"""The panel as a server: one door, Streamlit's pages, and beside them the media of the show. `dailies up` starts it."""

import sys

import streamlit as st
from starlette.middleware import Middleware

from app import access, downloads, media, shared, sign_in, sound, warm
from pipeline.access import check_open, oidc

_folder = shared.show_folder()
try:
    # Another server than Streamlit's own listens where it was told; the door then asks each request where it came in.
    if address := st.get_option("server.address"):
        check_open(_folder, str(address))
    _secrets = {"auth": dict(oidc(_folder))} if oidc(_folder) else None
except ValueError as error:
    sys.exit(f"Dailies: {error}")

warm.begin(_folder)
app = st.App(
    "main.py",
    secrets=_secrets,
    routes=[media.route, downloads.route, sound.route, *sign_in.routes],
    middleware=[Middleware(access.Door, folder=_folder)],
)
