"""The panel as a server: Streamlit's pages, and beside them the media of the show. `dailies up` starts it."""

import streamlit as st

from app import downloads, media

app = st.App("main.py", routes=[media.route, downloads.route])
