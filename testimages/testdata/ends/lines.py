"""Prints the lines that the data files of a folder hold, by the process and the file: {"7 web.py": [1, 2]}."""

import glob
import json
import os
import re
import sys

sys.path.insert(0, sys.argv[1])
from coverage import CoverageData

found = {}
for path in sorted(glob.glob(sys.argv[2] + "/.coverage.*")):
    data = CoverageData(path)
    data.read()
    pid = re.search(r"\.pid(\d+)\.", path).group(1)
    for name in data.measured_files():
        found.setdefault(pid + " " + os.path.basename(name), set()).update(data.lines(name) or [])
print(json.dumps({key: sorted(lines) for key, lines in found.items()}))
