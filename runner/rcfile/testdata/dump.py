"""What real coverage reads: one JSON line a request, for the requests on stdin.

A request is {"dir": folder, "rcfile": name or "", "env": {...}} and answers with every setting, or
{"ini": text} and answers with what configparser reads. Errors answer {"error": text}.
"""

import configparser
import json
import os
import sys

import coverage.config

NOT_SETTINGS = {"config_files_attempted", "config_files_read", "config_file"}


def settings(request):
    os.chdir(request["dir"])
    os.environ.clear()
    os.environ.update(request["env"])
    config = coverage.config.read_coverage_config(request["rcfile"] or True, lambda text: None)
    answer = {k: v for k, v in vars(config).items() if not k.startswith("_") and k not in NOT_SETTINGS}
    file = config.config_file
    return {"file": os.path.relpath(file) if file else "", "settings": answer}


def ini(text):
    parser = configparser.ConfigParser(interpolation=None)
    parser.read_file(text.splitlines(keepends=True))
    return {"sections": {name: dict(parser.items(name)) for name in parser.sections()}}


for line in sys.stdin:
    request = json.loads(line)
    try:
        answer = ini(request["ini"]) if "ini" in request else settings(request)
    except Exception as err:
        answer = {"error": f"{type(err).__name__}: {err}"}
    print(json.dumps(answer))
