package covdata

import (
	"encoding/json"
	"fmt"
	"hash/crc32"
)

// Image is the one that a container was made of, and where it can be asked for.
type Image struct {
	Engine    string `json:"engine,omitempty"`    // docker, podman or nerdctl
	Name      string `json:"image,omitempty"`     // as its user named it
	ID        string `json:"id,omitempty"`        // the engine's digest of what ran
	Platform  string `json:"platform,omitempty"`  // that was asked for
	Container string `json:"container,omitempty"` // the container's name, if it may still be there
}

// Origin says what a container is made of and where its files come from. It is a file beside the container's data, to which the name
// of the data leads: containers of several images can leave their data in one directory.
type Origin struct {
	Image
	// Paths are files and directories of the container: a path of the image's build context is relative, one of this machine
	// absolute; "" is neither.
	Paths map[string]string `json:"paths,omitempty"`
	// Mounts are the paths of the container below which nothing is the image's.
	Mounts []string `json:"mounts,omitempty"`
}

// Empty reports whether nothing is known that a report can use.
func (o Origin) Empty() bool { return o.ID == "" && len(o.Paths) == 0 }

// File gives the name and the text of the file to put beside the data, and what the data files are called then.
func (o Origin) File() (name string, text []byte, dataFile string, err error) {
	text, err = json.Marshal(o)
	if err != nil {
		return "", nil, "", fmt.Errorf("writing where the files of image %q come from: %w", o.Name, err)
	}
	key := fmt.Sprintf("%08x", crc32.ChecksumIEEE(text))
	return ".coverage-image-" + key, append(text, '\n'), ".coverage.image-" + key, nil
}
