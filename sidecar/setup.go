package main

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/peer"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/policy"
)

// settings are the flags that most commands have in common.
type settings struct {
	policyFile string
	logLevel   string
	logFormat  string
}

// define adds the flags of a command that runs for long and logs what it does.
func (s *settings) define(fs *flag.FlagSet) {
	s.definePolicy(fs)
	s.defineLog(fs, "info")
}

func (s *settings) definePolicy(fs *flag.FlagSet) {
	fs.StringVar(&s.policyFile, "policy", "", "the policy `file` (default $HOMEOSTAT_POLICY, else homeostat.hcl)")
}

func (s *settings) defineLog(fs *flag.FlagSet, level string) {
	fs.StringVar(&s.logLevel, "log-level", cmp.Or(os.Getenv("HOMEOSTAT_LOG_LEVEL"), level), "log from this `level` on: debug, info, warn or error")
	fs.StringVar(&s.logFormat, "log-format", cmp.Or(os.Getenv("HOMEOSTAT_LOG_FORMAT"), "text"), "`format` of the log: text or json")
}

// path is where the policy file is.
func (s *settings) path() string {
	return cmp.Or(s.policyFile, os.Getenv("HOMEOSTAT_POLICY"), "homeostat.hcl")
}

// load reads the policy. What is wrong with it is printed with its lines, and
// the error says only that it is.
func (s *settings) load(std stdio) (*policy.Policy, error) {
	path := s.path()
	src, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("there is no policy file %s: name one with -policy or HOMEOSTAT_POLICY", path)
	}
	if err != nil {
		return nil, fmt.Errorf("read the policy: %w", err)
	}
	p, diags := policy.Parse(path, src)
	if err := policy.FormatDiagnostics(std.Err, path, src, diags); err != nil {
		return nil, err
	}
	if diags.HasErrors() {
		return nil, fmt.Errorf("the policy %s has %s", path, plural(len(diags.Errs()), "error"))
	}
	return p, nil
}

// dir is the folder that paths in the policy are relative to.
func (s *settings) dir() (string, error) {
	path, err := filepath.Abs(s.path())
	if err != nil {
		return "", fmt.Errorf("find the policy's folder: %w", err)
	}
	return filepath.Dir(path), nil
}

func (s *settings) logger(w io.Writer) (*slog.Logger, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(s.logLevel)); err != nil {
		return nil, misused("-log-level %q: use debug, info, warn or error", s.logLevel)
	}
	options := &slog.HandlerOptions{Level: level}
	switch s.logFormat {
	case "text":
		return slog.New(slog.NewTextHandler(w, options)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(w, options)), nil
	default:
		return nil, misused("-log-format %q: use text or json", s.logFormat)
	}
}

// connect makes the Consul client that a policy describes; without keys it
// neither signs nor proves orders to leave.
func connect(p *policy.Policy, keys *peer.Keys, log *slog.Logger) (*fleet.Client, error) {
	c := p.Consul
	cfg := fleet.Config{
		Addresses: c.Addresses, Scheme: c.Scheme, Datacenter: c.Datacenter,
		TokenFile: c.TokenFile, CAFile: c.CAFile, CertFile: c.CertFile, KeyFile: c.KeyFile,
		Prefix: c.Prefix, Timeout: c.Timeout, SessionTTL: c.SessionTTL, LockDelay: c.LockDelay,
		Log: log,
	}
	if keys != nil { // A nil *peer.Keys would be a signer.
		cfg.Peers = keys
	}
	return fleet.New(cfg)
}

// withClient runs f with the policy and a Consul client as it describes it.
func (s *settings) withClient(std stdio, f func(*policy.Policy, *fleet.Client) error) error {
	p, err := s.load(std)
	if err != nil {
		return err
	}
	c, err := connect(p, nil, nil)
	if err != nil {
		return err
	}
	defer c.Close()
	return f(p, c)
}

// oneService takes the service that a command is for from its arguments, or
// from the environment.
func oneService(p *policy.Policy, name string) (*policy.Service, error) {
	name = cmp.Or(name, os.Getenv("HOMEOSTAT_SERVICE"))
	if name == "" && len(p.Services) == 1 {
		return p.Services[0], nil
	}
	if name == "" {
		return nil, misused("name a service: %s", names(p))
	}
	s := p.Service(name)
	if s == nil {
		return nil, fmt.Errorf("the policy has no service %q; it has %s", name, names(p))
	}
	return s, nil
}

// chosen is the service of that name, or all of them without a name.
func chosen(p *policy.Policy, name string) ([]*policy.Service, error) {
	if name == "" {
		return p.Services, nil
	}
	s, err := oneService(p, name)
	return []*policy.Service{s}, err
}

func names(p *policy.Policy) string {
	var all []string
	for _, s := range p.Services {
		all = append(all, s.Name)
	}
	return strings.Join(all, ", ")
}

// atMostOne takes the name of a service from arguments where it may be left
// out.
func atMostOne(args []string) (string, error) {
	switch len(args) {
	case 0:
		return "", nil
	case 1:
		return args[0], nil
	default:
		return "", misused("give one service, not %d: %s", len(args), strings.Join(args, " "))
	}
}
