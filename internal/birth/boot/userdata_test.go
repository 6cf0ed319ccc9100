package boot

import (
	"crypto/sha256"
	"encoding/json"
	"flag"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write golden files")

func mustJSON(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	must(t, err)
	return string(text)
}

// plain is an order that is the same each time.
func plain() (Order, Program) {
	return Order{
		Ticket: Ticket{Service: "crawler", Name: "crawler-7", Incarnation: "i7", Token: strings.Repeat("A", 43)},
		Consul: []string{"10.0.0.1:8500", "https://consul.example.com"}, Prefix: "homeostat", Datacenter: "dc1",
		Bundle: strings.Repeat("1", 64), Genome: strings.Repeat("2", 64), Store: "s3://bundles/crawler?region=eu-west-1",
		Environment: map[string]string{"QUOTES": `it's "quoted" $x`}, Deadline: time.Unix(1790000000, 0).UTC(),
	}, Program{URL: "https://example.com/it's/homeostat", SHA256: strings.Repeat("3", 64)}
}

// shells are those that user data must be right for.
func shells(t *testing.T) []string {
	t.Helper()
	var all []string
	for _, name := range []string{"sh", "dash", "bash"} {
		if path, err := exec.LookPath(name); err == nil {
			all = append(all, path)
		}
	}
	return all
}

func TestUserDataGolden(t *testing.T) {
	o, p := plain()
	for name, render := range map[string]func(Order, Program) (string, error){"shell.sh": Shell, "cloud-config.yaml": CloudConfig} {
		t.Run(name, func(t *testing.T) {
			got, err := render(o, p)
			must(t, err)
			golden := filepath.Join("testdata", name)
			if *update {
				must(t, os.MkdirAll("testdata", 0o755))
				must(t, os.WriteFile(golden, []byte(got), 0o644))
			}
			want, err := os.ReadFile(golden)
			must(t, err)
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			t.Logf("%d bytes", len(got))
		})
	}
	text, err := Shell(o, p)
	must(t, err)
	start, err := userData(o, p)
	must(t, err)
	for _, shell := range shells(t) {
		for _, script := range []string{text, start[1].text} {
			cmd := exec.CommandContext(t.Context(), shell, "-n")
			cmd.Stdin = strings.NewReader(script)
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%s -n: %v\n%s", shell, err, out)
			}
		}
	}
}

func TestUserDataRefuses(t *testing.T) {
	for _, c := range []struct {
		name, want string
		change     func(*Order, *Program)
	}{
		{"too large", "16384 are the most that EC2 takes: 20004 are of the environment", func(o *Order, _ *Program) {
			o.Environment = map[string]string{"LONG": strings.Repeat("x", 20000)}
		}},
		{"a large CA", "20000 of Consul's CA", func(o *Order, _ *Program) { o.ConsulCA = strings.Repeat("x", 20000) }},
		{"no token", "the token isn't one", func(o *Order, _ *Program) { o.Ticket.Token = "" }},
		{"a password", "user or a password", func(_ *Order, p *Program) { p.URL = "https://me:secret@example.com/" }},
		{"ftp", "isn't by http or https", func(_ *Order, p *Program) { p.URL = "ftp://example.com/homeostat" }},
		{"no digest", "the program: ", func(_ *Order, p *Program) { p.SHA256 = "" }},
		{"no deadline", "no deadline", func(o *Order, _ *Program) { o.Deadline = time.Time{} }},
		{"no Consul", "no address of Consul", func(o *Order, _ *Program) { o.Consul = nil }},
	} {
		t.Run(c.name, func(t *testing.T) {
			o, p := plain()
			c.change(&o, &p)
			for _, render := range []func(Order, Program) (string, error){Shell, CloudConfig} {
				_, err := render(o, p)
				if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "secret") {
					t.Errorf("%v; want %q", err, c.want)
				}
			}
		})
	}
}

// userDataRun runs what user data starts in a folder in place of /, with only
// these tools. It returns what the program was called with, and what was said.
func userDataRun(t *testing.T, shell string, p Program, deadline time.Time, tools ...string) (called, said string) {
	t.Helper()
	dir := t.TempDir()
	bin := filepath.Join(dir, "bin")
	must(t, os.MkdirAll(bin, 0o755))
	for _, tool := range append([]string{"cat", "mkdir", "chmod", "cut", "sha256sum", "date", "mv", "rm", "sleep", "sync", "grep", "timeout"}, tools...) {
		path, err := exec.LookPath(tool)
		if err != nil {
			t.Skipf("there is no %s", tool)
		}
		if tool == "python3" { // what is found first may be a script that needs more
			out, err := exec.CommandContext(t.Context(), path, "-c", "import sys; print(sys.executable)").Output()
			must(t, err)
			path = strings.TrimSpace(string(out))
		}
		must(t, os.Symlink(path, filepath.Join(bin, tool)))
	}
	must(t, os.WriteFile(filepath.Join(bin, "poweroff"), []byte("#!/bin/sh\necho powered off\n"), 0o755))
	systemctl := "#!/bin/sh\ncase $1 in\nstart) " + shell + " " + dir + "/lib/boot/start || echo it failed;;\npoweroff) echo powered off;;\nesac\n"
	must(t, os.WriteFile(filepath.Join(bin, "systemctl"), []byte(systemctl), 0o755))
	must(t, os.Symlink("/bin/sh", filepath.Join(bin, "sh")))
	o, _ := plain()
	o.Deadline, o.Lifetime = deadline, 0
	if deadline.IsZero() { // the clock is years ahead
		o.Deadline, o.Lifetime = time.Unix(0, 0), 60
	}
	text, err := Shell(o, p)
	must(t, err)
	text = strings.NewReplacer("/var/lib/homeostat", dir+"/lib", "/etc/systemd", dir+"/etc", "/run/systemd", dir+"/run", "/bin/sh", shell, "/dev/console", dir+"/console", "/proc/uptime", dir+"/uptime").Replace(text)
	must(t, os.WriteFile(filepath.Join(dir, "uptime"), []byte("12.5 3.1\n"), 0o644))
	must(t, os.MkdirAll(filepath.Join(dir, "etc/system"), 0o755))
	must(t, os.MkdirAll(filepath.Join(dir, "run/system"), 0o755))
	cmd := exec.CommandContext(t.Context(), shell)
	cmd.Stdin, cmd.Env = strings.NewReader(text), []string{"PATH=" + bin, "CALLED=" + dir + "/called"}
	out, err := cmd.CombinedOutput()
	must(t, err)
	text2, err := os.ReadFile(filepath.Join(dir, "called"))
	if err != nil {
		return "", string(out)
	}
	return strings.ReplaceAll(string(text2), dir, ""), string(out)
}

// TestUserDataRuns runs what is rendered, with each way to fetch and in each shell.
func TestUserDataRuns(t *testing.T) {
	program := []byte("#!/bin/sh\necho \"$@\" >\"$CALLED\"\n")
	sum := fmt.Sprintf("%x", sha256.Sum256(program))
	var asked atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		first := asked.Add(1) == 1
		switch {
		case r.URL.Path == "/hangs": // a byte now and then, as long as it is asked
			for r.Context().Err() == nil {
				_, _ = w.Write([]byte("x"))
				_ = http.NewResponseController(w).Flush()
				time.Sleep(100 * time.Millisecond)
			}
		case r.URL.Path == "/wrong", r.URL.Path == "/once" && first:
			_, _ = w.Write([]byte("something else"))
		case r.URL.Path == "/late" && first:
			http.Error(w, "not yet", http.StatusServiceUnavailable)
		default:
			_, _ = w.Write(program)
		}
	}))
	defer server.Close()
	later := time.Now().Add(time.Minute)
	for _, shell := range shells(t) {
		for _, tool := range []string{"curl", "wget", "python3"} {
			t.Run(filepath.Base(shell)+" "+tool, func(t *testing.T) {
				called, said := userDataRun(t, shell, Program{URL: server.URL + "/program", SHA256: sum}, later, tool)
				if want := "machine boot -log-level info -order /lib/boot/order.json\n"; called != want {
					t.Errorf("called with %q, want %q\n%s", called, want, said)
				}
			})
		}
	}
	shell := shells(t)[0]
	t.Run("a wrong clock", func(t *testing.T) {
		if called, said := userDataRun(t, shell, Program{URL: server.URL + "/program", SHA256: sum}, time.Time{}, "curl"); called == "" {
			t.Errorf("it isn't called: %s", said)
		}
	})
	for _, path := range []string{"/once", "/late"} {
		t.Run("tries again "+path, func(t *testing.T) {
			asked.Store(0)
			called, said := userDataRun(t, shell, Program{URL: server.URL + path, SHA256: sum}, later, "curl")
			if called == "" || !strings.Contains(said, "trying again in 1 s") {
				t.Errorf("called with %q\n%s", called, said)
			}
		})
	}
	for name, c := range map[string]struct {
		path  string
		tools []string
		want  string
	}{
		"wrong checksum": {"/wrong", []string{"curl"}, "and not " + sum},
		"no tool":        {"/program", nil, "there is no curl, wget or python3"},
		"hangs":          {"/hangs", []string{"wget"}, "the program could not be fetched"},
	} {
		t.Run(name, func(t *testing.T) {
			called, said := userDataRun(t, shell, Program{URL: server.URL + c.path, SHA256: sum}, time.Now().Add(2*time.Second), c.tools...)
			if called != "" || !strings.Contains(said, c.want) || !strings.HasSuffix(said, "powered off\nit failed\n") {
				t.Errorf("called with %q\n%s", called, said)
			}
		})
	}
}

// TestUserDataWithoutSystemd has a machine end itself that can't be a cell's.
func TestUserDataWithoutSystemd(t *testing.T) {
	o, p := plain()
	text, err := Shell(o, p)
	must(t, err)
	for _, shell := range shells(t) {
		dir := t.TempDir()
		must(t, os.WriteFile(filepath.Join(dir, "poweroff"), []byte("#!/bin/sh\necho powered off\n"), 0o755))
		script := strings.NewReplacer("/var/lib/homeostat", dir+"/lib", "/etc/systemd", dir+"/etc", "/run/systemd", dir+"/run", "/dev/console", dir+"/console").Replace(text)
		cmd := exec.CommandContext(t.Context(), shell)
		cmd.Stdin, cmd.Env = strings.NewReader(script), []string{"PATH=" + dir + ":" + os.Getenv("PATH")}
		out, err := cmd.CombinedOutput()
		if err == nil || !strings.Contains(string(out), "not run by systemd") || !strings.HasSuffix(string(out), "powered off\n") {
			t.Errorf("%s: %v: %s", shell, err, out)
		}
		console, err := os.ReadFile(filepath.Join(dir, "console"))
		if err != nil || !strings.Contains(string(console), "systemd") {
			t.Errorf("%s: the console says %q, %v", shell, console, err)
		}
	}
}

// TestCloudConfigAgain has what cloud-init wrote a second time be removed.
func TestCloudConfigAgain(t *testing.T) {
	for there, want := range map[string][]string{"cell.json": {"cell.json"}, "boot/state.json": {"boot", "boot/start", "boot/state.json"}} {
		dir := t.TempDir()
		for _, name := range []string{"boot/order.json", "boot/start", there} {
			must(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755))
			must(t, os.WriteFile(filepath.Join(dir, name), nil, 0o644))
		}
		cmd := exec.CommandContext(t.Context(), shells(t)[0])
		cmd.Stdin = strings.NewReader(strings.NewReplacer("/var/lib/homeostat", dir, "/etc/systemd", dir+"/etc").Replace(againText) + "echo goes on\n")
		out, err := cmd.CombinedOutput()
		must(t, err)
		var left []string
		must(t, filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
			if path != dir {
				left = append(left, strings.TrimPrefix(path, dir+"/"))
			}
			return err
		}))
		if len(out) != 0 || !slices.Equal(left, want) {
			t.Errorf("%s: it says %q, and %q is left, want %q", there, out, left, want)
		}
	}
}

// TestIndent has no line of a script be lost in a block of YAML.
func TestIndent(t *testing.T) {
	if got, want := indent("a\n\n  b\n"), "      a\n\n        b\n"; got != want {
		t.Errorf("%s, want %s", strconv.Quote(got), strconv.Quote(want))
	}
}
