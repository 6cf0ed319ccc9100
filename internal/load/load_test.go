package load

import (
	"strings"
	"testing"
	"time"
)

func TestParse(t *testing.T) {
	full := Report{InFlight: 3, Limit: 20, Latency: 12500 * time.Microsecond, Hot: true, Crawlers: true}
	tests := []struct {
		name, text string
		want       Report
		err        string
	}{
		{name: "what String writes", text: full.String(), want: full},
		{name: "a newer version's", text: "limit=2 colour=blue in-flight=1", want: Report{InFlight: 1, Limit: 2}},
		{name: "nothing", err: "a limit above zero is needed"},
		{name: "no limit", text: "in-flight=3", err: "a limit above zero is needed"},
		{name: "negative", text: "in-flight=-3 limit=1", err: "nothing may be negative"},
		{name: "no number", text: "in-flight=many limit=1", err: `in-flight "many"`},
		{name: "too long", text: "limit=1 " + strings.Repeat("x", longest), err: "at most 256"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := Parse(test.text)
			if test.err == "" && err != nil || test.err != "" && (err == nil || !strings.Contains(err.Error(), test.err)) {
				t.Fatalf("error %v, want %q", err, test.err)
			}
			if got != test.want {
				t.Errorf("%+v, want %+v", got, test.want)
			}
		})
	}
}

func TestRoom(t *testing.T) {
	for want, r := range map[float64]Report{
		1: {Limit: 4}, 0.75: {InFlight: 1, Limit: 4}, 0: {InFlight: 5, Limit: 4},
	} {
		if got := r.Room(); got != want {
			t.Errorf("room of %v is %g, want %g", r, got, want)
		}
	}
	if got := (Report{}).Room(); got != 0 {
		t.Errorf("room of a report without a limit is %g", got)
	}
}

func FuzzParse(f *testing.F) {
	f.Add("in-flight=3 limit=20 latency=12ms hot=false crawlers=true")
	f.Add("limit=0x1")
	f.Fuzz(func(t *testing.T, text string) {
		r, err := Parse(text)
		if err != nil {
			return
		}
		if again, err := Parse(r.String()); err != nil || again != r {
			t.Errorf("%q: %+v, then %+v, %v", text, r, again, err)
		}
	})
}
