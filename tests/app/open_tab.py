"""A page that is open on a real panel, as its browser speaks with it: a session, and whole messages on a websocket."""

from contextlib import contextmanager
from urllib.parse import quote

import httpx
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.sync.client import connect

ANNA, BEN, SECRET = "anna@example.com", "ben@example.com", "correct horse battery"
PATIENCE_SECONDS = 60


@contextmanager
def signed_in(panel, name=ANNA):
    """A client with a session."""
    with httpx.Client(base_url=panel, trust_env=False, headers={"accept": "text/html"}) as client:
        answer = client.post("/sign-in", data={"name": name, "password": SECRET, "next": "/review?part=Log"})
        assert (answer.status_code, answer.headers["location"]) == (303, "/review?part=Log")
        yield client


class Tab:
    """A page that is open on the panel, as its browser speaks with it: whole messages on a websocket."""

    def __init__(self, panel, client, query="", page="", *, session=""):
        cookie = "; ".join(f"{name}={value}" for name, value in client.cookies.items())
        headers = {"Cookie": cookie, "Origin": panel, "X-Dailies-Person": quote(ANNA)}
        wanted = ["streamlit", "x", session] if session else ["streamlit"]
        url = panel.replace("http", "ws") + "/_stcore/stream"
        self._way = connect(url, additional_headers=headers, subprotocols=wanted, max_size=None, proxy=None)
        self.query, self.page, self.hash = query, page, ""
        self.session, self.buttons, self.keys, self.choices, self.texts = "", {}, {}, {}, []
        self.addresses, self.fragments = [], []

    def __enter__(self):
        self.socket = self._way.__enter__()
        return self.run()

    def __exit__(self, *problem):
        self._way.__exit__(*problem)

    def run(self, states=(), words=(), *, fragment=""):
        """Have the page drawn, with these widgets pressed and `words` (id, text) chosen; of a `fragment`, only that,
        as its timer asks for it. What it shows is in `buttons` (by label) and `keys` (the same by key), `choices` and
        `texts` then; `addresses` are those that it gave the browser, `fragments` those that refresh themselves.
        """
        message = BackMsg()
        message.rerun_script.fragment_id, message.rerun_script.is_auto_rerun = fragment, bool(fragment)
        message.rerun_script.query_string = self.query
        message.rerun_script.page_name = self.page
        message.rerun_script.page_script_hash = self.hash
        for id_ in states:
            state = message.rerun_script.widget_states.widgets.add()
            state.id, state.trigger_value = id_, True
        for id_, text in words:
            state = message.rerun_script.widget_states.widgets.add()
            state.id, state.string_value = id_, text
        self.socket.send(message.SerializeToString())
        self.buttons, self.keys, self.choices, self.texts = {}, {}, {}, []
        self.addresses = []
        while True:
            said = ForwardMsg.FromString(self.socket.recv(timeout=PATIENCE_SECONDS))
            kind = said.WhichOneof("type")
            if kind == "new_session":
                self.session = said.new_session.initialize.session_id
            elif kind == "navigation":
                self.hash = said.navigation.page_script_hash
            elif kind == "page_info_changed":
                self.addresses.append(said.page_info_changed.query_string)
            elif kind == "auto_rerun":
                self.fragments.append(said.auto_rerun.fragment_id)
            elif kind == "delta" and said.delta.WhichOneof("type") == "new_element":
                element = said.delta.new_element
                if element.WhichOneof("type") == "button":
                    self.buttons[element.button.label] = element.button
                    # An id is `$$ID-`, a digest, and the key.
                    self.keys[element.button.id.split("-", 2)[2]] = element.button
                elif element.WhichOneof("type") == "selectbox":
                    self.choices[element.selectbox.label] = element.selectbox
                self.texts += [element.markdown.body, element.alert.body, element.code.code_text, element.toast.body]
            elif kind == "script_finished" and said.script_finished != ForwardMsg.FINISHED_EARLY_FOR_RERUN:
                return self
