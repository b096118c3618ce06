// Command scanner writes an SBOM of the Python distributions that it finds, as BuildKit asks scanners to
// (https://github.com/moby/buildkit/blob/master/docs/attestations/sbom-protocol.md).
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"log"
	"net/textproto"
	"os"
	"path/filepath"
	"strings"
)

func main() {
	source, destination := os.Getenv("BUILDKIT_SCAN_SOURCE"), os.Getenv("BUILDKIT_SCAN_DESTINATION")
	if err := scan(source, filepath.Join(destination, filepath.Base(source)+".spdx.json")); err != nil {
		log.Fatal(err)
	}
	extras, err := os.ReadDir(os.Getenv("BUILDKIT_SCAN_SOURCE_EXTRAS"))
	if err != nil {
		return // there are none
	}
	for _, e := range extras {
		if err := scan(filepath.Join(os.Getenv("BUILDKIT_SCAN_SOURCE_EXTRAS"), e.Name()), filepath.Join(destination, e.Name()+".spdx.json")); err != nil {
			log.Fatal(err)
		}
	}
}

// scan writes the in-toto statement about one filesystem.
func scan(root, file string) error {
	packages := []map[string]string{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.Name() != "METADATA" || !strings.HasSuffix(filepath.Dir(path), ".dist-info") {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		header, err := textproto.NewReader(bufio.NewReader(bytes.NewReader(data))).ReadMIMEHeader()
		if len(header) == 0 {
			return err
		}
		name, version := strings.ToLower(header.Get("Name")), header.Get("Version")
		packages = append(packages, map[string]string{"SPDXID": fmt.Sprintf("SPDXRef-%d", len(packages)), "name": name, "versionInfo": version})
		return nil
	})
	if err != nil {
		return err
	}
	data, err := json.Marshal(map[string]any{
		"_type":         "https://in-toto.io/Statement/v0.1",
		"predicateType": "https://spdx.dev/Document",
		"predicate": map[string]any{"spdxVersion": "SPDX-2.3", "SPDXID": "SPDXRef-DOCUMENT", "dataLicense": "CC0-1.0", "name": root,
			"documentNamespace": "https://example.com/" + root, "creationInfo": map[string]any{"created": "2026-01-01T00:00:00Z", "creators": []string{"Tool: scanner"}},
			"packages": packages},
	})
	if err != nil {
		return err
	}
	return os.WriteFile(file, data, 0o644)
}
