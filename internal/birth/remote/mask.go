package remote

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"
)

// masked stands where a secret was.
const masked = "***"

// shortLine is the length below which a line of a secret of several lines is
// too common to be masked by itself.
const shortLine = 8

// mask replaces secrets in text.
type mask struct {
	replacer *strings.Replacer
	longest  int
}

// newMask masks each secret as it is, without the blanks around it that a file's
// end often has, as it stands in JSON and in base64, and each of its lines, since
// output is seen line by line.
func newMask(secrets []string) mask {
	var forms []string
	for _, secret := range secrets {
		bare := strings.TrimSpace(secret)
		if bare == "" {
			continue
		}
		for _, form := range slices.Compact([]string{secret, bare}) {
			quoted, _ := json.Marshal(form) // a string can always be marshalled
			forms = append(forms, form, strings.Trim(string(quoted), `"`), base64.StdEncoding.EncodeToString([]byte(form)))
		}
		if lines := strings.Split(secret, "\n"); len(lines) > 1 {
			forms = append(forms, slices.DeleteFunc(lines, func(line string) bool { return len(line) < shortLine })...)
		}
	}
	// A secret may hold another one: the longest is replaced first.
	slices.SortFunc(forms, func(a, b string) int { return cmp.Or(cmp.Compare(len(b), len(a)), cmp.Compare(a, b)) })
	var pairs []string
	m := mask{}
	for _, form := range slices.Compact(forms) {
		pairs = append(pairs, form, masked)
		m.longest = max(m.longest, len(form))
	}
	m.replacer = strings.NewReplacer(pairs...)
	return m
}

func (m mask) apply(text string) string { return m.replacer.Replace(text) }

// cut masks the begin of a longer text. The end of what it was cut to may be the
// begin of a secret, and is left out.
func (m mask) cut(text string) string {
	text = m.apply(text)
	return text[:max(0, len(text)-m.longest)] + "..."
}

// Masked returns a text without the secrets in it, and without their forms in JSON
// and base64.
func Masked(text string, secrets []string) string { return newMask(secrets).apply(text) }
