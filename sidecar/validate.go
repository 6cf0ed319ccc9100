package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/act"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/guard"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/policy"
)

var validateCommand = command{
	name:    "validate",
	summary: "check a policy file; -live also reaches for everything it names",
	flags: func(fs *flag.FlagSet) func(context.Context, stdio, []string) error {
		var s settings
		s.definePolicy(fs)
		s.defineLog(fs, "warn")
		live := fs.Bool("live", false, "also reach Consul, Kafka, PostgreSQL and Terraform's state, and learn what an order changes")
		return func(ctx context.Context, std stdio, args []string) error {
			if len(args) > 0 {
				return misused("it takes no arguments; name the policy with -policy")
			}
			return s.validate(ctx, std, *live)
		}
	},
}

// findings collects what validate has to say: each a line, and how many of
// them are errors.
type findings struct {
	out    io.Writer
	quiet  bool // says only what is wrong
	errors int
}

func (f *findings) fine(format string, args ...any) { f.line("ok", format, args...) }
func (f *findings) warn(format string, args ...any) { f.line("warning", format, args...) }
func (f *findings) fail(format string, args ...any) {
	f.errors++
	f.line("error", format, args...)
}

func (f *findings) line(kind, format string, args ...any) {
	if f.quiet && kind == "ok" {
		return
	}
	// A report that can't be printed still ends in the right exit code.
	_, _ = fmt.Fprintf(f.out, "%-8s %s\n", kind, strings.ReplaceAll(fmt.Sprintf(format, args...), "\n", "\n         "))
}

// file fails for each error in a file that the policy names, at its line where it
// has one.
func (f *findings) file(service, field string, diags hcl.Diagnostics) {
	for _, d := range diags {
		at := field
		if d.Subject != nil {
			at = fmt.Sprintf("%s:%d", d.Subject.Filename, d.Subject.Start.Line)
		}
		if d.Severity == hcl.DiagError {
			f.fail("%s: %s: %s: %s", service, at, d.Summary, d.Detail)
		}
	}
}

func (s *settings) validate(ctx context.Context, std stdio, live bool) error {
	p, err := s.load(std)
	if err != nil {
		return err
	}
	log, err := s.logger(std.Err)
	if err != nil {
		return err
	}
	dir, err := s.dir()
	if err != nil {
		return err
	}
	c, err := connect(p, nil, log)
	if err != nil {
		return err
	}
	defer c.Close()
	n, err := newLeading(p, dir, c, prometheus.NewRegistry(), log)
	if err != nil {
		return err
	}
	n.policyFile = filepath.Base(s.path())
	f := &findings{out: std.Out}
	f.fine("%s: %s", s.path(), plural(len(p.Services), "service"))
	var sound []*policy.Service // their root modules have no error
	for _, service := range p.Services {
		before := f.errors
		n.validateModule(f, service)
		validateSchedules(f, service, time.Now())
		warnOfFront(f, service)
		if service.Genome != "" && f.errors == before {
			n.validateGenome(ctx, f, service)
		}
		if f.errors == before {
			sound = append(sound, service)
		}
	}
	if live {
		n.validateLive(ctx, f, sound)
	}
	if f.errors > 0 {
		return fmt.Errorf("%s to mend", plural(f.errors, "error"))
	}
	if !live {
		say(std.Out, "homeostat validate -live also reaches for all that the policy names")
	}
	return nil
}

// warnOfFront warns where cells don't know their own front: it would have no more
// connections than any caller, and be believed no more.
func warnOfFront(f *findings, s *policy.Service) {
	if s.Front == nil || s.Proxy == nil || len(s.Proxy.Trusted) > 0 {
		return
	}
	f.warn("%s: the service has a front, and its cells' proxy doesn't trust it: whom a request is from is lost, and at %d connections "+
		"(proxy.bounds.connections_per_address) the cells refuse the front and it leaves them alone. Set proxy.trusted to the fronts' networks, such as [\"10.0.0.0/8\"]",
		s.Name, s.Proxy.Bounds.ConnectionsPerAddress)
}

// validateModule looks at a service's root module by its files alone.
func (n *leading) validateModule(f *findings, s *policy.Service) {
	t := s.Terraform
	dir, before := n.resolve(t.Dir), f.errors
	m, diags := act.Inspect(dir)
	if diags.HasErrors() {
		f.file(s.Name, "terraform.dir", diags)
		return
	}
	if _, ok := m.Variables[t.Variable]; !ok {
		f.fail("%s: the root module %s declares no variable %q: declare it, or name another as terraform.variable%s",
			s.Name, dir, t.Variable, declared(m))
	} else if root, err := n.open(s); err != nil {
		f.fail("%s: %v", s.Name, err)
	} else {
		f.spread(s, root.Unspreadable(guard.Shape{}, nil))
	}
	for _, file := range t.VarFiles {
		if !filepath.IsAbs(file) {
			file = filepath.Join(dir, file)
		}
		if _, err := os.Stat(file); err != nil {
			f.fail("%s: terraform.var_files: %v", s.Name, err)
		}
	}
	for _, file := range m.OtherSetters(t.Variable) {
		f.fail("%s: %s also sets %s: a person's own apply could take its value; remove it there",
			s.Name, filepath.Join(dir, file), t.Variable)
	}
	if !m.LockFile {
		f.warn("%s: %s has no .terraform.lock.hcl: run terraform init there and keep the file, unless the module needs no provider", s.Name, dir)
	}
	if f.errors == before {
		f.fine("%s: root module %s, state in backend %s", s.Name, dir, m.Backend)
	}
}

// declared lists the variables there are to choose from.
func declared(m act.Module) string {
	if len(m.Variables) == 0 {
		return ""
	}
	return "; it declares " + strings.Join(slices.Sorted(maps.Keys(m.Variables)), ", ")
}
