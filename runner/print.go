package runner

import (
	"encoding/json"
	"strings"
)

// Shell returns the command line for a POSIX shell.
func (j *Job) Shell() string { return ShellLine(j.Command) }

// ShellLine writes a command so that a POSIX shell reads the same words.
func ShellLine(command []string) string {
	words := make([]string, len(command))
	for i, word := range command {
		words[i] = quote(word)
	}
	return strings.Join(words, " ")
}

// quote writes a word so that a shell reads it as one, unchanged.
func quote(word string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("@%+=:,./_-", r)
	}
	if word != "" && strings.TrimFunc(word, plain) == "" {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

// MarshalJSON gives {"command": [...], "env": {...}, "data_dir": "..."}.
func (j *Job) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Command []string          `json:"command"`
		Env     map[string]string `json:"env"`
		DataDir string            `json:"data_dir"`
	}{j.Command, j.Env, j.DataDir})
}
