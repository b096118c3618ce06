package doctor

import (
	"strings"
	"testing"
	"time"
)

func TestSwitchedOff(t *testing.T) {
	for line, want := range map[string]bool{
		"python -S app.py": true, "python3.13 -uS app.py": true, "/usr/bin/python3 -I -S -m app": true,
		"python app.py -S": false, "python -m app -S": false, "python -c -S": false, "python -W S app.py": false, "python -X importtime -S": true, "python -Wdefault -S": true, "python -Sc pass": true,
		"python --version": false, "gunicorn -S": false, "": false, "python": false, "python -": false,
	} {
		if got := switchedOff(strings.Fields(line)) != ""; got != want {
			t.Errorf("%s: %v", line, got)
		}
	}
}

func TestWithoutSwitch(t *testing.T) {
	for line, want := range map[string]string{"python -S app.py": "python app.py", "python -uS app.py": "python -u app.py"} {
		if got := withoutSwitch(strings.Fields(line)); got != want {
			t.Errorf("%s: %s, want %s", line, got, want)
		}
	}
}

func TestCommon(t *testing.T) {
	for _, test := range [][4]string{
		{"/srv/app/x.py", "src/app/x.py", "/srv", "src"},
		{"/app/x.py", "x.py", "/app", "."},
		{"/a/x.py", "b/y.py", "/a/x.py", "b/y.py"},
		{"/x.py", "deep/x.py", "/", "deep"},
	} {
		if from, to := common(test[0], test[1]); from != test[2] || to != test[3] {
			t.Errorf("%s and %s: %s=%s, want %s=%s", test[0], test[1], from, to, test[2], test[3])
		}
	}
}

func TestBetween(t *testing.T) {
	before := time.Unix(1000, 0)
	after := before.Add(time.Second)
	for seconds, want := range map[float64]time.Duration{1000.5: 0, 990: 10 * time.Second, 1011: -10 * time.Second} {
		if got := between(before, after, seconds); got != want {
			t.Errorf("%v: %v, want %v", seconds, got, want)
		}
	}
	if c := clock("x", -10*time.Second); c.Outcome != Warning || c.Mend == "" {
		t.Errorf("%+v", c)
	}
}

func TestRoom(t *testing.T) {
	for _, test := range []struct {
		bytes, inodes, free uint64
		want                Outcome
	}{{1 << 40, 1000, 500, OK}, {1 << 40, 0, 0, OK}, {1 << 40, 1000, 5, Problem}, {1 << 20, 0, 0, Problem}, {100 << 20, 0, 0, Warning}} {
		if c := room("x", test.bytes, test.inodes, test.free); c.Outcome != test.want || (c.Mend == "") != (test.want == OK) {
			t.Errorf("%+v: %+v", test, c)
		}
	}
}

func TestFixes(t *testing.T) {
	checks := []Check{ok("a", "x").fix("no"), problem("b", "x").fix("app:1"), warning("c", "x").fix("app:1"), skipped("d", "x").fix("no"),
		problem("e", "x").mend("by hand"), warning("f", "x").fix("host", "remove")}
	if got := Fixes(checks); len(got) != 2 || got[0][0] != "app:1" || got[1][1] != "remove" {
		t.Errorf("got %q", got)
	}
	if n := Problems(checks); n != 2 {
		t.Errorf("%d problems", n)
	}
}
