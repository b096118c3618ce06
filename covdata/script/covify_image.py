"""What is known of the image that left data, and what it says about where its files come from, applied to a checkout.

Its map is {path in the container: path in the build context}; the longest path decides, for all that is below it. A path of the build
context is relative, one of this machine absolute, and an empty one says that nothing is known.
"""

import collections
import json
import posixpath

import covify_files
import covify_paths

# Where the build context is, seen from the root of the checkout: below `prefix`, or above it by the names `strip`.
Base = collections.namedtuple("Base", "strip prefix")
ROOT = Base((), ())

# The image, its map, the paths that are mounted over it, and the container's name if it may still be there.
Origin = collections.namedtuple("Origin", "image paths mounts container")


def read(data_files):
    """{data file: its Origin}, from what `covify run` left beside them; one that cannot be read is none."""
    found, origins = {}, {}
    for data_file in data_files:
        path = covify_files.origin_file(data_file)
        if path and path not in origins:
            origins[path] = _read(path)
        if path and origins[path]:
            found[data_file] = origins[path]
    return found


def _read(path):
    try:
        with open(path, encoding="utf-8") as file:
            held = json.load(file)
    except (OSError, ValueError):
        return None
    if not isinstance(held, dict):
        return None
    image = {name: held.get(name, "") for name in ("engine", "image", "id", "platform")}
    paths, mounts, container = held.get("paths", {}), held.get("mounts", []), held.get("container", "")
    texts = [*image.values(), container]
    if isinstance(paths, dict) and isinstance(mounts, list) and all(isinstance(t, str) for t in [*texts, *mounts, *paths.values()]):
        return Origin(image, paths, mounts, container)
    return None


def group_of(origin):
    """Data files with the same group are of one image with the same mounts: a path is the same file in all of them."""
    return "image", json.dumps(origin[:3], sort_keys=True)


class Origins:
    """A map, applied to a checkout."""

    def __init__(self, paths, checkout):
        self.paths = paths
        self.checkout = checkout
        self.root = covify_paths.split(checkout.root)
        self.base = None

    def settle(self, measured):
        """Finds the build context in the checkout: where most of the `measured` paths are files. The root goes before others,
        of others that are equal none is it."""
        votes = collections.Counter()
        for path in measured:
            key, origin = self._origin(path)
            if key and not posixpath.isabs(origin):
                votes.update(self._bases(covify_paths.split(origin)))
        best = [base for base in votes if votes[base] == max(votes.values())]
        self.base = ROOT if ROOT in best else best[0] if len(best) == 1 else None

    def find(self, path):
        """The file of the checkout that `path` of the container is, and the Rule of that; None if the map does not tell or has
        none for it."""
        key, origin = self._origin(path)
        file = self._place(origin) if key else None
        if file is None or not self.checkout.exists(file):
            return None
        if covify_paths.library_depth(path) is not None and file not in self.checkout.files:
            return None  # an environment that both have in the same place
        source, target = covify_paths.split(path), covify_paths.split(file)
        same = min(len(source) - len(covify_paths.split(key)), covify_paths.common_suffix(source, target))
        same = same or int(source[-1] == target[-1])
        return file, covify_paths.Rule(source[: len(source) - same], target[: len(target) - same])

    def _origin(self, path):
        """(the map's path that decides for `path`, what `path` is by it); two empty strings if none does."""
        key = path if posixpath.isabs(path) else ""
        while key and key not in self.paths:
            key = posixpath.dirname(key) if key != "/" else ""
        origin = self.paths.get(key)
        if not origin:
            return "", ""
        return key, posixpath.normpath(posixpath.join(origin, path[len(key) :].lstrip("/")))

    def _place(self, origin):
        """`origin` relative to the checkout; None if it is not inside, or nobody knows where."""
        if posixpath.isabs(origin):
            inside = self.checkout.relative(origin)
            return None if posixpath.isabs(inside) else inside
        parts = covify_paths.split(origin)
        if self.base is None or parts[: len(self.base.strip)] != self.base.strip:
            return None
        return "/".join(self.base.prefix + parts[len(self.base.strip) :])

    def _bases(self, parts):
        """The places of the build context for which `parts` is a file of the checkout."""
        if self.checkout.exists("/".join(parts)):
            yield ROOT
        for size in range(1, len(parts)):
            if parts[:size] == self.root[-size:] and self.checkout.exists("/".join(parts[size:])):
                yield Base(parts[:size], ())
        if len(parts) == 1 and parts[0] in covify_paths.COMMON_NAMES:
            return
        files = self.checkout.by_name.get(parts[-1], ())
        if len(files) <= covify_paths.MANY:
            for file in files:
                if len(file) > len(parts) and file[-len(parts) :] == parts:
                    yield Base((), file[: -len(parts)])
