"""A model server in this process that does what a test tells it, over real HTTP."""

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

MODELS = [{"id": "tiny", "object": "model", "owned_by": "test"}]


class ModelServer:
    """`reply(body)` gives an answer's text or a whole choice, or (status, JSON or text, headers); `asked` are the
    bodies, the probes of opening among them.
    """

    def __init__(self, reply, models=MODELS, key=None):
        self.reply, self.models, self.key = reply, models, key
        self.asked, self.under_way, self.most_under_way = [], 0, 0
        self.guard = threading.Lock()
        self.http = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self.http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.http.server_port}"

    def answer(self, body):
        with self.guard:
            self.asked.append(body)
            self.under_way += 1
            self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            said = self.reply(body)
        finally:
            with self.guard:
                self.under_way -= 1
        if isinstance(said, tuple):
            return said
        choice = said if isinstance(said, dict) else {"message": {"content": said}, "finish_reason": "stop"}
        parts = body["messages"][-1]["content"]
        usage = {"prompt_tokens": 9 + (1 if isinstance(parts, str) else len(parts)), "completion_tokens": 5}
        return 200, {"model": body["model"], "choices": [choice], "usage": usage}, {}


@contextmanager
def serving(reply, **options):
    server = ModelServer(reply, **options)
    thread = threading.Thread(target=server.http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.http.shutdown()
        server.http.server_close()
        thread.join()


def _handler(server):
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def log_message(self, *_):
            pass

        def _send(self, status, content, headers):
            data = content.encode() if isinstance(content, str) else json.dumps(content).encode()
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(data))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data)

        def _welcome(self):
            if server.key in (None, (self.headers.get("Authorization") or "").removeprefix("Bearer ")):
                return True
            self._send(401, {"error": {"message": "Incorrect API key provided"}}, {})
            return False

        def do_GET(self):
            if self._welcome():
                self._send(200, {"object": "list", "data": server.models}, {})

        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if self._welcome():
                self._send(*server.answer(body))

    return Handler
