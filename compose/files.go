package compose

import (
	"os"
	"path/filepath"
	"strings"
)

// The names of compose's own files, in the order in which it looks for them.
var (
	fileNames     = []string{"compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml"}
	overrideNames = []string{"compose.override.yml", "compose.override.yaml", "docker-compose.override.yml", "docker-compose.override.yaml"}
)

// Files are those that compose uses when no -f names any: compose looks for none of them once another one is named. variable gives
// COMPOSE_FILE and COMPOSE_PATH_SEPARATOR as compose sees them, dir is the project directory, and relative names start at here.
// Without any the result is empty.
func Files(here, dir string, variable func(string) string) []string {
	if value := variable("COMPOSE_FILE"); value != "" {
		separator := variable("COMPOSE_PATH_SEPARATOR")
		if separator == "" {
			separator = string(os.PathListSeparator)
		}
		return strings.Split(value, separator)
	}
	if dir == "" {
		dir = here
	}
	if !filepath.IsAbs(dir) {
		dir = filepath.Join(here, dir)
	}
	for {
		if file := first(dir, fileNames); file != "" {
			files := []string{file}
			if override := first(dir, overrideNames); override != "" {
				files = append(files, override)
			}
			return files
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return nil
		}
		dir = parent
	}
}

func first(dir string, names []string) string {
	for _, name := range names {
		path := filepath.Join(dir, name)
		if _, err := os.Stat(path); err == nil {
			return path
		}
	}
	return ""
}
