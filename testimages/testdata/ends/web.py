"""One application for WSGI and for ASGI servers."""

import os
import threading

from marks import here, say

here()


def answer(path):
    here()
    if path == "/late":
        here("late")
    return b"%d\n" % os.getpid()


def wsgi(environ, start_response):
    here()
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [answer(environ["PATH_INFO"])]


async def asgi(scope, receive, send):
    if scope["type"] != "http":
        raise ValueError("only http")
    here()
    body = answer(scope["path"])
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})


def visit():
    """Asks until two requests of each kind were answered, from within the container."""
    import time
    import urllib.request

    for path in ("/", "/late") * 20:
        for _ in range(100):
            try:
                urllib.request.urlopen("http://127.0.0.1:8000" + path).read()
                break
            except OSError:
                time.sleep(0.1)
    say("ready")


if __name__ == "__main__":
    threading.Thread(target=visit).start()
