package boot

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
)

// lookEvery is how often each of the two looks what the other has said.
const lookEvery = time.Second

// Receive waits for the machine that comes with the ticket, hands it its secrets,
// and returns when that reports that the cell is installed. The machine must know
// machine as its own id, by which the infrastructure calls it; any will do where
// that is empty. told, which may be nil, gets each step once, and a line for each
// contact that was ignored.
//
// Receive may be repeated after it was cut: the machine that was answered is
// answered again, and no other. While Consul is away it waits. Its errors are
// ErrUnknown, ErrExpired, ErrUsed and ErrGaveUp, and the cause of ctx with what the
// machine said last.
func Receive(ctx context.Context, c *fleet.Client, t Ticket, machine string, secrets map[string]string, told func(Progress)) error {
	if err := t.check(); err != nil {
		return err
	}
	if told == nil {
		told = func(Progress) {}
	}
	d := &desk{c: c, ticket: t, id: t.ID(), machine: machine, secrets: secrets, told: told, ignored: map[string]bool{}}
	for {
		done, err := d.look(ctx)
		switch {
		case done && err == nil:
			return nil
		case errors.Is(err, ErrUnknown), errors.Is(err, ErrExpired), errors.Is(err, ErrUsed), errors.Is(err, ErrGaveUp), errors.Is(err, fleet.ErrTooLarge), errors.Is(err, fleet.ErrDenied):
			return fmt.Errorf("receive %s: %w", t.Cell(), err)
		case ctx.Err() == nil:
			d.trouble = err
		}
		select {
		case <-ctx.Done():
			return d.ended(context.Cause(ctx))
		case <-time.After(lookEvery):
		}
	}
}

// desk is where one machine is waited for.
type desk struct {
	c       *fleet.Client
	ticket  Ticket
	id      string
	machine string // by its id, empty for any
	secrets map[string]string
	told    func(Progress)

	contact string          // who was answered
	seen    int             // steps that were told
	last    *Progress       // the last of them
	ignored map[string]bool // contacts that get nothing
	whyNot  []string        // of the first of them
	trouble error           // of the last look
}

// look looks once at what was said, and says what there is to say.
func (d *desk) look(ctx context.Context) (done bool, err error) {
	note, err := d.c.Ticket(ctx, d.id)
	if err != nil {
		return false, err
	}
	if note == nil {
		return false, ErrUnknown
	}
	if err := usedByAnother(note, d.machine); err != nil {
		return false, err
	}
	if note.DoneAt != nil {
		return true, d.c.ClearJoin(ctx, d.id)
	}
	mails, err := d.c.JoinMails(ctx, d.id)
	if err != nil {
		return false, err
	}
	slices.SortFunc(mails, func(a, b fleet.JoinMail) int { return int(a.Index) - int(b.Index) })
	for _, m := range mails {
		if contact, ok := strings.CutPrefix(m.Name, helloMail); ok {
			if err := d.meet(ctx, &note, contact, m.Text, mails); err != nil {
				return false, err
			}
		}
	}
	if stateOf(note, time.Now()) == Expired {
		return false, ErrExpired
	}
	d.contact = note.Contact
	return d.hear(ctx, mails)
}

// meet answers a contact if it is the one to be answered.
func (d *desk) meet(ctx context.Context, note **fleet.BootTicket, contact string, text []byte, mails []fleet.JoinMail) error {
	h, err := readHello(d.ticket, contact, text)
	if err != nil {
		d.ignore(contact, Progress{Step: fmt.Sprintf("a contact is ignored: %v", err)})
		return nil
	}
	if (*note).Contact == "" && !h.is(d.machine) {
		return d.refuse(ctx, h, contact, mails)
	}
	if (*note).Contact == "" && !time.Now().After((*note).Until) {
		if *note, err = d.c.AdmitContact(ctx, d.id, contact, d.machine); err != nil {
			return err
		}
		if (*note).Contact == contact {
			d.tell(Progress{Step: fmt.Sprintf("machine %s has come with the ticket", h.name()), At: time.Now()})
		}
	}
	if (*note).Contact != contact {
		if (*note).Contact != "" {
			d.ignore(contact, Progress{Step: fmt.Sprintf("a second machine, %s, came with the ticket and gets nothing", h.name()), Second: true})
		}
		return nil
	}
	if lies(mails, answerMail+contact) {
		return nil
	}
	sealed, err := seal(d.ticket, h, d.secrets)
	if err != nil {
		return err
	}
	return d.c.PostJoin(ctx, d.id, answerMail+contact, sealed)
}

// refuse tells a machine, and the operator, that another one is waited for. It may
// be one that a Terraform which was killed has made and nobody knows, so that it is
// never to become the cell.
func (d *desk) refuse(ctx context.Context, h hello, contact string, mails []fleet.JoinMail) error {
	d.ignore(contact, Progress{Step: fmt.Sprintf("machine %s came with the ticket and gets nothing: machine %s is waited for", h.name(), d.machine)})
	if lies(mails, refusalMail+contact) {
		return nil
	}
	text, err := d.ticket.refuse(contact, fmt.Sprintf("machine %s is waited for, and this is %s", d.machine, h.name()))
	if err != nil {
		return err
	}
	return d.c.PostJoin(ctx, d.id, refusalMail+contact, text)
}

// lies reports whether there is a text of that name.
func lies(mails []fleet.JoinMail, name string) bool {
	return slices.ContainsFunc(mails, func(m fleet.JoinMail) bool { return m.Name == name })
}

// hear tells what the machine has reported since.
func (d *desk) hear(ctx context.Context, mails []fleet.JoinMail) (done bool, err error) {
	k := slices.IndexFunc(mails, func(m fleet.JoinMail) bool { return d.contact != "" && m.Name == progressMail+d.contact })
	if k < 0 {
		return false, nil
	}
	r, err := readReport(d.ticket.progressKey(d.contact), mails[k].Text)
	if err != nil {
		return false, err
	}
	for k, step := range r.Steps {
		if r.First+k >= d.seen {
			d.seen = r.First + k + 1
			d.tell(step)
		}
		done = done || step.Done
		if step.Over {
			return false, fmt.Errorf("%w: %s", ErrGaveUp, step)
		}
	}
	if !done {
		return false, nil
	}
	if err := d.c.FinishTicket(ctx, d.id); err != nil {
		return false, err
	}
	return true, d.c.ClearJoin(ctx, d.id)
}

func (d *desk) tell(p Progress) {
	d.last = &p
	d.told(p)
}

// mostIgnored is of how many contacts that get nothing it is told why. Whoever may
// write in Consul can make as many as it likes.
const mostIgnored = 8

// ignore tells once of a contact that gets nothing.
func (d *desk) ignore(contact string, why Progress) {
	if d.ignored[contact] {
		return
	}
	d.ignored[contact] = true
	if len(d.whyNot) == mostIgnored && !why.Second {
		return
	}
	d.whyNot = append(d.whyNot, why.Step)
	why.At = time.Now()
	d.told(why)
}

// ended says how far a machine was when nobody waits for it any more.
func (d *desk) ended(cause error) error {
	text := "no machine has come with the ticket"
	switch {
	case d.last != nil:
		text = fmt.Sprintf("the machine said last, at %s: %s", d.last.At.UTC().Format(time.RFC3339), d.last)
	case d.contact != "":
		text = "a machine has come with the ticket and has said nothing since"
	}
	for _, why := range d.whyNot {
		text += "; " + why
	}
	if more := len(d.ignored) - len(d.whyNot); more > 0 {
		text += fmt.Sprintf("; and %d more contacts were ignored", more)
	}
	if d.trouble != nil {
		text += fmt.Sprintf("; Consul could not be asked: %v", d.trouble)
	}
	return fmt.Errorf("receive %s: %w; %s", d.ticket.Cell(), cause, text)
}
