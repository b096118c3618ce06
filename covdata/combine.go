// Package covdata turns the coverage data files that processes and containers leave behind into one file whose paths
// are those of the checkout, and into reports. Coverage itself combines and reports, in a Python that the caller gives.
package covdata

import (
	"context"
	"io"
)

// Contents gives files of an image, or of the container that it names, to take. A path that there is none for is not an error.
type Contents func(ctx context.Context, image Image, paths []string, take func(path string, content io.Reader) error) error

// DefaultOutput is where the combined data goes, below the root.
const DefaultOutput = ".covify/coverage"

// DefaultSources is where sources that only images have are kept, below the root.
const DefaultSources = ".covify/sources"

// Map says that the container's directory From is the directory To of the checkout.
type Map struct {
	From string `json:"from"` // absolute
	To   string `json:"to"`   // relative to the root, or absolute
	// Files is, in a Summary, how many measured files went this way.
	Files int `json:"files,omitempty"`
}

// CombineOptions say what is combined and where it goes. Only Root has to be set.
type CombineOptions struct {
	Root   string   // the checkout
	Inputs []string // data files, and directories searched to the bottom; missing ones count as empty
	// HostData adds the host's own data files: the data_file of Root's coverage config (.coverage) and data_file.*
	HostData bool
	// AsBefore takes Inputs, HostData, Maps and an empty Config from the last Combine into Output, if there was one.
	AsBefore bool
	Output   string // the combined file; default DefaultOutput below Root. Never an input
	Config   string // coverage's config file; default: the one that coverage finds in Root
	Maps     []Map  // directories that cannot be told from likeness, asked after the config's [paths], before the images' own maps
	// Session fills the Summary's Folders, and where some data have branches and some have none, takes the lines of all: their users
	// did not choose what comes together.
	Session bool
	// Contents asks for files of the images that left data, for those whose origin is beside the data; nil asks for none: paths are
	// then told by likeness.
	Contents Contents
	Stderr   io.Writer // coverage's warnings; default: dropped
}

// Summary says what became of the data.
type Summary struct {
	Output     string     `json:"output"`
	Fresh      bool       `json:"fresh"`      // combined now, not kept from before
	Kind       string     `json:"kind"`       // "line" or "branch"
	Found      int        `json:"found"`      // data files found
	Combined   int        `json:"combined"`   // of these, combined
	Duplicates int        `json:"duplicates"` // of these, with the same bytes as another one
	LeftOut    []LeftOut  `json:"left_out"`   // of these, left out
	Recovered  []string   `json:"recovered"`  // of the combined, those with an interrupted write to finish or undo
	Files      int        `json:"files"`      // measured files with source
	Mapped     []Map      `json:"mapped"`     // the container directories that were mapped
	Unmapped   []Unmapped `json:"unmapped"`   // measured files without source: in the data, not in reports
	UnusedMaps []Map      `json:"unused_maps"`
	// FromImages are files that only images have: they are measured files with source, a copy of which is below Folder.
	FromImages []FromImage `json:"from_images"`
	Stale      []Stale     `json:"stale"`   // images with other versions of the checkout's files
	Refused    []Refused   `json:"refused"` // images that could not be asked, where that leaves files unmapped
	// WithoutBranches counts the data files whose branches were dropped, as others have none.
	WithoutBranches int      `json:"without_branches,omitempty"`
	Folders         []Folder `json:"folders,omitempty"` // where the combined data files were, if that was asked for
}

// Folder is what the data files of one folder hold.
type Folder struct {
	Path      string `json:"path"`
	DataFiles int    `json:"data_files"`
	Files     int    `json:"files"`      // measured files with source
	FromImage int    `json:"from_image"` // of those, that only an image has
	Lines     int    `json:"lines"`      // of all, that ran
}

// FromImage is an image with sources that the checkout does not have.
type FromImage struct {
	Image  string `json:"image"`
	Files  int    `json:"files"`
	Folder string `json:"folder"` // relative to the root
}

// Stale is an image whose files differ from the checkout's, so that lines are not where the report shows them.
type Stale struct {
	Image string   `json:"image"`
	Files []string `json:"files"` // of the checkout, relative to the root
}

// Refused is an image that could not be asked for its files.
type Refused struct {
	Image  string `json:"image"`
	Reason string `json:"reason"`
}

// LeftOut is a data file that was not combined.
type LeftOut struct {
	File   string `json:"file"`
	Reason string `json:"reason"`
}

// Unmapped is a measured file that no file of the checkout was found for.
type Unmapped struct {
	Path      string   `json:"path"`
	Ambiguous bool     `json:"ambiguous"` // several files of the checkout are equally near
	Nearest   []string `json:"nearest"`   // up to three, relative to the root
}

// Combine writes one data file with everything in the inputs that coverage can combine, or writes nothing. Inputs
// stay as they are. The error is a *NoDataError, *CoverageError or *PythonError, or one of the system.
func Combine(ctx context.Context, python Python, opts CombineOptions) (*Summary, error) {
	done, err := work(ctx, python, opts, nil, io.Discard)
	return done.Summary, err
}
