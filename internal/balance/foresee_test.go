package balance

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

// outlooks gives a Foresight one sum a beat and returns what it says last.
func outlooks(f *Foresight, ordered int, sums ...float64) Foreseen {
	at := time.Unix(1_000_000_000, 0)
	var next Foreseen
	for _, x := range sums {
		at = at.Add(5 * time.Second)
		next = f.See(Config{}, Outlook{At: at, Exact: x, Ordered: ordered, Desired: ordered, Most: 20, Foretells: true})
	}
	return next
}

// line is n sums from one to another.
func line(n int, from, to float64) []float64 {
	sums := make([]float64, n)
	for i := range sums {
		sums[i] = from + (to-from)*float64(i)/float64(n-1)
	}
	return sums
}

func TestForesight(t *testing.T) {
	tests := []struct {
		name    string
		ordered int
		sums    []float64
		want    int
	}{
		{"far below", 3, line(24, 2, 2), 0},
		{"near the edge", 3, line(24, 2.9, 2.9), 4},
		{"rising towards it", 3, line(24, 1, 2.5), 4},
		{"rising by more than a cell while a plan is made", 3, line(24, 0, 3.1), 4},
		{"falling from the edge", 3, line(24, 3.2, 2), 0},
		{"just begun", 3, line(3, 1, 2.4), 0},
		{"beyond the cap", 19, line(24, 0, 25), 20},
		{"a rise of two of ten is worth no order yet", 10, line(24, 10.7, 10.7), 0},
		{"and soon is", 10, line(24, 10.8, 10.8), 12},
		{"and is by far", 10, line(24, 12, 13), 13},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var f Foresight
			if got := outlooks(&f, tt.ordered, tt.sums...); got.Count != tt.want {
				t.Errorf("foreseen %d (%s), want %d", got.Count, got, tt.want)
			}
		})
	}
}

// A rise of the forecast that is too small for an order waits until the load itself
// needs it: then the order is for all that the sum says by that time.
func TestForesightOfTheLoadItself(t *testing.T) {
	tests := []struct {
		name     string
		sum, now []float64
		want     int
	}{
		{"far below", line(24, 20.5, 20.5), line(24, 17, 17), 0},
		{"near the edge", line(24, 20.5, 20.5), line(24, 19.9, 19.9), 21},
		{"rising towards it", line(24, 20.8, 21.5), line(24, 18.6, 19.8), 22},
		{"the sum comes there first", line(24, 21.5, 22.5), line(24, 17, 17), 23},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var f Foresight
			var next Foreseen
			at := time.Unix(1_000_000_000, 0)
			for i, sum := range tt.sum {
				at = at.Add(5 * time.Second)
				next = f.See(Config{}, Outlook{At: at, Exact: sum, Now: tt.now[i], Ordered: 20, Desired: 20, Most: 40, Foretells: true})
			}
			if next.Count != tt.want {
				t.Errorf("foreseen %d (%s), want %d", next.Count, next, tt.want)
			}
		})
	}
}

// What a decision doesn't found on the sum foretells nothing, and a gap begins the
// line anew.
func TestForesightForgets(t *testing.T) {
	var f Foresight
	if next := outlooks(&f, 3, line(24, 1, 2.5)...); next.Count != 4 {
		t.Fatalf("foreseen %d, want 4", next.Count)
	}
	at := f.at.Add(5 * time.Second)
	blind := Outlook{At: at, Exact: 2.9, Ordered: 3, Desired: 3, Most: 20}
	if next := f.See(Config{}, blind); next.Count != 0 || len(f.sum) != 24 {
		t.Errorf("foreseen %+v from a decision that foretells nothing; kept %v", next, f.sum)
	}
	late := Outlook{At: f.at.Add(time.Hour), Exact: 2.4, Ordered: 3, Desired: 3, Most: 20, Foretells: true}
	if next := f.See(Config{}, late); next.Count != 0 || len(f.sum) != 1 {
		t.Errorf("foreseen %+v after an hour's gap; kept %v", next, f.sum)
	}
	placed := Outlook{At: f.at.Add(5 * time.Second), Exact: 3.4, Ordered: 3, Desired: 4, Most: 20, Foretells: true}
	if next := f.See(Config{}, placed); next.Count != 0 {
		t.Errorf("foreseen %+v in the beat of the order itself", next)
	}
}

// A decision and a runner's last beat tell the same.
func TestOutlookOfDecisionAndRunner(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cfg := anyConfig().Draw(t, "config")
		r := NewRunner(cfg, State{})
		at := time.Unix(1_000_000_000, 0)
		for range rapid.IntRange(1, 8).Draw(t, "beats") {
			at = at.Add(5 * time.Second)
			d := r.Decide(anyObservation(t, at))
			if got, want := d.Outlook(), r.Outlook(); got.Foretells != want.Foretells || want.Foretells && got != want {
				t.Fatalf("the decision says %+v, the runner %+v", got, want)
			}
		}
	})
}

// What is foreseen is always more than is ordered, and never more than makes sense.
func TestForesightStaysWithinBounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var f Foresight
		at := time.Unix(1_000_000_000, 0)
		for range rapid.IntRange(1, 60).Draw(t, "beats") {
			at = at.Add(time.Duration(rapid.IntRange(-10, 300).Draw(t, "later")) * time.Second)
			o := Outlook{
				At: at, Exact: rapid.Float64Range(0, 60).Draw(t, "sum"), Now: rapid.Float64Range(0, 60).Draw(t, "now"), Ordered: rapid.IntRange(0, 60).Draw(t, "ordered"),
				Most: rapid.IntRange(0, 60).Draw(t, "most"), Foretells: rapid.IntRange(0, 9).Draw(t, "blind") > 0,
			}
			o.Desired = o.Ordered
			if next := f.See(Config{}, o); next.Count != 0 && (next.Count <= o.Ordered || next.Count > o.Most) {
				t.Fatalf("foreseen %d of %+v", next.Count, o)
			}
		}
	})
}

func TestPace(t *testing.T) {
	p := Pace{Least: 30 * time.Second, Most: 4 * time.Minute}
	now := time.Unix(1_000_000_000, 0)
	for i, want := range []time.Duration{30 * time.Second, time.Minute, 2 * time.Minute, 4 * time.Minute, 4 * time.Minute} {
		if !p.May(now) {
			t.Fatalf("%d: not ready after its pause", i)
		}
		p.Began(now)
		p.Wasted()
		if p.May(now.Add(want - time.Second)) {
			t.Errorf("%d: ready before %s", i, want)
		}
		now = now.Add(want)
	}
	p.Began(now)
	p.Used()
	if !p.May(now) {
		t.Error("one of use doesn't make it ready")
	}
	p.Began(now)
	if p.May(now.Add(29*time.Second)) || !p.May(now.Add(30*time.Second)) {
		t.Error("one of use doesn't make the pause the shortest")
	}
}
