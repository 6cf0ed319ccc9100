package pairing

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/reading"
)

func room(v float64) reading.Reading { return reading.Of(v, time.Time{}) }

func TestChoose(t *testing.T) {
	away := reading.Unknown("no answer")
	for _, c := range []struct {
		name string
		all  []Candidate
		want string
	}{
		{"the most room", []Candidate{{Name: "a", Room: room(0.3)}, {Name: "b", Room: room(0.6), Pairs: 9}}, "b"},
		{"the young have not taken their part yet", []Candidate{{Name: "a", Room: room(0.4)}, {Name: "b", Room: room(0.6), Young: 1}}, "a"},
		{"of equals the fewest pairs", []Candidate{{Name: "a", Room: room(0.5), Pairs: 2}, {Name: "b", Room: room(0.5), Pairs: 1}}, "b"},
		{"then the name", []Candidate{{Name: "b", Room: room(0.5)}, {Name: "a", Room: room(0.5)}}, "a"},
		{"little room before unknown", []Candidate{{Name: "a", Room: away}, {Name: "b", Room: room(0.01), Young: 9}}, "b"},
		{"unknown before none", []Candidate{{Name: "a", Room: room(0)}, {Name: "b", Room: away, Pairs: 9}}, "b"},
		{"one that is slow after one of which nothing is known", []Candidate{{Name: "a", Room: room(1), Spared: true}, {Name: "b", Room: away, Pairs: 9}}, "b"},
		{"a slow one before one without room", []Candidate{{Name: "a", Room: room(0)}, {Name: "b", Room: away, Spared: true}}, "b"},
		{"no room anywhere", []Candidate{{Name: "a", Room: room(0), Pairs: 3}, {Name: "b", Room: room(0), Pairs: 2}}, "b"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got, err := Choose(c.all); err != nil || got.Name != c.want {
				t.Errorf("%s (%v), want %s", got.Name, err, c.want)
			}
		})
	}
	if _, err := Choose(nil); !errors.Is(err, ErrNobody) {
		t.Errorf("of nobody: %v", err)
	}
}

// Cells born at once spread over the candidates in proportion to their room: no
// candidate gets one more where another's room, divided among its own and that
// one, would have been larger.
func TestNewcomersSpreadByRoom(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := make([]Candidate, rapid.IntRange(1, 6).Draw(t, "candidates"))
		for i := range all {
			all[i] = Candidate{Name: fmt.Sprint(i), Room: room(rapid.Float64Range(0.01, 1).Draw(t, "room"))}
		}
		for range rapid.IntRange(1, 60).Draw(t, "newcomers") {
			best, err := Choose(all)
			if err != nil {
				t.Fatal(err)
			}
			for i := range all {
				if all[i].Name == best.Name {
					all[i].Young++
				}
			}
		}
		for _, a := range all {
			for _, b := range all {
				if a.Young > 0 && a.Room.Value/float64(a.Young) < b.Room.Value/float64(b.Young+1)-1e-12 {
					t.Fatalf("%+v has one too many beside %+v", a, b)
				}
			}
		}
	})
}
