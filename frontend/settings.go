package frontend

import (
	"slices"
	"strings"
)

// settingPrefix marks the build args that are for covify.
const settingPrefix = "build-arg:COVIFY_"

// settings are the user's choices, given as build args.
type settings struct {
	coverage string // COVIFY_COVERAGE: version
	dataDir  string // COVIFY_DATA_DIR: in the container
	noEnv    bool   // COVIFY_NO_ENV=1
	strict   bool   // COVIFY_STRICT=1: an image without Python is an error
}

var settingNames = []string{"COVERAGE", "DATA_DIR", "NO_ENV", "STRICT"}

// isSetting tells covify's build args from the Dockerfile's own, whatever these are called.
func isSetting(opt string) bool {
	name, ours := strings.CutPrefix(opt, settingPrefix)
	return ours && slices.Contains(settingNames, name)
}

func parseSettings(opts map[string]string) settings {
	value := func(name string) string { return opts[settingPrefix+name] }
	on := func(name string) bool {
		switch strings.ToLower(value(name)) {
		case "1", "true", "yes", "on":
			return true
		}
		return false
	}
	return settings{coverage: value("COVERAGE"), dataDir: value("DATA_DIR"), noEnv: on("NO_ENV"), strict: on("STRICT")}
}
