package bench

import (
	"embed"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"text/template"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/testkit"
)

// testdata holds the settings of each program, each at its best for what is asked
// of it.
//
//go:embed testdata
var testdata embed.FS

// The programs that stand before an application.
const (
	homeostat = "homeostat"
	caddy     = "caddy"
	haproxy   = "haproxy"
	nginx     = "nginx"
	direct    = "nothing" // the application alone
)

// task says what a program that stands before the application is to do.
type task struct {
	// Workers is how many requests the application works on at once, for those who
	// have to be told; 0: it is only to pass everything on.
	Workers int
	// Work is what one takes on average.
	Work time.Duration
	// SLO is within which time a client wants its answer.
	SLO time.Duration
}

// settings is what the files in testdata are filled in with.
type settings struct {
	task
	Dir, Listen, Upstream, Consul string
}

// Twice and Quarter are of the application's workers.
func (s settings) Twice() int   { return 2 * s.Workers }
func (s settings) Quarter() int { return max(1, s.Workers/4) }

// Queue is how many milliseconds a request may wait so that its answer still comes
// in time, as the slowest takes one and a half of the average.
func (s settings) Queue() int64 { return (s.SLO - s.Work*3/2).Milliseconds() }

// stand is one program with the application behind it, on processors of their own.
type stand struct {
	address     string
	application int // process ids
	program     int
	close       func()
}

// stands starts a program before a fresh application.
func stands(b *testing.B, name string, t task) *stand {
	b.Helper()
	s := settings{task: t, Dir: b.TempDir(), Listen: loopback(b)}
	must(b, os.Chmod(s.Dir, 0o755)) //nolint:gosec // nginx's worker is another user
	application := []string{
		generator(b), "serve", "-workers", strconv.Itoa(t.Workers), "-work", t.Work.String(), "-body", "1000",
	}
	if name == homeostat {
		return sidecar(b, s, application)
	}
	s.Upstream = loopback(b)
	if name == direct {
		s.Listen = s.Upstream
	}
	a := run(b, "application", theirs, s.Dir, nil, append(application, "-listen", s.Upstream)...)
	a.answers(b, s.Upstream)
	st := &stand{address: s.Listen, application: a.cmd.Process.Pid, close: a.stop}
	if name != direct {
		environment, command := command(b, name, s)
		p := run(b, name, ours, s.Dir, environment, command...)
		p.answers(b, s.Listen)
		st.program = p.cmd.Process.Pid
		st.close = func() { p.stop(); a.stop() }
	}
	return st
}

// packages of Debian that hold the programs and what they need beyond what every
// Debian has.
var packages = map[string][]string{
	nginx:   {"nginx", "libpcre2-8-0", "libcrypt1"},
	haproxy: {"haproxy", "liblua5.3-0", "libopentracing1", "libopentracing-c-wrapper0", "libpcre2-8-0"},
	caddy:   {"caddy"},
}

// command writes a program's settings and says how to start it.
func command(b *testing.B, name string, s settings) (environment, command []string) {
	b.Helper()
	p := testkit.DebianProgram(b, name, packages[name]...)
	env := append(p.Environment, "HOME="+s.Dir)
	switch name {
	case nginx:
		return env, []string{p.Path, "-c", write(b, "nginx.conf", s.Dir, s), "-e", filepath.Join(s.Dir, "error.log")}
	case haproxy:
		return env, []string{p.Path, "-db", "-f", write(b, "haproxy.cfg", s.Dir, s)}
	default:
		return env, []string{p.Path, "run", "--config", write(b, "Caddyfile", s.Dir, s), "--adapter", "caddyfile"}
	}
}

// write fills a file of testdata in, with the settings, in a folder.
func write(b *testing.B, name, dir string, with any) string {
	b.Helper()
	filled, err := template.ParseFS(testdata, "testdata/"+name)
	must(b, err)
	path := filepath.Join(dir, name)
	f, err := os.Create(path)
	must(b, err)
	defer f.Close()
	must(b, filled.Execute(f, with))
	return path
}

// sidecar starts a cell: the sidecar on its processor, the application it starts on
// the other one. Paused, it leads nobody.
func sidecar(b *testing.B, s settings, application []string) *stand {
	b.Helper()
	s.Consul = testkit.SharedConsul(b).Addr()
	must(b, os.WriteFile(filepath.Join(s.Dir, "homeostat.paused"), nil, 0o600))
	host, port, err := net.SplitHostPort(s.Listen)
	must(b, err)
	run := run(b, homeostat, ours, s.Dir, nil, append([]string{
		testkit.Sidecar(b), "run", "-policy", write(b, "homeostat.hcl", s.Dir, s), "-service", "api", "-cell", "api-1",
		"-address", host, "-port", port, "--", "taskset", "-c", theirs,
	}, application...)...)
	run.answers(b, s.Listen)
	return &stand{address: s.Listen, program: run.cmd.Process.Pid, application: childOf(b, run.cmd.Process.Pid), close: run.stop}
}

// childOf is the one child of a process.
func childOf(b *testing.B, pid int) int {
	b.Helper()
	children := childrenOf(b, pid)
	if len(children) != 1 {
		b.Fatalf("process %d has the children %v, want one", pid, children)
	}
	return children[0]
}

// loopback is a free address.
func loopback(b *testing.B) string {
	b.Helper()
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(testkit.FreePort(b)))
}

// generator builds generator and application, once in a run.
func generator(b *testing.B) string {
	b.Helper()
	root, err := testkit.Root()
	must(b, err)
	cache, err := testkit.CacheDirectory()
	must(b, err)
	path := filepath.Join(cache, "bench", "traffic")
	build := exec.CommandContext(b.Context(), "go", "build", "-o", path, "./internal/testkit/tools/traffic")
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		b.Fatalf("build the generator: %v\n%s", err, out)
	}
	return path
}
