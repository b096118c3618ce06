package rcfile

// kind is how coverage reads an option's value.
type kind int

const (
	plain kind = iota
	file
	boolean
	list
	regexes
	integer
	float
)

// sectionOrder is the order in which coverage's own sections are written.
var sectionOrder = []string{"run", "paths", "report", "html", "xml", "json", "lcov"}

// options is CoverageConfig.CONFIG_FILE_OPTIONS of coverage/config.py (7.17): the options that, when
// present, make a shared file such as setup.cfg count as coverage's.
var options = map[string]map[string]kind{
	"run": {
		"branch": boolean, "command_line": plain, "concurrency": list, "context": plain, "core": plain,
		"cover_pylib": boolean, "data_file": file, "debug": list, "debug_file": file,
		"disable_warnings": list, "dynamic_context": plain, "parallel": boolean, "patch": list,
		"plugins": list, "relative_files": boolean, "include": list, "omit": list, "sigterm": boolean,
		"source": list, "source_pkgs": list, "source_dirs": list, "timid": boolean, "_crash": plain,
	},
	"report": {
		"exclude_lines": regexes, "exclude_also": regexes, "fail_under": float, "format": plain,
		"ignore_errors": boolean, "include_namespace_packages": boolean, "partial_branches_always": regexes,
		"partial_branches": regexes, "partial_also": regexes, "precision": integer, "contexts": list,
		"include": list, "omit": list, "show_missing": boolean, "skip_covered": boolean,
		"skip_empty": boolean, "sort": plain,
	},
	"html": {
		"extra_css": plain, "directory": file, "skip_covered": boolean, "skip_empty": boolean,
		"title": plain, "show_contexts": boolean,
	},
	"xml":  {"output": file, "package_depth": integer},
	"json": {"output": file, "pretty_print": boolean, "show_contexts": boolean},
	"lcov": {"output": file, "line_checksums": boolean},
}

// since names the first coverage release that knows a [run] option; those not listed are in all
// releases covify uses.
var since = map[string]string{
	"source_pkgs": "5.3",
	"sigterm":     "6.4",
	"source_dirs": "7.8",
	"core":        "7.9",
	"patch":       "7.10",
}
