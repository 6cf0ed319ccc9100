package remote

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/wait"
)

// Outcome is what came of a try to get in.
type Outcome string

// The outcomes of a try.
const (
	// Refused: with the pinned host key shown, sshd said no.
	Refused Outcome = "refused"
	// GotIn: the door is open.
	GotIn Outcome = "got in"
	// Failed: no answer could be had, which says nothing of the door.
	Failed Outcome = "failed"
	// NotTried: birth had nothing to try this way with.
	NotTried Outcome = "not tried"
)

// Try is one way to get into a machine that should be shut, and what came of it.
type Try struct {
	Way     string
	User    string
	Outcome Outcome
	// HostKey is the fingerprint of the host key shown by what refused.
	HostKey string
	// Detail is sshd's answer, the error, or why it was not tried.
	Detail string
}

func (t Try) String() string {
	return fmt.Sprintf("%s as %s: %s (%s)", t.Way, t.User, t.Outcome, t.Detail)
}

// ErrDoorOpen says that something still gets in.
var ErrDoorOpen = errors.New("the machine can still be got into")

// CheckShut is nil if at least one way was tried and every one that was tried
// was refused. It is ErrDoorOpen if one got in, and another error if it couldn't
// be told of one.
func CheckShut(tries []Try) error {
	var open, unknown []string
	refused := 0
	for _, t := range tries {
		switch t.Outcome {
		case GotIn:
			open = append(open, t.String())
		case Failed:
			unknown = append(unknown, t.String())
		case Refused:
			refused++
		case NotTried:
		}
	}
	switch {
	case len(open) > 0:
		return fmt.Errorf("%w: %s", ErrDoorOpen, strings.Join(open, "; "))
	case len(unknown) > 0:
		return fmt.Errorf("tell whether the machine is shut: %s", strings.Join(unknown, "; "))
	case refused == 0:
		return errors.New("tell whether the machine is shut: nothing was tried")
	}
	return nil
}

// TryDoor tries every way in that there is after sealing, each by a connection
// of its own, until ctx ends. old is a connection from before, on which nothing
// new may be begun, and must not be closed yet; nil if there is none. A try is
// made again, and noted in the log, as long as it gets no answer of sshd's: one
// that shuts a source out for a while, or has too many connections, hangs up
// before it shows a host key.
func TryDoor(ctx context.Context, config Config, old *Machine) []Try {
	d, err := newDoor(ctx, config, old)
	if err != nil {
		return []Try{{Way: "any", User: config.User, Outcome: Failed, Detail: err.Error()}}
	}
	defer d.done()
	var tries []Try
	for _, w := range d.ways() {
		tries = append(tries, d.try(ctx, w))
	}
	return append(tries, d.tryOld(ctx))
}

// door is one call of TryDoor.
type door struct {
	config      Config
	pinned      hostKeys
	credentials *credentials
	stranger    *key // a key that was never let in
	agent       *proof
	old         *Machine
}

func newDoor(ctx context.Context, config Config, old *Machine) (*door, error) {
	if old != nil {
		config.HostKeys = []string{old.HostKey()}
	}
	config, err := config.complete()
	if err != nil {
		return nil, err
	}
	d := &door{config: config, old: old}
	if d.pinned, err = parseHostKeys(config.HostKeys); err != nil {
		return nil, err
	}
	if d.credentials, err = newCredentials(config); err != nil {
		return nil, err
	}
	if d.stranger, err = newKey(); err != nil {
		return nil, err
	}
	if config.Agent != "" {
		withAgent := &credentials{config: Config{Agent: config.Agent}}
		if d.agent, err = withAgent.prove(ctx); err != nil {
			return nil, err
		}
	}
	return d, nil
}

func (d *door) done() {
	d.credentials.wipe()
	d.stranger.wipe()
	if d.agent != nil {
		d.agent.done()
	}
}

// try makes a try until there is an answer, or ctx ends.
func (d *door) try(ctx context.Context, w way) Try {
	t := Try{Way: w.name, User: w.user}
	if w.absent != "" {
		t.Outcome, t.Detail = NotTried, w.absent
		return t
	}
	pace := growing(300*time.Millisecond, 5*time.Second)
	for {
		t.Outcome, t.HostKey, t.Detail = d.once(ctx, w)
		if t.Outcome != Failed {
			return t
		}
		d.config.Log.Info("the door gives no answer", "way", t.Way, "user", t.User, "cause", t.Detail)
		if wait.For(ctx, pace.NextBackOff()) != nil {
			return t
		}
	}
}

func (d *door) once(ctx context.Context, w way) (outcome Outcome, hostKey, detail string) {
	ctx, cancel := context.WithTimeoutCause(ctx, attemptLimit, fmt.Errorf("no answer within %s", attemptLimit))
	defer cancel()
	auth, err := w.auth(ctx)
	if err != nil {
		return Failed, "", err.Error()
	}
	l, failed := connect(ctx, d.config, d.pinned, w.user, method{name: w.name, auth: auth})
	var refused *RefusedError
	switch {
	case failed == nil:
		_ = l.client.Close() // it shouldn't be there at all
		_ = l.client.Wait()
		return GotIn, "", "sshd let it in"
	case errors.As(failed.cause, &refused):
		return Refused, refused.HostKey, refused.Answer
	}
	return Failed, "", failed.as(d.config).Error()
}

// tryOld asks for a new session on the connection from before.
func (d *door) tryOld(ctx context.Context) Try {
	t := Try{Way: "a new session on the old connection", User: d.config.User}
	if d.old == nil {
		t.Outcome, t.Detail = NotTried, "there is no connection from before"
		return t
	}
	ctx, cancel := context.WithTimeout(ctx, attemptLimit)
	defer cancel()
	defer d.old.bound(ctx)()
	channel, requests, err := d.old.link.client.OpenChannel("session", nil)
	if err == nil {
		go ssh.DiscardRequests(requests)
		_ = channel.Close() // what counts is that it was opened
		t.Outcome, t.Detail = GotIn, "sshd opened a session"
		return t
	}
	// Closed from here it would tell nothing of the machine.
	t.Outcome, t.Detail = Refused, err.Error()
	if closed := d.old.closedHere(); closed != nil {
		t.Outcome, t.Detail = Failed, closed.Error()
	}
	return t
}
