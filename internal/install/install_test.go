package install

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/bundle"
)

type ctx = context.Context

// testkitLimit is how long a test waits for a process to show itself.
const testkitLimit = 20 * time.Second

func TestInstall(t *testing.T) {
	h := newHouse(t)
	var steps []string
	h.do(h.m.Install(t.Context(), h.request, func(s string) { steps = append(steps, s) }))
	h.runsOnce()
	all := h.snapshot()
	for path, want := range map[string]string{
		"/data/app":                  `drwxr-x--- 1:1 ""`,
		"/etc/app":                   `drwx--x--x 1:1 ""`,
		"/var/empty":                 `drwx------ 0:0 ""`,
		"/etc/app/old.conf":          `-rw-r----- 0:0 "newer"`,
		"/etc/app/link.conf":         `-rw-r----- 0:0 "file now"`,
		"/opt/app/bin/app":           `-rwxr-xr-x 1:0 "#!/bin/sh\n"`,
		"/opt/app":                   `drwxr-xr-x 0:0 ""`,
		Home:                         `drwx------ 0:0 ""`,
		secretsDir:                   `drwx------ 0:0 ""`,
		secretsDir + "/consul-token": `-rw------- 0:0 "` + secret + `"`,
		bundlesDir + "/" + h.request.Bundle + "/root/main.tf": `-r--r--r-- 0:0 "# root"`,
	} {
		if strings.TrimSpace(all[path]) != want {
			t.Errorf("%s is %s, want %s", path, all[path], want)
		}
	}
	if got := h.read("out"); got != "run -policy "+h.m.path(bundlesDir+"/"+h.request.Bundle+"/homeostat.hcl")+" -- /opt/app/bin/app serve\n" {
		t.Errorf("the sidecar is started with %q", got)
	}
	if got := h.read("ran"); got != "1 api-1\n" {
		t.Errorf("the command has written %q", got)
	}
	if !strings.HasPrefix(all[envFile], "-rw-------") || !strings.Contains(h.read(envFile), "HOMEOSTAT_ADDRESS=\"10.0.0.7\"\nHOMEOSTAT_CELL=\"api-1\"\nHOMEOSTAT_CELL_ID=\""+h.request.ID()+"\"\nHOMEOSTAT_LISTEN=\"10.0.0.7:0\"\n") {
		t.Errorf("the environment is %s", all[envFile])
	}
	for path, text := range all {
		if strings.Contains(text, secret) && path != secretsDir+"/consul-token" {
			t.Errorf("the secret is in %s", path)
		}
	}
	if !strings.HasPrefix(all[claimFile], "-rw-------") || strings.Contains(strings.Join(steps, ""), secret) {
		t.Errorf("the claim is %s, the steps %q", all[claimFile][:10], steps)
	}
	steps = nil
	h.do(h.m.Install(t.Context(), h.request, func(s string) { steps = append(steps, s) }))
	h.runsOnce()
	h.same("an installation repeated", h.snapshot(), all)
	if slices.ContainsFunc(steps, func(s string) bool { return strings.HasPrefix(s, "write /") }) {
		t.Errorf("an installation repeated writes again: %q", steps)
	}
}

// What was there before birth is there after leaving, the claim stays until it
// is released, and what the cell itself made stays with its directory.
func TestRemove(t *testing.T) {
	h := newHouse(t)
	h.do(h.install())
	h.runsOnce()
	h.file("/data/app/rows", "data", 0o600)
	if err := h.m.RemoveCell(t.Context(), "api-1.other"); !errors.Is(err, ErrOccupied) {
		t.Errorf("the removal of another cell: %v", err)
	}
	for range 2 {
		h.do(h.m.RemoveCell(t.Context(), h.request.ID()))
		c, err := h.m.Claim()
		if err != nil || c == nil || c.Phase != Left || len(c.Made) > 0 {
			t.Fatalf("the claim is %+v, %v", c, err)
		}
	}
	if running := h.processes(); len(running) > 0 {
		t.Errorf("there run %v", running)
	}
	if h.read("opened") != "birth" {
		t.Error("the door wasn't opened again")
	}
	for range 2 {
		h.do(h.m.Release(t.Context()))
	}
	if h.read("/data/app/rows") != "data" {
		t.Error("what the cell has made went with it")
	}
	h.do(os.RemoveAll(h.m.path("/data")))
	h.leftAsBefore("after leaving")
}

// leftAsBefore compares with what was there before. Homeostat's own directory is
// there as long as content is, for the next birth.
func (h *house) leftAsBefore(what string) {
	h.Helper()
	got := h.snapshot()
	delete(got, Home)
	h.same(what, got, h.base)
}

// Without a claim what was brought goes, and where the door stays shut all does.
func TestNothingIsLeft(t *testing.T) {
	for name, leave := range map[string]func(*house) error{
		"never claimed": func(*house) error { return nil },
		"not used again": func(h *house) error {
			h.request.Reuse = false
			return h.install()
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			h.do(leave(h))
			for range 2 {
				h.do(h.m.Remove(t.Context()))
				h.do(h.m.Release(t.Context()))
			}
			h.same("after leaving", h.snapshot(), h.base)
			if _, err := os.Stat(h.m.path(Home)); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("%s is there still: %v", Home, err)
			}
		})
	}
}

// A machine that holds another cell refuses, and is left as it is.
func TestOccupied(t *testing.T) {
	h := newHouse(t)
	h.do(h.install())
	h.runsOnce()
	before := h.snapshot()
	for name, change := range map[string]func(*Request){
		"another service":                     func(r *Request) { r.Service = "crawler" },
		"another name":                        func(r *Request) { r.Name = "api-2" },
		"an earlier incarnation of it, alive": func(r *Request) { r.Incarnation = "later" },
	} {
		r := h.request
		change(&r)
		err := h.m.Install(t.Context(), r, func(string) {})
		if !errors.Is(err, ErrOccupied) || !strings.Contains(err.Error(), "api/api-1, incarnation "+h.request.Incarnation) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := h.m.Release(t.Context()); err == nil || !strings.Contains(err.Error(), "installed") {
		t.Errorf("the release of a machine with a cell: %v", err)
	}
	h.runsOnce()
	h.same("refused", h.snapshot(), before)
	h.do(h.m.Remove(t.Context()))
	g, content := genomeOf()
	h.bring(g, content)
	h.do(h.install()) // over a claim that wasn't released
	if err := h.m.Release(t.Context()); err == nil {
		t.Error("the late release of the one before took the machine away")
	}
}

// An earlier life that failed, or that was installed and runs no more, is undone
// by the next one; so is the same life when it is made of something else.
func TestEarlierLife(t *testing.T) {
	for name, c := range map[string]struct {
		fails, same bool
	}{
		"failed": {fails: true}, "dead": {}, "the same, of another bundle": {same: true},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			g, content := genomeOf()
			g.Files = append(g.Files, fileOf("/opt/old/only", "seed"))
			if c.fails {
				g.Run = append(g.Run, bundle.Command{Command: []string{"false"}, Timeout: "1m"})
			}
			h.bring(g, content)
			if err := h.install(); (err != nil) != c.fails {
				t.Fatal(err)
			}
			if !c.same {
				h.do(h.m.stopDetached(t.Context(), h.request.ID()))
			}
			incarnation, old := h.request.Incarnation, h.request.Bundle
			g, content = genomeOf()
			h.bring(g, content)
			if c.same {
				h.request.Incarnation = incarnation
			}
			h.do(h.install())
			h.runsOnce()
			for _, p := range []string{"/opt/old", bundlesDir + "/" + old} {
				if _, err := os.Stat(h.m.path(p)); err == nil {
					t.Errorf("%s, which only the earlier life had, is there", p)
				}
			}
			h.do(errors.Join(h.m.Remove(t.Context()), h.m.Release(t.Context())))
			h.leftAsBefore("after leaving")
		})
	}
}

func TestAtOnce(t *testing.T) {
	h := newHouse(t)
	done := make(chan error)
	for range 4 {
		go func() { done <- h.install() }()
	}
	for range 4 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	h.runsOnce()
	if h.read("ran") != "1 api-1\n" {
		t.Errorf("the command has written %q", h.read("ran"))
	}
}

// What is wrong with blobs is told before anything is made, and can be mended.
func TestBlobs(t *testing.T) {
	h := newHouse(t)
	for what, spoil := range map[string]func(blob string) error{
		"missing":   os.Remove,
		"cut short": func(blob string) error { return os.Truncate(blob, 2) },
		"another":   func(blob string) error { return os.WriteFile(blob, []byte("sead"), 0o600) },
	} {
		for of, digest := range map[string]string{"the genome's file": digestText("seed"), "the manifest": h.request.Bundle} {
			blob := h.m.path(blobsDir + "/" + digest)
			good, err := os.ReadFile(blob)
			h.do(err)
			h.do(spoil(blob))
			err = h.install()
			if err == nil || !strings.Contains(err.Error(), of) || !strings.Contains(err.Error(), "not brought here") || !strings.Contains(err.Error(), "bring it and try again") {
				t.Errorf("%s that is %s: %v", of, what, err)
			}
			if c, err := h.m.Claim(); c != nil || err != nil {
				t.Errorf("the machine was claimed: %v, %v", c, err)
			}
			h.do(os.WriteFile(blob, good, 0o600))
		}
	}
	h.do(h.install())
}

// Who the application runs as reads the secrets by its group and can't change
// them, also where a command of the genome makes that user first.
func TestSecretsOfAUser(t *testing.T) {
	for user, want := range map[string]string{"": "-rw------- 0:0", "daemon": "-rw-r----- 0:1", "daemon:adm": "-rw-r----- 0:4"} {
		t.Run("user "+user, func(t *testing.T) {
			h := newHouse(t)
			g, content := genomeOf()
			g.User = user
			h.bring(g, content)
			h.do(h.install())
			all := h.snapshot()
			if got := all[secretsDir+"/consul-token"]; !strings.HasPrefix(got, want+" ") {
				t.Errorf("the secret is %s, want %s", got, want)
			}
			directory := "drwx------ 0:0 "
			if user != "" {
				directory = "drwxr-x---" + strings.TrimPrefix(want, "-rw-r-----") + " "
			}
			if got := all[secretsDir]; !strings.HasPrefix(got, directory) {
				t.Errorf("their directory is %s, want %s", got, directory)
			}
			h.do(h.install())
			h.same("an installation repeated", h.snapshot(), all)
		})
	}
}

func TestCommands(t *testing.T) {
	pid := filepath.Join(t.TempDir(), "pid")
	for name, c := range map[string]struct {
		command []string
		unless  []string
		timeout string
		want    []string
	}{
		"fails":              {command: []string{"sh", "-c", "seq 100; echo it is " + secret + " >&2; exit 7"}, want: []string{"exit status 7", "\n100\nit is ***", "\n82\n"}},
		"hangs":              {command: []string{"sh", "-c", "trap : TERM; sh -c 'trap : TERM; echo $$ >" + pid + "; while :; do sleep 1; done' & while :; do sleep 1; done"}, timeout: "1s", want: []string{"longer than its timeout of 1s"}},
		"isn't there":        {command: []string{"no-such-program"}, want: []string{"no-such-program", "not found"}},
		"unless isn't there": {command: []string{"true"}, unless: []string{"no-such-program"}, want: []string{"no-such-program", "not found"}},
		"unless hangs":       {command: []string{"true"}, unless: []string{"sleep", "100"}, timeout: "500ms", want: []string{"timeout of 500ms"}},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			if c.timeout == "" {
				c.timeout = "1m"
			}
			h.genome.Run[1] = bundle.Command{Command: c.command, Unless: c.unless, Timeout: c.timeout}
			_, content := genomeOf()
			h.bring(h.genome, content)
			err := h.install()
			if err == nil {
				t.Fatal("it made no error")
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("the error has no %q: %v", want, err)
				}
			}
			if strings.Contains(err.Error(), secret) || strings.Contains(err.Error(), "\n80\n") {
				t.Errorf("the error tells too much: %v", err)
			}
			if c, err := h.m.Claim(); err != nil || c.Phase != Installing || c.Ran != 1 {
				t.Errorf("the claim is %+v, %v", c, err)
			}
		})
	}
	text, err := os.ReadFile(pid)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat("/proc/" + strings.TrimSpace(string(text)) + "/exe"); err == nil {
		t.Error("what the command started outlived it")
	}
}

// A daemon that a command starts and that keeps its output is no failure.
func TestCommandLeavesADaemon(t *testing.T) {
	h := newHouse(t)
	h.genome.Run[0].Command = []string{"sh", "-c", `setsid sleep 1000 & echo $! >"$HOMEOSTAT_TEST_RAN"`}
	_, content := genomeOf()
	h.bring(h.genome, content)
	h.do(h.install())
	pid, err := strconv.Atoi(strings.TrimSpace(h.read("ran")))
	h.do(err)
	h.do(syscall.Kill(pid, syscall.SIGKILL)) // which is an error if it runs no more
}

func TestRequests(t *testing.T) {
	h := newHouse(t)
	for name, c := range map[string]struct {
		change func(*Request)
		want   string
	}{
		"name":     {func(r *Request) { r.Name = "../x" }, "name"},
		"digest":   {func(r *Request) { r.Bundle = "x" }, "digest"},
		"variable": {func(r *Request) { r.Environment = map[string]string{"A-B": ""} }, "A-B"},
		"value":    {func(r *Request) { r.Environment = map[string]string{"A": "\x1b[0m"} }, "control"},
		"secret":   {func(r *Request) { r.Secrets = map[string]string{"../../x": ""} }, "../../x"},
		"reuse":    {func(r *Request) { r.Door = nil }, "opened again"},
		"address":  {func(r *Request) { r.Address = "" }, "address"},
		"service":  {func(r *Request) { r.Service = "crawler" }, "is one of service api"},
	} {
		t.Run(name, func(t *testing.T) {
			r := h.request
			c.change(&r)
			err := h.m.Install(t.Context(), r, func(string) {})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v", err)
			}
		})
	}
	for name, change := range map[string]func(*bundle.Genome){
		"own":      func(g *bundle.Genome) { g.Files[0].Path = claimFile },
		"relative": func(g *bundle.Genome) { g.Files[0].Path = "/a/../b" },
		"mode":     func(g *bundle.Genome) { g.Files[0].Mode = "4755" },
		"timeout":  func(g *bundle.Genome) { g.Run[0].Timeout = "" },
		"unit":     func(g *bundle.Genome) { g.Units = []string{"a.service\nExecStart=x"} },
		"twice":    func(g *bundle.Genome) { g.Files[0].Path = g.Files[1].Path },
		"format":   func(g *bundle.Genome) { g.Format = 2 },
		"service":  func(g *bundle.Genome) { g.Service = "crawler" },
	} {
		g, _ := genomeOf()
		if change(&g); checkGenome(g, "api") == nil {
			t.Errorf("a genome with a wrong %s is taken", name)
		}
	}
	h.genome.Units = []string{"x.service"}
	_, content := genomeOf()
	h.bring(h.genome, content)
	if err := h.install(); err == nil || !strings.Contains(err.Error(), "systemd doesn't run") {
		t.Errorf("units without systemd: %v", err)
	}
	h.genome.Units, h.genome.Files[0].Owner = nil, "nobody-has-this-name"
	h.bring(h.genome, content)
	if err := h.install(); err == nil || !strings.Contains(err.Error(), "no command of the genome made it") {
		t.Errorf("an owner that isn't there: %v", err)
	}
	h = newHouse(t)
	h.genome.Files = slices.DeleteFunc(h.genome.Files, func(f bundle.File) bool { return f.Path == Program })
	h.bring(h.genome, content)
	if err := h.install(); err == nil || !strings.Contains(err.Error(), "has no file "+Program) {
		t.Errorf("a genome without the sidecar: %v", err)
	}
	for _, p := range []string{Home, settingsDir, unitFile, unitLink, envFile, claimFile} {
		if !bundle.Reserved(p) {
			t.Errorf("a genome may have a file %s", p)
		}
	}
}

func TestLockEndsWithItsContext(t *testing.T) {
	h := newHouse(t)
	unlock, err := h.m.lock(t.Context())
	h.do(err)
	defer unlock()
	short, cancel := context.WithTimeoutCause(t.Context(), 200*time.Millisecond, errors.New("no more time"))
	defer cancel()
	err = h.m.Install(short, h.request, func(string) {})
	if err == nil || !strings.Contains(err.Error(), "no more time") || errors.Is(err, syscall.EWOULDBLOCK) {
		t.Errorf("an installation beside another one: %v", err)
	}
}
