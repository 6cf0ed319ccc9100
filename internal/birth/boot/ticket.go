// Package boot is the birth in which nothing ever gets into the machine. What a
// machine runs at its first boot fetches the homeostat program, which joins,
// fetches the published bundle, installs the cell and starts it.
//
// A Ticket lets one machine become one life of one cell. The machine and whoever
// runs the birth speak over Consul's KV:
//
//	birth                               Consul                     machine
//	Issue       -- for whom, until -->  boot.tickets/<id>
//	                                    boot.joins/<id>/
//	            <-- public key ------   hello/<contact>    <----   Boot
//	Receive     -- sealed secrets --->  answer/<contact>   ---->
//	            <-- each step -------   progress/<contact> <----   installs
//
// A contact is one machine, by the key that it has made for this. All three
// messages are authenticated by keys derived from the ticket's token. The first
// contact that proves to know it is noted by compare-and-set and answered, with
// secrets sealed to its key (HPKE, RFC 9180); no other ever is. So a ticket is
// worth nothing once it was used, and no secret lies anywhere but in the memory of
// the two.
//
// How a cell is installed is of package install.
package boot

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/birth"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
)

// Ticket lets one machine become one life of one cell.
type Ticket struct {
	Service     string `json:"service"`
	Name        string `json:"name"`
	Incarnation string `json:"incarnation"`
	// Token is 256 random bits. It is worth something until the first machine has
	// come, or the ticket is expired.
	Token string `json:"token,omitempty"`
}

// tokenBytes is how long a token is before it is written as text.
const tokenBytes = 32

// NewTicket makes a ticket for one life of a cell.
func NewTicket(service, name, incarnation string) (Ticket, error) {
	token := make([]byte, tokenBytes)
	if _, err := rand.Read(token); err != nil {
		return Ticket{}, fmt.Errorf("make a ticket for %s: %w", name, err)
	}
	t := Ticket{Service: service, Name: name, Incarnation: incarnation, Token: base64.RawURLEncoding.EncodeToString(token)}
	return t, t.check()
}

func (t Ticket) check() error {
	errs := []error{birth.CheckName("service", t.Service), birth.CheckName("name", t.Name)}
	if t.Incarnation == "" {
		errs = append(errs, errors.New("the incarnation is empty"))
	}
	if token, err := base64.RawURLEncoding.DecodeString(t.Token); err != nil || len(token) != tokenBytes {
		errs = append(errs, errors.New("the token isn't one that NewTicket has made"))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("ticket for %s: %w", t.Name, err)
	}
	return nil
}

// ID is the ticket's public name. It is derived from the token and can't be turned
// back.
func (t Ticket) ID() string { return hex.EncodeToString(t.key("id")[:16]) }

// Cell is the life that the ticket is for.
func (t Ticket) Cell() string { return t.Name + "." + t.Incarnation }

// key derives a key from the token, for one purpose and this one life.
func (t Ticket) key(purpose string) []byte {
	return code([]byte(t.Token), "homeostat boot 1", purpose, t.Service, t.Name, t.Incarnation)
}

// code is the HMAC-SHA256 of some texts, each with its length before it.
func code(key []byte, texts ...string) []byte {
	mac := hmac.New(sha256.New, key)
	for _, text := range texts {
		fmt.Fprintf(mac, "%d:%s", len(text), text)
	}
	return mac.Sum(nil)
}

// What a ticket may have come to. Each is wrapped with whose it is.
var (
	ErrUnknown = errors.New("nothing is noted of the ticket: it was revoked, or never issued")
	ErrUsed    = errors.New("the ticket was used by another machine")
	ErrExpired = errors.New("the ticket has expired")
	ErrGaveUp  = errors.New("the machine has given up")
)

// Issue notes in Consul that the ticket may be used until then. It may be repeated,
// also to have it last longer.
func Issue(ctx context.Context, c *fleet.Client, t Ticket, until time.Time) error {
	if err := t.check(); err != nil {
		return err
	}
	return c.IssueTicket(ctx, fleet.BootTicket{ID: t.ID(), Service: t.Service, Cell: t.Name, Incarnation: t.Incarnation, Until: until})
}

// Revoke removes all that Consul holds of the ticket. A machine that has come with
// it, and hasn't installed its cell, then ends itself.
func Revoke(ctx context.Context, c *fleet.Client, t Ticket) error {
	return c.RevokeTicket(ctx, t.ID())
}

// Settle notes that the ticket's cell is installed, as whoever sees it live knows,
// also where Consul has lost what was noted. What the two have said is removed. It
// is ErrUsed where another machine than that was answered; any will do where it is
// empty.
func Settle(ctx context.Context, c *fleet.Client, t Ticket, machine string) error {
	note, err := c.Ticket(ctx, t.ID())
	if err != nil {
		return err
	}
	if err := usedByAnother(note, machine); err != nil {
		return err
	}
	if note == nil || note.DoneAt == nil {
		err = c.SettleTicket(ctx, fleet.BootTicket{
			ID: t.ID(), Service: t.Service, Cell: t.Name, Incarnation: t.Incarnation, Until: time.Now(), Machine: machine,
		})
		if err != nil {
			return err
		}
	}
	return c.ClearJoin(ctx, t.ID())
}

// usedByAnother is ErrUsed where another machine was answered than that.
func usedByAnother(note *fleet.BootTicket, machine string) error {
	if note == nil || machine == "" || note.Machine == "" || note.Machine == machine {
		return nil
	}
	return fmt.Errorf("%w: it was %s, and %s is waited for", ErrUsed, note.Machine, machine)
}

// TicketState is what a ticket has come to:
//
//	(Unknown) -> Open -> Used ---> Done
//	               |       +--> Overdue
//	               +---> Expired
type TicketState string

// The states of a ticket.
const (
	Unknown TicketState = "unknown" // never issued, or revoked
	Open    TicketState = "open"
	Used    TicketState = "used" // a machine was answered and is installing
	Expired TicketState = "expired"
	// Overdue: a machine was answered and hasn't said in time that it is installed.
	Overdue TicketState = "overdue"
	Done    TicketState = "done" // that machine has installed its cell
)

// State returns what the ticket has come to.
func State(ctx context.Context, c *fleet.Client, t Ticket) (TicketState, error) {
	note, err := c.Ticket(ctx, t.ID())
	switch {
	case err != nil:
		return "", err
	case note == nil:
		return Unknown, nil
	}
	return stateOf(note, time.Now()), nil
}

func stateOf(note *fleet.BootTicket, now time.Time) TicketState {
	switch {
	case note.DoneAt != nil:
		return Done
	case note.Contact != "" && now.After(note.Until):
		return Overdue
	case note.Contact != "":
		return Used
	case now.After(note.Until):
		return Expired
	}
	return Open
}
