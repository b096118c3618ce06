package fetch

import (
	"io/fs"
	"reflect"
	"strings"
	"testing"
)

// settingsOf is IndexFromPip on a machine that has these variables and files.
func settingsOf(variables, files map[string]string) (Index, error) {
	env := func(name string) string { return variables[name] }
	read := func(name string) ([]byte, error) {
		if text, ok := files[name]; ok {
			return []byte(text), nil
		}
		return nil, fs.ErrNotExist
	}
	return IndexFromPip(env, "/home/me", read)
}

type text = map[string]string

func TestIndexFromPip(t *testing.T) {
	cases := map[string]struct {
		variables, files text
		want             Index
	}{
		"nothing": {want: Index{}},
		"variables": {
			variables: text{"PIP_INDEX_URL": "https://a/simple", "PIP_EXTRA_INDEX_URL": "https://b/simple https://c/simple", "PIP_TRUSTED_HOST": "a"},
			files:     text{"/etc/pip.conf": "[global]\nindex-url = https://z/simple\n"},
			want:      Index{URL: "https://a/simple", Extra: []string{"https://b/simple", "https://c/simple"}, TrustedHosts: []string{"a"}},
		},
		"user over global, install over global section": {
			files: text{
				"/etc/pip.conf":                 "[install]\nindex-url = https://inst/simple\n[global]\nproxy = http://p:1\n",
				"/home/me/.config/pip/pip.conf": "[global]\nindex_url = https://me:a%20%%#b@user/simple ; kept\nextra-index-url =\n    https://b/simple\n    https://c/simple\n",
			},
			want: Index{URL: "https://inst/simple", Proxy: "http://p:1", Extra: []string{"https://b/simple", "https://c/simple"}},
		},
		"hash and percent in a value": {
			files: text{"/home/me/.pip/pip.conf": "[global]\nindex-url = https://me:a%(x)s#b@user/simple\n"},
			want:  Index{URL: "https://me:a%(x)s#b@user/simple"},
		},
		"own file replaces the user's": {
			variables: text{"PIP_CONFIG_FILE": "/own.conf"},
			files: text{
				"/own.conf":              "[global]\nindex-url: https://own/simple\n",
				"/home/me/.pip/pip.conf": "[global]\nextra-index-url = https://user/simple\n",
			},
			want: Index{URL: "https://own/simple"},
		},
		"no files wanted": {
			variables: text{"PIP_CONFIG_FILE": "/dev/null"},
			files:     text{"/etc/pip.conf": "[global]\nindex-url = https://z/simple\n"},
			want:      Index{},
		},
		"virtual environment": {
			variables: text{"VIRTUAL_ENV": "/venv"},
			files:     text{"/venv/pip.conf": "[global]\nindex-url = https://venv/simple\n"},
			want:      Index{URL: "https://venv/simple"},
		},
		"certificates and netrc": {
			variables: text{"PIP_CERT": "~/ca.pem", "NETRC": "/secrets"},
			files:     text{"/home/me/ca.pem": "CA", "/client.pem": "PAIR", "/secrets": "machine a login b password c", "/etc/pip.conf": "[global]\nclient-cert = /client.pem"},
			want:      Index{CACerts: []byte("CA"), ClientCert: []byte("PAIR"), Netrc: "machine a login b password c"},
		},
		"uv's variables": {
			variables: text{"UV_DEFAULT_INDEX": "corp=https://u/simple", "UV_INDEX": "https://b/simple x=https://c/simple?q=1", "UV_INDEX_CORP_USERNAME": "me", "UV_INDEX_CORP_PASSWORD": "s"},
			want:      Index{URL: "https://me:s@u/simple", Extra: []string{"https://b/simple", "https://c/simple?q=1"}},
		},
		"uv's file": {
			files: text{"/home/me/.config/uv/uv.toml": "[[index]]\nname = \"a\"\nurl = \"https://a/simple\"\n[[index]]\nname = \"d\"\nurl = \"https://d/simple\"\ndefault = true\n[[index]]\nname = \"e\"\nurl = \"https://e/simple\"\nexplicit = true\n"},
			want:  Index{URL: "https://d/simple", Extra: []string{"https://a/simple"}},
		},
		"pip before uv": {
			variables: text{"UV_INDEX_URL": "https://u/simple"},
			files:     text{"/etc/pip.conf": "[global]\nindex-url = https://z/simple\n", "/etc/uv/uv.toml": "index-url = \"https://y/simple\""},
			want:      Index{URL: "https://z/simple"},
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			got, err := settingsOf(c.variables, c.files)
			if err != nil {
				t.Fatal(err)
			}
			if len(got.Extra) == 0 {
				got.Extra = nil
			}
			if len(got.TrustedHosts) == 0 {
				got.TrustedHosts = nil
			}
			if !reflect.DeepEqual(got, c.want) {
				t.Errorf("got  %+v\nwant %+v", got, c.want)
			}
		})
	}
}

func TestIndexFromPipRefuses(t *testing.T) {
	for name, files := range map[string]text{
		"pip.conf": {"/etc/pip.conf": "[global\nindex-url = https://me:s3cret@a"},
		"uv.toml":  {"/etc/uv/uv.toml": "index-url = https://me:s3cret@a"},
		"no CA":    {"/etc/pip.conf": "[global]\ncert = /nowhere.pem\n"},
	} {
		_, err := settingsOf(nil, files)
		if err == nil || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
