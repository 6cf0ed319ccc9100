package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/policy"
)

// lineage prints, for each service, which cell's leader ordered which cell.
func lineage(ctx context.Context, w io.Writer, c *fleet.Client, services []*policy.Service, now time.Time) error {
	var page strings.Builder
	var unread error
	for i, s := range services {
		if i > 0 {
			page.WriteString("\n")
		}
		births, err := c.Births(ctx, s.Name)
		members, err2 := c.Members(ctx, s.Name)
		pairs, unknown, err3 := partners(ctx, c, s)
		if err := errors.Join(err, err2, err3); err != nil {
			fmt.Fprintf(&page, "%s: unknown: %v\n", s.Name, err)
			unread = errors.New("the lineage could not be read")
			continue
		}
		t := newTree(births, members, now)
		t.partners = pairs
		t.write(&page, s.Name)
		for _, p := range unknown {
			fmt.Fprintf(&page, "  with whom %s is paired is unknown: %v\n", p.Cell, p.Unread)
			unread = errors.New("the lineage could not be read whole")
		}
	}
	_, err := io.WriteString(w, page.String())
	return cmp.Or(err, unread)
}

// partners are the partners of a service's cells, by the cell's id, and the pairs that
// can't be read.
func partners(ctx context.Context, c *fleet.Client, s *policy.Service) (all map[string]string, unknown []fleet.Pair, err error) {
	if s.Pair == "" {
		return nil, nil, nil
	}
	pairs, err := c.Pairs(ctx, s.Pair)
	if err != nil {
		return nil, nil, err
	}
	all = map[string]string{}
	for _, p := range pairs {
		switch {
		case p.Service != s.Name:
		case p.Unread != nil:
			unknown = append(unknown, p)
		default:
			all[fleet.Cell{Name: p.Cell, Incarnation: p.Incarnation}.ID()] = p.Partner
		}
	}
	return all, unknown, nil
}

// tree is the lineage of one service.
type tree struct {
	births   []fleet.Birth
	health   map[string]fleet.Health // by id, of those registered
	children map[string][]fleet.Birth
	partners map[string]string // by id
	now      time.Time
}

func newTree(births []fleet.Birth, members []fleet.Member, now time.Time) tree {
	t := tree{births: births, health: map[string]fleet.Health{}, children: map[string][]fleet.Birth{}, now: now}
	for _, m := range members {
		t.health[m.ID()] = m.Health
	}
	for _, b := range births {
		t.children[t.parent(b)] = append(t.children[t.parent(b)], b)
	}
	return t
}

// parent is the id of the latest life of the parent that began before the child;
// empty where a person applied, and where the parent's birth is forgotten.
func (t tree) parent(child fleet.Birth) string {
	for _, b := range slices.Backward(t.births) {
		if b.Cell == child.Parent && b.BornAt.Before(child.BornAt) {
			return b.ID()
		}
	}
	return ""
}

func (t tree) write(w *strings.Builder, service string) {
	fmt.Fprintf(w, "%s: %d births remembered, %s alive\n", service, len(t.births), plural(len(t.health), "cell"))
	t.branch(w, "", "  ")
}

// branch prints the children of a cell, each with its own below it.
func (t tree) branch(w *strings.Builder, id, indent string) {
	for i, b := range t.children[id] {
		joint, below := "├─ ", "│  "
		if i == len(t.children[id])-1 {
			joint, below = "└─ ", "   "
		}
		fmt.Fprintf(w, "%s%s%s\n", indent, joint, t.line(b))
		t.branch(w, b.ID(), indent+below)
	}
}

// line says who a cell is, whether it lives, and who ordered it and why.
func (t tree) line(b fleet.Birth) string {
	parts := []string{b.Cell, fmt.Sprintf("generation %d", b.Generation), "born " + span(t.now.Sub(b.BornAt)) + " ago"}
	if b.Genome != "" {
		parts = append(parts, "genome "+short(b.Genome))
	}
	if partner := t.partners[b.ID()]; partner != "" {
		parts = append(parts, "paired with "+partner)
	}
	if health, alive := t.health[b.ID()]; alive {
		parts = append(parts, string(health))
	} else {
		parts = append(parts, "gone")
	}
	why := "a person applied"
	switch {
	case b.Parent != "" && t.parent(b) == "":
		why = "by " + b.Parent + ", of which no earlier birth is remembered: " + b.Reason
	case b.Parent != "" || b.Reason != "":
		why = cmp.Or(b.Reason, "no reason is known")
	}
	return strings.Join(parts, ", ") + ": " + strings.TrimSuffix(why, ": ")
}
