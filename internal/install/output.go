package install

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"
)

const (
	// tailBytes is how much of a command's output is kept, tailLines how much of
	// that is told.
	tailBytes = 64 << 10
	tailLines = 20
	// shortLine is the length below which a line of a secret of several lines is
	// too common to be masked by itself.
	shortLine = 8
)

// tail keeps the end of what is written to it.
type tail struct {
	text []byte
	cut  bool
}

// Write implements io.Writer.
func (t *tail) Write(p []byte) (int, error) {
	t.text = append(t.text, p...)
	if over := len(t.text) - tailBytes; over > 0 {
		t.text, t.cut = slices.Delete(t.text, 0, over), true
	}
	return len(p), nil
}

// last is what is kept, from the begin of a line on: a secret's line of which
// only the end is there would not be known for one.
func (t *tail) last() string {
	text := strings.ToValidUTF8(string(t.text), "?")
	if t.cut {
		_, text, _ = strings.Cut(text, "\n")
	}
	return strings.TrimRight(text, "\n")
}

// mask replaces each secret as it is, as it stands in JSON and in base64, and each
// of its lines.
func (w *work) mask() *strings.Replacer {
	var forms []string
	for _, secret := range w.request.Secrets {
		secret = strings.TrimSpace(secret)
		if secret == "" {
			continue
		}
		quoted, _ := json.Marshal(secret) // a string can always be marshalled
		forms = append(forms, secret, strings.Trim(string(quoted), `"`), base64.StdEncoding.EncodeToString([]byte(secret)))
		if lines := strings.Split(secret, "\n"); len(lines) > 1 {
			forms = append(forms, slices.DeleteFunc(lines, func(line string) bool { return len(line) < shortLine })...)
		}
	}
	// A secret may hold another one: the longest is replaced first.
	slices.SortFunc(forms, func(a, b string) int { return cmp.Or(cmp.Compare(len(b), len(a)), cmp.Compare(a, b)) })
	var pairs []string
	for _, form := range slices.Compact(forms) {
		pairs = append(pairs, form, "***")
	}
	return strings.NewReplacer(pairs...)
}

// lastLines are those of a text that are told.
func lastLines(text string) string {
	lines := strings.Split(text, "\n")
	return strings.Join(lines[max(0, len(lines)-tailLines):], "\n")
}
