"""Answers three requests over HTTP, then ends."""

import threading
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, HTTPServer

from common import shares


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        try:
            answer = shares(10, int(self.path.strip("/")))
        except ValueError:
            self.send_error(400)
            return
        self.send_response(200)
        self.end_headers()
        self.wfile.write(str(answer).encode())

    def log_message(self, *words):
        pass


with HTTPServer(("127.0.0.1", 0), Handler) as server:
    threading.Thread(target=server.serve_forever).start()
    for path in ("3", "0", "x"):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{server.server_port}/{path}") as answer:
                print(path, answer.read().decode())
        except urllib.error.HTTPError as error:
            print(path, error.code)
    server.shutdown()
