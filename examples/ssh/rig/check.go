package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/birth/remote"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/testkit"
)

const (
	// scaleLimit is how long a count may take until it is there.
	scaleLimit = 5 * time.Minute
	// leastWays is how many ways in are tried of each machine at least.
	leastWays = 10
)

// check plays the example through.
func (r *rig) check(ctx context.Context) error {
	if err := r.up(ctx); err != nil {
		return errors.Join(err, r.down(ctx))
	}
	err := r.scale(ctx)
	if err == nil {
		err = r.emptyPlans(ctx)
	}
	if err := errors.Join(err, r.down(ctx)); err != nil {
		return err
	}
	r.count()
	return r.nothingLeft(ctx)
}

// scale uses all machines, gives three of them back, and uses two of those again.
func (r *rig) scale(ctx context.Context) error {
	for _, count := range []int{pool, 1, 3} {
		if err := r.pin(ctx, count); err != nil {
			return err
		}
		if err := r.look(ctx); err != nil {
			return err
		}
	}
	return nil
}

// pin fixes the number of cells and waits for it.
func (r *rig) pin(ctx context.Context, count int) error {
	if err := r.run(ctx, r.homeostat(), "pin", "web", strconv.Itoa(count)); err != nil {
		return err
	}
	err := testkit.Poll(ctx, scaleLimit, func(ctx context.Context) error { return r.settled(ctx, count) })
	if err != nil {
		return fmt.Errorf("wait for %d cells: %w", count, err)
	}
	fmt.Printf("Cells now: %d.\n", count)
	return nil
}

func (r *rig) settled(ctx context.Context, count int) error {
	record, _, err := r.fleet.Record(ctx, "web")
	if err != nil {
		return err
	}
	members, err := r.fleet.Members(ctx, "web")
	if err != nil {
		return err
	}
	passing := 0
	for _, m := range members {
		if m.Health == fleet.Passing {
			passing++
		}
	}
	if record.Count != count || len(record.Orders) > 0 || passing != count || len(members) != count {
		return fmt.Errorf("%d are ordered, %d orders are open, %d of %d cells are passing", record.Count, len(record.Orders), passing, len(members))
	}
	return nil
}

// look judges the cells there are: each answers, its machine lets nobody in, and how
// long its birth took.
func (r *rig) look(ctx context.Context) error {
	members, err := r.fleet.Members(ctx, "web")
	if err != nil {
		return err
	}
	for _, member := range members {
		m := r.machineAt(member.Address)
		if m == nil {
			return fmt.Errorf("%s lives at %s, which is no machine of the pool", member.ID(), member.Address)
		}
		if err := answers(ctx, member); err != nil {
			return err
		}
		if err := r.tryDoor(ctx, m); err != nil {
			return err
		}
		if err := r.time(ctx, m, member.ID()); err != nil {
			return err
		}
	}
	return nil
}

// time notes how long the phases of a birth took. One by hand has no order.
func (r *rig) time(ctx context.Context, m *testkit.Machine, id string) error {
	s := r.births.born()[id]
	if s.ordered.IsZero() || r.tally.has(id) {
		return nil
	}
	err := testkit.Poll(ctx, time.Minute, func(context.Context) error {
		if s = r.births.born()[id]; s.done.IsZero() {
			return fmt.Errorf("the order of %s is open", id)
		}
		return nil
	})
	if err != nil {
		return err
	}
	p, err := phasesOf(ctx, m, s)
	if err != nil {
		return err
	}
	r.tally.note(id, p)
	return nil
}

func (r *rig) machineAt(address string) *testkit.Machine {
	i := slices.IndexFunc(r.machines, func(m *testkit.Machine) bool { return m.Address() == address })
	if i < 0 {
		return nil
	}
	return r.machines[i]
}

// answers asks the application who it is.
func answers(ctx context.Context, member fleet.Member) error {
	url := "http://" + net.JoinHostPort(member.Address, strconv.Itoa(member.Port)) + "/"
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return fmt.Errorf("ask %s who it is: %w", member.ID(), err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(response.Body, 1<<10))
	if err != nil || !strings.HasPrefix(string(text), member.ID()) {
		return fmt.Errorf("%s says it is %q, %w", member.ID(), text, err)
	}
	return nil
}

// tryDoor tries every way that births could get into a machine, and requires that
// each is refused.
func (r *rig) tryDoor(ctx context.Context, m *testkit.Machine) error {
	config, err := r.how.config(m, r.example("secrets", "births.key"))
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 3*time.Minute)
	defer cancel()
	tries := remote.TryDoor(ctx, config, nil)
	ways := map[string]bool{}
	for _, t := range tries {
		if t.Outcome == remote.NotTried {
			continue
		}
		ways[t.Way+" as "+t.User] = true
		r.tally.tries++
		if t.Outcome == remote.Refused {
			r.tally.refused++
		}
	}
	if err := remote.CheckShut(tries); err != nil {
		return fmt.Errorf("machine %s: %w", m.Name(), err)
	}
	if len(ways) < leastWays {
		return fmt.Errorf("machine %s: only %d ways in were tried", m.Name(), len(ways))
	}
	return nil
}

// emptyPlans makes sure that a person's plan changes nothing, neither now nor once
// another genome is published.
func (r *rig) emptyPlans(ctx context.Context) error {
	if err := r.run(ctx, r.homeostat(), "pause", "web", "-reason", "to look at plans"); err != nil {
		return err
	}
	if err := r.plansNothing(ctx); err != nil {
		return err
	}
	genome, err := os.ReadFile(r.example("web.genome.hcl"))
	if err != nil {
		return fmt.Errorf("edit the genome: %w", err)
	}
	edited := strings.Replace(string(genome), "environment = { ", `environment = { RELEASE = "two", `, 1)
	if edited == string(genome) {
		return errors.New("edit the genome: it has no environment")
	}
	if err := r.write("web.genome.hcl", edited); err != nil {
		return err
	}
	if err := r.run(ctx, r.homeostat(), "publish", "web"); err != nil {
		return err
	}
	if err := r.plansNothing(ctx); err != nil {
		return fmt.Errorf("after the genome was edited: %w", err)
	}
	fmt.Println("The plan is empty, also after the genome was edited.")
	return nil
}

func (r *rig) plansNothing(ctx context.Context) error {
	err := r.run(ctx, r.terraform, "plan", "-detailed-exitcode", "-input=false", "-no-color", "-lock-timeout=1m")
	if err != nil {
		return fmt.Errorf("the plan isn't empty: %w", err)
	}
	return nil
}

// count counts births, and how many of them were on a machine that had had another
// cell.
func (r *rig) count() {
	machines := map[string]bool{}
	for _, s := range r.births.born() {
		r.tally.births++
		if machines[s.address] {
			r.tally.reused++
		}
		machines[s.address] = true
	}
}
