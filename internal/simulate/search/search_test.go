package search

import (
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/policy"
)

// bowl has its frontier along a line: the first knob trades, the second is best at
// 2, and away from it everything is worse.
func bowl(choices [][]int) ([]Point, error) {
	var points []Point
	for _, at := range choices {
		off := math.Abs(float64(at[1] - 2))
		points = append(points, Point{At: at, Slow: float64(10-at[0]) + off, Cost: float64(at[0]) + off})
	}
	return points, nil
}

// all allows every choice.
func all([]int) bool { return true }

func TestRunFindsTheFrontier(t *testing.T) {
	o, err := Run([]int{6, 5}, []int{3, 4}, 1000, all, bowl)
	if err != nil {
		t.Fatal(err)
	}
	if !o.Complete || len(o.Frontier) != 6 || !slices.Equal(o.Start.At, []int{3, 4}) {
		t.Fatalf("%+v", o)
	}
	for i, p := range o.Frontier {
		if p.At[0] != i || p.At[1] != 2 {
			t.Errorf("point %d is %v", i, p.At)
		}
	}
}

func TestRunKeepsItsBound(t *testing.T) {
	tried := 0
	o, err := Run([]int{6, 5}, []int{3, 4}, 7, all, func(c [][]int) ([]Point, error) { tried += len(c); return bowl(c) })
	if err != nil || tried != 7 || len(o.Tried) != 7 || o.Complete {
		t.Errorf("%d tried, %+v, %v", tried, o, err)
	}
	if _, err := Run([]int{6, 5}, []int{3, 4}, 7, all, func([][]int) ([]Point, error) { return nil, errors.New("no") }); err == nil {
		t.Error("an error is lost")
	}
	if _, err := Run([]int{6, 5}, []int{3, 4}, 7, all, func([][]int) ([]Point, error) { return nil, nil }); err == nil {
		t.Error("a point is lost")
	}
}

// What may not go together is neither tried nor found, and ends nothing.
func TestRunPassesOverWhatIsNotAllowed(t *testing.T) {
	allowed := func(at []int) bool { return at[0]+at[1] >= 4 }
	o, err := Run([]int{6, 5}, []int{3, 4}, 1000, allowed, bowl)
	if err != nil || !o.Complete {
		t.Fatalf("%+v, %v", o, err)
	}
	for _, p := range o.Tried {
		if !allowed(p.At) {
			t.Errorf("tried %v", p.At)
		}
	}
	if first := o.Frontier[0].At; !slices.Equal(first, []int{2, 2}) {
		t.Errorf("the cheapest of those allowed is said to be %v", first)
	}
}

func TestFrontier(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		small := rapid.IntRange(0, 5)
		points := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Point {
			return Point{Slow: float64(small.Draw(t, "slow")), Cost: float64(small.Draw(t, "cost"))}
		}), 1, 20).Draw(t, "points")
		front := Frontier(points)
		if len(front) == 0 {
			t.Fatal("no point is best")
		}
		for i, p := range front {
			if i > 0 && !(p.Cost > front[i-1].Cost && p.Slow < front[i-1].Slow) {
				t.Errorf("%v after %v", p, front[i-1])
			}
		}
		for _, p := range points {
			covered := slices.ContainsFunc(front, func(q Point) bool { return q.Slow <= p.Slow && q.Cost <= p.Cost })
			if !covered {
				t.Errorf("nothing on the frontier is as good as %v", p)
			}
		}
	})
}

// What was found on one noise and isn't better on another is left out; the first
// point, with which the others are compared, never is.
func TestStanding(t *testing.T) {
	now := Point{At: []int{1}, Slow: 2, Cost: 3}
	better, lucky, cheap := Point{At: []int{2}, Slow: 1, Cost: 2}, Point{At: []int{3}, Slow: 4, Cost: 2.5}, Point{At: []int{0}, Slow: 9, Cost: 1}
	var at [][]int
	for _, p := range Standing([]Point{now, better, lucky, cheap}) {
		at = append(at, p.At)
	}
	if want := [][]int{{0}, {2}, {1}}; !slices.EqualFunc(at, want, slices.Equal) {
		t.Errorf("%v stand, want %v", at, want)
	}
}

func service(t *testing.T) *policy.Service {
	p, diags := policy.Parse("x.hcl", []byte("service \"pod\" {\n min = 2\n max = 9\n terraform { dir = \"pod\" }\n law { price = 0.97 }\n}\n"))
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	return p.Services[0]
}

func TestParseKnobs(t *testing.T) {
	s := service(t)
	knobs, err := ParseKnobs("price, min=1:4, half_life", s)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(knobs[0].Levels, []float64{0.802, 0.89, 0.942, 0.958, 0.97, 0.979, 0.985, 0.992, 0.996}) || knobs[0].Start != 4 {
		t.Errorf("price: %v, from %d", knobs[0].Levels, knobs[0].Start)
	}
	if !slices.Equal(knobs[1].Levels, []float64{1, 2, 4}) || knobs[1].Start != 1 {
		t.Errorf("min: %v, from %d", knobs[1].Levels, knobs[1].Start)
	}
	changed, err := Apply(s, knobs, []int{0, 2, knobs[2].Start})
	if err != nil || changed.Law.Price != 0.802 || changed.Min != 4 || s.Min != 2 {
		t.Errorf("%+v, %v", changed, err)
	}
	if got := Say(knobs, []int{0, 2, knobs[2].Start}); got != "law.price = 0.802, min = 4" {
		t.Errorf("said as %q", got)
	}
	if got := Say(knobs, []int{4, 1, knobs[2].Start}); got != "as the policy is" {
		t.Errorf("said as %q", got)
	}
	bounds, err := ParseKnobs("min=1:8,max=4", s)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Apply(s, bounds, []int{2, 0}); err == nil || !strings.Contains(err.Error(), "min is 8, above max, which is 4") {
		t.Errorf("8 to 4 cells: %v", err)
	}
	for text, want := range map[string]string{
		"prize":         `no number of a service is called "prize"; did you mean "law.price"? (docs/policy.md has their names)`,
		"colour":        `no number of a service is called "colour" (docs/policy.md has their names)`,
		"price,price":   "law.price is named twice",
		"min=12":        "min is 12, above max, which is 9",
		"min=x":         `min: "x" is no whole number`,
		"latency.upper": "has no block for latency.upper",
	} {
		if _, err := ParseKnobs(text, s); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}
