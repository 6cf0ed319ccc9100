package install

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// unit is the service of systemd's that the cell is.
type unit struct {
	Cell    string   // and of which service, in words
	Units   []string // run before the cell, and with it after a boot
	Command []string
}

// text is the unit's file. A sidecar that ends by itself has been told to, and
// stays away. Stopping waits for a running apply and for the drain.
func (u unit) text() ([]byte, error) {
	words := make([]string, len(u.Command))
	for i, word := range u.Command {
		quoted, err := quoteWord(word)
		if err != nil {
			return nil, fmt.Errorf("write the unit: %w", err)
		}
		words[i] = quoted
	}
	before := strings.Join(append([]string{"network-online.target"}, u.Units...), " ")
	return []byte(`# Written by Homeostat; it goes with the cell.
[Unit]
Description=` + u.Cell + `
Wants=` + before + `
After=` + before + `
StartLimitIntervalSec=0

[Service]
Type=exec
EnvironmentFile=` + envFile + `
ExecStart=` + strings.Join(words, " ") + `
Restart=on-failure
RestartSec=1s
KillMode=mixed
TimeoutStopSec=10min

[Install]
WantedBy=multi-user.target
`), nil
}

// quoteWord writes a word of a command as systemd.service(5) and systemd.syntax(7)
// read it: quoted, with specifiers and variables doubled.
func quoteWord(word string) (string, error) {
	if !utf8.ValidString(word) || strings.ContainsFunc(word, unicode.IsControl) {
		return "", fmt.Errorf("the word %q of the command holds a line's end, another control character, or bytes that are no text", word)
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, `%`, `%%`, `$`, `$$`).Replace(word) + `"`, nil
}

// environmentFile writes variables as systemd reads them from a file: in double
// quotes, where a backslash stands before a few characters and lines may end.
func environmentFile(environment map[string]string) []byte {
	escape := strings.NewReplacer(`\`, `\\`, `"`, `\"`, "`", "\\`", `$`, `\$`)
	var out bytes.Buffer
	for _, name := range slices.Sorted(maps.Keys(environment)) {
		out.WriteString(name + `="` + escape.Replace(environment[name]) + "\"\n")
	}
	return out.Bytes()
}
