package install

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestQuoteWord(t *testing.T) {
	for word, want := range map[string]string{
		"plain":       `"plain"`,
		"":            `""`,
		"two words":   `"two words"`,
		"100%":        `"100%%"`,
		"$HOME ${X}":  `"$$HOME $${X}"`,
		`say "it's"`:  `"say \"it's\""`,
		`back\slash`:  `"back\\slash"`,
		";":           `";"`,
		"grün":        `"grün"`,
		"a\nb":        "",
		"tab\there":   "",
		"\xff":        "",
		"nul\x00byte": "",
	} {
		got, err := quoteWord(word)
		if got != want || (err != nil) != (want == "") {
			t.Errorf("%q is %s (%v), want %s", word, got, err, want)
		}
	}
	if _, err := (unit{Command: []string{"a", "b\nExecStartPre=c"}}).text(); err == nil {
		t.Error("a unit with another line smuggled in is written")
	}
}

func TestEnvironmentFile(t *testing.T) {
	got := string(environmentFile(map[string]string{"B": "two words", "A": "a\"b\\c$d`e'f #g\nh", "C": ""}))
	want := "A=\"a\\\"b\\\\c\\$d\\`e'f #g\nh\"\nB=\"two words\"\nC=\"\"\n"
	if got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

// systemctlScript notes how it is called. Units are active once they were started.
const systemctlScript = `#!/bin/sh
dir=%s
case $1 in
is-active) test -e "$dir/active-$3"; exit ;;
start|restart) : >"$dir/active-$2" ;;
stop) rm -f "$dir/active-$2" ;;
esac
echo "$@" >>"$dir/calls"
`

// Where systemd runs the machine the cell is a unit of its own, started after
// the genome's, and at each boot; leaving stops what birth has started.
func TestSystemd(t *testing.T) {
	h := newHouse(t)
	bin := t.TempDir()
	h.do(os.WriteFile(filepath.Join(bin, "systemctl"), fmt.Appendf(nil, systemctlScript, bin), 0o755))
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	h.do(os.MkdirAll(h.m.path("/run/systemd/system"), 0o755))
	h.file("/etc/systemd/system/theirs.service", "", 0o644)
	h.do(os.WriteFile(filepath.Join(bin, "active-theirs.service"), nil, 0o600))
	base := h.snapshot()
	maps.DeleteFunc(base, func(p, _ string) bool { return strings.HasPrefix(p, Home) })
	h.genome.Units = []string{"ours.service", "theirs.service"}
	h.genome.Command, h.genome.User = []string{"/opt/app", "100% $sure"}, "daemon:adm"
	_, content := genomeOf()
	h.bring(h.genome, content)
	h.do(h.install())
	text := h.read(unitFile)
	want := `ExecStart="/usr/local/bin/homeostat" "run" "-policy" "` + bundlesDir + "/" + h.request.Bundle + `/homeostat.hcl" ` +
		`"--" "/usr/local/bin/homeostat" "as" "daemon:adm" "--" "/opt/app" "100%% $$sure"`
	if !strings.Contains(text, want+"\n") || !strings.Contains(text, "\nAfter=network-online.target ours.service theirs.service\n") {
		t.Errorf("the unit is\n%s", text)
	}
	if to, err := os.Readlink(h.m.path(unitLink)); err != nil || to != unitFile {
		t.Errorf("it is started at boot by %q, %v", to, err)
	}
	calls := func(want ...string) {
		t.Helper()
		got, err := os.ReadFile(filepath.Join(bin, "calls"))
		h.do(err)
		if string(got) != strings.Join(want, "\n")+"\n" {
			t.Errorf("systemctl was called\n%swant\n%s", got, strings.Join(want, "\n"))
		}
		h.do(os.Remove(filepath.Join(bin, "calls")))
	}
	calls("daemon-reload", "start ours.service", "start theirs.service", "daemon-reload", "restart homeostat.service")
	h.do(h.install())
	calls("daemon-reload", "start ours.service", "start theirs.service", "daemon-reload", "start homeostat.service")
	next := h.request
	next.Incarnation = "later"
	if err := h.m.Install(t.Context(), next, func(string) {}); !errors.Is(err, ErrOccupied) {
		t.Errorf("over a life that systemd runs: %v", err)
	}
	h.do(os.Remove(filepath.Join(bin, "active-homeostat.service")))
	h.request = next
	h.do(h.install())
	calls("stop homeostat.service", "stop ours.service", "daemon-reload",
		"daemon-reload", "start ours.service", "start theirs.service", "daemon-reload", "restart homeostat.service")
	h.do(h.m.Remove(t.Context()))
	calls("stop homeostat.service", "stop ours.service", "daemon-reload")
	h.do(h.m.Release(t.Context()))
	all := h.snapshot()
	delete(all, Home)
	h.same("after leaving", all, base)
}
