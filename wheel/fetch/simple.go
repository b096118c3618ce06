package fetch

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/url"
	"path"
	"strings"

	"golang.org/x/net/html"

	"github.com/covify/covify/wheel"
)

// parseJSON reads a project page in the form of PEP 691; entries that are not
// wheels of coverage are left out.
func parseJSON(body []byte, at *url.URL) ([]wheel.File, error) {
	var listed struct {
		Meta struct {
			Version string `json:"api-version"`
		} `json:"meta"`
		Files []struct {
			Filename       string            `json:"filename"`
			URL            string            `json:"url"`
			Hashes         map[string]string `json:"hashes"`
			RequiresPython string            `json:"requires-python"`
			Yanked         yanked            `json:"yanked"`
		} `json:"files"`
	}
	if err := json.Unmarshal(body, &listed); err != nil {
		return nil, fmt.Errorf("its JSON: %w", err)
	}
	if v := listed.Meta.Version; v != "" && !strings.HasPrefix(v, "1.") {
		return nil, fmt.Errorf("it speaks version %s of the simple API, not 1", v)
	}
	var files []wheel.File
	for _, entry := range listed.Files {
		name, ok := isWheelOfProject(entry.Filename)
		link, err := at.Parse(entry.URL)
		if !ok || err != nil {
			continue
		}
		link.User = nil // credentials are kept by host, never in a list
		files = append(files, wheel.File{
			Name: entry.Filename, Version: name.Version, SHA256: strings.ToLower(entry.Hashes["sha256"]),
			URL: link.String(), RequiresPython: entry.RequiresPython, Yanked: bool(entry.Yanked),
		})
	}
	return files, nil
}

// yanked is a boolean or the reason as a string (PEP 592 in PEP 691's form).
type yanked bool

func (y *yanked) UnmarshalJSON(data []byte) error {
	*y = yanked(string(data) != "false" && string(data) != "null")
	return nil
}

// parseHTML reads a project page in the form of PEP 503.
func parseHTML(body []byte, at *url.URL) ([]wheel.File, error) {
	var files []wheel.File
	base := at
	tokens := html.NewTokenizer(bytes.NewReader(body))
	for {
		switch tokens.Next() {
		case html.ErrorToken:
			return files, nil
		case html.StartTagToken, html.SelfClosingTagToken:
			token := tokens.Token()
			attributes := attributesOf(token)
			switch token.Data {
			case "base":
				if u, err := at.Parse(attributes["href"]); err == nil {
					base = u
				}
			case "a":
				if file, ok := fileOf(attributes, base); ok {
					files = append(files, file)
				}
			}
		}
	}
}

func attributesOf(token html.Token) map[string]string {
	values := map[string]string{}
	for _, a := range token.Attr {
		values[a.Key] = a.Val
	}
	return values
}

func fileOf(attributes map[string]string, base *url.URL) (wheel.File, bool) {
	link, err := base.Parse(attributes["href"])
	if err != nil {
		return wheel.File{}, false
	}
	filename := path.Base(link.Path)
	name, ok := isWheelOfProject(filename)
	if !ok {
		return wheel.File{}, false
	}
	sum, _ := strings.CutPrefix(link.Fragment, "sha256=")
	if sum == link.Fragment {
		sum = ""
	}
	link.Fragment, link.User = "", nil
	_, withdrawn := attributes["data-yanked"]
	return wheel.File{
		Name: filename, Version: name.Version, SHA256: strings.ToLower(sum), URL: link.String(),
		RequiresPython: attributes["data-requires-python"], Yanked: withdrawn,
	}, true
}
