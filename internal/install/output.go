package install

import (
	"slices"
	"strings"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/mask"
)

const (
	// tailBytes is how much of a command's output is kept, tailLines how much of
	// that is told.
	tailBytes = 64 << 10
	tailLines = 20
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

// mask takes the request's secrets out of text.
func (w *work) mask() mask.Mask { return mask.Of(w.request.Secrets) }

// lastLines are those of a text that are told.
func lastLines(text string) string {
	lines := strings.Split(text, "\n")
	return strings.Join(lines[max(0, len(lines)-tailLines):], "\n")
}
