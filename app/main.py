"""The panel's frame: its pages and what stands around them. Started by `dailies up`."""

import streamlit as st

st.set_page_config(page_title="Dailies", page_icon=":material/movie:", layout="wide")

overview = st.Page("views/overview.py", title="Overview", icon=":material/account_tree:", default=True)
st.navigation([overview], position="top").run()
