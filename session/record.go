package session

import (
	"cmp"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/covify/covify/runner/rcfile"
	"github.com/google/renameio/v2"
)

// Ending is how a container ended.
type Ending string

const (
	Running    Ending = "running"     // or its covify was killed
	Exited     Ending = "exited"      // with Record.ExitCode
	Detached   Ending = "detached"    // runs on for all that is known
	Printed    Ending = "printed"     // its command line was printed for others to run
	NotStarted Ending = "not started" // for Record.Reason
)

// Record is what is known of one container of a session.
type Record struct {
	Image     string    `json:"image"`               // as its user named it
	Variant   string    `json:"variant,omitempty"`   // what ran
	Digest    string    `json:"digest,omitempty"`    // of that, as the engine says
	Name      string    `json:"name,omitempty"`      // of the container
	Container string    `json:"container,omitempty"` // its ID
	Service   string    `json:"service,omitempty"`   // of compose
	Runs      bool      `json:"runs,omitempty"`      // it ran on when the session ended
	Engine    string    `json:"engine,omitempty"`
	Command   []string  `json:"command,omitempty"` // instead of the image's own
	Started   time.Time `json:"started"`
	Ended     time.Time `json:"ended,omitzero"`
	Ending    Ending    `json:"ending"`
	ExitCode  int       `json:"exit_code"`
	DataDir   string    `json:"data_dir,omitempty"`
	DataFiles []string  `json:"data_files,omitempty"` // names of those seen at its end
	Notes     []string  `json:"notes,omitempty"`      // of processes that could not be measured
	Reason    string    `json:"reason,omitempty"`     // why there are no data
	NotPython bool      `json:"not_python,omitempty"` // for a reason that is nobody's fault
}

// Source knows some of a session's containers: those that covify run started, and those of whatever else brings containers in.
type Source interface {
	Records() ([]Record, error)
}

// started are the containers that covify run started, each of which left its record in a folder.
type started struct{ dir string }

func (s started) Records() ([]Record, error) {
	names, err := filepath.Glob(filepath.Join(s.dir, "*.json"))
	var all []Record
	for _, name := range names {
		text, readErr := os.ReadFile(name)
		var record Record
		if readErr == nil {
			readErr = json.Unmarshal(text, &record)
		}
		if err = errors.Join(err, readErr); readErr == nil {
			all = append(all, record)
		}
	}
	return all, err
}

// records are those of all sources, in the order of their start.
func (s *Session) records() []Record {
	var all []Record
	for _, source := range s.Sources {
		records, _ := source.Records() // a record that cannot be read is one that is still being written
		all = append(all, records...)
	}
	slices.SortStableFunc(all, func(a, b Record) int { return a.Started.Compare(b.Started) })
	return all
}

// Member is a session as those see it that run below its command.
type Member struct {
	About
	Dir string
}

// ErrOver says that a session is over.
var ErrOver = errors.New("is over")

// Join finds the session of a folder, which [Variable] names. The error wraps ErrOver if that session is not running.
func Join(dir string) (*Member, error) {
	about, err := readAbout(dir)
	if errors.Is(err, os.ErrNotExist) || (err == nil && (!about.Ended.IsZero() || !held(lockFile(about.Root)))) {
		return nil, ErrOver
	}
	if err != nil {
		return nil, err
	}
	return &Member{about, dir}, nil
}

// Entry is a container's place in a session.
type Entry struct {
	Record
	path string
}

var unfit = regexp.MustCompile(`[^A-Za-z0-9_.-]+`)

// NewEntry makes a folder for the data of a container, and its record.
func (m *Member) NewEntry(image string) (*Entry, error) {
	name := strings.Trim(unfit.ReplaceAllString(filepath.Base(image), "-"), "-.")
	dir, err := os.MkdirTemp(filepath.Join(m.Dir, containersName), name+"-")
	if err != nil {
		return nil, &FolderError{m.Dir, err}
	}
	e := &Entry{Record: Record{Image: image, Started: time.Now(), Ending: Running, DataDir: dir}, path: dir + ".json"}
	return e, errors.Join(os.Chmod(dir, 0o777), e.Write()) // every UID's process in the container writes there
}

// Settings are the project's settings for the container of the record, whose name is known by now: it measures what all of the session
// measure, and where that is wanted each line knows the container.
func (m *Member) Settings(project *rcfile.Config, record Record) *rcfile.Config {
	settings := project.WithBranch(m.Branch)
	if m.Contexts {
		settings = settings.WithContext(record.label())
	}
	return settings
}

// label is what a person calls the container: by its service, its name, or else its image.
func (r Record) label() string {
	if name := cmp.Or(r.Service, r.Name); name != "" {
		return name + " (" + r.Image + ")"
	}
	return r.Image
}

// Write puts the record down, as far as it is known.
func (e *Entry) Write() error {
	text, err := json.Marshal(e.Record)
	if err != nil {
		return err
	}
	return renameio.WriteFile(e.path, append(text, '\n'), 0o644)
}

// Folder is where the container's data may be put, whether they are there or not.
func (e *Entry) Folder() string { return strings.TrimSuffix(e.path, ".json") }
