"""Reports combined coverage data, by coverage itself, with paths relative to the checkout."""

import os
import re
import sys

import coverage
from coverage.exceptions import NoDataError
from coverage.results import should_fail_under

import covify_paths
from covify_combine import Problem


def report(job, summary):
    """Makes the report job["report"] asks for and returns its facts: total, threshold, precision, output."""
    wish = job["report"]
    cov = coverage.Coverage(data_file=job["output"], config_file=job["config"] or True, messages=False)
    _repository_relative(cov, job["root"], wish["options"])
    cov.load()
    options = {name: value for name, value in wish["options"].items() if value is not None}
    files = _present(cov, job["root"], {missing["path"] for missing in summary["unmapped"]})
    if not files:
        raise Problem("no-source", "no measured file is in the checkout", unmapped=summary["unmapped"], root=job["root"])
    try:
        total, output = FORMATS[wish["format"]](cov, files, options)
    except NoDataError as err:
        raise Problem("coverage", "%s (include and omit leave none of %d files)" % (str(err).rstrip("."), len(files)))
    return _verdict(cov, total, output, wish)


def _repository_relative(cov, root, options):
    """Sets what makes every report name files relative to the root; the data's paths are final, so no [paths]."""
    cov.set_option("run:relative_files", True)
    cov.set_option("run:source", [])
    cov.set_option("paths", {})
    for name in ("include", "omit"):
        patterns = options.get(name) or cov.get_option("report:" + name)
        if patterns:
            options[name] = [covify_paths.Checkout(root, ()).relative(pattern) for pattern in patterns]


def _present(cov, root, missing):
    """The measured files whose source is here; without it coverage would end the report. This machine may have another file where
    a container has one that is missing."""
    checkout = covify_paths.Checkout(root, ())
    return sorted(path for path in cov.get_data().measured_files() if path not in missing and checkout.exists(path))


def _verdict(cov, total, output, wish):
    fail_under = cov.get_option("report:fail_under") if wish["fail_under"] is None else wish["fail_under"]
    precision = wish["options"].get("precision")
    precision = cov.get_option("report:precision") if precision is None else precision
    return {
        "total": total,
        "output": output,
        "fail_under": fail_under,
        "precision": precision,
        "failed": should_fail_under(total, fail_under, precision),
    }


def _text(cov, files, options):
    return cov.report(files, file=sys.stdout, **options), ""


def _html(cov, files, options):
    total = cov.html_report(files, **options)
    return total, os.path.join(options.get("directory") or cov.get_option("html:directory"), "index.html")


def _xml(cov, files, options):
    """Coverage leaves <source> empty for relative files; the services that read the file want the dot."""
    wanted = options.pop("outfile", None) or cov.get_option("xml:output")
    made = os.path.join(cov.get_data().base_filename() + ".xml")
    try:
        total = cov.xml_report(files, outfile=made, **options)
        with open(made, encoding="utf-8") as file:
            text = re.sub(r"<source>\s*</source>|<source/>", "<source>.</source>", file.read())
    finally:
        if os.path.exists(made):
            os.unlink(made)
    _write(wanted, text)
    return total, wanted


def _write(path, text):
    if path == "-":
        sys.stdout.write(text)
        return
    os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def _json(cov, files, options):
    total = cov.json_report(files, **options)
    return total, options.get("outfile") or cov.get_option("json:output")


def _lcov(cov, files, options):
    total = cov.lcov_report(files, **options)
    return total, options.get("outfile") or cov.get_option("lcov:output")


FORMATS = {"report": _text, "html": _html, "xml": _xml, "json": _json, "lcov": _lcov}
