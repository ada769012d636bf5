"""The panel's frame: its pages and what stands around them. Started by `dailies up`."""

import streamlit as st

from app import shell

st.set_page_config(page_title="Dailies", page_icon=":material/movie:", layout="wide")

pages = [
    st.Page("views/overview.py", title="Overview", icon=":material/account_tree:", default=True),
    st.Page("views/episodes.py", title="Episodes", icon=":material/movie:", url_path="episodes"),
    st.Page("views/dataset.py", title="Dataset", icon=":material/dataset:", url_path="dataset"),
    st.Page("views/runs.py", title="Runs", icon=":material/monitoring:", url_path="runs"),
    st.Page("views/launch.py", title="Launch", icon=":material/rocket_launch:", url_path="launch"),
    st.Page("views/review.py", title="Review", icon=":material/rate_review:", url_path="review"),
    st.Page("views/spot_check.py", title="Spot check", icon=":material/visibility:", url_path="spot-check"),
    st.Page("views/hosts.py", title="Hosts", icon=":material/dns:", url_path="hosts"),
]
page = st.navigation(pages, position="top")
if shell.entered():
    page.run()
