package act

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/guard"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestOpenRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Config)
		want   string
		is     error
	}{
		"no directory":        {func(c *Config) { c.Dir = "" }, "no directory", nil},
		"absent directory":    {func(c *Config) { c.Dir += "/absent" }, "no such file", os.ErrNotExist},
		"a file":              {func(c *Config) { c.Dir += "/main.tf" }, "not a directory", nil},
		"no data directory":   {func(c *Config) { c.DataDir = "" }, "no data directory", nil},
		"no variable":         {func(c *Config) { c.Variable = "" }, "no variable", nil},
		"undeclared variable": {func(c *Config) { c.Variable = "count" }, `declares no variable "count"`, ErrModule},
		"no binary":           {func(c *Config) { c.Binary = "no-such-terraform" }, "install it", ErrNoBinary},
		"foreign change":      {func(c *Config) { c.OnForeignChange = "shrug" }, `"shrug"`, nil},
		"may change":          {func(c *Config) { c.MayChange = []string{"a b"} }, "may_change", nil},
		"env":                 {func(c *Config) { c.Env = map[string]string{"TF_VAR_x": "1"} }, "TF_VAR_x", nil},
		"negative":            {func(c *Config) { c.Timeout = -1 }, "negative", nil},
	} {
		t.Run(name, func(t *testing.T) {
			m := write(t, bare)
			m.cfg.Binary = terraform(t)
			c.change(&m.cfg)
			_, err := Open(m.cfg)
			if err == nil || !strings.Contains(err.Error(), c.want) || c.is != nil && !errors.Is(err, c.is) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func TestEnvironment(t *testing.T) {
	here := filepath.Join(t.TempDir(), "cli.rc")
	if err := os.WriteFile(here, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{
		"TF_VAR_desired_count=9", "TF_CLI_ARGS=-x", "TF_CLI_ARGS_plan=-destroy", "TF_WORKSPACE=w", "TF_LOG=TRACE", "TF_LOG_PATH=/x",
		"TF_LOG_SDK=TRACE", "TF_INPUT=1", "TF_CLI_CONFIG_FILE=/no/such/file",
	} {
		env, err := cleanEnvironment(environment([]string{line}), nil)
		if err != nil || len(env) > 0 {
			t.Errorf("%s is kept: %v %v", line, env, err)
		}
	}
	kept := []string{"AWS_PROFILE=x", "HTTPS_PROXY=p=q", "SSH_AUTH_SOCK=/s", "TF_CLI_CONFIG_FILE=" + here, "TF_HTTP_PASSWORD=x"}
	env, err := cleanEnvironment(environment(kept), map[string]string{"AWS_PROFILE": "y"})
	if err != nil || len(env) != len(kept) || env["AWS_PROFILE"] != "y" || env["HTTPS_PROXY"] != "p=q" {
		t.Errorf("%v %v", env, err)
	}
}

// TestHostileEnvironment runs the real thing under an environment that would
// destroy everything if it came through.
func TestHostileEnvironment(t *testing.T) {
	m := write(t, bare)
	r := m.open(func(c *Config) {
		c.Environ = append(c.Environ, "TF_VAR_desired_count=0", "TF_CLI_ARGS_plan=-destroy", "TF_WORKSPACE=elsewhere", "TF_LOG=TRACE", "TF_CLI_CONFIG_FILE=/no/such/file")
	})
	m.stand("-var", "desired_count=2")
	s := learn(t, r, count(2))
	carryOut(t, r, count(3), guard.Order{Keep: keys("0", "1"), Add: keys("2")}, s)
}

// TestThreadsEnd lets the runtime end threads all through an apply. Were
// Terraform started on one of them, Linux would kill it.
func TestThreadsEnd(t *testing.T) {
	m, _ := slowModule(t, "local")
	r := m.open()
	m.stand()
	s := learn(t, r, count(1))
	release := touch(t, m, "hold")
	defer release()
	done := begin(t.Context(), t, m, r, s)
	for range 200 {
		ended := make(chan struct{})
		go func() {
			runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
			close(ended)
		}()
		<-ended
	}
	release()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestCancelledBeforeItBegins(t *testing.T) {
	m := write(t, bare)
	r := m.open()
	s := learn(t, r, count(0))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := r.Plan(ctx, count(1), guard.Order{Add: keys("0")}, s); !errors.Is(err, ErrInterrupted) {
		t.Errorf("got %v, want ErrInterrupted", err)
	}
	leftovers(t, r)
}

func TestBinaryVanishes(t *testing.T) {
	m := write(t, bare)
	link := filepath.Join(t.TempDir(), "tofu")
	if err := os.Symlink(terraform(t), link); err != nil {
		t.Fatal(err)
	}
	m.cfg.Binary = link
	r := m.open()
	if err := os.Remove(link); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Learn(t.Context(), count(0)); !errors.Is(err, ErrNoBinary) {
		t.Errorf("got %v, want ErrNoBinary", err)
	}
}

func TestParallelism(t *testing.T) {
	s := guard.Shape{Patterns: []string{"t.a[*]", "t.b[*]"}}
	many := guard.Order{}
	for i := range 30 {
		many.Add = append(many.Add, count(30).Keys()[i])
	}
	for _, c := range []struct{ limit, want int }{{0, 60}, {50, 50}, {100, 60}, {4, 4}} {
		r := &Root{cfg: Config{Parallelism: c.limit}}
		if got := r.parallelism(many, s); got != c.want {
			t.Errorf("limit %d: %d, want %d", c.limit, got, c.want)
		}
	}
	if got := (&Root{}).parallelism(guard.Order{}, s); got != DefaultParallelism {
		t.Errorf("for nothing: %d", got)
	}
}

func TestMoreAndFewer(t *testing.T) {
	for _, c := range []struct {
		d    Desired
		more []string
	}{
		{names(), []string{"cell-1"}},
		{names("crawler-1", "crawler-10", "crawler-9"), []string{"crawler-1", "crawler-10", "crawler-9", "crawler-11"}},
		{names("blue", "green"), []string{"blue", "green", "cell-1"}},
		{names("7"), []string{"7", "8"}},
	} {
		if got := c.d.more(); !slices.Equal(got.Names, c.more) || got.Count != len(c.more) {
			t.Errorf("%v: %+v", c.d.Names, got)
		}
		if back := c.d.more().fewer(); !slices.Equal(back.Names, c.d.Names) || back.Names == nil {
			t.Errorf("%v comes back as %+v", c.d.Names, back)
		}
	}
}
