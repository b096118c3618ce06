package runner

import (
	"encoding/json"
	"fmt"
	"hash/crc32"
	"maps"
	"path"
	"path/filepath"
	"strings"

	"github.com/covify/covify/plan"
)

// pathsPrefix begins the name of a file in a data directory that says where the files of containers come from.
const pathsPrefix = ".coverage-paths-"

// paths says where the files of the container come from: the image's own map, and what is mounted over it, which is not in the
// image. A path of the build context is relative, one of this machine absolute; "" is neither. It is empty for an image without a map.
func (j *Job) paths(dir string) map[string]string {
	all, err := plan.Paths(j.image.Labels)
	if err != nil {
		j.Words = append(j.Words, fmt.Sprintf("the image's label %s cannot be read: %v; paths are guessed", plan.LabelPaths, err))
	}
	if err != nil || len(all) == 0 {
		return nil
	}
	for _, m := range j.inv.Mounts {
		if !path.IsAbs(m.Target) {
			continue
		}
		target := path.Clean(m.Target)
		maps.DeleteFunc(all, func(p, _ string) bool { return strings.HasPrefix(p, strings.TrimSuffix(target, "/")+"/") })
		if all[target] = ""; m.Kind == "bind" && !j.engine.Endpoint.Remote() {
			all[target] = filepath.ToSlash(absolute(dir, m.Source, "."))
		}
	}
	return all
}

// writePaths puts paths into a data directory and returns what data files are called whose paths these are: containers of
// several images can leave their data in one directory.
func writePaths(dir string, paths map[string]string) (dataFile string, err error) {
	text, err := json.Marshal(paths)
	if err != nil {
		return "", fmt.Errorf("writing where the files of the image come from: %w", err)
	}
	key := fmt.Sprintf("%08x", crc32.ChecksumIEEE(text))
	if err := replaceFile(filepath.Join(dir, pathsPrefix+key), append(text, '\n')); err != nil {
		return "", &DataDirError{Dir: dir, Err: err}
	}
	return ".coverage.paths-" + key, nil
}
