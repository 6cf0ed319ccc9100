package supervise

import (
	"bufio"
	"cmp"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/wait"
)

// Health says when an application is well. With neither HTTP nor TCP it is well
// while its first process lives, and has lived for a moment.
type Health struct {
	// HTTP is a path on the application's address that must answer 200 to 299.
	// Redirects are not followed.
	HTTP string
	// TCP asks that the application's port accepts connections.
	TCP bool
	// Interval is the time between two checks, Timeout limits one; 2 s, 1 s.
	Interval, Timeout time.Duration
	// Grace is how long after a start it may be unwell while it is starting;
	// 1 min.
	Grace time.Duration
	// Failures is how many checks in a row must fail; 3.
	Failures int
}

const (
	// eager is the least time between checks until the application is well for
	// the first time: a birth ends with that. It grows with the time since the
	// start, so that no more than a twentieth of that is lost.
	eager = 20 * time.Millisecond
	// settle is how long a process must have lived to count as well, where
	// there is nothing else to go by: one that exits at once never was.
	settle = time.Second
)

func (h Health) withDefaults() Health {
	h.Interval = cmp.Or(h.Interval, 2*time.Second)
	h.Timeout = cmp.Or(h.Timeout, time.Second)
	h.Grace = cmp.Or(h.Grace, time.Minute)
	h.Failures = cmp.Or(h.Failures, 3)
	return h
}

// watchHealth checks the application until ctx ends. It returns when the
// application was well for the first time, zero if it never was.
func (a *Application) watchHealth(ctx context.Context) (well time.Time) {
	began, failures := time.Now(), 0
	client := newClient(a.Health.Timeout)
	defer client.CloseIdleConnections()
	for ctx.Err() == nil {
		err := a.probe(ctx, client, began)
		if ctx.Err() != nil {
			break
		}
		once := !well.IsZero()
		if err == nil {
			failures = 0
			if !once {
				well = time.Now()
			}
			a.change(func(s *State) { s.Healthy, s.Starting, s.Why = true, false, "" })
		} else {
			failures++
			a.unwell(err, failures, once, time.Since(began))
		}
		every := a.Health.Interval
		if well.IsZero() {
			every = min(max(eager, time.Since(began)/20), every)
		}
		_ = wait.For(ctx, every)
	}
	return well
}

// unwell notes a failed check.
func (a *Application) unwell(err error, failures int, once bool, age time.Duration) {
	starting := !once && age < a.Health.Grace
	a.change(func(s *State) {
		switch {
		case once && failures < a.Health.Failures:
			return
		case starting:
			s.Why = "starting: " + err.Error()
		case !once:
			s.Why = fmt.Sprintf("never well since its start %v ago: %v", age.Round(time.Second), err)
		default:
			s.Why = fmt.Sprintf("%d checks failed in a row, the last one: %v", failures, err)
		}
		s.Healthy, s.Starting = false, starting
	})
}

// probe checks the application once. The error says why it isn't well.
func (a *Application) probe(ctx context.Context, client *http.Client, began time.Time) error {
	ctx, cancel := context.WithTimeout(ctx, a.Health.Timeout)
	defer cancel()
	switch {
	case a.Health.HTTP != "":
		return a.probeHTTP(ctx, client)
	case a.Health.TCP:
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", a.Address())
		if err != nil {
			return fmt.Errorf("connect to the application: %w", err)
		}
		return conn.Close()
	case len(a.Command) > 0 && time.Since(began) < min(settle, a.Health.Interval):
		return fmt.Errorf("it began %v ago", time.Since(began).Round(time.Millisecond))
	default:
		return nil
	}
}

func (a *Application) probeHTTP(ctx context.Context, client *http.Client) (err error) {
	url := "http://" + a.Address() + a.Health.HTTP
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return fmt.Errorf("ask for the application's health: %w", err)
	}
	response, err := client.Do(request)
	if err != nil {
		return fmt.Errorf("ask for the application's health: %w", err)
	}
	defer func() { err = cmp.Or(err, response.Body.Close()) }()
	if response.StatusCode >= 200 && response.StatusCode <= 299 {
		return nil
	}
	// What is wrong often stands in the first line of the answer.
	first, _ := bufio.NewReader(io.LimitReader(response.Body, 200)).ReadString('\n')
	if first = strings.TrimSpace(strings.ToValidUTF8(first, "?")); first != "" {
		first = ": " + first
	}
	return fmt.Errorf("GET %s: %s%s", url, response.Status, first)
}

// newClient returns a client that opens a connection for each check, since an
// application that accepts none any more isn't well.
func newClient(timeout time.Duration) *http.Client {
	return &http.Client{
		Timeout:   timeout,
		Transport: &http.Transport{DisableKeepAlives: true, MaxResponseHeaderBytes: 64 << 10},
		CheckRedirect: func(*http.Request, []*http.Request) error {
			return http.ErrUseLastResponse
		},
	}
}
