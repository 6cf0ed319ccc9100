// Package mask takes secrets out of text that is shown or stored: what commands on
// machines say, errors, consoles. It knows secrets by what they are, and as they
// stand in JSON and in base64; it can't know one that was changed otherwise.
package mask

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"maps"
	"slices"
	"strings"
)

// stars stand where a secret was.
const stars = "***"

// shortLine is the length below which a line of a secret of several lines is
// too common to be masked by itself.
const shortLine = 8

// Mask replaces secrets in text.
type Mask struct {
	replacer *strings.Replacer
	longest  int
}

// New masks each secret as it is, without the blanks around it that a file's end
// often has, as it stands in JSON and in base64, and each of its lines that isn't
// short, since output is seen line by line.
func New(secrets ...string) Mask {
	var forms []string
	for _, secret := range secrets {
		bare := strings.TrimSpace(secret)
		if bare == "" {
			continue
		}
		for _, form := range slices.Compact([]string{secret, bare}) {
			quoted, _ := json.Marshal(form) // a string can always be marshalled
			forms = append(forms, form, string(quoted[1:len(quoted)-1]), base64.StdEncoding.EncodeToString([]byte(form)))
		}
		if lines := strings.Split(secret, "\n"); len(lines) > 1 {
			for _, line := range lines {
				if line = strings.TrimSpace(line); len(line) >= shortLine {
					forms = append(forms, line)
				}
			}
		}
	}
	// A secret may hold another one: the longest is replaced first.
	slices.SortFunc(forms, func(a, b string) int { return cmp.Or(cmp.Compare(len(b), len(a)), cmp.Compare(a, b)) })
	var pairs []string
	m := Mask{}
	for _, form := range slices.Compact(forms) {
		pairs = append(pairs, form, stars)
		m.longest = max(m.longest, len(form))
	}
	m.replacer = strings.NewReplacer(pairs...)
	return m
}

// Of masks the secrets of a set by their names.
func Of(secrets map[string]string) Mask { return New(slices.Collect(maps.Values(secrets))...) }

// Apply returns a text without the secrets in it.
func (m Mask) Apply(text string) string { return m.replacer.Replace(text) }

// Cut masks the begin of a longer text. The end of what it was cut to may be the
// begin of a secret, and is left out.
func (m Mask) Cut(text string) string {
	text = m.Apply(text)
	return text[:max(0, len(text)-m.longest)] + "..."
}

// CutBegin masks the end of a longer text. The begin of what it was cut to may be the
// end of a secret, and is left out.
func (m Mask) CutBegin(text string) string {
	text = m.Apply(text)
	return "..." + strings.ToValidUTF8(text[min(m.longest, len(text)):], "")
}
