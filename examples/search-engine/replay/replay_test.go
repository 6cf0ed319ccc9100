package replay

import (
	"context"
	"math"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestRead(t *testing.T) {
	cases := map[string]struct {
		text string
		want Trace
		err  string
	}{
		"names and times":  {"timestamp,value\n2014-04-10 00:04:00,94.0\n2014-04-10 00:09:00,56.0\n", Trace{5 * time.Minute, []float64{94, 56}}, ""},
		"seconds":          {"0,42\n60,62\n120,0\n", Trace{time.Minute, []float64{42, 62, 0}}, ""},
		"with a zone":      {"2014-04-10T00:00:00Z,1\n2014-04-10T00:00:01Z,2\n", Trace{time.Second, []float64{1, 2}}, ""},
		"one line":         {"0,42\n", Trace{}, "it takes two lines at least"},
		"nothing":          {"", Trace{}, "it takes two lines at least"},
		"no count":         {"0,1\n1,many\n", Trace{}, "line 2"},
		"no time":          {"0,1\nsoon,1\n", Trace{}, `line 2: "soon" is neither a time nor a number of seconds`},
		"a negative count": {"0,1\n1,-1\n", Trace{}, "no count of requests"},
		"not a number":     {"0,1\n1,NaN\n", Trace{}, "no count of requests"},
		"backwards":        {"1,1\n0,1\n", Trace{}, "later than the first"},
		"three columns":    {"0,1,2\n1,1,2\n", Trace{}, "wrong number of fields"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			got, err := Read(strings.NewReader(c.text))
			if c.err != "" {
				if err == nil || !strings.Contains(err.Error(), c.err) {
					t.Errorf("error %v, want %q", err, c.err)
				}
				return
			}
			if diff := cmp.Diff(c.want, got); err != nil || diff != "" {
				t.Errorf("%v (-want +got):\n%s", err, diff)
			}
		})
	}
}

func FuzzRead(f *testing.F) {
	f.Add("timestamp,value\n2014-04-10 00:04:00,94.0\n2014-04-10 00:09:00,56.0\n")
	f.Add("0,1\n1e9,2\n")
	f.Fuzz(func(t *testing.T, text string) {
		trace, err := Read(strings.NewReader(text))
		if err == nil && (trace.Interval <= 0 || len(trace.Counts) < 2) {
			t.Errorf("%+v", trace)
		}
	})
}

func TestDefault(t *testing.T) {
	trace, err := Default()
	if err != nil || trace.Interval != 5*time.Minute || len(trace.Counts) != 288 {
		t.Fatalf("%s, %d, %v", trace.Interval, len(trace.Counts), err)
	}
	if part := trace.Part(time.Hour, 3*time.Hour); len(part.Counts) != 24 || part.Counts[0] != trace.Counts[12] {
		t.Errorf("two hours are %d intervals", len(part.Counts))
	}
	if part := trace.Part(23*time.Hour, 100*time.Hour); len(part.Counts) != 12 {
		t.Errorf("the last hour is %d intervals", len(part.Counts))
	}
	if part := trace.Part(100*time.Hour, time.Hour); len(part.Counts) != 0 {
		t.Errorf("nothing is %d intervals", len(part.Counts))
	}
}

// What is due follows the trace, in its speed and at the rate asked for.
func TestSchedule(t *testing.T) {
	trace := Trace{Interval: time.Minute, Counts: []float64{0, 1, 3, 0}}
	random := rand.New(rand.NewPCG(1, 2))
	got := make([]int, len(trace.Counts))
	last := time.Duration(0)
	for due := range trace.schedule(6, 1000, random.ExpFloat64) {
		if due < last {
			t.Fatalf("%s after %s", due, last)
		}
		last = due
		got[due/(10*time.Second)]++
	}
	for i, want := range []float64{0, 10000, 30000, 0} {
		if math.Abs(float64(got[i])-want) > 4*math.Sqrt(want) {
			t.Errorf("interval %d has %d queries, want about %.0f", i, got[i], want)
		}
	}
}

// A server that answers late, or not at all, is asked all the same.
func TestReplay(t *testing.T) {
	var asked atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/search" || r.URL.Query().Get("q") != "a b" {
			t.Errorf("asked for %s", r.URL)
		}
		switch asked.Add(1) % 4 {
		case 0:
			w.WriteHeader(http.StatusServiceUnavailable)
		case 1:
			<-r.Context().Done()
		}
	}))
	defer server.Close()
	var tally Tally
	clients := Clients{
		URL: server.URL, Trace: Trace{Interval: time.Second, Counts: []float64{1, 1}}, Speed: 4, Rate: 400,
		Queries: []string{"a b"}, InTime: time.Minute, Patience: 2 * time.Second, Seed: 3,
	}
	if err := clients.Replay(t.Context(), &tally); err != nil {
		t.Fatal(err)
	}
	sum := tally.Sum()
	n := int(asked.Load())
	if sum.Queries != n || n < 150 || n > 250 || sum.Errors < 2*n/5 || sum.Errors > 3*n/5 {
		t.Errorf("%d were asked: %s\n%s", n, sum, strings.Join(sum.Why, "\n"))
	}
	if half := sum.InTime; half < 0.4 || half > 0.6 {
		t.Errorf("in time: %v", half)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := clients.Replay(ctx, &tally); err != nil || tally.Sum().Queries != n {
		t.Errorf("after the end: %v, %s", err, tally.Sum())
	}
}

func TestReplayRefusesNonsense(t *testing.T) {
	good := Clients{URL: "http://127.0.0.1:1", Trace: Trace{time.Second, []float64{1}}, Speed: 1, Rate: 1}
	for name, spoil := range map[string]func(*Clients){
		"URL":   func(c *Clients) { c.URL = "nowhere" },
		"trace": func(c *Clients) { c.Trace.Counts = []float64{0, 0} },
		"none":  func(c *Clients) { c.Trace.Counts = nil },
		"speed": func(c *Clients) { c.Speed = 0 },
		"rate":  func(c *Clients) { c.Rate = -1 },
	} {
		bad := good
		spoil(&bad)
		if err := bad.Replay(t.Context(), &Tally{}); err == nil {
			t.Errorf("%s: it was replayed", name)
		}
	}
}
