package mask

import (
	"encoding/json"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestMaskHidesEverySecret(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		secret := rapid.StringMatching(`[a-zA-Z0-9"\\<>/+=]{6,40}`)
		secrets := rapid.SliceOfN(secret, 1, 5).Draw(t, "secrets")
		m := New(secrets...)
		var text strings.Builder
		for _, s := range secrets {
			quoted, err := json.Marshal(map[string]string{"value": s})
			if err != nil {
				t.Fatal(err)
			}
			text.WriteString("x " + s + " y " + string(quoted) + "\n")
		}
		got := m.Apply(text.String())
		for _, s := range secrets {
			if strings.Contains(got, s) {
				t.Fatalf("%q is seen in %q", s, got)
			}
		}
	})
}

func TestMaskOfCutText(t *testing.T) {
	const secret = "0123456789abcdef"
	m := New(secret)
	for n := range len(secret) {
		got := m.Cut(strings.Repeat("z", 100) + secret[:n])
		if strings.Contains(got, "0") {
			t.Errorf("cut after %d bytes of a secret: %q", n, got)
		}
	}
}

func TestMaskOfTextWithoutItsBegin(t *testing.T) {
	const secret = "0123456789abcdef"
	m := New(secret)
	for n := range len(secret) {
		got := m.CutBegin(secret[n:] + strings.Repeat("ü", 100))
		if strings.Contains(got, "f") || !strings.HasSuffix(got, "ü") || strings.ToValidUTF8(got, "") != got {
			t.Errorf("cut before the last %d bytes of a secret: %q", len(secret)-n, got)
		}
	}
}

func TestMaskOfFiles(t *testing.T) {
	m := New("short\n", "-----BEGIN-----\nthe first line\nthe second\n-----END-----\n", " \n")
	for text, want := range map[string]string{
		"the token is short":               "the token is ***",
		"cat: the first line":              "cat: ***",
		"echo -----BEGIN----- and the end": "echo *** and the end",
		"nothing of it":                    "nothing of it",
	} {
		if got := m.Apply(text); got != want {
			t.Errorf("%q is masked as %q, not %q", text, got, want)
		}
	}
}
