package main

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"text/tabwriter"
)

// table is the results of trials of one kind, and how they compare.
type table struct {
	Title   string
	Milli   bool `json:"-"` // times are shown in milliseconds
	Results []*result
	Checks  []check
	Repeat  string // command line
}

// check is a ratio, difference or amount, and the limit it is held against.
type check struct {
	What  string
	Got   float64
	Unit  string  // "x" of a ratio
	Limit float64 // 0 for none
	Least bool    // Got must be at least Limit, not at most
	Range *span   `json:",omitempty"` // of Got, by the runs' spread
}

// span is where a median lies with 95 % confidence.
type span struct{ Low, High float64 }

func (c check) ok() bool {
	if c.Least {
		return c.Got >= c.Limit
	}
	return c.Got <= c.Limit
}

func (c check) verdict() string {
	if c.Limit == 0 && !c.Least && c.Unit != "B" {
		return ""
	}
	bound, verdict := "at most", "missed"
	if c.Least {
		bound = "at least"
	}
	if c.ok() {
		verdict = "met"
	}
	if c.Range != nil && c.Range.Low < c.Limit && c.Limit < c.Range.High {
		verdict = "too close to tell"
	}
	return fmt.Sprintf("%s %s: %s", bound, quantity(c.Limit, c.Unit), verdict)
}

func (c check) line(width int) string {
	line := fmt.Sprintf("%-*s  %9s", width, c.What, quantity(c.Got, c.Unit))
	if c.Range != nil {
		line += fmt.Sprintf(" (%s to %s)", quantity(c.Range.Low, c.Unit), quantity(c.Range.High, c.Unit))
	}
	if verdict := c.verdict(); verdict != "" {
		line += "  " + verdict
	}
	return line
}

func quantity(v float64, unit string) string {
	switch unit {
	case "x":
		return fmt.Sprintf("%.4gx", round(v))
	case "B":
		return bytesText(int64(v))
	case "":
		return fmt.Sprintf("%.0f", v)
	}
	return fmt.Sprintf("%.4g %s", round(v), unit)
}

// round keeps three digits, and all that are before the point.
func round(v float64) float64 {
	if math.Abs(v) >= 100 || v == 0 {
		return math.Round(v)
	}
	scale := math.Pow(10, 2-math.Floor(math.Log10(math.Abs(v))))
	return math.Round(v*scale) / scale
}

// find returns the result of a trial; a name that is not there is a mistake of bench's.
func (t *table) find(name string) *result {
	i := slices.IndexFunc(t.Results, func(r *result) bool { return r.Name == name })
	if i < 0 {
		panic("no trial " + name)
	}
	return t.Results[i]
}

// atLeast checks that slow takes at least limit times as long as fast; a limit of 0 only shows the ratio.
func (t *table) atLeast(slow, fast string, limit float64) {
	t.Checks = append(t.Checks, t.ratio(slow, fast, limit, limit > 0))
}

// atMost checks that one takes at most limit times as long as other.
func (t *table) atMost(one, other string, limit float64) {
	t.Checks = append(t.Checks, t.ratio(one, other, limit, false))
}

func (t *table) ratio(one, other string, limit float64, least bool) check {
	a, b := t.find(one), t.find(other)
	return check{
		What: one + " / " + other, Got: a.median() / b.median(), Unit: "x", Limit: limit, Least: least,
		Range: a.paired(b, func(x, y float64) float64 { return x / y }),
	}
}

// more checks that one takes at most limit (in the table's unit) longer than other.
func (t *table) more(one, other string, limit float64) {
	a, b, scale, unit := t.find(one), t.find(other), 1.0, "s"
	if t.Milli {
		scale, unit = 1e3, "ms"
	}
	t.Checks = append(t.Checks, check{
		What: one + " - " + other, Got: (a.median() - b.median()) * scale, Unit: unit, Limit: limit,
		Range: a.paired(b, func(x, y float64) float64 { return (x - y) * scale }),
	})
}

// seconds checks that one takes at most limit seconds.
func (t *table) seconds(one string, limit float64) {
	t.Checks = append(t.Checks, check{What: one, Got: t.find(one).median(), Unit: "s", Limit: limit})
}

func (t *table) print(w io.Writer) {
	fmt.Fprintf(w, "\n%s\n\n", t.Title)
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	traffic := slices.ContainsFunc(t.Results, func(r *result) bool { return r.Traffic != nil })
	memory := slices.ContainsFunc(t.Results, func(r *result) bool { return r.Peak > 0 })
	for _, row := range t.rows(traffic, memory) {
		// The first column is aligned by hand: tabwriter aligns all to one side.
		row[0] = fmt.Sprintf("%-*s", t.nameWidth(), row[0])
		fmt.Fprintln(tw, strings.Join(row, "\t")+"\t")
	}
	tw.Flush()
	fmt.Fprintln(w)
	width := 0
	for _, c := range t.Checks {
		width = max(width, len(c.What))
	}
	for _, c := range t.Checks {
		fmt.Fprintln(w, c.line(width))
	}
	fmt.Fprintf(w, "\nagain: %s\n", t.Repeat)
}

func (t *table) nameWidth() int {
	width := 0
	for _, r := range t.Results {
		width = max(width, len(r.Name))
	}
	return width
}

func (t *table) rows(traffic, memory bool) [][]string {
	head := []string{"", "median", "min", "max", "runs"}
	if traffic {
		head = append(head, "requests", "up", "down", "base layers")
	}
	if memory {
		head = append(head, "peak memory")
	}
	rows := [][]string{head}
	for _, r := range t.Results {
		row := []string{r.Name, t.time(r.median()), t.time(slices.Min(r.Seconds)), t.time(slices.Max(r.Seconds)), fmt.Sprint(len(r.Seconds))}
		if traffic {
			row = append(row, r.Traffic.cells()...)
		}
		if memory && r.Peak > 0 {
			row = append(row, bytesText(r.Peak))
		} else if memory {
			row = append(row, "-")
		}
		rows = append(rows, row)
	}
	return rows
}

func (t *table) time(seconds float64) string {
	if t.Milli {
		return fmt.Sprintf("%.2f ms", seconds*1e3)
	}
	return fmt.Sprintf("%.3f s", seconds)
}

func (t *traffic) cells() []string {
	if t == nil {
		return []string{"-", "-", "-", "-"}
	}
	return []string{fmt.Sprint(t.Requests), bytesText(t.Up), bytesText(t.Down), bytesText(t.Base)}
}

// bytesText is a number of bytes with a decimal unit.
func bytesText(n int64) string {
	switch {
	case n >= 1e9:
		return fmt.Sprintf("%.2f GB", float64(n)/1e9)
	case n >= 1e6:
		return fmt.Sprintf("%.1f MB", float64(n)/1e6)
	case n >= 1e3:
		return fmt.Sprintf("%.1f kB", float64(n)/1e3)
	}
	return fmt.Sprintf("%d B", n)
}
