package loop

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/act"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/balance"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/guard"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/policy"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/testkit"
)

// farRoot is the root module of far.
func farRoot(t *testing.T, terraform string) *act.Root {
	t.Helper()
	return rootOf(t, terraform, farModule)
}

// rootOf is a root module of one file.
func rootOf(t *testing.T, terraform, module string) *act.Root {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "main.tf"), []byte(module), 0o644); err != nil {
		t.Fatal(err)
	}
	environ := slices.DeleteFunc(os.Environ(), func(line string) bool { return strings.HasPrefix(line, "TF_") })
	root, err := act.Open(act.Config{
		Dir: dir, DataDir: filepath.Join(t.TempDir(), "data"), Variable: "desired_count", Binary: terraform, Environ: append(environ, "CHECKPOINT_DISABLE=1"),
	})
	if err != nil {
		t.Fatal(err)
	}
	return root
}

// far is a leader of a root module with named cells, without Consul: what it sees,
// and what it foresees, is the test's.
type far struct {
	*Leader
	t   *testing.T
	now time.Time
	v   view
	w   wish
}

const farModule = `
variable "desired_count" { type = number }
variable "cell_names" { type = list(string) }
resource "terraform_data" "cell" {
  for_each = toset(var.cell_names)
}
`

// newFar has two cells, whose shape was learned.
func newFar(t *testing.T) *far {
	t.Helper()
	if testing.Short() {
		t.Skip("runs Terraform")
	}
	root := farRoot(t, testkit.Terraform(t))
	s := &policy.Service{
		Name: "pod", Min: 1, Max: 9, Beat: 5 * time.Second,
		PlanAhead: policy.PlanAhead{Enabled: true, MaxAge: 5 * time.Minute, Pause: 30 * time.Second, PauseMax: 4 * time.Minute},
	}
	f := &far{t: t, now: time.Now()}
	f.Leader = NewLeader(LeaderConfig{
		Service: s, Metrics: NewMetrics(prometheus.NewRegistry(), time.Now), Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
		Now: func() time.Time { return f.now }, Holder: fleet.Holder{Host: "here"},
	}, nil)
	f.Root, f.prepared = root, true
	f.record = fleet.Record{Count: 2, Names: []string{"pod-1", "pod-2"}, Next: 3}
	f.held = map[string]heldCell{"pod-1": {}, "pod-2": {}}
	f.v = view{leaving: map[string]fleet.Leaving{}}
	f.w = wish{Desired: 2, Decided: 2, Held: 2, Max: 9, Births: 9, Destroys: 9}
	f.stand(f.desired())
	t.Cleanup(f.endAhead)
	return f
}

// stand makes the cells that there are, and learns what an order changes.
func (f *far) stand(d act.Desired) {
	f.t.Helper()
	if err := f.Root.Init(f.t.Context()); err != nil {
		f.t.Fatal(err)
	}
	shape, err := f.Root.Learn(f.t.Context(), act.Desired{Names: []string{}})
	if err != nil {
		f.t.Fatal(err)
	}
	plan, err := f.Root.Plan(f.t.Context(), d, guard.Order{Add: d.Keys()}, shape)
	if err == nil {
		err = plan.Apply(f.t.Context(), nil)
	}
	if err == nil {
		f.shape, err = f.Root.Learn(f.t.Context(), d)
	}
	if err != nil {
		f.t.Fatal(err)
	}
}

// beat is one in which nothing is ordered, and the law is about to want n cells; 0
// for no order.
func (f *far) beat(n int) {
	f.t.Helper()
	f.fore.next = balance.Foreseen{Count: n}
	f.planAhead(f.t.Context(), f.v, f.w, "")
}

// ready waits for the plan ahead that is being made.
func (f *far) ready() *ahead {
	f.t.Helper()
	a := f.fore.plan
	if a == nil {
		f.t.Fatal("nothing is planned ahead")
	}
	a.wait()
	return a
}

func (f *far) fates(want map[string]float64) {
	f.t.Helper()
	for fate, n := range want {
		if got := testutil.ToFloat64(f.Metrics.plansAhead.WithLabelValues("pod", fate)); got != n {
			f.t.Errorf("%g plans ahead %s, want %g", got, fate, n)
		}
	}
}

// order places the order for these cells as far as the worker sees it.
func (f *far) order(names ...string) *carry {
	f.t.Helper()
	f.record.Names, f.record.Count = names, len(names)
	c := &carry{leader: f.Leader, desired: f.desired(), order: f.pending(), shape: f.shape}
	c.ahead = f.takeAhead(c.order)
	return c
}

func (f *far) plans() (found []string) {
	f.t.Helper()
	found, err := filepath.Glob(filepath.Join(f.Root.DataDir(), "plan-*"))
	if err != nil {
		f.t.Fatal(err)
	}
	return found
}

func TestOrderForeseenIsPlanned(t *testing.T) {
	f := newFar(t)
	f.beat(0)
	if f.fore.plan != nil {
		t.Fatal("planned ahead for nothing")
	}
	f.beat(3)
	a := f.ready()
	if a.err != nil || !strings.Contains(a.says(), "3 cells (1 more)") {
		t.Fatalf("%v, %q", a.err, a.says())
	}
	f.beat(3) // the same again: it stays
	f.beat(0) // and so it does while nothing is foreseen for a moment
	if f.fore.plan != a {
		t.Error("the plan was thrown away")
	}
	if reason := f.plannedAhead(step{Names: []string{"pod-1", "pod-2", "pod-3"}}, "load"); reason != "load (planned ahead)" {
		t.Errorf("reason %q", reason)
	}
	c, r := f.order("pod-1", "pod-2", "pod-3"), result{}
	plan := c.claim(&r)
	if plan == nil || r.ahead != aheadUsed || c.ahead != nil {
		t.Fatalf("the order has no plan: %q", r.ahead)
	}
	if err := plan.Apply(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	f.landedAhead(r)
	f.fates(map[string]float64{aheadUsed: 1, aheadOther: 0})
	if got := testutil.ToFloat64(f.Metrics.ordersPlanned.WithLabelValues("pod", "ahead")); got != 1 {
		t.Errorf("%g orders planned ahead", got)
	}
	if cpu := testutil.ToFloat64(f.Metrics.aheadOf.WithLabelValues("pod")); cpu <= 0 {
		t.Errorf("planning cost %g s", cpu)
	}
	if left := f.plans(); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

// Cells that drain are foreseen to leave.
func TestRemovalOfThoseThatDrainIsPlanned(t *testing.T) {
	f := newFar(t)
	f.v.leaving["pod-2"] = fleet.Leaving{Cell: "pod-2"}
	f.w.Desired, f.w.Leaving = 1, []string{"pod-2"}
	f.beat(0)
	if a := f.ready(); a.err != nil || !slices.Equal(a.names, []string{"pod-1"}) {
		t.Fatalf("%v, %v", a.err, a.names)
	}
	c, r := f.order("pod-1"), result{}
	if plan := c.claim(&r); plan == nil {
		t.Fatalf("the removal has no plan: %q", r.ahead)
	} else if err := plan.Apply(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
}

// A cell that is taken back has its removal planned for nothing.
func TestRemovalTakenBackIsThrownAway(t *testing.T) {
	f := newFar(t)
	f.v.leaving["pod-2"] = fleet.Leaving{Cell: "pod-2"}
	f.w.Desired, f.w.Leaving = 1, []string{"pod-2"}
	f.beat(0)
	f.ready()
	delete(f.v.leaving, "pod-2")
	f.w.Desired, f.w.Leaving = 2, nil
	f.beat(0)
	f.fates(map[string]float64{aheadOther: 1})
	if left := f.plans(); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

func TestPlanAheadIsThrownAway(t *testing.T) {
	pin := fleet.Pin{Count: 5}
	tests := []struct {
		name, fate string
		then       func(f *far)
	}{
		{"too old", aheadOld, func(f *far) { f.now = f.now.Add(6 * time.Minute); f.foresee(f.v) }},
		{"paused", aheadRest, func(f *far) { f.v.paused = "by somebody"; f.foresee(f.v) }},
		{"pinned", aheadRest, func(f *far) { f.v.pin = &pin; f.foresee(f.v) }},
		{"another order is likely", aheadOther, func(f *far) { f.beat(5) }},
		{"something is in the way", aheadRest, func(f *far) { f.planAhead(f.t.Context(), f.v, f.w, "births wait") }},
		{"a cell is dead", aheadRest, func(f *far) { f.w.Dead = []string{"pod-2"}; f.beat(3) }},
		{"somebody else's change", aheadRest, func(f *far) { f.drift = append(f.drift, f.drift...); f.debt.due = true; f.beat(3) }},
		{"the module was edited", act.MovedModule, func(f *far) {
			path := filepath.Join(f.Root.Module().Dir, "main.tf")
			if err := os.WriteFile(path, []byte(farModule+"# more\n"), 0o644); err != nil {
				f.t.Fatal(err)
			}
			f.beat(3)
		}},
		{"the worker begins something else", aheadRest, func(f *far) {
			f.start(f.t.Context(), "something", func(context.Context) result { return result{} })
			<-f.results
		}},
		{"another order is placed", aheadOther, func(f *far) {
			if c := f.order("pod-1", "pod-2", "pod-3", "pod-4"); c.ahead != nil {
				f.t.Error("the order got another's plan")
			}
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := newFar(t)
			f.beat(3)
			if a := f.ready(); a.err != nil {
				t.Fatal(a.err)
			}
			tt.then(f)
			f.endAhead()
			f.fates(map[string]float64{tt.fate: 1, aheadUsed: 0})
			if left := f.plans(); len(left) > 0 {
				t.Errorf("left: %v", left)
			}
		})
	}
}

// Each plan that was of no use makes the pause to the next longer, and one that was
// makes it short again.
func TestPlansAheadKeepTheirPace(t *testing.T) {
	f := newFar(t)
	f.beat(3)
	f.ready()
	f.beat(4) // thrown away; 30 s to the next
	if f.fore.plan != nil {
		t.Fatal("begun at once after one that was of no use")
	}
	f.now = f.now.Add(30 * time.Second)
	f.beat(4)
	f.ready()
	f.beat(3) // a minute
	f.now = f.now.Add(59 * time.Second)
	if f.beat(3); f.fore.plan != nil {
		t.Fatal("begun before its pause was over")
	}
	f.now = f.now.Add(time.Second)
	f.beat(3)
	f.ready()
	c, r := f.order("pod-1", "pod-2", "pod-3"), result{}
	if plan := c.claim(&r); plan == nil {
		t.Fatal(r.ahead)
	} else if err := plan.Discard(); err != nil {
		t.Fatal(err)
	}
	f.landedAhead(r)
	if !f.fore.pace.May(f.now) {
		t.Error("one of use doesn't make the next possible at once")
	}
}

// An order for another count doesn't wait for the plan ahead that is being made, and
// one for the same does.
func TestOrderWhilePlanningAhead(t *testing.T) {
	f := newFar(t)
	f.beat(3)
	if c := f.order("pod-1", "pod-2", "pod-3", "pod-4"); c.ahead != nil {
		t.Error("the order got another's plan")
	}
	f.fates(map[string]float64{aheadInterrupted: 1})
	f.endAhead()
	f.record.Names, f.record.Count = []string{"pod-1", "pod-2"}, 2
	f.now = f.now.Add(time.Hour)
	f.beat(3)
	c, r := f.order("pod-1", "pod-2", "pod-3"), result{}
	plan := c.claim(&r)
	if plan == nil {
		t.Fatalf("the plan that was being made isn't taken: %q", r.ahead)
	}
	if err := plan.Discard(); err != nil {
		t.Fatal(err)
	}
}

func TestNothingIsPlannedAhead(t *testing.T) {
	tests := []struct {
		name   string
		change func(f *far)
	}{
		{"", func(*far) {}}, // nothing is in the way: what the others are held against
		{"where the policy turns it off", func(f *far) { f.Service.PlanAhead.Enabled = false }},
		{"while it isn't known what an order changes", func(f *far) { f.shape.Patterns = nil }},
		{"while cells are renewed", func(f *far) { f.w.Surge = 1 }},
		{"while a refresh has missed cells", func(f *far) { f.unlisted.gone = []string{"pod-1"} }},
		{"for the leader's own cell", func(f *far) {
			f.Holder = fleet.Holder{Service: "pod", Cell: "pod-2"}
			f.v.leaving["pod-2"] = fleet.Leaving{Cell: "pod-2"}
			f.w.Desired, f.w.Leaving = 1, []string{"pod-2"}
		}},
		{"while births wait", func(f *far) { f.w.Births = 0 }},
		{"at the most cells there may be", func(f *far) { f.w.Max = 2 }},
	}
	f := newFar(t)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			g := &far{t: t, now: f.now, v: view{leaving: map[string]fleet.Leaving{}}, w: f.w}
			service := *f.Service
			g.Leader = NewLeader(f.LeaderConfig, nil)
			g.Service, g.Root, g.shape, g.held, g.record = &service, f.Root, f.shape, f.held, f.record
			tt.change(g)
			g.beat(3)
			if planned := g.fore.plan != nil; planned != (tt.name == "") {
				t.Errorf("planned ahead: %v", planned)
			}
			g.endAhead()
		})
	}
}
