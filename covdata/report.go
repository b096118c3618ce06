package covdata

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
)

// Format is a kind of report, called as coverage calls it.
type Format string

const (
	Text Format = "report"
	HTML Format = "html"
	XML  Format = "xml"
	JSON Format = "json"
	LCOV Format = "lcov"
)

// ReportOptions are coverage's own options for reports; a zero value leaves each to coverage's config. The combined
// data is made anew first if it does not stand for Data's inputs any more.
type ReportOptions struct {
	Data CombineOptions

	Output       string   // file (xml, json, lcov; "-" is stdout) or directory (html)
	Include      []string // patterns of files to report on, relative to the root
	Omit         []string // patterns of files to leave out
	Contexts     []string // patterns of the contexts to report on
	FailUnder    *float64 // the total below which the error is a *FailUnderError
	Precision    *int     // digits after the decimal point
	IgnoreErrors bool     // go on after a source that coverage cannot parse
	SkipCovered  *bool    // text and html
	SkipEmpty    bool     // text, html and xml
	ShowMissing  bool     // text
	Sort         string   // text: a column, with "-" for descending
	TextFormat   string   // text: "text", "markdown" or "total"
	ShowContexts bool     // html and json
	Title        string   // html
	PrettyPrint  bool     // json

	Stdout io.Writer // the report, where it goes to stdout; default: dropped
}

// wish is a report as the script takes it.
type wish struct {
	Format    Format         `json:"format"`
	Options   map[string]any `json:"options"` // arguments of coverage's functions
	FailUnder *float64       `json:"fail_under"`
}

// verdict is what the script says of a report it made.
type verdict struct {
	Total     float64
	Output    string
	FailUnder float64 `json:"fail_under"`
	Precision int
	Failed    bool
}

// path is where the report was written; coverage takes the config's own names as relative to the root.
func (v *verdict) path(root string) string {
	if v.Output == "" || v.Output == "-" || filepath.IsAbs(v.Output) {
		return v.Output
	}
	return filepath.Join(root, v.Output)
}

// Made is a report that was made.
type Made struct {
	Summary *Summary // of the combined data it was made from
	Output  string   // the file it was written to; empty or "-" for stdout
	Total   float64  // percentage covered
}

// Report makes a report with paths relative to the root. The error is a *FailUnderError (the report was made then), a
// *NoSourceError, or one that Combine returns; what is known of Made is returned with any of them.
func Report(ctx context.Context, python Python, format Format, opts ReportOptions) (*Made, error) {
	options, err := opts.arguments(format)
	if err != nil {
		return &Made{}, err
	}
	wanted := &wish{Format: format, Options: options, FailUnder: opts.FailUnder}
	done, err := work(ctx, python, opts.Data, wanted, opts.Stdout)
	made := &Made{Summary: done.Summary}
	if done.Report != nil {
		made.Output, made.Total = done.Report.path(opts.Data.Root), done.Report.Total
	}
	if err == nil && done.Report != nil && done.Report.Failed {
		return made, &FailUnderError{done.Report.Total, done.Report.FailUnder, done.Report.Precision}
	}
	return made, err
}

// arguments are the ones that coverage's function for the format takes, by name.
func (o ReportOptions) arguments(format Format) (map[string]any, error) {
	output := o.Output
	if output != "" && output != "-" {
		absolute, err := filepath.Abs(output)
		if err != nil {
			return nil, fmt.Errorf("finding %q: %w", output, err)
		}
		output = absolute
	}
	all := map[string]any{}
	set(all, "include", o.Include, len(o.Include) > 0)
	set(all, "omit", o.Omit, len(o.Omit) > 0)
	set(all, "contexts", o.Contexts, len(o.Contexts) > 0)
	set(all, "ignore_errors", true, o.IgnoreErrors)
	switch format {
	case Text:
		set(all, "show_missing", true, o.ShowMissing)
		set(all, "sort", o.Sort, o.Sort != "")
		set(all, "output_format", o.TextFormat, o.TextFormat != "")
	case HTML:
		set(all, "directory", output, output != "")
		set(all, "title", o.Title, o.Title != "")
	case XML, JSON, LCOV:
		set(all, "outfile", output, output != "")
	default:
		return nil, fmt.Errorf("no report format %q", format)
	}
	set(all, "skip_covered", o.SkipCovered, o.SkipCovered != nil && (format == Text || format == HTML))
	set(all, "precision", o.Precision, o.Precision != nil && (format == Text || format == HTML))
	set(all, "skip_empty", true, o.SkipEmpty && (format == Text || format == HTML || format == XML))
	set(all, "show_contexts", true, o.ShowContexts && (format == HTML || format == JSON))
	set(all, "pretty_print", true, o.PrettyPrint && format == JSON)
	return all, nil
}

func set(arguments map[string]any, name string, value any, wanted bool) {
	if wanted {
		arguments[name] = value
	}
}
