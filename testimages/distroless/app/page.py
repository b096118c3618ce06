"""The status page: an overview, and one page a probe."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from jinja2 import Environment

from probes import PROBES

OVERVIEW = Environment().from_string("{% for name in names %}{{ name }}\n{% else %}nothing to see{% endfor %}")


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        name = self.path.strip("/")
        if not name:
            self.answer(200, OVERVIEW.render(names=sorted(PROBES)))
        elif name in PROBES:
            self.answer(200, f"{name}: {PROBES[name]()}")
        else:
            self.answer(404, "no such probe")

    def answer(self, status, text):
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self):
        self.answer(405, "read only")

    def log_message(self, format, *args):
        pass


class StatusServer:
    """Serves while its context lasts; leaving waits for every request's thread."""

    def __enter__(self):
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = False
        self.thread = threading.Thread(target=self.server.serve_forever, name="status")
        self.thread.start()
        return "http://127.0.0.1:%d" % self.server.server_port

    def __exit__(self, *_):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()
