"""A service that answers until it is ended."""

import http.server

import prices


class Catalog(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/health":
            text = "well"
        elif self.path.startswith("/price/"):
            text = str(prices.price(self.path[len("/price/"):]))
        else:
            text = "nothing"
        self.send_response(200)
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *args):
        pass


http.server.ThreadingHTTPServer(("", 8000), Catalog).serve_forever()
