"""A service on this computer that answers as a test wants it to, and remembers what it was asked."""

import json
import socket
import threading
import time
from collections import Counter
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple

KEY = "sk-tellnobody0123456789"


class Reply(NamedTuple):
    """What the service says; `body` is JSON unless it is bytes, and None closes the connection without a word."""

    body: object
    status: int = 200
    headers: dict | None = None
    delay: float = 0.0


class Served:
    """`asked`: how often each text was asked for; `times`: when; `bodies`, `headers`, `paths`: of each request."""

    def __init__(self):
        self.asked, self.times, self.bodies, self.headers, self.paths = Counter(), [], [], [], []
        self.lock = threading.Lock()
        self.answer = lambda text, nth: moderation(0.25)
        self.url = ""

    def fullest_second(self):
        """The largest number of requests that came within any one second."""
        times = sorted(self.times)
        return max(sum(start <= time < start + 1 for time in times) for start in times)


def moderation(score, model="served-model-1"):
    return Reply({"model": model, "results": [{"category_scores": {"a": 0.0, "b": score}}]})


def perspective(score, attribute="TOXICITY"):
    return Reply({"attributeScores": {attribute: {"summaryScore": {"value": score}}}})


def chat(content, model="served-model-1"):
    return Reply({"model": model, "choices": [{"message": {"role": "assistant", "content": content}}]})


def text_of(body):
    """What is asked about, in any of the three interfaces."""
    if "comment" in body:
        return body["comment"]["text"]
    if "prompt" in body:
        return str(body["prompt"])
    return body["input"] if "input" in body else body["messages"][0]["content"]


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


@contextmanager
def serve():
    """A `Served` that listens on a port of its own."""
    served = Served()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            text = text_of(body)
            with served.lock:
                served.asked[text] += 1
                nth = served.asked[text]
                served.times.append(time.monotonic())
                served.bodies.append(body)
                served.headers.append(dict(self.headers))
                served.paths.append(self.path)
            reply = served.answer(text, nth)
            time.sleep(reply.delay)
            if reply.body is None:
                self.close_connection = True
                self.connection.shutdown(socket.SHUT_RDWR)
                return
            content = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
            try:
                self.send_response(reply.status)
                for name, value in {**(reply.headers or {}), "Content-Length": str(len(content))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(content)
            except OSError:
                # who asked did not wait for it
                self.close_connection = True

        def log_message(self, *_):
            pass

    server = _Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    served.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield served
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
