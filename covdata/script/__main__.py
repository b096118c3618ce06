"""Runs one job of covify's Go side: reads it as a line of JSON from stdin, leaves result.json in the job's temp folder.

Started as `python -S FOLDER`, so that no start-up hook of an environment measures this process. stdout carries the
report, and before it questions to the Go side, which answers on stdin; coverage's warnings go to stderr.
"""

import json
import os
import sys
import traceback


def main():
    job = json.loads(sys.stdin.buffer.readline())
    job["ask"] = _ask
    _settle(job)
    try:
        result = _run(job)
    except KeyboardInterrupt:
        sys.exit(130)
    with open(os.path.join(job["temp"], "result.json"), "w") as file:
        json.dump(result, file)


def _ask(question):
    """The Go side's answer; python.go knows the line by its beginning."""
    sys.stdout.write("\0covify %s\n" % json.dumps(question))
    sys.stdout.flush()
    return json.loads(sys.stdin.buffer.readline())


def _settle(job):
    """Makes coverage, and the plugins that the user's config may name, importable; goes to the checkout."""
    import site

    for name in ("COVERAGE_PROCESS_START", "COVERAGE_PROCESS_CONFIG"):
        os.environ.pop(name, None)
    os.chdir(job["root"])
    if job["path"]:
        sys.path.insert(0, job["path"])
    site.main()
    sys.path.append(job["root"])


def _run(job):
    try:
        import coverage
        from coverage.exceptions import ConfigError, CoverageException
    except ImportError as err:
        return _error({}, "python", "importing coverage: %s" % err)
    import warnings

    import covify_combine

    warnings.showwarning = _warn
    result = {}
    try:
        _work(job, result)
    except covify_combine.Problem as err:
        return _error(result, err.kind, str(err), **err.facts)
    except (CoverageException, ConfigError) as err:
        return _error(result, "coverage", str(err))
    except ImportError as err:
        return _error(result, "coverage", "loading the plugins that the coverage config names: %s" % err)
    except OSError as err:
        place = "%s: " % err.filename if err.filename else ""
        return _error(result, "system", place + (err.strerror or str(err)))
    except Exception as err:
        traceback.print_exc()
        return _error(result, "internal", "%s: %s" % (type(err).__name__, err))
    return result


def _work(job, result):
    import coverage

    import covify_combine
    import covify_report

    job = covify_combine.as_before(job)
    cov = coverage.Coverage(config_file=job["config"] or True, messages=False)
    result["summary"] = covify_combine.combined(job, cov)
    if job["report"]:
        result["report"] = covify_report.report(job, result["summary"])
        sys.stdout.flush()


def _error(result, kind, message, **facts):
    """The result with an error beside what was reached before it."""
    return dict(result, error=dict(facts, kind=kind, message=message))


def _warn(message, category, filename, lineno, file=None, line=None):
    sys.stderr.write("warning: %s\n" % message)


if __name__ == "__main__":
    main()
