package remote

import (
	"context"
	"fmt"
	"time"
)

const (
	// beat is the pause between two signs of life, asked of the machine and
	// given to its commands.
	beat = 4 * time.Second
	// deadAfter is how long nothing may move on a connection.
	deadAfter = 14 * time.Second
)

// startPulse asks the machine for a sign of life now and then, and closes the
// connection when nothing has moved on it for a while. The returned function
// ends that and waits for it.
func (m *Machine) startPulse() (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		m.watch(ctx)
	}()
	return func() { cancel(); <-done }
}

func (m *Machine) watch(ctx context.Context) {
	ticker := time.NewTicker(beat / 4)
	defer ticker.Stop()
	var asked chan struct{}
	var lastAsked time.Time
	var moved movement
	last := time.Now()
	for {
		select {
		case <-ctx.Done():
			if asked != nil {
				<-asked // whoever stops the pulse has closed the connection
			}
			return
		case <-asked:
			asked = nil
		case now := <-ticker.C:
			if moved.since(m.link.wire) {
				last = now
			}
			if now.Sub(last) >= deadAfter {
				m.fail(fmt.Errorf("the connection is dead: nothing has moved on it for %s", deadAfter))
			}
			if asked == nil && now.Sub(lastAsked) >= beat {
				asked, lastAsked = m.ask(), now
			}
		}
	}
}

// ask sends a request that any sshd answers; the channel is closed with the
// answer, or with the connection.
func (m *Machine) ask() chan struct{} {
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _, _ = m.link.client.SendRequest("keepalive@openssh.com", true, nil) // the connection itself says whether it is alive
	}()
	return done
}
