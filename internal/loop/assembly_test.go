package loop

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/act"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/guard"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/policy"
)

// TestAllAreJudgedBeforeAnyIsApplied has parts judged one after the other. None goes
// on before the last one is, one that fails included.
func TestAllAreJudgedBeforeAnyIsApplied(t *testing.T) {
	for name, c := range map[string]struct {
		most    int
		refused bool
	}{
		"no limit": {0, false}, "within the limit": {5, false}, "above it, though each isn't": {4, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				j := assembled(4, c.most)
				began := time.Now()
				var g sync.WaitGroup
				for _, destroys := range []int{2, 0, 3} {
					g.Go(func() {
						p := &part{job: j}
						defer p.arrive(0)
						time.Sleep(time.Duration(destroys) * time.Second)
						if err := p.judged(destroys); isRefused(err) != c.refused {
							t.Errorf("judged: %v", err)
						}
						if waited := time.Since(began); waited != 10*time.Second {
							t.Errorf("goes on after %s", waited)
						}
					})
				}
				g.Go(func() { time.Sleep(10 * time.Second); (&part{job: j}).arrive(0) }) // it failed
				g.Wait()
			})
		})
	}
}

// assembled is an order over so many shards, a plan of which may take ten minutes.
func assembled(parts, most int) *spreadJob {
	l := spreadLeader(nil, 1)
	l.Service.Limits.DestroysPerApply = most
	l.Service.Terraform.Timeout = 10 * time.Minute
	j := &spreadJob{carry: carry{leader: l}, all: newAssembly(parts)}
	j.parts = make([]*part, parts)
	return j
}

func isRefused(err error) bool {
	var refused *act.RefusedError
	return errors.As(err, &refused)
}

// TestLatePartIsLeftOut has one of two plans hang. The other goes on when that one is
// late, which is counted as if it destroyed all it was to take away; and it is interrupted.
func TestLatePartIsLeftOut(t *testing.T) {
	for name, c := range map[string]struct {
		took     time.Duration // of the other's plan
		failures int           // of this one before
		most     int
		after    time.Duration // it is late
		refused  bool          // the other
	}{
		"a fifth of the limit":                    {time.Second, 0, 0, 2 * time.Minute, false},
		"more, where the other's takes long, too": {time.Minute, 0, 0, 3 * time.Minute, false},
		"more, after it failed":                   {time.Second, 1, 0, 4 * time.Minute, false},
		"counted at its most":                     {time.Second, 0, 3, 2 * time.Minute, true},
		"within what may be destroyed":            {time.Second, 0, 4, 2 * time.Minute, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				j := assembled(2, c.most)
				began := time.Now()
				hangs := &part{job: j, failures: c.failures, order: guard.Order{Remove: []guard.Key{"pod-1", "pod-2"}, Replace: []guard.Key{"pod-3"}}}
				other := &part{job: j}
				var g sync.WaitGroup
				g.Go(func() {
					defer hangs.arrive(0)
					_, err := hangs.onTime(t.Context(), planTaking(time.Hour))
					if !errors.Is(err, errLate) || !errors.Is(err, act.ErrTimeout) {
						t.Errorf("the plan that hung: %v", err)
					}
				})
				g.Go(func() {
					if _, err := other.onTime(t.Context(), planTaking(c.took)); err != nil {
						t.Error(err)
					}
					if err := other.judged(1); isRefused(err) != c.refused {
						t.Errorf("judged: %v", err)
					}
					if waited := time.Since(began); waited != c.after {
						t.Errorf("goes on after %s, want %s", waited, c.after)
					}
				})
				g.Wait()
			})
		})
	}
}

// planTaking is a plan that takes so long, unless it is interrupted.
func planTaking(d time.Duration) func(context.Context) (*act.Plan, error) {
	return func(ctx context.Context) (*act.Plan, error) {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(d):
			return nil, nil
		}
	}
}

// TestPlansThatAreSlowAlike has none of two plans be late, however long both take, nor
// one that is alone.
func TestPlansThatAreSlowAlike(t *testing.T) {
	for _, parts := range []int{1, 2} {
		synctest.Test(t, func(t *testing.T) {
			j := assembled(parts, 0)
			var g sync.WaitGroup
			for i := range parts {
				p := &part{job: j, failures: 1}
				g.Go(func() {
					_, err := p.onTime(t.Context(), planTaking(time.Duration(8+i)*time.Minute))
					if err == nil {
						err = p.judged(0)
					}
					if err != nil {
						t.Errorf("%d of %d: %v", i+1, parts, err)
					}
				})
			}
			g.Wait()
		})
	}
}

// TestPartsThatFailedAreNotWaitedFor has one part have failed before: it is counted at
// its most, and once, and no other waits for it.
func TestPartsThatFailedAreNotWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := assembled(2, 3)
		failed := &part{job: j, failures: 2, order: guard.Order{Remove: []guard.Key{"pod-1", "pod-2"}}}
		if !failed.again() {
			t.Fatal("it is waited for")
		}
		failed.arrive(failed.most())
		if err := (&part{job: j}).judged(1); err != nil {
			t.Error(err)
		}
		if err := failed.judged(2); err != nil || j.all.total() != 3 {
			t.Errorf("%v, %d in all", err, j.all.total())
		}
		// An old object left over from a replacement goes with them.
		if err := failed.judged(3); !isRefused(err) {
			t.Errorf("it destroys more than was counted: %v", err)
		}
	})
}

// TestHangingShardWaitsLonger has a plan hang: it is tried again after a multiple of the
// time that the worker did nothing else.
func TestHangingShardWaitsLonger(t *testing.T) {
	for name, c := range map[string]struct {
		err  error
		want time.Duration
	}{
		"it hung":   {fmt.Errorf("plan: %w", errLate), 12 * time.Minute},
		"it failed": {errors.New("no route"), retryMin},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := quietLeader(map[string]int{"pod-1": 0, "pod-2": 1}, 2)
				l.Service.Members = policy.MembersConsul
				l.partFailed(&part{shard: 1, result: result{err: c.err, took: 3 * time.Minute}})
				if wait := l.shards.stuck[1].retry.Sub(l.Now()); wait != c.want {
					t.Errorf("tried again in %s, want %s", wait, c.want)
				}
				if !l.prepared || l.held["pod-2"].Shard != 1 {
					t.Errorf("prepared %t, held %v", l.prepared, l.held)
				}
			})
		})
	}
}
