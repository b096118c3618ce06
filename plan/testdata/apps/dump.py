"""Prints what the data files below each directory named hold, as JSON."""

import glob
import json
import os
import sys

from coverage import CoverageData
from coverage.exceptions import CoverageException

answer = {}
for folder in sys.argv[1:]:
    files = glob.glob(os.path.join(glob.escape(folder), ".coverage*"))
    lines, arcs, broken = {}, {}, 0
    for file in files:
        data = CoverageData(file)
        try:
            data.read()
        except CoverageException:
            broken += 1
            continue
        for name in data.measured_files():
            short = os.path.relpath(name)
            lines.setdefault(short, set()).update(data.lines(name))
            arcs.setdefault(short, set()).update(data.arcs(name) or ())
    answer[folder] = {
        "files": len(files) - broken,
        "broken": broken,
        "lines": {name: sorted(lines[name]) for name in sorted(lines)},
        "arcs": {name: sorted(arcs[name]) for name in sorted(arcs)},
    }
json.dump(answer, sys.stdout)
