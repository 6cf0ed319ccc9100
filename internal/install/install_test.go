package install

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/bundle"
)

// rig is a machine below a folder, and what a birth has brought there.
type rig struct {
	t *testing.T
	*Machine
	calls []string // of systemctl
	fails string   // the call that fails
}

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{t: t}
	r.Machine = &Machine{Root: t.TempDir(), Log: slog.New(slog.DiscardHandler), Systemd: func(_ context.Context, args ...string) error {
		call := strings.Join(args, " ")
		r.calls = append(r.calls, call)
		if r.fails != "" && strings.HasPrefix(call, r.fails) {
			return errors.New("systemd refuses")
		}
		return nil
	}}
	t.Setenv("RAN", r.at("/ran"))
	for path, content := range map[string]string{"/etc/passwd": "root\n", "/etc/app.conf": "as it was\n", "/usr/local/bin/other": "other\n", "/var/lib/other": "other\n"} {
		r.put(path, content, 0o640)
	}
	return r
}

func (r *rig) put(path, content string, mode fs.FileMode) {
	r.t.Helper()
	must(r.t, os.MkdirAll(filepath.Dir(r.at(path)), 0o755))
	must(r.t, os.WriteFile(r.at(path), []byte(content), mode))
}

// bring puts content where a birth brings it, and returns its digest.
func (r *rig) bring(content []byte) string {
	r.t.Helper()
	sum := sha256.Sum256(content)
	digest := hex.EncodeToString(sum[:])
	r.put(filepath.Join(Home, "blobs", digest), string(content), 0o600)
	return digest
}

// publish brings a bundle of the genome, and returns its digest.
func (r *rig) publish(g bundle.Genome) string {
	r.t.Helper()
	g.Format, g.Service = bundle.Format, "crawler"
	genome, err := json.Marshal(g)
	must(r.t, err)
	policy := []byte("# the policy\n")
	m := bundle.Manifest{Format: bundle.Format, Service: "crawler", Policy: "homeostat.hcl", Module: "crawler", Genome: r.bring(genome), Tree: []bundle.TreeFile{
		{Path: "homeostat.hcl", SHA256: r.bring(policy), Size: int64(len(policy))},
	}}
	manifest, err := json.Marshal(m)
	must(r.t, err)
	return r.bring(manifest)
}

// genome is one with something of each kind.
func (r *rig) genome() bundle.Genome {
	program, conf := []byte("#!/bin/sh\nexec true\n"), []byte("for the cell\n")
	return bundle.Genome{
		Command:     []string{"/opt/app/bin/app", "50%", "$HOME"},
		User:        "nobody",
		Environment: map[string]string{"RELEASE": `a "quoted" $x`},
		Directories: []bundle.Directory{{Path: "/var/lib/app", Mode: "0750"}},
		Files: []bundle.File{
			{Path: Program, Mode: "0755", SHA256: r.bring(program), Size: int64(len(program))},
			{Path: "/etc/app.conf", Mode: "0600", SHA256: r.bring(conf), Size: int64(len(conf))},
			{Path: "/opt/app/bin/app", Mode: "0755", SHA256: r.bring(program), Size: int64(len(program))},
		},
		Run: []bundle.Command{
			{Command: []string{"sh", "-c", `echo x >>"$RAN"`}, Timeout: "10s"},
			{Command: []string{"false"}, Unless: []string{"true"}, Timeout: "10s"},
		},
		Units: []string{"app-helper.service"},
	}
}

func (r *rig) request(digest string) Request {
	return Request{
		Service: "crawler", Name: "crawler-3", Incarnation: "i1", Bundle: digest, Address: "10.0.0.7",
		Environment: map[string]string{"HOMEOSTAT_CELL": "crawler-3"}, Secrets: map[string]string{"consul-token": "s3cr3t"},
	}
}

// files are all of the machine outside of what births bring, by their content
// and mode.
func (r *rig) files() map[string]string {
	r.t.Helper()
	all := map[string]string{}
	must(r.t, filepath.WalkDir(r.Root, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := strings.TrimPrefix(path, r.Root)
		if e.IsDir() && name == Home {
			return filepath.SkipDir
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		content := ""
		if !e.IsDir() {
			b, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			content = string(b)
		}
		all[name] = fmt.Sprintf("%v %s", info.Mode(), content)
		return nil
	}))
	delete(all, "")
	return all
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func quiet(string) {}

// An install makes what the genome says, and a removal leaves the machine as it
// was.
func TestInstallAndRemove(t *testing.T) {
	r := newRig(t)
	before := r.files()
	request := r.request(r.publish(r.genome()))
	var steps []string
	must(t, r.Install(t.Context(), request, func(s string) { steps = append(steps, s) }))
	now := r.files()
	unit := now[unitFile]
	for _, want := range []string{
		`ExecStart="/usr/local/bin/homeostat" "run" "-policy" "/var/lib/homeostat/bundle/` + request.Bundle + `/homeostat.hcl" "--" "/usr/bin/setpriv" "--reuid=nobody" "--regid=nobody" "--init-groups" "--" "/opt/app/bin/app" "50%%" "$$HOME"`,
		"Description=Cell crawler-3 of service crawler", "EnvironmentFile=/etc/homeostat/cell.env",
	} {
		if !strings.Contains(unit, want) {
			t.Errorf("the unit lacks %q:\n%s", want, unit)
		}
	}
	for path, want := range map[string]string{
		environmentFile:                    "-rw------- HOMEOSTAT_ADDRESS=\"10.0.0.7\"\nHOMEOSTAT_CELL=\"crawler-3\"\nHOMEOSTAT_LISTEN=\"10.0.0.7:0\"\nRELEASE=\"a \\\"quoted\\\" \\$x\"\n",
		secretsDirectory:                   "drwx------ ",
		secretsDirectory + "/consul-token": "-rw------- s3cr3t",
		"/etc/app.conf":                    "-rw------- for the cell\n",
		"/var/lib/app":                     "drwxr-x--- ",
		"/ran":                             "-rw-r--r-- x\n",
	} {
		if now[path] != want {
			t.Errorf("%s is %q, want %q", path, now[path], want)
		}
	}
	if want := []string{"daemon-reload", "enable --now -- app-helper.service", "daemon-reload", "enable homeostat.service", "restart homeostat.service"}; !slices.Equal(r.calls, want) {
		t.Errorf("systemctl %q, want %q", r.calls, want)
	}
	c, err := r.Claim()
	must(t, err)
	if c.ID() != "crawler-3.i1" || c.Phase != Installed {
		t.Errorf("claim %+v", c)
	}
	if text, err := os.ReadFile(r.at(claimFile)); err != nil || strings.Contains(string(text), "s3cr3t") {
		t.Errorf("the claim holds a secret: %v %s", err, text)
	}

	must(t, r.Remove(t.Context()))
	after := r.files()
	delete(after, "/ran") // a command's, which can't be undone
	if diff := cmp.Diff(before, after); diff != "" {
		t.Errorf("left behind (-before +after)\n%s", diff)
	}
	if c, err = r.Claim(); err != nil || c == nil || c.Phase != Left {
		t.Errorf("claim %+v, %v", c, err)
	}
	must(t, r.Remove(t.Context()))
	must(t, r.Release())
	must(t, r.Release())
	if _, err := os.Stat(r.at(Home)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%s is still there: %v", Home, err)
	}
}

// An install that is cut at any step can be repeated and comes to the same, and
// can be removed and leaves nothing.
func TestInstallIsCutAnywhere(t *testing.T) {
	whole := newRig(t)
	steps := 0
	must(t, whole.Install(t.Context(), whole.request(whole.publish(whole.genome())), func(string) { steps++ }))
	for n := range steps {
		cut := func(t *testing.T) (*rig, Request, map[string]string) {
			r := newRig(t)
			before := r.files()
			request := r.request(r.publish(r.genome()))
			ctx, cancel := context.WithCancel(t.Context())
			k := 0
			err := r.Install(ctx, request, func(string) {
				if k++; k > n {
					cancel()
					r.fails = " "
				}
			})
			if err == nil && n < steps-1 {
				t.Logf("cut at step %d it ended all the same", n)
			}
			r.fails = ""
			return r, request, before
		}
		t.Run(fmt.Sprintf("repeated after step %d", n), func(t *testing.T) {
			r, request, _ := cut(t)
			must(t, r.Install(t.Context(), request, quiet))
			got, want := r.files(), whole.files()
			delete(got, "/ran")
			delete(want, "/ran")
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-whole +repeated)\n%s", diff)
			}
		})
		t.Run(fmt.Sprintf("removed after step %d", n), func(t *testing.T) {
			r, _, before := cut(t)
			must(t, r.Remove(t.Context()))
			got := r.files()
			delete(got, "/ran")
			if diff := cmp.Diff(before, got); diff != "" {
				t.Errorf("(-before +removed)\n%s", diff)
			}
		})
	}
}

// A machine takes no second cell; a new life of its own cell takes the place of
// the old one.
func TestClaim(t *testing.T) {
	r := newRig(t)
	request := r.request(r.publish(r.genome()))
	must(t, r.Install(t.Context(), request, quiet))
	files := r.files()
	other := request
	other.Name = "crawler-4"
	if err := r.Install(t.Context(), other, quiet); !errors.Is(err, ErrOccupied) || !strings.Contains(err.Error(), "crawler-3.i1") {
		t.Errorf("got %v", err)
	}
	if diff := cmp.Diff(files, r.files()); diff != "" {
		t.Errorf("a refused cell changed something\n%s", diff)
	}
	if err := r.Release(); err == nil {
		t.Error("a machine was released that holds a cell")
	}
	left := newRig(t)
	request.Bundle = left.publish(left.genome())
	must(t, left.Install(t.Context(), request, quiet))
	must(t, left.Remove(t.Context()))
	must(t, left.Install(t.Context(), other, quiet)) // one that has left is nobody's
	next := request
	next.Incarnation = "i2"
	next.Bundle = r.publish(bundle.Genome{Directories: []bundle.Directory{{Path: "/srv/new"}}})
	must(t, r.Install(t.Context(), next, quiet))
	if _, err := os.Stat(r.at(filepath.Join(Home, "bundle", next.Bundle, "homeostat.hcl"))); err != nil {
		t.Error(err)
	}
	now := r.files()
	if now["/etc/app.conf"] != files["/etc/app.conf"] && !strings.Contains(now["/etc/app.conf"], "as it was") {
		t.Errorf("the old life's file stayed: %q", now["/etc/app.conf"])
	}
	if _, there := now["/opt/app/bin/app"]; there || now["/srv/new"] == "" {
		t.Errorf("not the new life's alone: %v", slices.Sorted(maps.Keys(now)))
	}
}

// What goes wrong is told with its cause, no secret in it, and leaves an install
// that can be repeated.
func TestInstallFails(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*rig, *bundle.Genome, *Request)
		want   []string
	}{
		"a command fails": {
			func(_ *rig, g *bundle.Genome, _ *Request) {
				g.Run = []bundle.Command{{Command: []string{"sh", "-c", "echo the token is s3cr3t; exit 7"}, Timeout: "10s"}}
			},
			[]string{"exit status 7", "the token is ***"},
		},
		"a command hangs": {
			func(_ *rig, g *bundle.Genome, _ *Request) {
				g.Run = []bundle.Command{{Command: []string{"sh", "-c", "sleep 1000 & sleep 1000"}, Timeout: "100ms"}}
			},
			[]string{"it took longer than 100ms"},
		},
		"a blob is missing": {
			func(r *rig, g *bundle.Genome, _ *Request) {
				must(r.t, os.Remove(r.at(filepath.Join(Home, "blobs", g.Files[0].SHA256))))
			},
			[]string{"the genome's file", "was not brought here"},
		},
		"a blob is another": {
			func(r *rig, g *bundle.Genome, _ *Request) {
				r.put(filepath.Join(Home, "blobs", g.Files[0].SHA256), "changed", 0o600)
			},
			[]string{"the genome's file", "was not brought here"},
		},
		"an owner that isn't there": {
			func(_ *rig, g *bundle.Genome, _ *Request) { g.Files[0].Owner = "nobody-of-that-name" },
			[]string{Program, "nobody-of-that-name"},
		},
		"systemd refuses": {
			func(r *rig, _ *bundle.Genome, _ *Request) { r.fails = "restart" },
			[]string{"start the cell", "systemd refuses"},
		},
		"something else in the way": {
			func(r *rig, _ *bundle.Genome, _ *Request) { r.put("/opt/app", "a file", 0o644) },
			[]string{"/opt/app", "something else of that name"},
		},
		"a line break in a variable": {
			func(_ *rig, _ *bundle.Genome, q *Request) { q.Environment["X"] = "a\nb" },
			[]string{"environment variable X holds a line break"},
		},
		"a secret that is a path": {
			func(_ *rig, _ *bundle.Genome, q *Request) { q.Secrets["../x"] = "y" },
			[]string{`secret "../x"`},
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			before := r.files()
			g := r.genome()
			request := r.request("")
			c.change(r, &g, &request)
			request.Bundle = r.publish(g)
			err := r.Install(t.Context(), request, quiet)
			if err == nil {
				t.Fatal("it was installed")
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q is not in: %v", want, err)
				}
			}
			if strings.Contains(err.Error(), "s3cr3t") {
				t.Errorf("the error shows a secret: %v", err)
			}
			must(t, r.Remove(t.Context()))
			got := r.files()
			delete(got, "/ran")
			if name == "something else in the way" {
				delete(got, "/opt")
				delete(got, "/opt/app")
			}
			if diff := cmp.Diff(before, got); diff != "" {
				t.Errorf("(-before +removed)\n%s", diff)
			}
		})
	}
}
