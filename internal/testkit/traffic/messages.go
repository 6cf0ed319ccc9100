package traffic

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"
)

// Messages puts messages on the queue by way of the sidecar beside the application,
// until each is acknowledged, and writes down which were.
type Messages struct {
	// Sidecar is its URL, and Topic where the messages go.
	Sidecar, Topic string
	// Name begins the ids, which end with a number from 1 on.
	Name string
	// Length is the length of a message, in bytes.
	Length int
	// Log gets a line a message that was acknowledged: its id, and when that came,
	// in nanoseconds of Unix time; and with the word "last" the number of the last
	// message there was.
	Log io.Writer

	due chan struct{}
	mu  sync.Mutex
	n   int
}

// messageWriters is how many messages are on their way to the sidecar at a time, and
// messagesDue how many more may wait for that before the application has to.
const (
	messageWriters = 8
	messagesDue    = 10000
)

// Put has one more message sent; it doesn't wait for that.
func (m *Messages) Put() { m.due <- struct{}{} }

// Start begins to send. The function returned ends that, once all have been
// acknowledged that were put, or ctx has ended.
func (m *Messages) Start(ctx context.Context) (stop func() error) {
	m.due = make(chan struct{}, messagesDue)
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: messageWriters}, Timeout: 30 * time.Second}
	body := strings.Repeat("x", m.Length)
	var writers sync.WaitGroup
	for range messageWriters {
		writers.Go(func() {
			for range m.due {
				m.send(ctx, client, body)
			}
		})
	}
	return func() error {
		close(m.due)
		writers.Wait()
		client.CloseIdleConnections()
		_, err := fmt.Fprintln(m.Log, "last", m.n)
		return err
	}
}

// send sends one until it is acknowledged, each time with the same id.
func (m *Messages) send(ctx context.Context, client *http.Client, body string) {
	m.mu.Lock()
	m.n++
	id := fmt.Sprintf("%s-%d", m.Name, m.n)
	m.mu.Unlock()
	for ctx.Err() == nil {
		if m.once(ctx, client, id, body) {
			m.mu.Lock()
			_, _ = fmt.Fprintln(m.Log, id, time.Now().UnixNano()) // one that isn't there is missed by who counts
			m.mu.Unlock()
			return
		}
		sleepUntil(ctx, time.Now().Add(200*time.Millisecond))
	}
}

func (m *Messages) once(ctx context.Context, client *http.Client, id, body string) (acknowledged bool) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, m.Sidecar+"/v1/queue/"+m.Topic, strings.NewReader(body))
	if err != nil {
		return false
	}
	r.Header.Set("Homeostat-Message-Id", id)
	r.Header.Set("Homeostat-Key", id)
	answer, err := client.Do(r)
	if err != nil {
		return false
	}
	_, _ = io.Copy(io.Discard, answer.Body) // the status is the answer
	_ = answer.Body.Close()
	return answer.StatusCode == http.StatusAccepted
}
