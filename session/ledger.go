package session

import (
	"encoding/json"
	"fmt"
	"io"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/covify/covify/covdata"
)

// Outcome is what became of a container, or of the host's processes.
type Outcome string

const (
	Covered   Outcome = "covered"
	NotPython Outcome = "not Python"
	Pending   Outcome = "pending" // its data may still come
	Failed    Outcome = "failed"
)

// Line is one container of the ledger.
type Line struct {
	Record
	Outcome Outcome `json:"outcome"`
	Files   int     `json:"files"` // of the checkout, in which lines ran
	Lines   int     `json:"lines"` // that ran
	Why     string  `json:"why,omitempty"`
}

// HostLine is what the host's processes did.
type HostLine struct {
	Outcome   Outcome  `json:"outcome"`
	DataFiles int      `json:"data_files"`
	Files     int      `json:"files"`
	Lines     int      `json:"lines"`
	Why       string   `json:"why,omitempty"`
	Notes     []string `json:"notes,omitempty"` // of processes that could not be measured
}

// Ledger is what became of everything in a session.
type Ledger struct {
	Command    []string `json:"command"`
	ExitCode   int      `json:"exit_code"`
	Host       HostLine `json:"host"`
	Containers []Line   `json:"containers"`
}

// Ledger tells what became of the session's containers. The folders are those of the combined data; nil when there are none.
func (s *Session) Ledger(exitCode int, folders []covdata.Folder) Ledger {
	ledger := Ledger{Command: s.Command, ExitCode: exitCode, Containers: []Line{}}
	host := covdata.Folder{}
	containers := map[string]covdata.Folder{}
	for _, folder := range folders {
		if s.has(folder.Path) && filepath.Base(filepath.Dir(folder.Path)) == containersName {
			containers[folder.Path] = folder
		}
		if filepath.Clean(folder.Path) == filepath.Join(s.Dir, hostName) {
			host = folder
		}
	}
	for _, folder := range folders {
		if filepath.Dir(s.own) == folder.Path && host.Files == 0 {
			host = folder
		}
	}
	ledger.Host = s.hostLine(host)
	for _, record := range s.records() {
		folder, ok := containers[record.DataDir]
		if !ok && !s.has(record.DataDir) {
			folder = folderAt(folders, record.DataDir)
		}
		ledger.Containers = append(ledger.Containers, line(record, folder))
	}
	return ledger
}

func folderAt(folders []covdata.Folder, dir string) covdata.Folder {
	i := slices.IndexFunc(folders, func(f covdata.Folder) bool { return dir != "" && f.Path == filepath.Clean(dir) })
	if i < 0 {
		return covdata.Folder{}
	}
	return folders[i]
}

func (s *Session) hostLine(folder covdata.Folder) HostLine {
	line := HostLine{DataFiles: folder.DataFiles, Files: folder.Files, Lines: folder.Lines, Notes: s.HostNotes()}
	switch {
	case line.Lines > 0:
		line.Outcome = Covered
	case len(line.Notes) > 0:
		line.Outcome, line.Why = Failed, line.Notes[0]
	case line.DataFiles > 0 || len(dataFiles(filepath.Join(s.Dir, hostName))) > 0:
		line.Outcome, line.Why = Failed, "its Python processes ran no code of the checkout that the coverage settings measure"
	default:
		line.Outcome, line.Why = NotPython, "no measured Python process ran"
	}
	return line
}

func line(record Record, folder covdata.Folder) Line {
	out := Line{Record: record, Files: folder.Files, Lines: folder.Lines}
	switch {
	case folder.Lines > 0:
		out.Outcome = Covered
	case record.NotPython:
		out.Outcome, out.Why = NotPython, record.Reason
	case record.Reason != "":
		out.Outcome, out.Why = Failed, record.Reason
	case folder.DataFiles > 0:
		out.Outcome, out.Why = Failed, "none of the files that it measured is in the checkout"
	case record.Ending == Detached:
		out.Outcome, out.Why = Pending, "it was started with -d, and no data had come when the session ended"
	case record.Ending == Printed:
		out.Outcome, out.Why = Pending, "its command line was printed, and no data had come when the session ended"
	case record.Ending == Running:
		out.Outcome, out.Why = Failed, "covify run had not ended when the session did"
	default:
		out.Outcome, out.Why = Failed, "it left no data"
	}
	return out
}

// Silent returns the names given of which nothing in the session was covered, each with the reason. A name is a container's, an
// image's with or without its tag, a compose service's, or "host".
func (l Ledger) Silent(names []string) []string {
	var silent []string
	for _, name := range names {
		if why := l.silence(name); why != "" {
			silent = append(silent, name+": "+why)
		}
	}
	return silent
}

func (l Ledger) silence(name string) string {
	if name == "host" {
		if l.Host.Outcome == Covered {
			return ""
		}
		return l.Host.Why
	}
	why := "no container of that name, image or service was in the session"
	for _, line := range l.Containers {
		if !line.called(name) {
			continue
		}
		if line.Outcome == Covered {
			return ""
		}
		why = line.Why
	}
	return why
}

func (l Line) called(name string) bool {
	return slices.Contains([]string{l.Name, l.Service, l.Image, repository(l.Image), path.Base(repository(l.Image))}, name)
}

// repository is an image's name without tag and digest.
func repository(image string) string {
	image, _, _ = strings.Cut(image, "@")
	if colon := strings.LastIndexByte(image, ':'); colon > strings.LastIndexByte(image, '/') {
		image = image[:colon]
	}
	return image
}

// Words says the ledger in lines for a person, one for the host and one for each container.
func (l Ledger) Words() []string {
	words := []string{"host: " + outcome(l.Host.Outcome, l.Host.Files, l.Host.Lines, l.Host.Why)}
	for _, note := range l.Host.Notes {
		if note != l.Host.Why {
			words = append(words, "  "+note)
		}
	}
	for _, line := range l.Containers {
		words = append(words, line.label()+": "+outcome(line.Outcome, line.Files, line.Lines, line.Why)+line.ending())
		for _, note := range line.Notes {
			if note != line.Why {
				words = append(words, "  "+note)
			}
		}
	}
	return words
}

func (l Line) ending() string {
	switch {
	case l.Runs:
		return " [runs on]"
	case l.Ending == Exited && l.ExitCode != 0 && !l.Stopped():
		return fmt.Sprintf(" [exit code %d]", l.ExitCode)
	case l.Ending == Detached && l.Outcome == Covered && !l.Removed():
		return " [detached]"
	}
	return ""
}

// Stopped reports whether the container is a service that ended as compose ends one, by SIGTERM or after it by SIGKILL, with nothing amiss.
func (l Line) Stopped() bool {
	return l.Service != "" && l.Ending == Exited && (l.ExitCode == 128+9 || l.ExitCode == 128+15) && l.Outcome != Failed
}

// Removed reports whether a container that was left running had ended and was gone when the session ended. How it ended is not known.
func (l Line) Removed() bool { return l.Ending == Detached && !l.Ended.IsZero() }

func outcome(outcome Outcome, files, lines int, why string) string {
	if outcome == Covered {
		return fmt.Sprintf("covered, %s, %s", count(lines, "line"), count(files, "file"))
	}
	if outcome == Failed {
		return "nothing covered: " + why
	}
	return fmt.Sprintf("%s: %s", outcome, why)
}

func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// JSON writes the ledger for programs.
func (l Ledger) JSON(w io.Writer) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	return encoder.Encode(l)
}
