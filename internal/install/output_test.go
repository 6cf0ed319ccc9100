package install

import (
	"errors"
	"strings"
	"testing"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/mask"
)

// However much a command prints before it fails, the end of that is told, and no
// part of a secret, wherever the output is cut.
func TestTailOfOutput(t *testing.T) {
	const secret = "0123456789abcdefghijklmnopqrstuvwxyz"
	secrets := mask.New(secret)
	line := strings.Repeat("x", 60)
	for name, output := range map[string]string{
		"short":          secret + " it failed\n",
		"many lines":     strings.Repeat(line+"\n", 3000) + "it failed\n",
		"one line":       strings.Repeat(line, 3000) + "it failed",
		"one whole line": strings.Repeat(line, 3000) + "it failed\n",
		"long lines":     strings.Repeat(strings.Repeat(line, 20)+"\n", 19) + "it failed\n",
		"secrets alone":  strings.Repeat(secret, 3000) + " it failed\n",
		"no UTF-8":       strings.Repeat("\xffü", 40000) + "it failed",
	} {
		for shift := range len(secret) + 1 {
			kept := &tail{}
			_, _ = kept.Write([]byte(output + strings.Repeat(" ", shift))) // it takes everything
			got := kept.last(secrets)
			if !strings.Contains(got, "it failed") || len(got) > toldBytes+3 {
				t.Fatalf("%s: %d bytes are told: %.200q", name, len(got), got)
			}
			for at := range len(secret) - 5 {
				if strings.Contains(got, secret[at:at+6]) {
					t.Fatalf("%s, %d further: a part of the secret is told: %q", name, shift, got)
				}
			}
		}
	}
}

// A secret that begins where the last lines do is masked before they are taken.
func TestMaskBeforeLastLines(t *testing.T) {
	const key = "-----BEGIN KEY-----\nshort\nlines\n-----END KEY-----\n"
	m := &Machine{}
	script := `printf '%s' "$1"; i=0; while [ $i -lt 17 ]; do i=$((i+1)); echo "line $i"; done; exit 3`
	err := m.execute(t.Context(), []string{"sh", "-c", script, "sh", key}, nil, systemctlLimit, mask.New(key))
	var failed *commandError
	if !errors.As(err, &failed) || strings.Contains(err.Error(), "lines") || !strings.Contains(err.Error(), "***") || !strings.HasSuffix(err.Error(), "line 17") {
		t.Errorf("got %v", err)
	}
}
