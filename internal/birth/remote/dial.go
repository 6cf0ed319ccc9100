package remote

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/wait"
)

// attemptLimit bounds one attempt to get in, so that an sshd that accepts
// connections and then says nothing is tried again.
const attemptLimit = 15 * time.Second

// DialError says at which stage a machine could not be got into until the time
// was over, and the last cause.
type DialError struct {
	// Target is user@host:port.
	Target string
	Stage  Stage
	Cause  error
}

func (e *DialError) Error() string {
	return fmt.Sprintf("get into %s, %s: %v", e.Target, e.Stage, e.Cause)
}

// Unwrap returns the cause.
func (e *DialError) Unwrap() error { return e.Cause }

// Dial gets into a machine. It waits for its port, for sshd, and for its key to
// be let in, which on a machine that boots come one after the other, until ctx
// ends. A host key that isn't pinned, and credentials that can't be used, end it
// at once. ctx bounds the dialling only; Close the Machine after use.
func Dial(ctx context.Context, config Config) (*Machine, error) {
	config, err := config.complete()
	if err != nil {
		return nil, err
	}
	pinned, err := parseHostKeys(config.HostKeys)
	if err != nil {
		return nil, err
	}
	credentials, err := newCredentials(config)
	if err != nil {
		return nil, err
	}
	d := &dialer{config: config, pinned: pinned, credentials: credentials}
	m, err := d.wait(ctx)
	if err != nil {
		credentials.wipe()
		return nil, err
	}
	return m, nil
}

// dialer is one call of Dial.
type dialer struct {
	config      Config
	pinned      hostKeys
	credentials *credentials
}

// wait tries until it is in, something is final, or ctx ends.
func (d *dialer) wait(ctx context.Context) (*Machine, error) {
	pace := newPace()
	var last *DialError
	for {
		m, failure := d.try(ctx)
		if failure == nil {
			return m, nil
		}
		if failure.final {
			return nil, failure.as(d.config)
		}
		// An attempt that was cut short by the end of the time says less than
		// the one before it.
		if ctx.Err() == nil || last == nil {
			last = failure.as(d.config)
			d.config.Log.Info("the machine can't be got into yet", "target", last.Target, "stage", string(last.Stage), "cause", last.Cause)
		}
		if err := wait.For(ctx, pace.next(failure.stage)); err != nil {
			if cause := context.Cause(ctx); !errors.Is(last.Cause, cause) {
				last.Cause = fmt.Errorf("%w (%w)", last.Cause, cause)
			}
			return nil, last
		}
	}
}

// try makes one attempt with all credentials.
func (d *dialer) try(ctx context.Context) (*Machine, *failure) {
	ctx, cancel := context.WithTimeoutCause(ctx, attemptLimit, fmt.Errorf("no answer within %s", attemptLimit))
	defer cancel()
	proof, err := d.credentials.prove(ctx)
	if err != nil {
		return nil, &failure{stage: StageCredentials, cause: err, final: true}
	}
	defer proof.done()
	link, failed := connect(ctx, d.config, d.pinned, d.config.User, keys(proof))
	if failed != nil {
		return nil, failed
	}
	return newMachine(d.config, d.credentials, link), nil //nolint:contextcheck // the connection outlives the attempt
}

// failure is why an attempt didn't get in.
type failure struct {
	stage Stage
	cause error
	final bool // another attempt can't end otherwise
}

func (f *failure) as(config Config) *DialError {
	return &DialError{Target: config.target(), Stage: f.stage, Cause: f.cause}
}

// pace is the pauses between attempts. A machine that boots is asked often. One
// that refuses is asked more slowly: since version 9.8 sshd shuts a source out
// for five seconds for each failure, once that comes to 15.
type pace struct{ reach, refused *backoff.ExponentialBackOff }

func newPace() pace {
	return pace{reach: growing(200*time.Millisecond, 3*time.Second), refused: growing(time.Second, 6*time.Second)}
}

func growing(from, to time.Duration) *backoff.ExponentialBackOff {
	b := backoff.NewExponentialBackOff()
	b.InitialInterval, b.MaxInterval, b.Multiplier, b.RandomizationFactor = from, to, 2, 0.2
	b.Reset()
	return b
}

func (p pace) next(stage Stage) time.Duration {
	if stage == StageAuthentication {
		return p.refused.NextBackOff()
	}
	return p.reach.NextBackOff()
}
