package supervise

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// server is an application that answers over HTTP with what a file says.
func server(t *testing.T, health Health, first string) (*rig, func(string)) {
	t.Helper()
	dir := t.TempDir()
	say := func(text string) {
		t.Helper()
		// A new file and a rename, so that it is never read half written.
		if err := os.WriteFile(filepath.Join(dir, "new"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(filepath.Join(dir, "new"), filepath.Join(dir, "health")); err != nil {
			t.Fatal(err)
		}
	}
	say(first)
	port, err := FreePort(0)
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	health.Interval = 5 * time.Millisecond
	health.Timeout = 10 * time.Second // the machine may be busy
	r := run(t, "", Config{
		Command: []string{self}, Port: port, Health: health,
		Environment: append(os.Environ(), actAs+"="+dir, fmt.Sprintf("PORT=%d", port)),
	})
	return r, say
}

func TestHealthOverHTTP(t *testing.T) {
	r, say := server(t, Health{HTTP: "/healthz", Failures: 2}, "503 warming up\nmore")
	s := r.until("an answer", func(s State) bool { return strings.Contains(s.Why, "503") })
	if want := fmt.Sprintf("starting: GET http://%s/healthz: 503 Service Unavailable: warming up", r.Address()); s.Why != want || !s.Starting || s.Healthy {
		t.Errorf("while starting: %+v, want %q", s, want)
	}
	say("204")
	if s := r.until("health", func(s State) bool { return s.Healthy }); s.Starting || s.Why != "" {
		t.Errorf("well: %+v", s)
	}
	say("500 database gone")
	s = r.until("failure", func(s State) bool { return !s.Healthy })
	if !s.Running || s.Starting || !strings.Contains(s.Why, "checks failed in a row, the last one: GET") || !strings.HasSuffix(s.Why, "database gone") {
		t.Errorf("unwell: %+v", s)
	}
	say("200")
	r.until("health again", func(s State) bool { return s.Healthy })
	if s := r.end(); s.Restarts != 0 {
		t.Errorf("an unwell application was restarted: %+v", s)
	}
}

func TestNeverWell(t *testing.T) {
	r, _ := server(t, Health{HTTP: "/healthz", Grace: 20 * time.Millisecond}, "503 no database")
	s := r.until("the end of the grace", func(s State) bool { return strings.HasPrefix(s.Why, "never well") && strings.Contains(s.Why, "503") })
	if s.Healthy || s.Starting || !s.Running || !strings.HasPrefix(s.Why, "never well since its start") {
		t.Errorf("state %+v", s)
	}
	r.end()
}

func TestRedirectIsNoHealth(t *testing.T) {
	r, _ := server(t, Health{HTTP: "/elsewhere"}, "200")
	s := r.until("an answer", func(s State) bool { return strings.Contains(s.Why, "302") })
	if s.Healthy {
		t.Errorf("state %+v", s)
	}
	r.end()
}

func TestHealthOverTCP(t *testing.T) {
	r, _ := server(t, Health{TCP: true}, "500")
	r.until("health", func(s State) bool { return s.Healthy })
	r.end()
}

// Failures below the limit change nothing.
func TestFewFailuresAreForgiven(t *testing.T) {
	r, say := server(t, Health{HTTP: "/healthz", Failures: 1_000_000}, "200")
	before := r.until("health", func(s State) bool { return s.Healthy })
	say("500")
	for range 5 {
		if err := r.probe(t.Context(), newClient(10*time.Second), time.Now()); err == nil {
			t.Fatal("the probe finds it well")
		}
	}
	if now := r.State(); now != before {
		t.Errorf("state %+v, before %+v", now, before)
	}
	r.end()
}

// Without a check of its own an application is well once it has lived for a
// moment, so that one that exits at once never is.
func TestAliveIsWell(t *testing.T) {
	r := run(t, "sleep 0.01", Config{BackoffMax: time.Millisecond})
	r.until("tenth life", func(s State) bool { return s.Restarts >= 10 })
	if strings.Contains(r.log.String(), "healthy=true") {
		t.Error("a program that ends at once was called well")
	}
	r.end()
	r = run(t, forever, Config{})
	s := r.until("a reason", func(s State) bool { return strings.HasPrefix(s.Why, "starting: it began ") })
	if s.Healthy || !s.Starting {
		t.Errorf("state %+v", s)
	}
	r.until("health", func(s State) bool { return s.Healthy })
	r.end()
}

// The application of another container is only watched.
func TestWatchOnly(t *testing.T) {
	served, say := server(t, Health{HTTP: "/healthz"}, "503")
	watch := run(t, "", Config{Port: served.Port, Health: Health{HTTP: "/healthz", Interval: 5 * time.Millisecond, Timeout: 10 * time.Second, Failures: 1}})
	watch.until("an answer", func(s State) bool { return s.Starting && strings.Contains(s.Why, "503") })
	say("200")
	if s := watch.until("health", func(s State) bool { return s.Healthy }); s.Running || s.PID != 0 {
		t.Errorf("state %+v", s)
	}
	served.end()
	watch.until("its end", func(s State) bool { return !s.Healthy && strings.Contains(s.Why, "refused") })
	watch.end()
}
