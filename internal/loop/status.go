package loop

import (
	"context"
	"errors"
	"fmt"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/balance"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
)

// Status is what Consul tells of one service, for a person or a program to
// read. What could not be read is listed in Unknown, never shown as empty.
type Status struct {
	Service string `json:"service"`
	// Leader is who leads now; nil if nobody does.
	Leader *fleet.Holder `json:"leader,omitempty"`
	// Count and Names are the record's; Count is nil where there is no record.
	Count   *int            `json:"count"`
	Names   []string        `json:"names,omitempty"`
	Shards  []int           `json:"shards,omitempty"` // of each name; none where all are in one state
	Epoch   uint64          `json:"epoch,omitempty"`
	Bundle  string          `json:"bundle,omitempty"`
	Genome  string          `json:"genome,omitempty"`
	Halt    *fleet.Halt     `json:"halt,omitempty"`
	Ready   int             `json:"ready"`
	Pin     *fleet.Pin      `json:"pin,omitempty"`
	Paused  string          `json:"paused,omitempty"`
	Orders  []fleet.Order   `json:"orders,omitempty"`
	Leaving []fleet.Leaving `json:"leaving,omitempty"`
	Members []fleet.Member  `json:"members,omitempty"`
	// Requests are what other services ask of this one, Answers what its leader
	// says to them, by who asks.
	Requests []fleet.Request         `json:"requests,omitempty"`
	Answers  map[string]fleet.Answer `json:"answers,omitempty"`
	// Last is the leader's last word: the decision with every term, and what
	// keeps it from acting, if anything does.
	Last    *Word    `json:"last,omitempty"`
	Unknown []string `json:"unknown,omitempty"`
}

// Word is what a leader says each time something changes, and at least every
// half minute.
type Word struct {
	Decision balance.Decision `json:"decision"`
	// Trouble says why nothing is done, or nothing.
	Trouble string `json:"trouble,omitempty"`
	// Drift is what the last plan would have changed outside the cells, and was
	// left alone.
	Drift []string `json:"drift,omitempty"`
	// Mutants are the cells of another genome than the one published, Renewal
	// what is in the way of renewing them.
	Mutants []string `json:"mutants,omitempty"`
	Renewal string   `json:"renewal,omitempty"`
	// Ahead says which order lies planned before it is placed, or nothing.
	Ahead string `json:"ahead,omitempty"`
	// Lag is in messages, LagSeconds how long it takes to work off; nil where
	// unknown or not asked for.
	Lag        *float64 `json:"lag,omitempty"`
	LagSeconds *float64 `json:"lag_seconds,omitempty"`
}

// ReadStatus gathers the status of a service from Consul alone.
func ReadStatus(ctx context.Context, c *fleet.Client, service string) Status {
	s := Status{Service: service}
	record, _, err := c.Record(ctx, service)
	if err == nil {
		s.Count, s.Names, s.Epoch, s.Orders = &record.Count, record.Names, record.Epoch, record.Orders
		s.Shards = record.Shards
		s.Bundle, s.Genome, s.Halt = record.Bundle, record.Genome, record.Halt
	}
	s.missing("the record", err, fleet.ErrNoRecord)
	s.Leader, err = c.Leader(ctx, service)
	s.missing("the leader", err, fleet.ErrNoLeader)
	s.Members, err = c.Members(ctx, service)
	s.missing("the members", err)
	s.Leaving, err = c.Leaving(ctx, service)
	s.missing("who leaves", err)
	s.Pin, err = c.Pinned(ctx, service)
	s.missing("the pin", err)
	s.Requests, err = c.Requests(ctx, service)
	s.missing("what others ask", err)
	s.Answers, err = c.Answers(ctx, service)
	s.missing("what others are answered", err)
	s.Paused, err = pausedBy(ctx, c, service)
	s.missing("the pause", err)
	var word Word
	if err = c.Decision(ctx, service, &word); err == nil {
		s.Last = &word
	}
	s.missing("the last decision", err, fleet.ErrNotFound)
	v := view{members: s.Members, index: indexOf(s.Members), leaving: map[string]fleet.Leaving{}}
	for _, l := range s.Leaving {
		v.leaving[l.Cell] = l
	}
	for _, m := range s.Members {
		if v.ready(m.Name) {
			s.Ready++
		}
	}
	return s
}

// missing notes what could not be read. The errors named are answers.
func (s *Status) missing(what string, err error, answers ...error) {
	if err == nil {
		return
	}
	for _, a := range answers {
		if errors.Is(err, a) {
			return
		}
	}
	s.Unknown = append(s.Unknown, fmt.Sprintf("%s: %v", what, err))
}
