package install

import (
	"slices"
	"strings"
	"unicode"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/mask"
)

const (
	// tailBytes is how much of a command's output is kept, so that secrets are found
	// in it whole. tailLines is how much of that is told, and toldBytes the most that
	// those may have: a caller over SSH cuts the ends of much longer lines.
	tailBytes = 64 << 10
	tailLines = 20
	toldBytes = 8 << 10
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

// last is what is told, secrets masked before it is cut to that. It is taken from
// the begin of a line on: a secret's line of which only the end is there would not be
// known for one. Output without lines loses as much as a secret may have.
func (t *tail) last(secrets mask.Mask) string {
	text := strings.TrimRightFunc(strings.ToValidUTF8(string(t.text), "?"), unicode.IsSpace)
	_, whole, lines := strings.Cut(text, "\n")
	switch {
	case !t.cut:
		text = secrets.Apply(text)
	case lines:
		text = secrets.Apply(whole)
	default:
		text = secrets.CutBegin(text)
	}
	return lastLines(text)
}

// mask takes the request's secrets out of text.
func (w *work) mask() mask.Mask { return mask.Of(w.request.Secrets) }

// lastLines are those of a text that are told.
func lastLines(text string) string {
	lines := strings.Split(text, "\n")
	text = strings.Join(lines[max(0, len(lines)-tailLines):], "\n")
	if over := len(text) - toldBytes; over > 0 {
		text = "..." + strings.ToValidUTF8(text[over:], "")
	}
	return text
}
