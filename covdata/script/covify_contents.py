"""What the files of an image hold, compared with a checkout's.

The image's files are in folders that the caller names: a file's path in the image is its path below the folder. Contents are
compared without their line endings.
"""

import collections
import hashlib
import os
import posixpath
import re
import shutil

import covify_paths

ALIKE = 0.5  # the share of equal lines from which two files are taken for versions of one
TELLING = 3  # lines from which equal content alone says that a file of another name is the same


def wanted(paths, mounts):
    """Those of the measured `paths` that can be files of the image and Python."""
    return sorted(path for path in paths if _is_python(path) and not any(_inside(path, mount) for mount in mounts))


def _is_python(path):
    return posixpath.isabs(path) and posixpath.normpath(path) == path and posixpath.splitext(path)[1] in (".py", ".pyw", "")


def _inside(path, folder):
    return path == folder or path.startswith(folder.rstrip("/") + "/")


def _plain(path):
    """The bytes of a file with "\\n" as line ending; None if it cannot be read."""
    try:
        with open(path, "rb") as file:
            return file.read().replace(b"\r\n", b"\n")
    except OSError:
        return None


class Library:
    """The contents of a checkout's files, each read when it is asked for."""

    def __init__(self, checkout):
        self.checkout = checkout
        self.texts = {}
        self.by_content = None

    def text(self, file):
        if file not in self.texts:
            self.texts[file] = _plain(os.path.join(self.checkout.root, file))
        return self.texts[file]

    def with_content(self, text):
        """The Python files of the checkout that hold `text`, whatever they are called."""
        if self.by_content is None:
            self.by_content = collections.defaultdict(list)
            for file in sorted(self.checkout.files):
                if file.endswith((".py", ".pyw")):
                    self.by_content[_digest(_plain(os.path.join(self.checkout.root, file)))].append(file)
        return self.by_content[_digest(text)]


def _digest(text):
    return hashlib.blake2b(text).digest() if text is not None else None


class Contents:
    """The files of one image, by their paths in it."""

    def __init__(self, folders, library):
        self.folders = folders
        self.library = library
        self.texts = {}

    def file(self, path):
        """Where the image's file is on this machine; None if it is not."""
        for folder in self.folders:
            file = os.path.join(folder, path.lstrip("/"))
            if os.path.isfile(file):
                return file
        return None

    def text(self, path):
        """What the image's file holds; None if that is not known."""
        if path not in self.texts:
            file = self.file(path)
            self.texts[path] = _plain(file) if file else None
        return self.texts[path]

    def same(self, path):
        """The checkout's files with the name and content of the image's file, as tuples of names. An empty file is none: it is
        equal to every other."""
        text = self.text(path)
        if not text or not text.strip():
            return []
        named = self.library.checkout.by_name.get(path.rsplit("/", 1)[1], ())
        return [parts for parts in named if self.library.text("/".join(parts)) == text]

    def renamed(self, path):
        """The one file of the checkout that has the content of the image's file under another name; None if there is none."""
        text = self.text(path)
        if not text or sum(1 for line in text.splitlines() if line.strip()) < TELLING:
            return None
        files = self.library.with_content(text)
        return files[0] if len(files) == 1 else None

    def equal(self, path, file):
        return self.text(path) == self.library.text(file)

    def version(self, path):
        """The one file of the checkout with the name of the image's file that is most likely another version of it, as a tuple of
        names; None if there is none, or more."""
        named = self.library.checkout.by_name.get(path.rsplit("/", 1)[1], ())
        if not self.text(path) or len(named) > covify_paths.MANY:
            return None
        ranked = sorted(((self._likeness(path, "/".join(parts)), parts) for parts in named), reverse=True)
        if not ranked or ranked[0][0] < ALIKE or (len(ranked) > 1 and ranked[1][0] == ranked[0][0]):
            return None
        return ranked[0][1]

    def akin(self, path, file):
        """True if the checkout's file and the image's are likely versions of one."""
        return self._likeness(path, file) >= ALIKE

    def _likeness(self, path, file):
        """The share of lines that both files have."""
        lines = [collections.Counter(_lines(text)) for text in (self.text(path), self.library.text(file))]
        most = max(sum(counts.values()) for counts in lines)
        return sum((lines[0] & lines[1]).values()) / most if most else 0


def _lines(text):
    return [line.strip() for line in (text or b"").splitlines() if line.strip()]


class Shelf:
    """Keeps files that only images have where reports find them: `folder`/NAME/PATH, with the image's name, whatever its ID."""

    def __init__(self, root, folder):
        self.root = root
        self.folder = folder
        self.names = {}
        self.placed = {}

    def name(self, image):
        """The name of an image's folder: without registry and tag, as far as others are not called so."""
        if image not in self.names:
            full = re.sub(r"[^A-Za-z0-9_.-]+", "-", image[0].split("@")[0].rsplit("/", 1)[-1]).strip("-.") or "image"
            short = re.sub(r"[^A-Za-z0-9_.-]+", "-", image[0].split("@")[0].rsplit("/", 1)[-1].split(":")[0]).strip("-.") or "image"
            taken = set(self.names.values())
            number = re.sub(r"^sha256:", "", image[1])[:12]
            self.names[image] = next(name for name in (short, full, "%s-%s" % (full, number)) if name not in taken)
        return self.names[image]

    def path(self, image, path):
        """Where the file at `path` of an image is, relative to the checkout."""
        return posixpath.join(os.path.relpath(self.folder, self.root).replace(os.sep, "/"), self.name(image), path.lstrip("/"))

    def keep(self, file, target):
        """Puts a copy of `file` at `target`, which is relative to the checkout."""
        target = os.path.join(self.root, target)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        partial = "%s.%d" % (target, os.getpid())
        shutil.copyfile(file, partial)
        os.replace(partial, target)


def names(images):
    """The images in an order that does not depend on their IDs."""
    return sorted(images, key=lambda image: (image[0], image[1]))


def of(origin):
    """What tells one image from another: its name, and its ID."""
    return origin.image["image"], origin.image["id"]
