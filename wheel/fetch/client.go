package fetch

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/jdx/go-netrc"

	"github.com/covify/covify/wheel"
)

const (
	attempts     = 3
	firstWait    = 300 * time.Millisecond
	answerWithin = 15 * time.Second // pip's own default, for connecting and for the first byte
	wholeWithin  = 3 * time.Minute
	maxBody      = 256 << 20

	typeJSON = "application/vnd.pypi.simple.v1+json"
	typeHTML = "application/vnd.pypi.simple.v1+html"
)

// client talks to an index and to the hosts its files are on.
type client struct {
	http  *http.Client
	users map[string]*url.Userinfo // by host and port, from index addresses
	netrc *netrc.Netrc
}

func (i Index) client() (*client, error) {
	transport, err := i.transport()
	if err != nil {
		return nil, err
	}
	c := &client{users: map[string]*url.Userinfo{}}
	for _, raw := range append([]string{i.URL, DefaultIndex}, i.Extra...) {
		if root, err := parseAddress(raw); err == nil && root.user != nil {
			c.users[root.Host] = root.user
		}
	}
	if i.Netrc != "" {
		if c.netrc, err = netrc.ParseString(i.Netrc); err != nil {
			return nil, &IndexError{Err: errors.New(".netrc cannot be parsed")}
		}
	}
	c.http = &http.Client{Transport: authorising{c, transport}, Timeout: wholeWithin}
	return c, nil
}

func (i Index) transport() (http.RoundTripper, error) {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.DialContext = (&net.Dialer{Timeout: answerWithin}).DialContext
	t.ResponseHeaderTimeout = answerWithin
	t.TLSClientConfig = &tls.Config{}
	if i.CACerts != nil {
		t.TLSClientConfig.RootCAs = x509.NewCertPool()
		if !t.TLSClientConfig.RootCAs.AppendCertsFromPEM(i.CACerts) {
			return nil, &IndexError{Err: errors.New("pip's configured CA bundle holds no certificate")}
		}
	}
	if i.ClientCert != nil {
		pair, err := tls.X509KeyPair(i.ClientCert, i.ClientCert)
		if err != nil {
			return nil, &IndexError{Err: fmt.Errorf("client certificate: %w", err)}
		}
		t.TLSClientConfig.Certificates = []tls.Certificate{pair}
	}
	if i.Proxy != "" {
		proxy, err := url.Parse(i.Proxy)
		if err != nil {
			return nil, &IndexError{Err: errors.New("pip's configured proxy is not a URL")}
		}
		t.Proxy = http.ProxyURL(proxy)
	}
	if len(i.TrustedHosts) == 0 {
		return t, nil
	}
	unchecked := t.Clone()
	unchecked.TLSClientConfig.InsecureSkipVerify = true
	return trusting{i.TrustedHosts, t, unchecked}, nil
}

// trusting leaves certificates of the hosts the user trusts unchecked.
type trusting struct {
	hosts              []string
	checked, unchecked http.RoundTripper
}

func (t trusting) RoundTrip(r *http.Request) (*http.Response, error) {
	if slices.Contains(t.hosts, r.URL.Host) || slices.Contains(t.hosts, r.URL.Hostname()) {
		return t.unchecked.RoundTrip(r)
	}
	return t.checked.RoundTrip(r)
}

// authorising adds credentials by the host of each single request, so that a
// redirect elsewhere never carries them along.
type authorising struct {
	client *client
	next   http.RoundTripper
}

func (a authorising) RoundTrip(r *http.Request) (*http.Response, error) {
	name, password, ok := a.client.credentials(r.URL)
	if ok {
		r = r.Clone(r.Context())
		r.SetBasicAuth(name, password)
	}
	return a.next.RoundTrip(r)
}

func (c *client) credentials(u *url.URL) (name, password string, ok bool) {
	if user := c.users[u.Host]; user != nil {
		password, _ = user.Password()
		return user.Username(), password, true
	}
	if c.netrc == nil {
		return "", "", false
	}
	machine := c.netrc.Machine(u.Hostname())
	if machine == nil {
		return "", "", false
	}
	return machine.Get("login"), machine.Get("password"), true
}

// project asks the index at root for coverage's files. It gives known back
// when that is still the answer.
func (c *client) project(ctx context.Context, root address, known *page) (*page, error) {
	at := root.JoinPath(wheel.Project + "/")
	header := http.Header{"Accept": {typeJSON + ", " + typeHTML + ";q=0.2, text/html;q=0.01"}}
	if known != nil && known.ETag != "" {
		header.Set("If-None-Match", known.ETag)
	}
	answer, err := c.get(ctx, at.String(), header)
	if err != nil {
		return nil, err
	}
	if answer.status == http.StatusNotModified && known != nil {
		return known, nil
	}
	kind, _, _ := mime.ParseMediaType(answer.header.Get("Content-Type"))
	parse := parseHTML
	if kind == typeJSON || kind == "application/json" {
		parse = parseJSON
	}
	// Links are relative to where a redirect led.
	files, err := parse(answer.body, answer.at)
	if err != nil {
		return nil, &IndexError{URL: at.String(), Status: answer.status, Err: err}
	}
	return &page{ETag: answer.header.Get("ETag"), Files: files}, nil
}

func (c *client) file(ctx context.Context, address string) ([]byte, error) {
	answer, err := c.get(ctx, address, nil)
	if err != nil {
		return nil, err
	}
	return answer.body, nil
}

type answer struct {
	status int
	header http.Header
	body   []byte
	at     *url.URL
}

// get asks up to three times where trying again may help. The error is an *IndexError.
func (c *client) get(ctx context.Context, address string, header http.Header) (*answer, error) {
	wait := firstWait
	for attempt := 1; ; attempt++ {
		got, err := c.getOnce(ctx, address, header)
		if err == nil {
			return got, nil
		}
		if attempt == attempts || !transient(err) || ctx.Err() != nil {
			return nil, err
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(wait):
			wait *= 3
		}
	}
}

// transient says whether to try again; after a time-out the user has waited enough.
func transient(err *IndexError) bool {
	var network net.Error
	if errors.As(err, &network) && network.Timeout() {
		return false
	}
	return err.Status == 0 || err.Status == http.StatusOK || err.Status == http.StatusTooManyRequests || err.Status >= 500
}

func (c *client) getOnce(ctx context.Context, address string, header http.Header) (*answer, *IndexError) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, &IndexError{Err: errors.New("it names a file by an address that is not a URL")}
	}
	for key := range header {
		request.Header.Set(key, header.Get(key))
	}
	response, err := c.http.Do(request)
	if err != nil {
		// *url.Error repeats the address; the noun is added once.
		var about *url.Error
		if errors.As(err, &about) {
			err = about.Err
		}
		return nil, &IndexError{URL: address, Err: err}
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK && response.StatusCode != http.StatusNotModified {
		return nil, &IndexError{URL: address, Status: response.StatusCode, Err: fmt.Errorf("answers %s", response.Status)}
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, maxBody))
	if err != nil {
		return nil, &IndexError{URL: address, Status: response.StatusCode, Err: fmt.Errorf("its answer breaks off: %w", err)}
	}
	return &answer{response.StatusCode, response.Header, body, response.Request.URL}, nil
}
