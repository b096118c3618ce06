package runner

import (
	"fmt"
	"maps"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/covify/covify/covdata"
	"github.com/covify/covify/plan"
)

// origin says what the container is made of and where its files come from: the image's own map, and what is mounted over it.
func (j *Job) origin(dir string) covdata.Origin {
	o := covdata.Origin{Image: covdata.Image{Engine: j.engine.Name, Name: j.inv.Image, ID: j.image.ID, Platform: j.inv.Platform}}
	if !j.inv.Remove {
		o.Container = j.inv.Name
	}
	var err error
	if o.Paths, err = plan.Paths(j.image.Labels); err != nil {
		j.Words = append(j.Words, fmt.Sprintf("the image's label %s cannot be read: %v; paths are guessed", plan.LabelPaths, err))
	}
	for _, m := range j.inv.Mounts {
		if path.IsAbs(m.Target) && path.Clean(m.Target) != path.Clean(j.image.dataDir()) {
			j.mounted(&o, dir, m)
		}
	}
	slices.Sort(o.Mounts)
	return o
}

// mounted notes what is mounted over the image's files. A file of this machine that is mounted is known by its path.
func (j *Job) mounted(o *covdata.Origin, dir string, m Mount) {
	target := path.Clean(m.Target)
	maps.DeleteFunc(o.Paths, func(p, _ string) bool { return strings.HasPrefix(p, strings.TrimSuffix(target, "/")+"/") })
	o.Mounts = append(o.Mounts, target)
	bound := m.Kind == "bind" && !j.engine.Endpoint.Remote()
	if len(o.Paths) == 0 && !bound {
		return
	}
	if o.Paths == nil {
		o.Paths = map[string]string{}
	}
	if o.Paths[target] = ""; bound {
		o.Paths[target] = filepath.ToSlash(absolute(dir, m.Source, "."))
	}
}

// writeOrigin puts an origin into a data directory and returns what data files are called whose origin it is.
func writeOrigin(dir string, o covdata.Origin) (dataFile string, err error) {
	name, text, dataFile, err := o.File()
	if err != nil {
		return "", err
	}
	if err := replaceFile(filepath.Join(dir, name), text); err != nil {
		return "", &DataDirError{Dir: dir, Err: err}
	}
	return dataFile, nil
}
