"""The orders service: takes orders at the catalog's prices. The standard library is all it needs."""

import http.server
import json
import urllib.error
import urllib.request

import settings


class Refused(Exception):
    """An order that the shop does not take."""


def price(name):
    try:
        with urllib.request.urlopen(f"{settings.CATALOG_URL}/products/{name}", timeout=10) as answer:
            return json.load(answer)["cents"]
    except urllib.error.HTTPError as error:
        raise Refused(f"the shop does not sell {name}") from error


def accept(pieces):
    total = sum(price(name) * count for name, count in pieces.items())
    if total > settings.MOST:
        raise Refused(f"{total} cents are too much for one order")
    return {"pieces": pieces, "cents": total}


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.answer(200, {"health": "ok"})

    def do_POST(self):
        pieces = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        try:
            self.answer(201, accept(pieces))
        except Refused as error:
            self.answer(409, {"error": str(error)})

    def answer(self, status, body):
        text = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *args):
        pass


if __name__ == "__main__":
    http.server.ThreadingHTTPServer(("0.0.0.0", settings.PORT), Handler).serve_forever()
