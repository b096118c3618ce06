package fetch

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os/exec"
	"strings"
	"time"

	"github.com/covify/covify/wheel"
)

// DefaultIndex is the address used where the user has configured none. It is
// set when linking, to what the build machine's pip has for its own default;
// when it is empty, an installed pip is asked at run time.
var DefaultIndex string

// Index says where the package index is and how to talk to it. Its zero value
// is pip's own default.
type Index struct {
	URL          string   // root of the simple index, perhaps with credentials in it; "" for the default
	Extra        []string // further ones, as in pip's extra-index-url
	Netrc        string   // content of the user's .netrc
	CACerts      []byte   // PEM, instead of the system's; nil for those
	ClientCert   []byte   // PEM of certificate and key in one; nil for none
	TrustedHosts []string // hosts, perhaps with port, whose certificate is not checked
	Proxy        string   // address of a proxy; "" for net/http's own choice
}

// IndexError says that a package index did not give what it was asked for.
type IndexError struct {
	URL    string // without credentials
	Status int    // of the HTTP answer; 0 where there was none
	Err    error
}

func (e *IndexError) Error() string {
	if e.URL == "" {
		return fmt.Sprintf("package index: %v", e.Err)
	}
	return fmt.Sprintf("package index %s: %v", e.URL, e.Err)
}

func (e *IndexError) Unwrap() error { return e.Err }

// Unauthorised says that credentials are missing or wrong.
func (e *IndexError) Unauthorised() bool {
	return e.Status == http.StatusUnauthorized || e.Status == http.StatusForbidden
}

// Hint says what the user can do about it.
func (e *IndexError) Hint() string {
	if e.Unauthorised() {
		return "put the credentials into .netrc or into pip's index-url"
	}
	return "where there is a network, `covify bundle -o DIR` collects the wheels; here, `--bundle DIR` uses them"
}

// address is an index root without the credentials it may have come with.
type address struct {
	*url.URL
	user *url.Userinfo
}

// roots are the simple indexes in order, the main one first.
func (i Index) roots(ctx context.Context) ([]address, error) {
	main := i.URL
	if main == "" {
		main = DefaultIndex
	}
	if main == "" {
		asked, err := askPip(ctx)
		if err != nil {
			return nil, err
		}
		main = asked
	}
	var roots []address
	for _, raw := range append([]string{main}, i.Extra...) {
		root, err := parseAddress(raw)
		if err != nil {
			return nil, err
		}
		roots = append(roots, root)
	}
	return roots, nil
}

// parseAddress keeps credentials out of its errors, which url.Parse does not.
func parseAddress(raw string) (address, error) {
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return address{}, &IndexError{Err: errors.New("its configured address is not an http or https URL")}
	}
	user := u.User
	u.User = nil
	u.Path = strings.TrimRight(u.Path, "/") + "/"
	return address{u, user}, nil
}

// askPip asks an installed pip for the index it uses by default.
func askPip(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	const question = "from pip._internal.models.index import PyPI; print(PyPI.simple_url)"
	for _, python := range []string{"python3", "python"} {
		// -I: what the user's folder or PYTHONPATH holds is none of our business.
		out, err := exec.CommandContext(ctx, python, "-I", "-c", question).Output()
		if err == nil {
			return strings.TrimSpace(string(out)), nil
		}
	}
	return "", &IndexError{Err: errors.New("none is configured (PIP_INDEX_URL, pip.conf), and no pip is installed that knows one")}
}

// isWheelOfProject says whether an index's entry is a wheel of coverage.
func isWheelOfProject(filename string) (wheel.Name, bool) {
	name, err := wheel.Parse(filename)
	return name, err == nil && strings.EqualFold(name.Distribution, wheel.Project)
}
