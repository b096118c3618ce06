"""A made-up web site: pages that link to pages, as an ASGI application."""

from starlette.applications import Starlette
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse
from starlette.routing import Route


def links(path):
    """Pages that a page links to; deeper than four levels there is nothing."""
    if len(path) > 4:
        return []
    return [path + letter for letter in "ab"]


async def page(request):
    path = request.path_params["path"]
    if path.startswith("old"):
        return RedirectResponse("/" + path.removeprefix("old"))
    if not set(path) <= {"a", "b"}:
        return PlainTextResponse("no such page", status_code=404)
    found = [f'<a href="/{link}">{link}</a>' for link in links(path)]
    if path == "ab":
        found.append('<a href="/oldb">moved</a> <a href="/c">gone</a>')
    return HTMLResponse("\n".join(found))


async def upload(request):
    body = await request.body()
    return PlainTextResponse(str(len(body)))


application = Starlette(routes=[Route("/{path:path}", page), Route("/upload", upload, methods=["POST"])])
