package birth

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// scopes gives each cell a systemd unit of its own, so that stopping the unit
// of whoever started it doesn't end it. A scope is used rather than a service:
// the process stays our child, with our environment, which would otherwise
// stand readable for all in the unit's properties.
type scopes struct {
	// booted is the directory that exists when systemd runs this machine.
	booted string
	user   bool
	log    *slog.Logger

	once sync.Once
	path string
}

func newScopes(log *slog.Logger) *scopes {
	return &scopes{booted: "/run/systemd/system", user: os.Geteuid() != 0, log: log}
}

// wrap returns the words that start the command, in a scope if there can be one.
func (s *scopes) wrap(spec Spec, dir string) ([]string, error) {
	s.once.Do(s.probe)
	if s.path == "" {
		return spec.Command, nil
	}
	// systemd-run would say only in the log that there is no such program.
	if _, err := lookPath(spec.Command[0], dir); err != nil {
		return nil, fmt.Errorf("start %q: %w", spec.Command[0], err)
	}
	argv := append([]string{s.path}, s.flags()...)
	argv = append(argv, "--unit=homeostat-"+spec.Service+"-"+spec.Name+"-"+spec.Incarnation,
		"--description=Homeostat cell "+spec.Service+"/"+spec.Name, "--")
	return append(argv, spec.Command...), nil
}

func lookPath(program, dir string) (string, error) {
	if strings.Contains(program, "/") && !filepath.IsAbs(program) {
		program = filepath.Join(dir, program)
	}
	return exec.LookPath(program)
}

func (s *scopes) flags() []string {
	flags := []string{"--scope", "--quiet", "--collect"}
	if s.user {
		flags = append(flags, "--user")
	}
	return flags
}

// probe tries once whether a scope can be made. Where it can't, a session of
// its own must do.
func (s *scopes) probe() {
	if _, err := os.Stat(s.booted); err != nil {
		return
	}
	path, err := exec.LookPath("systemd-run")
	if err != nil {
		s.log.Warn("systemd runs this machine but systemd-run is missing: cells get a session and no unit of their own")
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, path, append(s.flags(), "--", "true")...).CombinedOutput()
	if err != nil {
		s.log.Warn("systemd-run can't make a scope: cells get a session and no unit of their own",
			"error", err, "output", strings.TrimSpace(string(out)))
		return
	}
	s.path = path
}
