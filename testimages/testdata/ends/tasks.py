"""A Celery worker that gives itself tasks; the broker is a folder."""

import os
import tempfile

from celery import Celery, signals

from marks import here

FOLDER = tempfile.mkdtemp()
app = Celery("tasks", broker="filesystem://")
app.conf.broker_transport_options = {"data_folder_in": FOLDER, "data_folder_out": FOLDER}
app.conf.worker_hijack_root_logger = False
here()


@app.task
def double(n):
    here("done %d" % n)
    if n > 3:
        here("late")
    return 2 * n


@signals.worker_process_init.connect
def begin(**_):
    here("begins")


@signals.worker_ready.connect
def feed(**_):
    here("ready")
    for n in range(8):
        double.delay(n)
