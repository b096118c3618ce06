package session

import (
	"bytes"
	"html/template"

	"github.com/google/renameio/v2"
)

var page = template.Must(template.New("ledger").Parse(`<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>Ledger</title>
<style>body{font-family:sans-serif;margin:2em}table{border-collapse:collapse}td,th{border:1px solid #ccc;padding:.3em .6em;text-align:left}
.failed{background:#fdd}.covered{background:#dfd}</style></head>
<body><h1>What became of each container</h1><p><a href="index.html">Coverage report</a></p>
<table><tr><th>Where</th><th>Image</th><th>Digest</th><th>End</th><th>Outcome</th><th>Files</th><th>Lines</th><th>Why</th></tr>
<tr class="{{.Host.Outcome}}"><td>host</td><td></td><td></td><td></td><td>{{.Host.Outcome}}</td><td>{{.Host.Files}}</td><td>{{.Host.Lines}}</td><td>{{.Host.Why}}</td></tr>
{{range .Containers}}<tr class="{{.Outcome}}"><td>{{or .Service .Name}}</td><td>{{.Image}}</td><td>{{.Digest}}</td><td>{{.Ending}}{{if eq .Ending "exited"}}
 {{.ExitCode}}{{end}}</td><td>{{.Outcome}}</td><td>{{.Files}}</td><td>{{.Lines}}</td><td>{{.Why}}</td></tr>
{{end}}</table></body></html>
`))

// WritePage writes the ledger as a page beside coverage's own.
func (l Ledger) WritePage(path string) error {
	var text bytes.Buffer
	if err := page.Execute(&text, l); err != nil {
		return err
	}
	return renameio.WriteFile(path, text.Bytes(), 0o644)
}
