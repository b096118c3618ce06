"""How the shop is served: two workers with threads, one log line at each turn of a worker's life."""

workers = 2
threads = 3
graceful_timeout = 20
timeout = 120
loglevel = "warning"


def post_fork(server, worker):
    server.log.debug("worker %s up", worker.pid)


def worker_exit(server, worker):
    if worker.booted:
        server.log.debug("worker %s served and left", worker.pid)


def on_exit(server):
    server.log.debug("shop closed")


def worker_abort(worker):
    worker.log.error("worker %s hung", worker.pid)
