package fleet

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestTicket(t *testing.T) {
	t.Parallel()
	c, now := atNoon(t)
	note := BootTicket{ID: "t1", Service: "web", Cell: "web-1", Incarnation: "a", Until: noon.Add(time.Hour)}
	if got, err := c.Ticket(t.Context(), "t1"); got != nil || err != nil {
		t.Fatalf("before it is issued: %v, %v", got, err)
	}
	if _, err := c.AdmitContact(t.Context(), "t1", "one", "i-1"); !errors.Is(err, ErrNotFound) {
		t.Errorf("a contact without a ticket: %v", err)
	}
	ok(t, c.IssueTicket(t.Context(), note))

	var wait sync.WaitGroup
	contacts := []string{"one", "two", "three", "four"}
	admitted := make([]string, len(contacts))
	for k, contact := range contacts {
		wait.Go(func() {
			got, err := c.AdmitContact(t.Context(), "t1", contact, "i-1")
			if err != nil {
				t.Error(err)
				return
			}
			admitted[k] = got.Contact
		})
	}
	wait.Wait()
	if slices.Sort(admitted); admitted[0] == "" || admitted[0] != admitted[3] {
		t.Errorf("admitted %v", admitted)
	}

	note.Until = noon.Add(2 * time.Hour)
	ok(t, c.IssueTicket(t.Context(), note))
	ok(t, c.FinishTicket(t.Context(), "t1"))
	got := must(c.Ticket(t.Context(), "t1"))(t)
	if got.Contact != admitted[0] || !got.Until.Equal(note.Until) || !got.At.Equal(noon) || got.DoneAt == nil {
		t.Errorf("issued again: %+v", got)
	}
	other := note
	other.Incarnation = "b"
	if err := c.IssueTicket(t.Context(), other); err == nil || !strings.Contains(err.Error(), "it is one for web/web-1.a") {
		t.Errorf("issued for another life: %v", err)
	}
	if err := c.IssueTicket(t.Context(), BootTicket{ID: "t2", Service: "web", Cell: "web-1", Incarnation: "a"}); err == nil {
		t.Error("a ticket without an end was issued")
	}

	// A ticket of which nothing came is forgotten in time, one in use is not.
	ok(t, c.IssueTicket(t.Context(), BootTicket{ID: "t3", Service: "web", Cell: "web-3", Incarnation: "a", Until: noon}))
	*now = noon.Add(TombstonesKept + 3*time.Hour)
	ok(t, c.IssueTicket(t.Context(), BootTicket{ID: "t4", Service: "web", Cell: "web-4", Incarnation: "a", Until: now.Add(time.Hour)}))
	// One is noted again after it was lost, as one that is done.
	ok(t, c.RevokeTicket(t.Context(), "t1"))
	ok(t, c.SettleTicket(t.Context(), note))
	ok(t, c.SettleTicket(t.Context(), note))
	if got := must(c.Ticket(t.Context(), "t1"))(t); got == nil || got.DoneAt == nil || got.Incarnation != "a" {
		t.Errorf("noted again: %+v", got)
	}
	for id, want := range map[string]bool{"t1": true, "t3": false, "t4": true} {
		if got := must(c.Ticket(t.Context(), id))(t); (got != nil) != want {
			t.Errorf("ticket %s: %+v", id, got)
		}
	}
	if all := must(c.Services(t.Context()))(t); len(all) != 0 {
		t.Errorf("services %v", all)
	}
}

func TestJoinMail(t *testing.T) {
	t.Parallel()
	c, _ := atNoon(t)
	ok(t, c.IssueTicket(t.Context(), BootTicket{ID: "t1", Service: "web", Cell: "web-1", Incarnation: "a", Until: noon.Add(time.Hour)}))
	for _, name := range []string{"hello/b", "hello/a", "answer/b"} {
		ok(t, c.PostJoin(t.Context(), "t1", name, []byte(name)))
	}
	ok(t, c.PostJoin(t.Context(), "t1", "hello/b", []byte("again")))
	if err := c.PostJoin(t.Context(), "t2", "hello/c", nil); !errors.Is(err, ErrNotFound) {
		t.Errorf("over a ticket that is none: %v", err)
	}
	mails := must(c.JoinMails(t.Context(), "t1"))(t)
	slices.SortFunc(mails, func(a, b JoinMail) int { return int(a.Index) - int(b.Index) })
	var got []string
	for _, m := range mails {
		got = append(got, m.Name+"="+string(m.Text))
	}
	if want := "hello/b=again hello/a=hello/a answer/b=answer/b"; strings.Join(got, " ") != want {
		t.Errorf("%v, want %s", got, want)
	}
	ok(t, c.TakeJoin(t.Context(), "t1", "hello/b", "hello/none"))
	if mails := must(c.JoinMails(t.Context(), "t1"))(t); len(mails) != 2 {
		t.Errorf("after one was taken: %v", mails)
	}
	ok(t, c.RevokeTicket(t.Context(), "t1"))
	ok(t, c.RevokeTicket(t.Context(), "t1"))
	if mails := must(c.JoinMails(t.Context(), "t1"))(t); len(mails) != 0 {
		t.Errorf("after it was revoked: %v", mails)
	}
	if err := c.PostJoin(t.Context(), "t1", "hello/b", nil); !errors.Is(err, ErrNotFound) {
		t.Errorf("over a ticket that was revoked: %v", err)
	}
	// Left over from one whose revocation was cut, so nobody revokes it.
	ok(t, c.put(t.Context(), must(c.joinKey("t2", "hello/c"))(t), "hello"))
	ok(t, c.IssueTicket(t.Context(), BootTicket{ID: "t3", Service: "web", Cell: "web-3", Incarnation: "a", Until: noon.Add(time.Hour)}))
	if mails := must(c.JoinMails(t.Context(), "t2"))(t); len(mails) != 0 {
		t.Errorf("what was said over a ticket that is none: %v", mails)
	}
	if err := c.PostJoin(t.Context(), "../record", "hello/a", nil); err == nil {
		t.Error("a path was taken for a ticket")
	}
	if err := c.PostJoin(t.Context(), "t2", "hello/a", make([]byte, ValueLimit+1)); !errors.Is(err, ErrTooLarge) {
		t.Errorf("too large: %v", err)
	}
}

// A cell may live though nobody noted that its machine was done.
func TestSweepSparesWhoLives(t *testing.T) {
	t.Parallel()
	c, now := atNoon(t)
	cell := cellFor(t, "1", "a")
	ok(t, c.Push(t.Context(), cell, Passing, "well"))
	ticket := BootTicket{ID: "t1", Service: cell.Service, Cell: cell.Name, Incarnation: "a", Until: noon}
	ok(t, c.IssueTicket(t.Context(), ticket))
	*now = noon.Add(2 * TombstonesKept)
	ok(t, c.sweepTickets(t.Context()))
	if got := must(c.Ticket(t.Context(), "t1"))(t); got == nil {
		t.Error("the ticket of a cell that lives was swept")
	}
	ok(t, c.Deregister(t.Context(), cell.ID()))
	ok(t, c.sweepTickets(t.Context()))
	if got := must(c.Ticket(t.Context(), "t1"))(t); got != nil {
		t.Errorf("nobody lives, and there is still %+v", got)
	}
}
