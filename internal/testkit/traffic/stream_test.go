package traffic

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"math"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// A step of the rate comes when it should, however rare requests were before.
func TestArrivals(t *testing.T) {
	a := arrivals{random: rand.New(rand.NewPCG(1, 2)), rate: 0.001, then: []Change{
		{After: 10 * time.Second, Rate: 1000}, {After: 20 * time.Second, Rate: 100}, {After: 30 * time.Second},
	}}
	var counts [4]int
	for {
		at, ok := a.next()
		if !ok {
			break
		}
		counts[at/(10*time.Second)]++
	}
	for i, want := range []float64{0, 10000, 1000, 0} {
		if got := float64(counts[i]); math.Abs(got-want) > 5*math.Sqrt(want) {
			t.Errorf("in span %d %g are due, want about %g", i, got, want)
		}
	}
}

func TestRecord(t *testing.T) {
	r := newRecord("a", 10*time.Second, 4*time.Second)
	good := func(due, took time.Duration) {
		r.count(due, became{status: 200, sent: 1, took: took}, time.Second)
	}
	good(0, 30*time.Millisecond)
	good(time.Second, 10*time.Millisecond)
	good(9*time.Second, 20*time.Millisecond)
	r.count(5*time.Second, became{err: io.EOF, sent: 3, moved: true, took: time.Second}, time.Second)
	r.count(5*time.Second, became{status: 429, sent: 2}, time.Second)
	o := r.outcome()
	if o.Due != 5 || o.Sent != 8 || o.Moved != 1 || o.GivenUp != 1 || o.Over != 10*time.Second ||
		!maps.Equal(o.Answered, map[int]int{200: 3, 429: 1}) || o.Quantile(0.5) != 20*time.Millisecond {
		t.Errorf("all of it: %+v", o)
	}
	if len(o.Parts) != 3 || o.Parts[2].Over != 2*time.Second || o.Parts[1].Due != 2 || o.Parts[2].Due != 1 {
		t.Fatalf("its parts: %+v", o.Parts)
	}
	if first := o.Parts[0]; first.Good(10*time.Millisecond) != 1 || first.Share(10*time.Millisecond) != 0.5 || first.Within(time.Second) != 0.5 {
		t.Errorf("the first part: %+v", first)
	}
}

// servedBy is the address of a server that ends with the test.
func servedBy(t *testing.T, handle http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(handle)
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://")
}

// few sends some requests of a stream.
func few(t *testing.T, address string, s Stream) Outcome {
	t.Helper()
	s.Name, s.Rate, s.Path = "all", 50, "/"
	outcomes, err := Clients{Address: address, For: 400 * time.Millisecond, Connections: 50, Streams: []Stream{s}}.Send(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if outcomes[0].Due == 0 {
		t.Fatal("nothing was due")
	}
	return outcomes[0]
}

func TestFollow(t *testing.T) {
	sibling := servedBy(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.String() != "/there?moved" {
			w.WriteHeader(http.StatusNotFound)
		}
	})
	moving := servedBy(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://"+sibling+"/there?moved", http.StatusTemporaryRedirect)
	})
	if o := few(t, moving, Stream{Patience: 10 * time.Second, Follow: true}); o.Answered[200] != o.Due || o.Moved != o.Due || o.Sent != o.Due {
		t.Errorf("followed: %+v", o)
	}
	if o := few(t, moving, Stream{Patience: 10 * time.Second}); o.Answered[307] != o.Due || o.Moved != 0 {
		t.Errorf("not followed: %+v", o)
	}
	twice := servedBy(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://"+moving+"/", http.StatusTemporaryRedirect)
	})
	if o := few(t, twice, Stream{Patience: 10 * time.Second, Follow: true}); o.Answered[307] != o.Due {
		t.Errorf("redirected twice: %+v", o)
	}
	nowhere := servedBy(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTemporaryRedirect) })
	if o := few(t, nowhere, Stream{Patience: 10 * time.Second, Follow: true}); o.Failed != o.Due {
		t.Errorf("redirected to nowhere: %+v", o)
	}
}

func TestRetries(t *testing.T) {
	var (
		mu sync.Mutex
		n  int
	)
	third := servedBy(t, func(w http.ResponseWriter, _ *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if n++; n == 1 {
			w.WriteHeader(http.StatusTooManyRequests)
		} else if n == 2 {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	retries := Retries{Most: 2, Wait: time.Millisecond}
	if o := few(t, third, Stream{Patience: 10 * time.Second, Retries: retries}); o.Answered[200] != o.Due || o.Sent != o.Due+2 {
		t.Errorf("the third time: %+v", o)
	}
	never := servedBy(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) })
	if o := few(t, never, Stream{Patience: 10 * time.Second, Retries: retries}); o.Answered[502] != o.Due || o.Sent != 3*o.Due {
		t.Errorf("never: %+v", o)
	}
	slow := servedBy(t, func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-r.Context().Done():
		case <-time.After(time.Minute):
		}
	})
	retries.Timeout = 20 * time.Millisecond
	if o := few(t, slow, Stream{Patience: 10 * time.Second, Retries: retries}); o.Failed != o.Due || o.Sent != 3*o.Due {
		t.Errorf("too slow each time: %+v", o)
	}
	retries.Wait = time.Minute
	if o := few(t, never, Stream{Patience: 50 * time.Millisecond, Retries: retries}); o.GivenUp != o.Due {
		t.Errorf("no patience for a retry: %+v", o)
	}
}

// Each request that the application serves becomes a message, which is sent until
// it is acknowledged.
func TestMessages(t *testing.T) {
	var (
		mu    sync.Mutex
		taken = map[string]int{}
	)
	beside := servedBy(t, func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		id := r.Header.Get("Homeostat-Message-Id")
		if taken[id]++; taken[id] == 1 {
			w.WriteHeader(http.StatusTooManyRequests)
			return
		}
		w.WriteHeader(http.StatusAccepted)
	})
	listener, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // loopback
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	messages := Messages{Sidecar: "http://" + beside, Topic: "pages", Name: "api-1", Length: 10, Log: &log}
	stopMessages := messages.Start(t.Context())
	serving, stop := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- Application{Served: messages.Put}.Serve(serving, listener) }()
	o := few(t, listener.Addr().String(), Stream{Patience: 10 * time.Second})
	stop()
	if err := <-served; err != nil {
		t.Error(err)
	}
	if err := stopMessages(); err != nil {
		t.Error(err)
	}
	lines := strings.Split(strings.TrimSpace(log.String()), "\n")
	if last := fmt.Sprint("last ", o.Due); len(taken) != o.Due || len(lines) != o.Due+1 || lines[o.Due] != last {
		t.Errorf("%d requests, %d messages, %d lines of which the last is %q", o.Due, len(taken), len(lines), lines[len(lines)-1])
	}
	for id, n := range taken {
		if n != 2 || !strings.HasPrefix(id, "api-1-") || !strings.Contains(log.String(), id+" ") {
			t.Errorf("%s was sent %d times", id, n)
		}
	}
}
