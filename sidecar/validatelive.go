package main

import (
	"context"
	"errors"
	"strings"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/policy"
)

// validateLive reaches for everything the policy names, and plans with those
// root modules that are sound.
func (n *leading) validateLive(ctx context.Context, f *findings, sound []*policy.Service) {
	_, consul := n.fleet.Services(ctx)
	if consul != nil {
		f.fail("consul: %v", consul)
	} else {
		f.fine("consul: %s", strings.Join(n.fleet.Addresses(), ", "))
	}
	if n.policy.Peers != nil {
		if _, err := peerKeys(n.policy, n.dir, n.log); err != nil {
			f.fail("peers: %v", err)
		} else {
			f.fine("peers: the key in %s", keyFile(n.policy, n.dir))
		}
	}
	for _, s := range n.policy.Services {
		n.validateTopic(ctx, f, s)
		n.validatePostgres(ctx, f, s, consul)
	}
	for _, s := range sound {
		cells, ok := n.validateShape(ctx, f, s)
		if ok && consul == nil {
			n.validateRecord(ctx, f, s, cells)
		}
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
	if consumers := mostCells(s) * s.KafkaLag.ConsumersPerCell; consumers > partitions {
		f.warn("%s: max = %s of %s each are more than the %s of topic %s: those above would idle, and are not ordered",
			s.Name, plural(mostCells(s), "cell"), plural(s.KafkaLag.ConsumersPerCell, "consumer"), plural(partitions, "partition"), s.KafkaLag.Topic)
	}
	if sample.IdleMembers > 0 {
		f.warn("%s: %s of group %s idle now: there are more than partitions", s.Name, plural(sample.IdleMembers, "consumer"), s.KafkaLag.Group)
	}
	f.fine("%s: topic %s has %s", s.Name, s.KafkaLag.Topic, plural(partitions, "partition"))
	if !sample.Lag.Known {
		f.warn("%s: the lag of group %s is unknown: %s", s.Name, s.KafkaLag.Group, sample.Lag.Reason)
		return
	}
	f.fine("%s: the lag of group %s is %s", s.Name, s.KafkaLag.Group, plural(int(sample.Lag.Value), "message"))
}

// validateShape plans one cell more and one fewer, and tells what would be
// refused now rather than at night. It returns how many cells the state holds.
func (n *leading) validateShape(ctx context.Context, f *findings, s *policy.Service) (cells int, ok bool) {
	root, err := n.open(s)
	if err != nil {
		f.fail("%s: %v", s.Name, err)
		return 0, false
	}
	if err := root.Init(ctx); err != nil {
		f.fail("%s: %v", s.Name, err)
		return 0, false
	}
	d, shape, err := root.StateCells(ctx)
	if err != nil {
		f.fail("%s: an order would be refused: %v", s.Name, err)
		return 0, false
	}
	f.fine("%s: the state holds %s; with a cell come and go: %s", s.Name, plural(d.Count, "cell"), strings.Join(shape.Patterns, ", "))
	for _, dep := range shape.Dependents {
		f.fine("%s: and this changes with them: %s", s.Name, dep.Address)
	}
	n.validateSpread(ctx, f, s, root, shape)
	return d.Count, true
}

// validateRecord compares the record with what the state holds.
func (n *leading) validateRecord(ctx context.Context, f *findings, s *policy.Service, cells int) {
	record, _, err := n.fleet.Record(ctx, s.Name)
	switch {
	case errors.Is(err, fleet.ErrNoRecord):
		f.warn("%s: Consul holds no record yet: the first leader makes it from the state", s.Name)
	case err != nil:
		f.fail("%s: %v", s.Name, err)
	case record.Count != cells:
		f.warn("%s: the record says %s and the state holds %d: the leader will mend that", s.Name, plural(record.Count, "cell"), cells)
	}
}
