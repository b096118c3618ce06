package runner

import "strings"

// booleans are the flags of docker run, podman run and nerdctl run that take no value of their own
// (docker 28, podman 4 and 5, nerdctl 2). Every other flag does.
var booleans = set(`
	detach disable-content-trust env-host help http-proxy init interactive no-healthcheck no-hostname
	no-hosts oom-kill-disable passwd privileged publish-all quiet read-only read-only-tmpfs replace rm
	rmi rootfs sig-proxy tls-verify tty unsetenv-all use-api-socket`)

// shorts are the short flags that take no value, by their long names; those with a value follow.
var shorts = map[byte]string{
	'd': "detach", 'i': "interactive", 't': "tty", 'P': "publish-all", 'q': "quiet",
	'a': "attach", 'c': "cpu-shares", 'e': "env", 'h': "hostname", 'l': "label", 'm': "memory",
	'p': "publish", 'u': "user", 'v': "volume", 'w': "workdir",
}

// own are covify's flags, none of which an engine has.
var own = set("data-dir print engine rcfile save-timeout")

func set(words string) map[string]bool {
	out := map[string]bool{}
	for _, word := range strings.Fields(words) {
		out[word] = true
	}
	return out
}
