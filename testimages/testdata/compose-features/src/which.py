import sys

name = sys.argv[1]
if name == "mounted":
    print(name)
elif name == "volume":
    print(name)
elif name == "environment":
    print(name)
elif name == "root":
    print(name)
elif name == "replicas":
    print(name)
elif name == "included":
    print(name)
elif name == "stdin":
    print(name)
else:
    print(name)
