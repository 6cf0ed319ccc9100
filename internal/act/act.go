// Package act carries out what was decided: it writes the one variable that
// Homeostat owns in a Terraform root module, plans to a file, has the plan
// judged by package guard, and applies that very file.
//
// It decides nothing, holds no lock of Homeostat's own and never breaks a
// state lock by itself; its caller does. Terraform is run through
// terraform-exec, so OpenTofu can take its place by Config.Binary.
//
// Two facts about running Terraform shape the package. First, terraform-exec
// asks Linux to kill Terraform when the thread that started it ends, so every
// call runs on a goroutine that keeps its thread for as long as the call lasts.
// Second, a cancelled context interrupts Terraform, which then records what is
// half made as tainted and gives up its lock; callers should cancel and wait
// rather than kill.
package act

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/hashicorp/terraform-exec/tfexec"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/guard"
)

// What to do about changes that lie wholly outside the cells.
const (
	ForeignTarget = "target" // plan again for the order's cells and their dependents alone
	ForeignHold   = "hold"   // refuse the plan
)

// Defaults for what a Config leaves at zero.
const (
	DefaultTimeout     = 15 * time.Minute
	DefaultParallelism = 10
)

// Config names a root module and says how Terraform is run over it.
type Config struct {
	Dir       string // the root module
	DataDir   string // Terraform's own data for this module and workspace; holds plans while they live. Required
	Variable  string // the count; must be declared by the module
	Binary    string // terraform (default), tofu, or a path
	Workspace string // must exist; empty is the default workspace

	Parallelism int           // the most resources Terraform may work on at once; 0 sets no limit of ours
	Timeout     time.Duration // for one run of Terraform; 0 is DefaultTimeout
	LockTimeout time.Duration // how long Terraform waits for the state's lock

	VarFiles      []string          // given before ours; relative to Dir
	EphemeralVars map[string]string // variable -> environment variable that holds its value; given to plan and apply
	BackendConfig map[string]string
	Env           map[string]string // added to the environment

	MayChange       []string     // addresses that may be updated in place at any time
	OnForeignChange string       // ForeignTarget (default) or ForeignHold
	Limits          guard.Limits // MayChange above is added to it

	Log     *slog.Logger // nil discards
	Environ []string     // nil is the process's own environment
}

// Root is a root module, ready to be acted on. Its methods may be called from
// several goroutines; Terraform's state lock is what keeps applies apart.
type Root struct {
	cfg     Config
	module  Module
	env     map[string]string
	environ map[string]string // the whole of it, from which ephemeral variables are read

	calls *calls
}

// Open checks a configuration, the module it names and the binary, and clears
// away plans that a killed process of this machine left in the data directory.
// It runs nothing. A module whose state can't be locked is refused.
func Open(cfg Config) (*Root, error) {
	if err := cfg.complete(); err != nil {
		return nil, fmt.Errorf("open root module %s: %w", cfg.Dir, err)
	}
	module, diags := Inspect(cfg.Dir)
	if diags.HasErrors() {
		return nil, fmt.Errorf("open root module %s: %w: %w", cfg.Dir, ErrModule, diags)
	}
	if _, declared := module.Variables[cfg.Variable]; !declared {
		return nil, fmt.Errorf("open root module %s: %w: it declares no variable %q; declare it, or name another as variable in the policy",
			cfg.Dir, ErrModule, cfg.Variable)
	}
	environ := environment(cfg.Environ)
	if err := module.Lockable(cfg.BackendConfig, environ); err != nil {
		return nil, fmt.Errorf("open root module %s: %w", cfg.Dir, err)
	}
	env, err := cleanEnvironment(environ, cfg.Env)
	if err != nil {
		return nil, fmt.Errorf("open root module %s: %w", cfg.Dir, err)
	}
	env["TF_DATA_DIR"] = cfg.DataDir
	r := &Root{cfg: cfg, module: module, env: env, environ: environ, calls: &calls{}}
	if err := r.sweep(); err != nil {
		return nil, fmt.Errorf("open root module %s: %w", cfg.Dir, err)
	}
	return r, nil
}

// Module is what Open found in the module's files.
func (r *Root) Module() Module { return r.module }

// DataDir is where Terraform's own data and our plans lie.
func (r *Root) DataDir() string { return r.cfg.DataDir }

// complete fills in defaults and refuses what makes no sense.
func (c *Config) complete() error {
	var err error
	switch {
	case c.Dir == "":
		return errors.New("no directory is given")
	case c.DataDir == "":
		return errors.New("no data directory is given")
	case c.Variable == "":
		return errors.New("no variable is given")
	case c.Parallelism < 0 || c.Timeout < 0 || c.LockTimeout < 0 || c.Limits.Destroys < 0:
		return errors.New("parallelism, timeouts and limits can't be negative")
	}
	if c.Dir, err = filepath.Abs(c.Dir); err != nil {
		return err
	}
	if info, err := os.Stat(c.Dir); err != nil {
		return err
	} else if !info.IsDir() {
		return errors.New("it is not a directory")
	}
	if c.DataDir, err = filepath.Abs(c.DataDir); err != nil {
		return err
	}
	if err := os.MkdirAll(c.DataDir, 0o700); err != nil {
		return fmt.Errorf("make its data directory: %w", err)
	}
	if c.Binary == "" {
		c.Binary = "terraform"
	}
	path, err := exec.LookPath(c.Binary)
	if err != nil {
		return fmt.Errorf("%w: %w; install it or set terraform.binary in the policy", ErrNoBinary, err)
	}
	if c.Binary, err = filepath.Abs(path); err != nil {
		return err
	}
	return c.completeChoices()
}

func (c *Config) completeChoices() error {
	if c.Timeout == 0 {
		c.Timeout = DefaultTimeout
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Environ == nil {
		c.Environ = os.Environ()
	}
	switch c.OnForeignChange {
	case "":
		c.OnForeignChange = ForeignTarget
	case ForeignTarget, ForeignHold:
	default:
		return fmt.Errorf("on_foreign_change is %q; it can be %q or %q", c.OnForeignChange, ForeignTarget, ForeignHold)
	}
	c.Limits.MayChange = append(append([]string(nil), c.Limits.MayChange...), c.MayChange...)
	if err := guard.CheckPatterns(c.Limits.MayChange); err != nil {
		return fmt.Errorf("may_change: %w", err)
	}
	return nil
}

// ForceUnlock breaks the state's lock with this id. Whoever calls it must know
// that the lock's holder is gone.
func (r *Root) ForceUnlock(ctx context.Context, id string) error {
	if strings.TrimSpace(id) == "" || strings.HasPrefix(id, "-") {
		return fmt.Errorf("force-unlock %s: %q is no lock id", r.cfg.Dir, id)
	}
	return r.run(ctx, "force-unlock", func(ctx context.Context, tf *tfexec.Terraform) error {
		return tf.ForceUnlock(ctx, id)
	})
}

// environment makes a map of KEY=value lines; the last of a key wins.
func environment(lines []string) map[string]string {
	env := make(map[string]string, len(lines))
	for _, line := range lines {
		if k, v, ok := strings.Cut(line, "="); ok && k != "" {
			env[k] = v
		}
	}
	return env
}

// cleanEnvironment keeps what Terraform and its providers need (credentials,
// proxies, SSH_AUTH_SOCK) and drops what would change the meaning of a call:
// TF_VAR_*, TF_CLI_ARGS*, TF_WORKSPACE, TF_LOG*, TF_INPUT and the rest of what
// terraform-exec sets itself. A CLI configuration file that isn't there only
// makes every call warn.
func cleanEnvironment(environ, extra map[string]string) (map[string]string, error) {
	if bad := tfexec.ProhibitedEnv(maps.Clone(extra)); len(bad) > 0 {
		return nil, fmt.Errorf("the policy's env sets %s, which would change the meaning of Terraform's calls: use var_files, workspace or parallelism instead", strings.Join(bad, ", "))
	}
	env := tfexec.CleanEnv(maps.Clone(environ))
	for k := range env {
		if strings.HasPrefix(k, "TF_LOG") {
			delete(env, k) // among them TF_LOG_SDK and the providers' own
		}
	}
	maps.Copy(env, extra)
	if file := env["TF_CLI_CONFIG_FILE"]; file != "" {
		if _, err := os.Stat(file); errors.Is(err, os.ErrNotExist) {
			delete(env, "TF_CLI_CONFIG_FILE")
		}
	}
	return env, nil
}
