package loop

import (
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/guard"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/policy"
)

// A debt that can't be paid is tried more and more seldom, and holds up nothing.
func TestDebtPace(t *testing.T) {
	now := time.Unix(1000, 0)
	l := NewLeader(LeaderConfig{
		Service: &policy.Service{Name: "pod"}, Now: func() time.Time { return now },
		Log: slog.New(slog.DiscardHandler), Metrics: NewMetrics(prometheus.NewRegistry(), time.Now),
	}, nil)
	l.prepared = true
	l.owe(result{err: errors.New("the birth failed")})
	if l.debt.due {
		t.Error("something is due though nothing depends on the cells")
	}
	l.shape.Dependents = []guard.Dependent{{Address: "t.targets"}}
	for _, seconds := range []int{5, 10, 20, 40, 80, 160, 320, 640, 900, 900} {
		r := result{err: errors.New("somebody else's change")}
		l.owe(r)
		l.unpaid(r.err)
		if got := l.debt.retry.Sub(now); !l.debt.due || got != time.Duration(seconds)*time.Second {
			t.Errorf("tried again after %s, want %ds", got, seconds)
		}
	}
	if why := l.waiting(); why != "" || !l.prepared {
		t.Errorf("it holds up orders: %q, prepared %t", why, l.prepared)
	}
	l.owe(result{partial: true})
	if l.debt.failures == 0 {
		t.Error("an order that left the debt as it was began its pace anew")
	}
	// A plan that could pay a part isn't made again at once.
	l.landed(t.Context(), result{payment: true, partial: true})
	if got := l.debt.retry.Sub(now); !l.debt.due || got != payMax {
		t.Errorf("after a part was paid: tried again after %s", got)
	}
	l.owe(result{gone: []string{"pod-2"}})
	if !l.debt.due {
		t.Error("a cell that a refresh missed was forgotten")
	}
	l.owe(result{})
	if l.debt != (debt{}) {
		t.Errorf("after an apply of all: %+v", l.debt)
	}
}

// What was seen before a pause says nothing of what is there after it: a person
// may have made it anew meanwhile. What runs ends first.
func TestPauseForgets(t *testing.T) {
	l := NewLeader(LeaderConfig{Service: &policy.Service{Name: "pod"}, Now: time.Now, Log: slog.New(slog.DiscardHandler)}, nil)
	l.prepared, l.obstructed, l.gone, l.failed = true, true, []string{"pod-1"}, []string{"pod-2"}
	paused := view{paused: "all services are paused by ann", proven: true}
	l.mindPause(paused)
	if why := l.mayAct(paused); why != paused.paused || !l.prepared {
		t.Errorf("while it is paused: %q, prepared %t", why, l.prepared)
	}
	l.busy = "a plan"
	l.mindPause(view{proven: true})
	if why := l.mayAct(view{proven: true}); !strings.Contains(why, "read anew") || len(l.gone) == 0 {
		t.Errorf("while something runs: %q, gone %v", why, l.gone)
	}
	l.busy = ""
	l.mindPause(view{proven: true})
	if l.prepared || l.obstructed || len(l.gone)+len(l.failed) > 0 {
		t.Errorf("after it: prepared %t, obstructed %t, gone %v, failed %v", l.prepared, l.obstructed, l.gone, l.failed)
	}
	if why := l.mayAct(view{proven: true}); why == "" {
		t.Error("it acts on what it hasn't read anew")
	}
}
