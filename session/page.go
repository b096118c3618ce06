package session

import (
	"bytes"
	"fmt"
	"html/template"
	"strings"

	"github.com/google/renameio/v2"
)

var page = template.Must(template.New("ledger").Parse(`<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>What became of each container</title>
<style>
:root{color-scheme:light dark}
body{font:15px/1.45 system-ui,sans-serif;margin:2em auto;max-width:78em;padding:0 1.5em;color:light-dark(#222,#ddd);background:light-dark(#fff,#1e1e1e)}
h1{font-size:1.4em;margin-bottom:.2em}a{color:light-dark(#0645ad,#7ab7ff)}code{font:.92em ui-monospace,monospace}
table{border-collapse:collapse;width:100%;margin-top:1.2em}
th,td{padding:.45em .7em;text-align:left;vertical-align:top;border-bottom:1px solid light-dark(#ddd,#444)}
th{font-weight:600;border-bottom-width:2px}.n{text-align:right;font-variant-numeric:tabular-nums}td.o,td.e{white-space:nowrap}
.covered .o{color:light-dark(#0a6b1f,#7fd48f)}.failed .o{color:light-dark(#b00020,#ff8a8a);font-weight:600}.failed{background:light-dark(#fff1f1,#3a2222)}
</style></head>
<body><h1>What became of each container</h1><p><code>{{.Shell}}</code>{{if .ExitCode}} ended with exit code {{.ExitCode}}{{end}} · <a href="index.html">Coverage report</a></p>
<table><thead><tr><th>Where</th><th>Image</th><th>Digest</th><th>End</th><th>Outcome</th><th class="n">Files</th><th class="n">Lines</th><th>Why</th></tr></thead><tbody>
<tr class="{{.Host.Outcome}}"><td>host</td><td></td><td></td><td></td><td class="o">{{.Host.Outcome}}</td><td class="n">{{.Host.Files}}</td>
<td class="n">{{.Host.Lines}}</td><td>{{.Host.Why}}</td></tr>
{{range .Containers}}<tr class="{{.Outcome}}"><td>{{or .Service .Name}}</td><td>{{.Image}}</td><td>{{if .Digest}}<code title="{{.Digest}}">{{.ShortDigest}}</code>{{end}}</td><td class="e">{{.End}}</td>
<td class="o">{{.Outcome}}</td><td class="n">{{.Files}}</td><td class="n">{{.Lines}}</td><td>{{.Why}}</td></tr>
{{end}}</tbody></table></body></html>
`))

// Shell is the session's command for a reader.
func (l Ledger) Shell() string { return strings.Join(l.Command, " ") }

// ShortDigest is as much of the digest as tells images apart.
func (l Line) ShortDigest() string {
	_, hex, _ := strings.Cut(l.Digest, ":")
	return hex[:min(12, len(hex))]
}

// End says how the container ended.
func (l Line) End() string {
	switch {
	case l.Runs:
		return "runs on"
	case l.Stopped():
		return "stopped"
	case l.Removed():
		return "removed"
	case l.Ending == Exited:
		return fmt.Sprintf("exited with %d", l.ExitCode)
	}
	return string(l.Ending)
}

// WritePage writes the ledger as a page beside coverage's own.
func (l Ledger) WritePage(path string) error {
	var text bytes.Buffer
	if err := page.Execute(&text, l); err != nil {
		return err
	}
	return renameio.WriteFile(path, text.Bytes(), 0o644)
}
