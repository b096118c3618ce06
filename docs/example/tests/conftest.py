"""Starts what the tests need. Below `covify test` containers are started by covify, else by docker; the words after it are the same."""

import os
import socket
import subprocess
import time
import urllib.parse
import urllib.request

import pytest

ENGINE = "covify" if "COVIFY_SESSION" in os.environ else "docker"
IMAGES, TAG = os.environ.get("SHOP_IMAGES", "shop"), os.environ.get("SHOP_TAG", "latest")
HOST = urllib.parse.urlsplit(os.environ.get("DOCKER_HOST", "")).hostname or "127.0.0.1"


def engine(*words):
    done = subprocess.run([ENGINE, *words], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def wait_for(url):
    for _ in range(200):
        try:
            return urllib.request.urlopen(url, timeout=5).close()
        except OSError:
            time.sleep(0.1)
    raise TimeoutError(url)


@pytest.fixture(scope="session")
def catalog():
    """The address of a catalog of its own, with the prices it is built with."""
    with socket.create_server(("", 0)) as free:
        port = free.getsockname()[1]
    service = subprocess.Popen([ENGINE, "run", "--rm", "--publish", f"{port}:8000", f"{IMAGES}/catalog:{TAG}"])
    wait_for(f"http://{HOST}:{port}/health")
    yield f"http://{HOST}:{port}"
    service.terminate()
    service.wait(30)


@pytest.fixture(scope="module")
def orders():
    """The address of the orders service of the whole shop."""
    engine("compose", "up", "--detach", "--wait")
    port = engine("compose", "port", "orders", "8000").strip().rpartition(":")[2]
    yield f"http://{HOST}:{port}"
    engine("compose", "down")
