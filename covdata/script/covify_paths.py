"""Maps the paths that coverage data names to the files of a checkout.

A measured path comes from some container; the checkout is where the report is made. Nothing here reads
coverage data or needs coverage: paths and file names go in, decisions come out.
"""

import collections
import filecmp
import os
import re
import socket

# Alone, these names say nothing about where a file belongs: nearly every package has one.
COMMON_NAMES = frozenset(["__init__.py", "__main__.py"])

# Below these directories the whole rest of the path must match: a library's cli.py is not the checkout's cli.py.
LIBRARY = re.compile(r"^(?:.*/)?(?:site-packages|dist-packages|lib(?:64)?/(?:python|pypy)\d(?:\.\d+)?)(?=/)")

STARTUP = frozenset(["sitecustomize.py", "usercustomize.py"])  # what every interpreter imports if it is there

MANY = 50  # a name with more equally near files than this is no evidence for any of them

Rule = collections.namedtuple("Rule", "source target")  # two directories, as tuples of names
Decision = collections.namedtuple("Decision", "path how rule nearest")


class Checkout:
    """The files of a checkout: `root` is absolute, `files` are relative to it with forward slashes."""

    def __init__(self, root, files):
        self.root = root
        self.roots = {os.path.normpath(root), os.path.realpath(root)}
        self.files = set(files)
        self.by_name = collections.defaultdict(list)
        self.by_tail = collections.defaultdict(list)
        for file in sorted(self.files):
            parts = tuple(file.split("/"))
            self.by_name[parts[-1]].append(parts)
            self.by_tail[parts[-2:]].append(parts)

    def relative(self, path):
        """`path` relative to the root if it is inside, else unchanged."""
        for root in self.roots:
            if path.startswith(root.rstrip("/") + "/"):
                return path[len(root.rstrip("/")) + 1 :]
        return path

    def exists(self, path):
        """True if `path`, relative to the root or absolute, is a file or lies in a zip file that is one."""
        full = os.path.join(self.root, path)
        return os.path.exists(full) or bool(re.match(r".*\.(zip|whl|egg|pex)/", path)) and _in_zip(full)

    def nearest(self, parts):
        """The files with the longest suffix equal to that of `parts`, and that suffix's length."""
        found = self.by_tail.get(parts[-2:]) or self.by_name.get(parts[-1]) or []
        if len(found) > MANY:
            return 0, []
        lengths = [common_suffix(parts, file) for file in found]
        best = max(lengths, default=0)
        return best, [file for file, length in zip(found, lengths) if length == best]


def _in_zip(path):
    head = re.match(r"(.*?\.(?:zip|whl|egg|pex))/", path)
    return bool(head) and os.path.isfile(head.group(1))


def common_suffix(one, other):
    """How many trailing names the two tuples share."""
    count = 0
    for a, b in zip(reversed(one), reversed(other)):
        if a != b:
            break
        count += 1
    return count


def split(path):
    return tuple(part for part in path.replace("\\", "/").split("/") if part)


def library_depth(path):
    """How many leading names of `path` belong to the directory of libraries it lies in; None outside of one."""
    match = LIBRARY.match(path.replace("\\", "/"))
    return len(split(match.group(0))) if match else None


def interpreters_own(path):
    """True for what a system or interpreter runs before any program: Debian has one in /etc, which its standard library links to."""
    *_, name = parts = split(path)
    return name in STARTUP and (parts[0] == "etc" or library_depth(path) == len(parts) - 1)


class Mapper:
    """Decides, per group of data files (one image or one container each), what file of the checkout a measured path is.

    `aliases` is the user's [paths] as a function from path to path; `maps` is a list of (directory, directory)
    the user gave on the command line; `images` are the groups' Origins, {group: Origins}; `contents` what files their images
    hold, {group: Contents}. In this order: aliases, maps, images, contents, what is there on this machine, likeness.
    """

    def __init__(self, checkout, aliases=None, maps=(), images=None):
        self.checkout = checkout
        self.images = images or {}
        self.aliases = aliases or (lambda path: path)
        self.maps = sorted(maps, key=lambda pair: -len(pair[0]))
        self.used_maps = set()
        self.contents = {}
        self.settled = {}

    def open_paths(self, groups):
        """{group: the paths that neither the user nor the group's image settles}; of the same groups as decide() is of."""
        told = {path: self._told(path) for paths in groups.values() for path in paths}
        for group, paths in groups.items():
            found = {path: told[path] or self._from_image(group, path) for path in paths}
            self.settled[group] = {path: decision for path, decision in found.items() if decision}
        return {group: paths - set(self.settled[group]) for group, paths in groups.items()}

    def decide(self, groups):
        """From {group: paths} to {group: {path: Decision}}."""
        still_open = {group: paths - set(self.settled[group]) for group, paths in groups.items()} if self.settled else self.open_paths(groups)
        decided, chosen, shown = {}, {}, {}
        for group, paths in still_open.items():
            known, rules, versions = self._by_content(group, sorted(paths))
            shown[group] = set(rules)
            known.update(self._where_rules_lead(paths - set(known), rules))
            known.update((path, decision) for path, decision in versions.items() if path not in known)
            known.update((path, here) for path in paths - set(known) for here in [self._here(path)] if here)
            voted, more = self._vote(sorted(paths - set(known)))
            decided[group], chosen[group] = dict(voted, **known), rules + more
        everywhere = [rule for rules in chosen.values() for rule in rules]
        for group, paths in still_open.items():
            for path in paths:
                if decided[group][path].how == "unknown":
                    decided[group][path] = self._follow(path, chosen[group], everywhere) or decided[group][path]
                decided[group][path] = self._check(group, path, decided[group][path], shown[group])
                decided[group][path] = self._prefer_host(group, path, decided[group][path])
            decided[group].update(self.settled[group])
        return decided

    def _by_content(self, group, paths):
        """Decides what has the same content in the checkout: {path: Decision}; the Rules that this and other versions of files show,
        the most frequent first; and what other versions there are: {path: Decision}. What files of equal content leave open is in
        neither."""
        contents = self.contents.get(group)
        if contents is None:
            return {}, [], {}
        same = {path: contents.same(path) for path in paths}
        versions = {path: contents.version(path) for path in paths if not same[path]}
        versions = {path: _alike(path, file) for path, file in versions.items() if file}
        rules = collections.defaultdict(set)
        for path, files in same.items():
            for file in files if len(files) <= MANY else ():
                rule = _alike(path, file).rule
                rules[rule.source].add(rule.target)
        options = {path: self._equal_options(path, rules, same[path], contents) for path in paths}
        votes = collections.Counter(rule for path, found in options.items() if same[path] for rule in found)
        votes.update(decision.rule for decision in versions.values())
        decisions = {path: self._choose(path, found, votes) for path, found in options.items() if found}
        decisions = {path: found._replace(how="content") for path, found in decisions.items() if found.how == "alike"}
        chosen = collections.Counter(decision.rule for path, decision in decisions.items() if same[path])
        chosen.update(decision.rule for decision in versions.values())
        for path in paths:
            if not options[path] and contents.renamed(path):
                decisions[path] = Decision(contents.renamed(path), "content", None, ())
        return decisions, [rule for rule, _ in chosen.most_common()], versions

    def _equal_options(self, path, rules, same, contents):
        """The pairs of directories under which `path` is a file of the checkout with the same content: {Rule: that file}."""
        parts = split(path)
        found = {}
        for cut in range(len(parts)):
            for target in rules.get(parts[:cut], ()):
                file = target + parts[cut:]
                if file in same or (not same and "/".join(file) in self.checkout.files and contents.equal(path, "/".join(file))):
                    found[Rule(parts[:cut], target)] = "/".join(file)
        return found

    def _where_rules_lead(self, paths, rules):
        """What the directories that contents show say about paths whose own content does not tell: {path: Decision}."""
        found = {path: self._follow(path, rules, ()) for path in paths}
        return {path: decision for path, decision in found.items() if decision}

    def _check(self, group, path, decision, rules):
        """Looks at a decision by anything but content, where the content is known: a file of another program that is only called
        alike is the image's own, and what differs otherwise is of another version than the image's."""
        contents = self.contents.get(group)
        if contents is None or decision.how == "content" or contents.text(path) is None:
            return decision
        if decision.how == "ambiguous":
            if contents.same(path) or any(contents.akin(path, file) for file in decision.nearest):
                return decision
        if decision.how in ("alike", "here"):
            if contents.equal(path, decision.path):
                return decision
            if decision.rule in rules or contents.akin(path, decision.path):
                return decision._replace(how="changed")
        how = "image only" if path.endswith((".py", ".pyw")) and not interpreters_own(path) else "unknown"
        return Decision(path, how, None, decision.nearest)

    def _told(self, path):
        """What the user said about `path`, if anything."""
        new = self.aliases(path)
        if new != path:
            return Decision(self.checkout.relative(new), "paths", None, ())
        for source, target in self.maps:
            below = path[len(source.rstrip("/")) + 1 :] if path.startswith(source.rstrip("/") + "/") else None
            if below:
                self.used_maps.add((source, target))
                mapped = self.checkout.relative(os.path.normpath(os.path.join(target, below)))
                if self.checkout.exists(mapped):
                    return Decision(mapped, "map", Rule(split(source), split(target)), ())
                return Decision(path, "missing", None, (mapped,))
        return None

    def _from_image(self, group, path):
        """What the image says about `path`, if the checkout has that file."""
        found = self.images[group].find(path) if group in self.images else None
        return Decision(found[0], "image", found[1], ()) if found else None

    def _here(self, path):
        """What this machine shows about `path`; None leaves it to likeness."""
        inside = self.checkout.relative(path)
        if self.checkout.exists(inside) and not os.path.isabs(inside):
            return Decision(inside, "here", None, ())
        if inside != path:
            return Decision(inside, "missing", None, ())
        return None

    def _prefer_host(self, group, path, decision):
        """A file that this machine measured and has keeps its path, unless the checkout's file is a copy of it."""
        # Before the host's name there is the rest of the data file's, which nothing sets off from it.
        here = not group[1] or group[1].endswith("." + socket.gethostname())
        if decision.how in ("alike", "unknown", "ambiguous") and not here:
            return decision  # a container's path says nothing about this machine's files
        if not os.path.isabs(path) or decision.how in ("here", "content", "changed", "image only") or not self.checkout.exists(path):
            return decision
        if decision.how == "alike" and _same(path, os.path.join(self.checkout.root, decision.path)):
            return decision
        return Decision(path, "here", None, ())

    def _vote(self, paths):
        """Decides by likeness: all paths vote for directory pairs, each path follows the pair with most votes."""
        rules = self._propose(paths)
        options = {path: self._options(path, rules) for path in paths}
        votes = collections.Counter(rule for found in options.values() for rule in found)
        decisions = {path: self._choose(path, options[path], votes) for path in paths}
        chosen = collections.Counter(d.rule for d in decisions.values() if d.rule)
        return decisions, [rule for rule, _ in chosen.most_common()]

    def _propose(self, paths):
        """Directory pairs suggested by each path's nearest files: {source directory: target directories}."""
        rules = collections.defaultdict(set)
        for path in paths:
            parts = split(path)
            length, files = self.checkout.nearest(parts)
            if not files or not enough(path, parts, length):
                continue
            for file in files:
                rules[parts[:-length]].add(file[:-length])
        return rules

    def _options(self, path, rules):
        """The proposed pairs under which `path` is a file of the checkout: {Rule: that file}."""
        parts = split(path)
        depth = library_depth(path)
        found = {}
        for cut in range(len(parts) if depth is None else depth + 1):
            for target in rules.get(parts[:cut], ()):
                file = "/".join(target + parts[cut:])
                if file in self.checkout.files:
                    found[Rule(parts[:cut], target)] = file
        return found

    def _choose(self, path, options, votes):
        """The option with most votes, then with the longest equal suffix; a tie between files decides nothing."""
        ranked = sorted(options, key=lambda rule: (-votes[rule], len(rule.source), rule))
        if not ranked:
            _, files = self.checkout.nearest(split(path))
            return Decision(path, "unknown", None, tuple("/".join(file) for file in files[:3]))
        best = ranked[0]
        rank = (votes[best], len(best.source))
        equal = [rule for rule in ranked if (votes[rule], len(rule.source)) == rank]
        targets = sorted({options[rule] for rule in equal})
        if len(targets) > 1:
            return Decision(path, "ambiguous", None, tuple(targets[:3]))
        return Decision(options[best], "alike", best, ())

    def _follow(self, path, own, everywhere):
        """Lets a path go where its tree went: a generated file that git does not list, a lone __init__.py."""
        for rules in (own[:1], own, everywhere):
            targets = {rule: self._below(path, rule) for rule in rules}
            found = {file: rule for rule, file in targets.items() if file and self.checkout.exists(file)}
            if len(found) == 1:
                (file, rule), = found.items()
                return Decision(file, "alike", rule, ())
        return None

    @staticmethod
    def _below(path, rule):
        parts = split(path)
        depth = library_depth(path)
        size = len(rule.source)
        if parts[:size] != rule.source or size >= len(parts) or (depth is not None and size > depth):
            return None
        return "/".join(rule.target + parts[size:])


def _alike(path, file):
    """The decision that `path` is `file`, a tuple of names, by the names that both end with."""
    parts = split(path)
    length = common_suffix(parts, file)
    return Decision("/".join(file), "alike", Rule(parts[:-length], file[:-length]), ())


def enough(path, parts, length):
    """True if `length` equal trailing names are evidence for `path` being the checkout's file."""
    if length == len(parts):
        return True
    depth = library_depth(path)
    if depth is not None and length < len(parts) - depth:
        return False
    return length > 1 or parts[-1] not in COMMON_NAMES


def _same(one, other):
    try:
        return filecmp.cmp(one, other, shallow=False)
    except OSError:
        return False
