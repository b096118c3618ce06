package rcfile

import (
	"fmt"
	"regexp"
	"strings"
)

// dollar is the pattern of substitute_variables in coverage/misc.py.
var dollar = regexp.MustCompile(`\$(?:(\$)|([\p{L}\p{N}_]+)|\{([\p{L}\p{N}_]+)(?:(\?)|-([^}]*))?\})`)

// Lookup returns a variable of the environment and whether it is set, as [os.LookupEnv] does.
type Lookup func(name string) (string, bool)

// substitute replaces $VAR, ${VAR}, ${VAR?}, ${VAR-default} and $$ as coverage does. An unset
// ${VAR?} is an error.
func substitute(text string, lookup Lookup) (string, error) {
	var err error
	out := dollar.ReplaceAllStringFunc(text, func(match string) string {
		groups := dollar.FindStringSubmatch(match)
		if groups[1] != "" {
			return "$"
		}
		name := groups[2] + groups[3]
		if value, ok := lookup(name); ok {
			return value
		}
		if groups[4] != "" {
			err = fmt.Errorf("variable %s is undefined: %q", name, text)
		}
		return groups[5]
	})
	return out, err
}

// literal writes text so that coverage's substitution gives it back unchanged.
func literal(text string) string { return strings.ReplaceAll(text, "$", "$$") }
