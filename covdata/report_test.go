package covdata_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/covify/covify/covdata"
)

// reportable is a checkout with container data of one file that is there and of one that is not.
func reportable(t *testing.T) (root string, data covdata.CombineOptions) {
	t.Helper()
	root = t.TempDir()
	writeFiles(t, root, map[string]string{"src/shop/cart.py": program, "src/shop/user.py": program})
	writeData(t, root, map[string]measured{".covify/data/.coverage.c": {
		"/app/shop/cart.py": {1, 4, 5, 6, 10, 11}, "/app/shop/user.py": {1}, "/app/gone.py": {1},
	}})
	return root, covdata.CombineOptions{Root: root, Inputs: []string{filepath.Join(root, ".covify/data")}, Stderr: t.Output()}
}

func report(t *testing.T, format covdata.Format, opts covdata.ReportOptions) string {
	t.Helper()
	var stdout bytes.Buffer
	opts.Stdout = &stdout
	if _, err := covdata.Report(bg, python(t), format, opts); err != nil {
		t.Fatal(err)
	}
	return stdout.String()
}

func TestReportFormats(t *testing.T) {
	t.Parallel()
	root, data := reportable(t)
	out := filepath.Join(root, "out")
	for format, want := range map[covdata.Format]string{
		covdata.Text: "src/shop/cart.py",
		covdata.XML:  `filename="src/shop/cart.py"`,
		covdata.JSON: `"src/shop/cart.py": {`,
		covdata.LCOV: "SF:src/shop/cart.py\n",
	} {
		if got := report(t, format, covdata.ReportOptions{Data: data, Output: "-"}); !strings.Contains(got, want) {
			t.Errorf("%s: no %q in:\n%s", format, want, got)
		}
		if format == covdata.Text {
			continue
		}
		file := filepath.Join(out, string(format))
		if got := report(t, format, covdata.ReportOptions{Data: data, Output: file}); got != "" {
			t.Errorf("%s: stdout has %q", format, got)
		}
		if content, _ := os.ReadFile(file); !strings.Contains(string(content), want) || strings.Contains(string(content), root) {
			t.Errorf("%s: no %q, or the root, in the file:\n%s", format, want, content)
		}
	}
	xml, _ := os.ReadFile(filepath.Join(out, "xml"))
	if !strings.Contains(string(xml), "<source>.</source>") || strings.Count(string(xml), "<source>") != 1 {
		t.Errorf("sources of:\n%s", xml)
	}
	report(t, covdata.HTML, covdata.ReportOptions{Data: data, Output: filepath.Join(out, "html"), Title: "the shop"})
	if page, _ := os.ReadFile(filepath.Join(out, "html/index.html")); !strings.Contains(string(page), "the shop") {
		t.Errorf("page:\n%s", page)
	}
}

func TestReportOptions(t *testing.T) {
	t.Parallel()
	root, data := reportable(t)
	writeFiles(t, root, map[string]string{".coveragerc": "[run]\nsource = src\n[report]\nomit =\n    " + root + "/src/shop/user.py\n"})
	if got := report(t, covdata.Text, covdata.ReportOptions{Data: data, ShowMissing: true}); strings.Contains(got, "user.py") || !strings.Contains(got, "Missing") {
		t.Errorf("report:\n%s", got)
	}
	got := report(t, covdata.Text, covdata.ReportOptions{Data: data, Omit: []string{"src/shop/cart.py"}, TextFormat: "total"})
	if strings.TrimSpace(got) != "14" {
		t.Errorf("total %q, want user.py's alone: 14", got)
	}
	got = report(t, covdata.XML, covdata.ReportOptions{Data: data, Output: "-", Include: []string{"src/*"}})
	if !strings.Contains(got, `filename="src/shop/cart.py"`) || !strings.Contains(got, "<source>.</source>") {
		t.Errorf("with a source in the config:\n%s", got)
	}
}

func TestReportFailUnder(t *testing.T) {
	t.Parallel()
	_, data := reportable(t)
	limit, precision := 80.0, 1
	var stdout bytes.Buffer
	opts := covdata.ReportOptions{Data: data, FailUnder: &limit, Precision: &precision, Stdout: &stdout}
	made, err := covdata.Report(bg, python(t), covdata.Text, opts)
	var below *covdata.FailUnderError
	if !errors.As(err, &below) || below.ExitCode() != 2 || below.FailUnder != 80 || !strings.Contains(stdout.String(), "TOTAL") {
		t.Fatalf("error %v, report:\n%s", err, &stdout)
	}
	if want := "total coverage 50.0% is below fail-under=80%"; err.Error() != want {
		t.Errorf("error %q, want %q", err, want)
	}
	if made.Summary == nil || len(made.Summary.Unmapped) != 1 {
		t.Errorf("summary %+v", made.Summary)
	}
}

// TestReportFollowsInputs: what was combined is kept while the inputs are the same, and made anew when they are not.
func TestReportFollowsInputs(t *testing.T) {
	t.Parallel()
	root, data := reportable(t)
	for _, want := range []bool{true, false} {
		made, err := covdata.Report(bg, python(t), covdata.Text, covdata.ReportOptions{Data: data})
		if err != nil || made.Summary.Fresh != want {
			t.Fatalf("error %v, summary %+v, want fresh %v", err, made.Summary, want)
		}
	}
	writeData(t, root, map[string]measured{".covify/data/.coverage.d": {"/app/shop/user.py": {1, 4, 5, 6, 7, 10, 11}}})
	var facts struct {
		Files map[string]struct {
			Lines []int `json:"executed_lines"`
		}
	}
	got := report(t, covdata.JSON, covdata.ReportOptions{Data: data, Output: "-"})
	if err := json.Unmarshal([]byte(got), &facts); err != nil {
		t.Fatal(err)
	}
	if lines := facts.Files["src/shop/user.py"].Lines; !slices.Equal(lines, []int{1, 4, 5, 6, 7, 10, 11}) {
		t.Errorf("lines %v", lines)
	}
}

func TestReportErrors(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	data := covdata.CombineOptions{Root: root, Inputs: []string{filepath.Join(root, "data")}}
	writeFiles(t, root, map[string]string{"other.py": program})
	writeData(t, root, map[string]measured{"data/.coverage.c": {"/app/gone.py": {1}}})
	_, err := covdata.Report(bg, python(t), covdata.Text, covdata.ReportOptions{Data: data})
	var away *covdata.NoSourceError
	if !errors.As(err, &away) || !strings.Contains(err.Error(), "/app/gone.py") {
		t.Errorf("error %v", err)
	}
	writeData(t, root, map[string]measured{"data/.coverage.c": {"/app/other.py": {1}}})
	_, err = covdata.Report(bg, python(t), covdata.Text, covdata.ReportOptions{Data: data, Omit: []string{"*"}})
	var said *covdata.CoverageError
	if !errors.As(err, &said) || !strings.Contains(err.Error(), "No data to report") {
		t.Errorf("error %v", err)
	}
	data.Config = filepath.Join(root, "none.ini")
	if _, err = covdata.Report(bg, python(t), covdata.Text, covdata.ReportOptions{Data: data}); !errors.As(err, &said) {
		t.Errorf("error %v", err)
	}
	data.Config = ""
	writeFiles(t, root, map[string]string{".coveragerc": "[run]\nplugins = no_such_plugin\n"})
	_, err = covdata.Report(bg, python(t), covdata.Text, covdata.ReportOptions{Data: data})
	if !errors.As(err, &said) || !strings.Contains(err.Error(), "no_such_plugin") {
		t.Errorf("error %v", err)
	}
}

// TestReportAsBefore: a report stands for what the last combine was told, not for the default places alone.
func TestReportAsBefore(t *testing.T) {
	t.Parallel()
	root, data := reportable(t)
	writeFiles(t, root, map[string]string{"one/job.py": program, "two/job.py": program})
	writeData(t, root, map[string]measured{"elsewhere/.coverage.d": {"/srv/job.py": {1, 4}}})
	told := data
	told.Inputs = append(slices.Clone(data.Inputs), filepath.Join(root, "elsewhere"))
	told.Maps = []covdata.Map{{From: "/srv", To: "two"}}
	combine(t, told)

	data.AsBefore = true
	if got := report(t, covdata.Text, covdata.ReportOptions{Data: data}); !strings.Contains(got, "two/job.py") {
		t.Errorf("report:\n%s", got)
	}
	if err := os.RemoveAll(filepath.Join(root, "elsewhere")); err != nil {
		t.Fatal(err)
	}
	made, err := covdata.Report(bg, python(t), covdata.Text, covdata.ReportOptions{Data: data})
	if err != nil || !strings.Contains(strings.Join(made.Summary.Words(root), "\n"), "left out elsewhere: not there any more") {
		t.Errorf("error %v, summary %+v", err, made.Summary)
	}
}
