package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/loop"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/policy"
)

// everything is what is unknown while Consul is away.
const everything = "everything: consul is unreachable"

// statusPage is a status as a person reads it: for each service a line, what
// is said of it, and a table of cells.
type statusPage struct {
	strings.Builder
	now time.Time
}

func printStatus(w io.Writer, services []*policy.Service, all []loop.Status, terms bool, now time.Time) error {
	p := statusPage{now: now}
	for i, s := range all {
		if i > 0 {
			p.WriteString("\n")
		}
		p.head(services[i], s)
		p.people(s)
		for _, o := range s.Orders {
			p.line("order", "%s, expected %s: %s", describe(o), p.when(o.Expected), o.Reason)
		}
		p.last(s, terms)
		p.requests(s)
		for _, u := range s.Unknown {
			p.line("unknown", "%s", u)
		}
		p.cells(s)
	}
	_, err := io.WriteString(w, p.String())
	return err
}

func (p *statusPage) line(what, format string, args ...any) {
	fmt.Fprintf(p, "  %-9s %s\n", what, strings.TrimRight(fmt.Sprintf(format, args...), ": "))
}

// head is the service's counts in one line, and who leads it. What could not be
// read is no number.
func (p *statusPage) head(service *policy.Service, s loop.Status) {
	ordered, ready, leader := "no record", fmt.Sprintf("%d ready", s.Ready), "nobody"
	switch {
	case unread(s, "the record"):
		ordered = "order unknown"
	case s.Count != nil:
		ordered = plural(*s.Count, "cell") + " ordered"
	}
	if unread(s, "the members") {
		ready = "ready unknown"
	}
	switch {
	case unread(s, "the leader"):
		leader = "unknown"
	case s.Leader != nil:
		leader = s.Leader.String()
	}
	fmt.Fprintf(p, "%s: %s, %s, %s allowed\n", s.Service, ordered, ready, policy.NewTimetable(service).At(p.now, 0))
	p.line("leader", "%s", leader)
	for _, text := range scheduled(service, p.now) {
		p.line("schedule", "%s", text)
	}
	if spread := s.Spread(); spread != "" {
		p.line("spread", "%s", spread)
	}
}

// unread reports whether a part of the status could not be read.
func unread(s loop.Status, what string) bool {
	return slices.ContainsFunc(s.Unknown, func(u string) bool {
		return u == everything || strings.HasPrefix(u, what+":")
	})
}

// people is what persons have set.
func (p *statusPage) people(s loop.Status) {
	if pin := s.Pin; pin != nil {
		p.line("pinned", "to %d by %s, %s: %s", pin.Count, pin.By, p.when(pin.Since), pin.Reason)
	}
	if s.Paused != "" {
		p.line("paused", "%s", s.Paused)
	}
}

// last is the leader's last word.
func (p *statusPage) last(s loop.Status, terms bool) {
	if s.Last == nil {
		return
	}
	d := s.Last.Decision
	if !d.At.IsZero() {
		p.line("decision", "%s, %s: %s [%s]", p.when(d.At), plural(d.Desired, "cell"), d.Reason, d.Code)
	}
	if s.Last.Trouble != "" {
		whose := ""
		if s.Leader == nil {
			whose = "of the last leader: "
		}
		p.line("trouble", "%s%s", whose, s.Last.Trouble)
	}
	for _, drift := range s.Last.Drift {
		p.line("drift", "%s", drift)
	}
	if s.Last.Ahead != "" {
		p.line("ahead", "planned for %s", s.Last.Ahead)
	}
	p.renewal(s)
	for _, u := range d.Unknown {
		p.line("unknown", "%s", u)
	}
	if terms {
		printTerms(&p.Builder, d.Terms)
	}
}

// requests is what this service asks of others, and others of it.
func (p *statusPage) requests(s loop.Status) {
	if s.Last != nil {
		for _, a := range s.Last.Decision.Asks {
			p.line("asks", "%s for %s: %s", a.Service, wanted(a.Floor, a.Ceiling), a.Reason)
		}
	}
	for _, r := range s.Requests {
		if !r.Expires.After(p.now) {
			p.line("asked", "by %s for %s, until %s", r.From, wanted(r.Floor, r.Ceiling), p.when(r.Expires))
			continue
		}
		p.line("asked", "by %s for %s: %s", r.From, wanted(r.Floor, r.Ceiling), r.Reason)
		if a, ok := s.Answers[r.From]; ok {
			p.line("answer", "%d of them: %s", a.Granted, a.Reason)
		}
	}
}

// wanted is what one service asks of another: so many cells at least, or at most.
func wanted(floor, ceiling int) string {
	if ceiling > 0 {
		return "no more than " + plural(ceiling, "cell")
	}
	return plural(floor, "cell")
}

// renewal is how many cells are not yet of the published genome, and what keeps
// them from being renewed.
func (p *statusPage) renewal(s loop.Status) {
	if len(s.Last.Mutants) == 0 {
		return
	}
	p.line("renewal", "%d of %d cells are of another genome than %s: %s", len(s.Last.Mutants), len(s.Names), short(s.Genome), strings.Join(s.Last.Mutants, ", "))
	if s.Last.Renewal != "" {
		p.line("", "%s", s.Last.Renewal)
	}
}

// short is as much of a digest as a person needs.
func short(digest string) string { return digest[:min(len(digest), 12)] }

// cells is the table of who is there.
func (p *statusPage) cells(s loop.Status) {
	if len(s.Members) == 0 {
		return
	}
	var table strings.Builder
	t := tabwriter.NewWriter(&table, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(t, "  CELL\tHEALTH\tADDRESS\tAGE\tPARENT\tOUTPUT")
	for _, m := range s.Members {
		health := string(m.Health)
		if slices.ContainsFunc(s.Leaving, func(l fleet.Leaving) bool { return l.Cell == m.Name }) {
			health += ", leaving"
		}
		output := strings.Join(strings.Fields(m.Output), " ") // a check's output may have lines
		_, _ = fmt.Fprintf(t, "  %s\t%s\t%s\t%s\t%s\t%s\n", m.Name, health, address(m), p.age(m.BornAt), orDash(m.Parent), output)
	}
	_ = t.Flush() // a strings.Builder takes everything
	for line := range strings.Lines(table.String()) {
		p.WriteString(strings.TrimRight(line, " \n") + "\n")
	}
}

// describe says in short what an order does.
func describe(o fleet.Order) string {
	var parts []string
	for _, n := range o.Add {
		parts = append(parts, "+"+n.Name)
	}
	for _, n := range o.Remove {
		parts = append(parts, "-"+n)
	}
	for _, n := range o.Replace {
		parts = append(parts, "±"+n)
	}
	return strings.Join(parts, " ")
}

func address(m fleet.Member) string {
	if m.Port == 0 {
		return orDash(m.Address)
	}
	return fmt.Sprintf("%s:%d", m.Address, m.Port)
}

func (p *statusPage) age(born time.Time) string {
	if born.IsZero() {
		return "-"
	}
	return span(p.now.Sub(born))
}

// when says how long ago or how far ahead an instant is.
func (p *statusPage) when(at time.Time) string {
	if ahead := at.Sub(p.now); ahead > 0 {
		return "in " + span(ahead)
	}
	return span(p.now.Sub(at)) + " ago"
}

// span prints a duration as coarsely as a person needs it: 45s, 12m, 3h5m, 6d.
func span(d time.Duration) string {
	switch {
	case d < 2*time.Minute:
		return d.Round(time.Second).String()
	case d < 48*time.Hour:
		return strings.TrimSuffix(d.Round(time.Minute).String(), "0s")
	default:
		return fmt.Sprintf("%dd", int(d.Hours()/24))
	}
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
