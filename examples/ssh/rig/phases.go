package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/testkit"
)

// phases are how long the parts of a birth took:
//
//	order    from the leader's order until its machine lets the birth in
//	upload   until the machine has all that it lacked
//	install  until the cell's unit is started
//	healthy  until the cell is passing in Consul
//	sealed   until its machine is shut, every way in was tried and refused, and the
//	         leader's order is carried out
type phases struct{ order, upload, install, healthy, sealed time.Duration }

// phasesOf asks the machine when it saw what of a birth. Its clock is this host's.
func phasesOf(ctx context.Context, m *testkit.Machine, s seen) (phases, error) {
	entered, err := firstEntry(ctx, m, s.ordered)
	if err != nil {
		return phases{}, err
	}
	brought, err := changed(ctx, m, "/var/lib/homeostat/program")
	if err != nil {
		return phases{}, err
	}
	installed, err := changed(ctx, m, "/etc/systemd/system/homeostat.service")
	if err != nil {
		return phases{}, err
	}
	return phases{
		order: entered.Sub(s.ordered), upload: brought.Sub(entered), install: installed.Sub(brought),
		healthy: s.passing.Sub(installed), sealed: s.done.Sub(s.passing),
	}, nil
}

// firstEntry is when the machine's sshd let somebody in for the first time after an
// instant.
func firstEntry(ctx context.Context, m *testkit.Machine, after time.Time) (time.Time, error) {
	out, err := m.Exec(ctx, "journalctl", "--no-pager", "-o", "short-unix", "-t", "sshd")
	if err != nil {
		return time.Time{}, err
	}
	for line := range strings.Lines(out) {
		text, rest, _ := strings.Cut(line, " ")
		if at, err := unix(text); err == nil && at.After(after) && strings.Contains(rest, "Accepted ") {
			return at, nil
		}
	}
	return time.Time{}, fmt.Errorf("machine %s let nobody in after %s", m.Name(), after.Format(time.RFC3339))
}

// changed is when a file of the machine was written.
func changed(ctx context.Context, m *testkit.Machine, path string) (time.Time, error) {
	out, err := m.Exec(ctx, "stat", "-c", "%.6Y", path)
	if err != nil {
		return time.Time{}, err
	}
	return unix(strings.TrimSpace(out))
}

func unix(text string) (time.Time, error) {
	seconds, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return time.Time{}, fmt.Errorf("read an instant: %w", err)
	}
	return time.UnixMicro(int64(seconds * 1e6)), nil
}

// tally is what is counted over births.
type tally struct {
	births, reused, tries, refused int
	phases                         map[string]phases // of births by a leader, by the life's name
}

func (t *tally) has(id string) bool {
	_, has := t.phases[id]
	return has
}

func (t *tally) note(id string, p phases) {
	if t.phases == nil {
		t.phases = map[string]phases{}
	}
	t.phases[id] = p
}

func (t *tally) add(other tally) {
	t.births, t.reused = t.births+other.births, t.reused+other.reused
	t.tries, t.refused = t.tries+other.tries, t.refused+other.refused
	for id, p := range other.phases {
		t.note(id, p)
	}
}

// String is the line of figures; times are medians.
func (t tally) String() string {
	median := func(of func(phases) time.Duration) string {
		if len(t.phases) == 0 {
			return "unknown"
		}
		var all []time.Duration
		for _, p := range t.phases {
			all = append(all, of(p))
		}
		slices.Sort(all)
		return fmt.Sprintf("%.1fs", all[len(all)/2].Seconds())
	}
	return fmt.Sprintf("births=%d reused=%d tries=%d refused=%d order=%s upload=%s install=%s healthy=%s sealed=%s",
		t.births, t.reused, t.tries, t.refused,
		median(func(p phases) time.Duration { return p.order }), median(func(p phases) time.Duration { return p.upload }),
		median(func(p phases) time.Duration { return p.install }), median(func(p phases) time.Duration { return p.healthy }),
		median(func(p phases) time.Duration { return p.sealed }))
}
