package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/act"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/policy"
)

var validateCommand = command{
	name:    "validate",
	summary: "check a policy file; -live also reaches for everything it names",
	flags: func(fs *flag.FlagSet) func(context.Context, stdio, []string) error {
		var s settings
		s.define(fs)
		live := fs.Bool("live", false, "also reach Consul, Kafka and Terraform's state, and learn what an order changes")
		return func(ctx context.Context, std stdio, args []string) error {
			if len(args) > 0 {
				return fmt.Errorf("it takes no arguments; name the policy with -policy")
			}
			return s.validate(ctx, std, *live)
		}
	},
}

// findings collects what validate has to say: each a line, and how many of
// them are errors.
type findings struct {
	out    io.Writer
	errors int
}

func (f *findings) fine(format string, args ...any) { f.line("ok      ", format, args...) }
func (f *findings) warn(format string, args ...any) { f.line("warning ", format, args...) }
func (f *findings) fail(format string, args ...any) {
	f.errors++
	f.line("error   ", format, args...)
}

func (f *findings) line(kind, format string, args ...any) {
	// A report that can't be printed still ends in the right exit code.
	_, _ = fmt.Fprintf(f.out, "%s %s\n", kind, strings.ReplaceAll(fmt.Sprintf(format, args...), "\n", "\n         "))
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
	c, err := connect(p, log)
	if err != nil {
		return err
	}
	defer c.Close()
	n, err := newLeading(p, dir, c, prometheus.NewRegistry(), log)
	if err != nil {
		return err
	}
	f := &findings{out: std.Out}
	f.fine("%s: %d services", s.path(), len(p.Services))
	for _, service := range p.Services {
		validateModule(f, n, service)
	}
	if live {
		n.validateLive(ctx, f)
	}
	if f.errors > 0 {
		return fmt.Errorf("%d errors", f.errors)
	}
	return nil
}

// validateModule looks at a service's root module by its files alone.
func validateModule(f *findings, n *leading, s *policy.Service) {
	dir := n.resolve(s.Terraform.Dir)
	m, diags := act.Inspect(dir)
	if diags.HasErrors() {
		f.fail("%s: terraform.dir: %v", s.Name, diags)
		return
	}
	if _, ok := m.Variables[s.Terraform.Variable]; !ok {
		f.fail("%s: the root module %s declares no variable %q: declare it, or name another as terraform.variable",
			s.Name, dir, s.Terraform.Variable)
	}
	for _, file := range m.OtherSetters(s.Terraform.Variable) {
		f.fail("%s: %s also sets %s: a person's own apply could take its value; remove it there",
			s.Name, filepath.Join(dir, filepath.Base(file)), s.Terraform.Variable)
	}
	if !m.LockFile {
		f.warn("%s: %s has no .terraform.lock.hcl: run terraform init there and keep the file", s.Name, dir)
	}
	if _, err := n.open(s); err != nil {
		f.fail("%s: %v", s.Name, err)
		return
	}
	f.fine("%s: root module %s", s.Name, dir)
}

// validateLive reaches for everything the policy names.
func (n *leading) validateLive(ctx context.Context, f *findings) {
	if _, err := n.fleet.Services(ctx); err != nil {
		f.fail("consul: %v", err)
	} else {
		f.fine("consul: %s", strings.Join(n.fleet.Addresses(), ", "))
	}
	for _, s := range n.policy.Services {
		n.validateTopic(ctx, f, s)
		n.validateShape(ctx, f, s)
	}
}

// validateTopic reads the topic and group once, and compares the consumers
// there can be with the partitions there are.
func (n *leading) validateTopic(ctx context.Context, f *findings, s *policy.Service) {
	if s.KafkaLag == nil {
		return
	}
	lag, err := kafkaLag(n.policy, s)
	if err != nil {
		f.fail("%s: %v", s.Name, err)
		return
	}
	defer lag.Close()
	sample := lag.Sample(ctx)
	if !sample.PartitionCount.Known {
		f.fail("%s: topic %s: %s", s.Name, s.KafkaLag.Topic, sample.PartitionCount.Reason)
		return
	}
	partitions := int(sample.PartitionCount.Value)
	if consumers := s.Max * s.KafkaLag.ConsumersPerCell; consumers > partitions {
		f.warn("%s: max = %d cells of %d consumers are more than the %d partitions of %s: those above would idle, and are not ordered",
			s.Name, s.Max, s.KafkaLag.ConsumersPerCell, partitions, s.KafkaLag.Topic)
	}
	if sample.IdleMembers > 0 {
		f.warn("%s: %d consumers of group %s idle now: there are more than partitions", s.Name, sample.IdleMembers, s.KafkaLag.Group)
	}
	if !sample.Lag.Known {
		f.warn("%s: lag of group %s is unknown: %s", s.Name, s.KafkaLag.Group, sample.Lag.Reason)
	}
	f.fine("%s: topic %s has %d partitions; lag of group %s: %s", s.Name, s.KafkaLag.Topic, partitions, s.KafkaLag.Group, sample.Lag)
}

// validateShape plans one cell more and one fewer, and tells what would be
// refused now rather than at night.
func (n *leading) validateShape(ctx context.Context, f *findings, s *policy.Service) {
	root, err := n.open(s)
	if err != nil {
		return // said already
	}
	if err := root.Init(ctx); err != nil {
		f.fail("%s: %v", s.Name, err)
		return
	}
	d, shape, err := root.StateCells(ctx)
	if err != nil {
		f.fail("%s: an order would be refused: %v", s.Name, err)
		return
	}
	f.fine("%s: the state holds %d cells; with a cell come and go: %s", s.Name, d.Count, strings.Join(shape.Patterns, ", "))
	for _, dep := range shape.Dependents {
		f.fine("%s: and this changes with them: %s", s.Name, dep.Address)
	}
	record, _, err := n.fleet.Record(ctx, s.Name)
	switch {
	case errors.Is(err, fleet.ErrNoRecord):
		f.warn("%s: Consul holds no record yet: the first leader makes it from the state", s.Name)
	case err != nil:
		f.fail("%s: %v", s.Name, err)
	case record.Count != d.Count:
		f.warn("%s: the record says %d cells and the state holds %d: the leader will mend that", s.Name, record.Count, d.Count)
	}
}
