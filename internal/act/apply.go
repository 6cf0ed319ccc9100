package act

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"time"

	"github.com/hashicorp/terraform-exec/tfexec"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/guard"
)

// Kinds of events.
const (
	EventStart    = "start"
	EventProgress = "progress"
	EventComplete = "complete"
	EventErrored  = "errored"
)

// Event is something Terraform said about one resource while it applied.
type Event struct {
	At      time.Time // by the clock of this machine, as Terraform wrote it
	Kind    string    // EventStart, EventProgress, EventComplete or EventErrored
	Address string
	Action  string        // create, update, delete; a replacement is two, one after the other
	Cell    guard.Key     // empty outside the cells
	Elapsed time.Duration // since the start, in whole seconds as Terraform counts
	Message string
}

// Apply applies the plan, that very file, and then removes it. Each event is
// given to progress as it happens; progress must not block for long, as
// Terraform waits for its output to be read. A cancelled context interrupts
// Terraform and waits for it to end.
func (p *Plan) Apply(ctx context.Context, progress func(Event)) error {
	p.mu.Lock()
	used := p.used
	p.used = true
	p.mu.Unlock()
	if used {
		return ErrUsed
	}
	return errors.Join(p.apply(ctx, progress), p.Discard())
}

func (p *Plan) apply(ctx context.Context, progress func(Event)) error {
	q := request{dir: p.dir}
	options := []tfexec.ApplyOption{
		tfexec.DirOrPlan(q.planFile()), tfexec.Parallelism(p.parallelism), tfexec.LockTimeout(p.root.cfg.LockTimeout.String()),
	}
	if p.basis != nil {
		if _, err := p.root.writeEphemeral(q.ephemeralFile()); err != nil {
			return err
		}
	}
	if _, err := os.Stat(q.ephemeralFile()); err == nil {
		options = append(options, tfexec.VarFile(q.ephemeralFile()))
	}
	var out bytes.Buffer
	events := &eventWriter{shape: p.shape, progress: progress}
	return p.root.runJSON(ctx, "apply", &out, func(ctx context.Context, tf *tfexec.Terraform) error {
		return tf.ApplyJSON(ctx, io.MultiWriter(&out, events), options...)
	})
}

// eventWriter turns the lines of `terraform apply -json` into events.
type eventWriter struct {
	shape    guard.Shape
	progress func(Event)
	rest     []byte // a line's beginning
}

// Write never fails: output that can't be read must not stop an apply.
func (w *eventWriter) Write(b []byte) (int, error) {
	w.rest = append(w.rest, b...)
	for {
		line, rest, found := bytes.Cut(w.rest, []byte("\n"))
		if !found {
			return len(b), nil
		}
		if e, ok := readEvent(line); ok && w.progress != nil {
			e.Cell, _ = w.shape.CellKey(e.Address)
			w.progress(e)
		}
		w.rest = rest
	}
}

var eventKinds = map[string]string{
	"apply_start": EventStart, "apply_progress": EventProgress, "apply_complete": EventComplete, "apply_errored": EventErrored,
}

func readEvent(line []byte) (Event, bool) {
	var m struct {
		Type    string    `json:"type"`
		Message string    `json:"@message"`
		At      time.Time `json:"@timestamp"`
		Hook    struct {
			Resource struct {
				Addr string `json:"addr"`
			} `json:"resource"`
			Action  string  `json:"action"`
			Elapsed float64 `json:"elapsed_seconds"`
		} `json:"hook"`
	}
	if err := json.Unmarshal(line, &m); err != nil {
		return Event{}, false
	}
	kind, ok := eventKinds[m.Type]
	return Event{
		At: m.At, Kind: kind, Address: m.Hook.Resource.Addr, Action: m.Hook.Action, Message: m.Message,
		Elapsed: time.Duration(m.Hook.Elapsed * float64(time.Second)),
	}, ok
}
