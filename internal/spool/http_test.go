package spool

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/testkit"
)

// post asks a spool to take something.
func post(t *testing.T, s *Spool, topic, kind, body string, headers ...string) *httptest.ResponseRecorder {
	t.Helper()
	mux := http.NewServeMux()
	mux.Handle(Path, s.Handler())
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/v1/queue/"+topic, strings.NewReader(body))
	if kind != "" {
		r.Header.Set("Content-Type", kind)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	mux.ServeHTTP(w, r)
	return w
}

// TestWhatIsTaken posts messages in each form, and looks at what the queue gets.
func TestWhatIsTaken(t *testing.T) {
	for _, c := range []struct {
		name, kind, body string
		headers          []string
		want             []Message
	}{
		{name: "a body alone", body: "raw\x00bytes", want: []Message{{Body: []byte("raw\x00bytes")}}},
		{name: "JSON as a body", kind: "application/json", body: `{"a":1}`, want: []Message{{Body: []byte(`{"a":1}`)}}},
		{name: "nothing", want: []Message{{Body: []byte{}}}},
		{
			name: "key, id and headers", body: "b", headers: []string{KeyHeader, "k", IDHeader, "id-1", HeaderPrefix + "Reply-To", "http://a", HeaderPrefix + "Kind", "page"},
			want: []Message{{ID: "id-1", Key: []byte("k"), Body: []byte("b"), Headers: []Header{{"kind", []byte("page")}, {"reply-to", []byte("http://a")}}}},
		},
		{name: "an empty key", body: "b", headers: []string{KeyHeader, ""}, want: []Message{{Key: []byte{}, Body: []byte("b")}}},
		{
			name: "lines", kind: LinesType + "; charset=utf-8",
			body: `{"id":"1","key":"k","headers":{"B":"2","A":"1"},"body":"one"}` + "\n" + `{"key_base64":"AAE=","body_base64":"/w=="}` + "\n",
			want: []Message{
				{ID: "1", Key: []byte("k"), Body: []byte("one"), Headers: []Header{{"A", []byte("1")}, {"B", []byte("2")}}},
				{Key: []byte{0, 1}, Body: []byte{0xff}},
			},
		},
		{name: "a list", kind: ListType, body: `[{"body":"one"},{"body":"two"}]`, want: []Message{{Body: []byte("one")}, {Body: []byte("two")}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFakeQueue(1, nil)
			s := start(t, config(t.TempDir(), f))
			answer := post(t, s, "pages", c.kind, c.body, c.headers...)
			if answer.Code != http.StatusAccepted {
				t.Fatalf("answered %d: %s", answer.Code, answer.Body)
			}
			var ids struct{ IDs []string }
			if err := json.Unmarshal(answer.Body.Bytes(), &ids); err != nil || len(ids.IDs) != len(c.want) {
				t.Fatalf("answered %s, %v", answer.Body, err)
			}
			testkit.Await(t, 30*time.Second, sentAll(s))
			got := f.all()
			for i := range got {
				if got[i].ID != ids.IDs[i] || got[i].ID == "" || got[i].Accepted.IsZero() {
					t.Errorf("message %d is %+v, and was answered %v", i, got[i], ids.IDs)
				}
				if c.want[i].ID == "" {
					got[i].ID = ""
				}
			}
			if diff := cmp.Diff(c.want, got, cmpopts.IgnoreFields(Message{}, "Accepted")); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestWhatIsRefused(t *testing.T) {
	f := newFakeQueue(1, nil)
	cfg := config(t.TempDir(), f)
	cfg.MaxBatch, cfg.MaxMessageBytes, cfg.MaxRequestBytes = 2, 100, 1000
	s := start(t, cfg)
	long := strings.Repeat("x", 101)
	for _, c := range []struct {
		name, topic, kind, body string
		headers                 []string
		status                  int
		text                    string
	}{
		{name: "another topic", topic: "others", status: 404, text: `topic "others" is none of this spool's, which the policy names: pages`},
		{name: "a long message", body: long, status: 413, text: "the spool refuses: a message of 101 bytes: at most 100 are taken"},
		{name: "a long request", body: strings.Repeat("x", 1001), status: 413, text: "the request is larger than 1000 bytes"},
		{name: "a long message in a list", kind: ListType, body: `[{"body":"a"},{"body":"` + long + `"}]`, status: 413, text: "the spool refuses: a message of 101 bytes: at most 100 are taken"},
		{name: "a long batch", kind: LinesType, body: "{}{}{}", status: 413, text: "more than 2 messages in a request"},
		{name: "an empty batch", kind: LinesType, status: 400, text: "read the request: there is no message in it"},
		{name: "an empty list", kind: ListType, body: "[]", status: 400, text: "read the request: there is no message in it"},
		{name: "no list", kind: ListType, body: `{}`, status: 400, text: "read the request: an array of messages is expected"},
		{name: "more than a list", kind: ListType, body: `[{}] []`, status: 400, text: "read the request: something follows the array"},
		{name: "no JSON", kind: LinesType, body: `{"body":"a"}` + "\nx", status: 400, text: "read the request: message 2: invalid character 'x' looking for beginning of value"},
		{name: "two bodies", kind: ListType, body: `[{"body":"a","body_base64":"AA=="}]`, status: 400, text: "read the request: message 1: give key or key_base64, and body or body_base64, not both"},
		{name: "a long id", headers: []string{IDHeader, strings.Repeat("i", 257)}, status: 400, text: "read the request: an id has at most 256 bytes, and no control characters"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.topic == "" {
				c.topic = "pages"
			}
			answer := post(t, s, c.topic, c.kind, c.body, c.headers...)
			if answer.Code != c.status || strings.TrimSpace(answer.Body.String()) != c.text {
				t.Errorf("answered %d: %s", answer.Code, answer.Body)
			}
		})
	}
	if n := len(f.all()) + s.Depth(); n > 0 {
		t.Errorf("%d messages were taken of refused requests", n)
	}
}

// TestBounds holds that a spool at a bound refuses new messages, says when to come
// again, and keeps what it has.
func TestBounds(t *testing.T) {
	f := newFakeQueue(1, isAway)
	cfg := config(t.TempDir(), f)
	cfg.MaxBytes, cfg.MaxAge = 4096, 100*time.Millisecond
	aged := start(t, cfg)
	cfg.Dir, cfg.MaxAge = t.TempDir(), time.Hour
	full := start(t, cfg)
	for reason, s := range map[string]*Spool{RefusedAge: aged, RefusedBytes: full} {
		taken := 0
		testkit.Await(t, 30*time.Second, func(context.Context) error {
			answer := post(t, s, "pages", "", strings.Repeat("x", 100))
			switch answer.Code {
			case http.StatusAccepted:
				taken++
				return errors.New("it still takes messages")
			case http.StatusTooManyRequests:
			default:
				t.Fatalf("answered %d: %s", answer.Code, answer.Body)
			}
			if after, err := strconv.Atoi(answer.Header().Get("Retry-After")); err != nil || after < 1 {
				t.Errorf("Retry-After is %d, %v", after, err)
			}
			return nil
		})
		if n := s.topics["pages"].counts.refusedFor(reason); n == 0 {
			t.Errorf("nothing was refused for %s", reason)
		}
		if s.Depth() != taken {
			t.Errorf("%d messages are there of %d", s.Depth(), taken)
		}
		f.set(func() { f.failure, f.taken = nil, nil })
		testkit.Await(t, 30*time.Second, sentAll(s))
		if len(f.all()) != taken {
			t.Errorf("%d messages were sent of %d", len(f.all()), taken)
		}
		f.set(func() { f.failure, f.taken = isAway, nil })
	}
}

// TestMetrics reads what a spool tells of itself.
func TestMetrics(t *testing.T) {
	s := start(t, config(t.TempDir(), newFakeQueue(1, isAway)))
	add(t, s, 0)
	post(t, s, "pages", "", strings.Repeat("x", 10_001))
	r := prometheus.NewPedanticRegistry()
	r.MustRegister(s)
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			name := f.GetName()
			for _, l := range m.GetLabel() {
				if l.GetName() == "reason" {
					name += " " + l.GetValue()
				}
			}
			got[name] = m.GetGauge().GetValue() + m.GetCounter().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	for name, want := range map[string]float64{
		"homeostat_spool_depth_messages": 1, "homeostat_spool_appended_messages_total": 1, "homeostat_spool_sent_messages_total": 0,
		"homeostat_spool_lost_messages_total": 0, "homeostat_spool_damaged_bytes": 0, "homeostat_spool_held": 0, "homeostat_spool_fsync_seconds": 1,
		"homeostat_spool_commits_failed_total":        0,
		"homeostat_spool_refused_requests_total size": 1, "homeostat_spool_refused_requests_total bytes": 0,
	} {
		if v, ok := got[name]; !ok || v != want {
			t.Errorf("%s is %g, want %g", name, v, want)
		}
	}
	if got["homeostat_spool_bytes"] == 0 {
		t.Error("the spool takes no bytes")
	}
}

func FuzzBatch(f *testing.F) {
	f.Add(LinesType, `{"id":"1","key":"k","body":"b"}`+"\n"+`{"body_base64":"/w=="}`)
	f.Add(ListType, `[{"headers":{"a":"b"}},{}]`)
	s := &Spool{cfg: Config{MaxBatch: 3, MaxRequestBytes: 1000}}
	f.Fuzz(func(t *testing.T, kind, body string) {
		r := httptest.NewRequest(http.MethodPost, "/", nil)
		r.Header.Set("Content-Type", kind)
		all, err := s.messages(strings.NewReader(body), r)
		if err == nil && (len(all) == 0 || len(all) > 3) {
			t.Errorf("%d messages are read of %q", len(all), body)
		}
		for _, m := range all {
			if again, err := decode(m.encode()); err == nil && !bytes.Equal(again.Body, m.Body) {
				t.Errorf("%q is read again as %q", m.Body, again.Body)
			}
		}
	})
}
