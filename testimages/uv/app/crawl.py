"""Serves a made-up site with uvicorn in a thread and crawls it. Exit code 3: the map is not the expected one."""

import argparse
import asyncio
import re
import socket
import sys
import threading

import httpx
import uvicorn

import pages


class Server(uvicorn.Server):
    """uvicorn on a socket of ours, in a thread that ends when it is told."""

    def __init__(self):
        super().__init__(uvicorn.Config(pages.application, log_level="warning", lifespan="off"))
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.thread = threading.Thread(target=self.run, args=([self.socket],))

    def __enter__(self):
        self.thread.start()
        return "http://127.0.0.1:%d" % self.socket.getsockname()[1]

    def __exit__(self, *_):
        self.should_exit = True
        self.thread.join()


async def crawl(address, depth):
    """Breadth first, a level at a time; returns status codes by path."""
    seen = {}
    async with httpx.AsyncClient(base_url=address, timeout=100, trust_env=False) as client:
        level = {""}
        for _ in range(depth + 1):
            answers = await asyncio.gather(*(client.get("/" + path) for path in sorted(level)))
            following = set()
            for path, answer in zip(sorted(level), answers):
                seen[path] = answer.status_code
                if answer.is_success:
                    following.update(re.findall('href="/([a-z]*)"', answer.text))
            level = following - seen.keys()
    return seen


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--depth", type=int, default=1)
    parser.add_argument("--verbose", action="store_true")
    options = parser.parse_args()
    with Server() as address:
        seen = asyncio.run(crawl(address, options.depth))
    statuses = sorted(set(seen.values()))
    if options.verbose:
        for path, status in sorted(seen.items()):
            print(f"{status} /{path}")
    print(f"{len(seen)} pages, statuses {statuses}")
    return 0 if statuses == [200, 307, 404] else 3


if __name__ == "__main__":
    sys.exit(main())
