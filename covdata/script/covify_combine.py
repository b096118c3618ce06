"""Combines coverage data files into one whose paths are those of the checkout, by coverage itself."""

import collections
import contextlib
import hashlib
import json
import os
import sqlite3

import coverage
from coverage.files import PathAliases

import covify_contents
import covify_files
import covify_image
import covify_paths

# Bytes of input up to which coverage combines in memory, which is a quarter faster. Before 7.16 it may leave temporary tables
# there, and a second update fails.
IN_MEMORY = 1 << 29 if coverage.version_info >= (7, 16) else 0


UNMAPPED = ("unknown", "ambiguous", "missing")  # how a path was decided that is no file of the checkout


class Problem(Exception):
    """Ends the job; `kind` and `facts` become the caller's typed error."""

    def __init__(self, kind, message, **facts):
        super().__init__(message)
        self.kind = kind
        self.facts = facts


def combined(job, cov):
    """The summary of the job's combined data, which is made anew unless it is up to date and `keep` is set."""
    inputs = covify_files.find(_places(job, cov), _base_names(cov), job["output"])
    stamp = _stamp(job, cov, inputs)
    kept = _notes(job["output"]) if job["keep"] else {}
    if kept.get("covify_stamp") == stamp and all(os.path.isdir(source["folder"]) for source in kept["covify_summary"]["from_images"]):
        return kept["covify_summary"]
    summary = _combine(job, cov, inputs, stamp)
    summary["fresh"] = True
    return summary


def as_before(job):
    """The job with inputs, maps and config of the last combine into its output, if that was of the same checkout."""
    before = _notes(job["output"]).get("covify_job")
    if not job["as_before"] or not before or before["root"] != job["root"]:
        return job
    given = {"config": job["config"]} if job["config"] else {}
    return dict(job, **dict(before, **given))


def _places(job, cov):
    host = covify_files.beside(cov.get_option("run:data_file")) if job["host_data"] else []
    return job["inputs"] + host


def _base_names(cov):
    return sorted({".coverage", os.path.basename(cov.get_option("run:data_file"))})


def _stamp(job, cov, inputs):
    """A hash of all that the combined data depends on."""
    python_files = sorted(file for file in job["files"] if file.endswith((".py", ".pyw")))
    known = [
        covify_files.stamps(inputs),
        python_files,
        [job["root"], job["maps"], coverage.__version__],
        sorted(cov.get_option("paths").items()),
        sorted(covify_image.read(inputs).items()),
        job["sources"],
    ]
    return hashlib.sha256(json.dumps(known).encode("utf-8", "surrogateescape")).hexdigest()


def _notes(output):
    """What covify noted in the combined file of an earlier run, by name."""
    if not os.path.isfile(output):
        return {}
    with contextlib.closing(sqlite3.connect(output)) as connection, contextlib.suppress(sqlite3.Error, ValueError):
        rows = connection.execute("select key, value from meta where key like 'covify_%'").fetchall()
        return {key: json.loads(value) for key, value in rows}
    return {}


def _combine(job, cov, inputs, stamp):
    datas, left_out, duplicates = _read(inputs, os.path.join(job["temp"], "data"), job["session"])
    left_out += [_left(path, "not there any more") for path in job.get("present", ()) if not os.path.exists(path)]
    counts = collections.Counter(data.kind for data in datas if data.kind)
    kind = max(("branch", "line"), key=lambda name: counts[name]) if counts else ""
    if job["session"] and counts["line"] and counts["branch"]:
        datas, kind = [_lines_of(data) if data.kind == "branch" else data for data in datas], "line"
    datas, others = _of_kind(datas, kind)
    left_out += others
    if not any(data.files for data in datas):
        left_out += [_left(data.path, "nothing was measured") for data in datas]
        raise Problem("no-data", "no coverage data", looked=_looked(job, cov), left_out=left_out)
    checkout = covify_paths.Checkout(job["root"], job["files"])
    datas, origins = _by_image(datas)
    groups = _groups(datas)
    mapper = covify_paths.Mapper(checkout, _aliases(cov), _maps(job), _images(origins, groups, checkout))
    mapper.contents, refused = _contents(job, mapper.open_paths(groups), origins, checkout)
    decisions = mapper.decide(groups)
    from_images = _keep_sources(job, decisions, origins, mapper.contents)
    datas, clashes = _without_clashes(datas, decisions)
    left_out += clashes
    datas, broken = _update(datas, decisions, os.path.join(job["temp"], "combined"))
    left_out += broken
    summary = _summary(job, mapper, datas, decisions)
    summary.update(kind=kind, found=len(inputs), duplicates=duplicates, left_out=left_out)
    summary.update(from_images=from_images, stale=_stale(decisions, origins, checkout))
    summary["refused"] = [said for group, said in refused if any(d.how in UNMAPPED for d in decisions[group].values())]
    summary["without_branches"] = counts["branch"] if kind == "line" and job["session"] else 0
    if job["session"]:
        summary["folders"] = _folders(datas, decisions, checkout)
    known = {name: job[name] for name in ("root", "inputs", "host_data", "maps", "config")}
    known["present"] = [path for path in job["inputs"] if os.path.exists(path)]
    notes = {"covify_stamp": stamp, "covify_summary": summary, "covify_job": known}
    _publish(os.path.join(job["temp"], "combined"), job["output"], notes)
    return summary


def _read(inputs, folder, by_folder):
    os.makedirs(folder)
    reader = covify_files.Reader(folder, by_folder)
    datas, left_out, duplicates = [], [], 0
    for path in inputs:
        try:
            data = reader.read(path)
        except covify_files.Unusable as err:
            left_out.append(_left(path, str(err)))
            continue
        if data is None:
            duplicates += 1
        else:
            datas.append(data)
    return datas, left_out, duplicates


def _left(path, reason):
    return {"file": path, "reason": reason}


def _looked(job, cov):
    """Where data was looked for, for the error that none was found."""
    host = [os.path.abspath(cov.get_option("run:data_file")) + "*"] if job["host_data"] else []
    return job["inputs"] + host


def _of_kind(datas, kind):
    """Coverage cannot combine line with branch data: (what fits `kind`, why the others are left out)."""
    fits = [data for data in datas if data.kind in ("", kind)]
    reason = "%s data, but most files here are %s data, and coverage cannot combine the two"
    others = [_left(data.path, reason % (data.kind, kind)) for data in datas if data.kind not in ("", kind)]
    return fits, others


def _lines_of(data):
    """The same data without its branches, so that coverage can combine it with lines."""
    copy = data.copy + ".lines"
    old, new = coverage.CoverageData(data.copy), coverage.CoverageData(copy)
    old.read()
    for context in sorted(old.measured_contexts()) or [""]:
        old.set_query_context(context)
        new.set_context(context)
        new.add_lines({path: old.lines(path) or () for path, _ in data.files})
    new.add_file_tracers({path: plugin for path, plugin in data.files if plugin})
    new.write()
    _close(old)
    _close(new)
    return data._replace(copy=copy, kind="line")


def _aliases(cov):
    """The user's [paths] as coverage applies them, as a function from path to path."""
    aliases = PathAliases()
    for result, *patterns in cov.get_option("paths").values():
        for pattern in patterns:
            aliases.add(pattern, result)
    return aliases.map


def _maps(job):
    return [tuple(pair) for pair in job["maps"]]


def _groups(datas):
    groups = collections.defaultdict(set)
    for data in datas:
        groups[data.group].update(path for path, _ in data.files)
    return groups


def _by_image(datas):
    """The data, in groups by the image that left it, where that is known, and {group: its Origins}, one for each container."""
    read = covify_image.read([data.path for data in datas])
    origins = collections.defaultdict(list)
    grouped = []
    for data in datas:
        origin = read.get(data.path)
        if origin:
            data = data._replace(group=covify_image.group_of(origin))
            if origin not in origins[data.group]:
                origins[data.group].append(origin)
        grouped.append(data)
    return grouped, dict(origins)


def _images(origins, groups, checkout):
    """{group: Origins} of the groups whose image says where its files come from; images of one map are looked at together."""
    by_map = collections.defaultdict(list)
    for group, known in origins.items():
        by_map[json.dumps(known[0].paths, sort_keys=True)].append(group)
    images = {}
    for paths, same in by_map.items():
        found = covify_image.Origins(json.loads(paths), checkout)
        found.settle({path for group in same for path in groups[group]})
        images.update((group, found) for group in same)
    return images


def _contents(job, open_paths, origins, checkout):
    """{group: Contents} of the images that could be asked for the paths that are open, and why others could not: [(group, words)]."""
    groups, question = [], []
    for group, known in origins.items():
        paths = covify_contents.wanted(open_paths[group], known[0].mounts)
        if paths and known[0].image["id"] and job["sources"]:
            containers = sorted({origin.container for origin in known if origin.container})
            groups.append(group)
            question.append({"image": known[0].image, "containers": containers, "paths": paths})
    answers = job["ask"]({"images": question})["images"] if question else []
    library = covify_contents.Library(checkout)
    found, refused = {}, []
    for group, asked, answer in zip(groups, question, answers):
        if answer["error"]:
            refused.append((group, {"image": asked["image"]["image"], "reason": answer["error"]}))
        found[group] = covify_contents.Contents(answer["folders"] or [], library)
    return found, refused


def _keep_sources(job, decisions, origins, contents):
    """Brings sources that only an image has to where reports find them, and says so in the decisions; how many by image."""
    shelf = covify_contents.Shelf(job["root"], job["sources"])
    only = {group: [path for path, d in decisions[group].items() if d.how == "image only"] for group in contents}
    counts = collections.Counter()
    for group in sorted((group for group in only if only[group]), key=lambda group: covify_contents.of(origins[group][0])):
        image = covify_contents.of(origins[group][0])
        for path in only[group]:
            target = shelf.path(image, path)
            shelf.keep(contents[group].file(path), target)
            decisions[group][path] = decisions[group][path]._replace(path=target)
        counts[image] += len(only[group])
    return [{"image": image[0], "files": files, "folder": shelf.path(image, "").rstrip("/")} for image, files in counts.items()]


def _stale(decisions, origins, checkout):
    """The files of the checkout of which images have other versions: [{"image", "files"}]."""
    found = collections.defaultdict(set)
    for group, known in origins.items():
        files = {d.path for d in decisions[group].values() if d.how == "changed" and d.path in checkout.files}
        if files:
            found[known[0].image["image"]] |= files
    return [{"image": image, "files": sorted(files)} for image, files in sorted(found.items())]


def _without_clashes(datas, decisions):
    """Leaves out data that says another plugin measured a file than earlier data says: coverage refuses it."""
    if not any(plugin for data in datas for _, plugin in data.files):
        return datas, []
    plugins = {}
    fits, left_out = [], []
    for data in datas:
        own = {decisions[data.group][path].path: plugin for path, plugin in data.files}
        clash = next((path for path, plugin in own.items() if plugins.get(path, plugin) != plugin), None)
        if clash is None:
            plugins.update(own)
            fits.append(data)
        else:
            text = "%s was measured by plugin %r here, by %r in other data"
            left_out.append(_left(data.path, text % (clash, own[clash], plugins[clash])))
    return fits, left_out


def _update(datas, decisions, target):
    """Lets coverage combine `datas` into the file `target`; what it refuses is left out, with its words."""
    broken = []
    while datas:
        refused = _try_update(datas, decisions, target)
        if refused is None:
            return datas, broken
        data, err = refused
        broken.append(_left(data.path, "coverage refused it: %s" % str(err).replace(data.copy, data.path)))
        datas = [other for other in datas if other is not data]
    raise Problem("no-data", "no coverage data", looked=[], left_out=broken)


def _try_update(datas, decisions, target):
    """None when `target` holds all; else the data that coverage refused, and its error: a half-done update stays half
    done, as coverage works without a journal, so the caller starts again without it."""
    if os.path.exists(target):
        os.unlink(target)
    small = sum(os.path.getsize(data.copy) for data in datas) < IN_MEMORY
    result = coverage.CoverageData(target, no_disk=small)
    for data in datas:
        new = coverage.CoverageData(data.copy)
        mapped = {path: decision.path for path, decision in decisions[data.group].items()}
        try:
            new.read()
            result.update(new, map_path=lambda path, mapped=mapped: mapped.get(path, path))
        except (coverage.CoverageException, sqlite3.Error) as err:
            _close(result)
            return data, err
    if small:
        _save(result, target)
    _close(result)
    return None


def _close(data):
    if hasattr(data, "close"):  # since 7.7; before, it closes by itself
        data.close(force=True)


def _save(data, target):
    """Writes data that coverage holds in memory (an SQLite shared cache that its file name names) to a file."""
    with contextlib.closing(sqlite3.connect(data.data_filename(), uri=True)) as source:
        with contextlib.closing(sqlite3.connect(target)) as file:
            source.backup(file)


def _summary(job, mapper, datas, decisions):
    used = {decisions[data.group][path] for data in datas for path, _ in data.files}
    here = {d.path for d in used if d.how not in UNMAPPED and mapper.checkout.exists(d.path)}
    missing = {d for d in used if d.path not in here}
    unmapped = {decision.path: decision for decision in missing}
    files = {decision.path for decision in used - missing}
    rules = collections.Counter(decision.rule for decision in used - missing if decision.rule)
    return {
        "output": job["output"],
        "combined": len(datas),
        "recovered": [data.path for data in datas if data.recovered],
        "files": len(files),
        "mapped": [_rule(rule, count) for rule, count in sorted(rules.items())],
        "unmapped": [_unmapped(decision) for _, decision in sorted(unmapped.items())],
        "unused_maps": [{"from": a, "to": b} for a, b in _maps(job) if (a, b) not in mapper.used_maps],
        "fresh": False,
    }


def _folders(datas, decisions, checkout):
    """What the data files of each folder hold."""
    lines, counts, foreign = {}, collections.Counter(), collections.defaultdict(set)
    for data in datas:
        folder = os.path.dirname(data.path)
        counts[folder] += 1
        ran = lines.setdefault(folder, collections.defaultdict(set))
        read = coverage.CoverageData(data.copy)
        read.read()
        for path, _ in data.files:
            target = decisions[data.group][path].path
            if decisions[data.group][path].how not in UNMAPPED and checkout.exists(target):
                ran[target].update(read.lines(path) or ())
                if decisions[data.group][path].how == "image only":
                    foreign[folder].add(target)
        _close(read)
    return [
        {
            "path": folder,
            "data_files": counts[folder],
            "files": sum(1 for numbers in ran.values() if numbers),
            "from_image": sum(1 for file, numbers in ran.items() if numbers and file in foreign[folder]),
            "lines": sum(len(numbers) for numbers in ran.values()),
        }
        for folder, ran in sorted(lines.items())
    ]


def _rule(rule, count):
    return {"from": "/" + "/".join(rule.source), "to": "/".join(rule.target) or ".", "files": count}


def _unmapped(decision):
    return {"path": decision.path, "ambiguous": decision.how == "ambiguous", "nearest": list(decision.nearest)}


def _publish(made, output, notes):
    """Writes covify's notes into the combined file and puts it in place in one step."""
    with contextlib.closing(sqlite3.connect(made)) as connection, connection:
        rows = [(key, json.dumps(value)) for key, value in notes.items()]
        connection.executemany("insert or replace into meta (key, value) values (?, ?)", rows)
    os.makedirs(os.path.dirname(output), exist_ok=True)
    os.replace(made, output)
