// Package beside stands for the sidecar beside an application, for tests of the
// application alone: with the real spool, at the real local address.
package beside

import (
	"errors"
	"log/slog"
	"net/http"
	"testing"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/local"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/spool"
)

// Options are what the application's sidecar has for it.
type Options struct {
	Brokers  []string
	Topic    string                  // the spool takes messages for it
	Header   func() spool.Header     // written into new messages; nil for none
	Handlers map[string]http.Handler // what else it answers, by pattern
}

// Sidecar starts one and returns its base URL. It lives as long as the test, and so
// outlives the application, as a sidecar does.
func Sidecar(t testing.TB, o Options) string {
	t.Helper()
	listener, err := local.Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	for pattern, handler := range o.Handlers {
		listener.Handle(pattern, handler)
	}
	queue := spool.NewKafka(spool.KafkaConfig{Brokers: o.Brokers, Timeout: 3 * time.Second}, []string{o.Topic})
	s, err := spool.Open(t.Context(), spool.Config{
		Dir: t.TempDir(), Topics: []string{o.Topic}, Pace: spool.PacerConfig{Hold: time.Minute},
		MaxBytes: 1 << 26, MaxAge: time.Hour, SegmentBytes: 1 << 20,
		MaxMessageBytes: 1 << 16, MaxBatch: 1000, MaxRequestBytes: 1 << 23,
		Broker: queue, Timeout: 3 * time.Second, Log: slog.New(slog.DiscardHandler), Header: o.Header,
	})
	if err != nil {
		t.Fatal(err)
	}
	listener.Handle(spool.Path, s.Handler())
	served := make(chan error, 1)
	go func() { served <- listener.Serve() }()
	t.Cleanup(func() {
		_ = listener.Close() // Serve says how it ended
		if err := <-served; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		queue.Close()
	})
	return listener.URL()
}
