package boot

import (
	"context"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/wait"
)

const (
	// mostSteps are reported; older ones were seen by whoever waits.
	mostSteps = 24
	// mostError and mostOutput are how much of each is told, in bytes.
	mostError  = 2 << 10
	mostOutput = 4 << 10
)

// report tells the next step. Where it can't be told it is told with the one after.
func (l *life) report(ctx context.Context, p Progress) {
	l.note(ctx, p)
	if err := l.post(ctx); err != nil {
		l.newborn.Log.WarnContext(ctx, "a step can't be told", "step", p.Step, "err", err)
	}
}

// note adds a step to what is told.
func (l *life) note(ctx context.Context, p Progress) {
	p.At = time.Now().UTC()
	p.Error, p.Output = p.Error[:min(len(p.Error), mostError)], p.Output[max(0, len(p.Output)-mostOutput):]
	l.newborn.Log.InfoContext(ctx, "birth", "cell", l.cell(), "step", p.Step, "error", p.Error, "output", p.Output)
	if p.Error != "" {
		l.newborn.Console(p.String())
	}
	r := &l.Report
	r.Steps = append(r.Steps, p)
	if over := len(r.Steps) - mostSteps; over > 0 {
		r.First += over
		r.Steps = r.Steps[over:]
	}
	if err := l.newborn.writeState(l.state); err != nil {
		l.newborn.Log.WarnContext(ctx, "how far the birth is can't be noted", "err", err)
	}
}

// post writes the report into Consul.
func (l *life) post(ctx context.Context) error {
	if l.consul == nil {
		return nil
	}
	text, err := l.Report.sign(l.ProgressKey)
	if err != nil {
		return err
	}
	return l.consul.PostJoin(ctx, l.ID, progressMail+l.Contact, text)
}

// tellDone reports that the cell is installed, as long as it takes. The cell lives
// anyway, and says so itself.
func (l *life) tellDone(ctx context.Context) {
	if k := len(l.Report.Steps); k == 0 || !l.Report.Steps[k-1].Done {
		l.note(ctx, Progress{Step: "installed", Done: true})
	}
	for !l.isHeard(ctx) && l.post(ctx) != nil {
		if wait.For(ctx, lookEvery) != nil {
			l.newborn.Console("the cell is installed, and whoever waits for it could not be told")
			return
		}
	}
}

// isHeard reports whether nobody waits to be told that the cell is installed, since
// that is noted already, or the ticket was revoked. What is said then would stay in
// Consul for ever.
func (l *life) isHeard(ctx context.Context) bool {
	if l.consul == nil {
		return true
	}
	note, err := l.consul.Ticket(ctx, l.ID)
	return err == nil && (note == nil || note.DoneAt != nil)
}
