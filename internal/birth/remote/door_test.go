package remote

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/testkit"
)

// outcomes counts them.
func outcomes(tries []Try) map[Outcome]int {
	n := make(map[Outcome]int)
	for _, t := range tries {
		n[t.Outcome]++
	}
	return n
}

func gotIn(tries []Try) map[string]bool {
	in := make(map[string]bool)
	for _, t := range tries {
		if t.Outcome == GotIn {
			in[t.Way+" as "+t.User] = true
		}
	}
	return in
}

func TestDoor(t *testing.T) {
	noLeaks(t)
	private, public := newTestKey(t)
	authority, authorityLine := newTestKey(t)
	s := testkit.SSHD(t, testkit.SSHDOptions{Users: []string{"birth"}})
	for _, user := range []string{"birth", "root"} {
		base := Config{Host: "127.0.0.1", Port: s.Port(), User: user, HostKeys: []string{s.HostKey()}}
		byKey, byAgent, byCertificate := base, base, base
		byKey.PrivateKey = private
		byAgent.Agent = serveAgent(t, private)
		byCertificate.Authority = &Authority{File: keyFile(t, authority)}
		for _, c := range []struct {
			name   string
			config Config
			open   []string // what gets in before sealing
		}{
			{"key", byKey, []string{"the key", "a new session on the old connection"}},
			{"agent", byAgent, []string{"the agent's key " + fingerprint(t, public), "a new session on the old connection"}},
			{"certificate", byCertificate, []string{"a certificate signed now", "the certificate of birth", "a new session on the old connection"}},
		} {
			t.Run(c.name+" of "+user, func(t *testing.T) {
				if err := errors.Join(s.Authorize(user, public), s.Trust(authorityLine)); err != nil {
					t.Fatal(err)
				}
				old := dial(t, c.config)
				tries := TryDoor(soon(t), c.config, old)
				in := gotIn(tries)
				for _, way := range c.open {
					if !in[way+" as "+user] {
						t.Errorf("with the door open %s doesn't get in: %v", way, tries)
					}
				}
				if err := CheckShut(tries); !errors.Is(err, ErrDoorOpen) {
					t.Errorf("with the door open: %v", err)
				}
				if err := errors.Join(s.Authorize(user), s.Trust()); err != nil {
					t.Fatal(err)
				}
				if in := gotIn(TryDoor(soon(t), c.config, old)); len(in) != 1 || !in["a new session on the old connection as "+user] {
					t.Errorf("without its key or authority, of which the old connection knows nothing: %v", in)
				}
				if out, err := s.Exec(t.Context(), "pkill", "-f", "^sshd: "+user); err != nil {
					t.Fatal(err, out)
				}
				tries = TryDoor(soon(t), c.config, old)
				if err := CheckShut(tries); err != nil {
					t.Error(err)
				}
				if n := outcomes(tries); n[Refused] < 10 {
					t.Errorf("only %d ways were refused: %v", n[Refused], tries)
				}
				for _, try := range tries[:len(tries)-1] { // the last is on the old connection
					if try.Outcome == Refused && try.HostKey != fingerprint(t, s.HostKey()) {
						t.Errorf("%s was refused by one that shows %q", try, try.HostKey)
					}
				}
			})
		}
	}
}

// A machine that goes by principals of its own is tried with those that the birth
// used, also once the certificate of the birth has run out.
func TestDoorByPrincipals(t *testing.T) {
	noLeaks(t)
	authority, line := newTestKey(t)
	s := testkit.SSHD(t, testkit.SSHDOptions{Users: []string{"birth"}, Config: "AuthorizedPrincipalsFile /etc/principals"})
	if out, err := s.Exec(t.Context(), "sh", "-c", "echo births >/etc/principals"); err != nil {
		t.Fatal(err, out)
	}
	if err := s.Trust(line); err != nil {
		t.Fatal(err)
	}
	config := Config{
		Host: "127.0.0.1", Port: s.Port(), User: "birth", HostKeys: []string{s.HostKey()},
		Authority: &Authority{File: keyFile(t, authority), Principals: []string{"births"}},
	}
	if in := gotIn(TryDoor(soon(t), config, nil)); !in["a certificate signed now as birth"] {
		t.Errorf("with the authority trusted there got in: %v", in)
	}
	if err := s.Trust(); err != nil {
		t.Fatal(err)
	}
	if err := CheckShut(TryDoor(soon(t), config, nil)); err != nil {
		t.Error(err)
	}
}

func TestDoorOfOldConnectionThatDied(t *testing.T) {
	noLeaks(t)
	s := testkit.SSHD(t, testkit.SSHDOptions{})
	config := let(t, s, "root")
	old := dial(t, config)
	old.fail(errors.New("nothing has moved"))
	if err := s.Authorize("root"); err != nil {
		t.Fatal(err)
	}
	tries := TryDoor(soon(t), config, old)
	if err := CheckShut(tries); err == nil || errors.Is(err, ErrDoorOpen) {
		t.Errorf("a connection closed from here was taken for a refusal: %v, %v", err, tries)
	}
}

// A machine that doesn't answer isn't shut, and neither is another one.
func TestDoorWithoutAnswer(t *testing.T) {
	noLeaks(t)
	s := testkit.SSHD(t, testkit.SSHDOptions{})
	config := let(t, s, "root")
	try := func(t *testing.T) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		tries := TryDoor(ctx, config, nil)
		if n := outcomes(tries); n[Refused] != 0 || n[GotIn] != 0 || n[Failed] == 0 || CheckShut(tries) == nil {
			t.Errorf("got %v", tries)
		}
	}
	t.Run("another host key", func(t *testing.T) {
		if err := errors.Join(s.Stop(), s.NewHostKey(), s.Start(t.Context())); err != nil {
			t.Fatal(err)
		}
		try(t)
	})
	t.Run("stopped", func(t *testing.T) {
		if err := s.Stop(); err != nil {
			t.Fatal(err)
		}
		try(t)
	})
}

// An sshd with too many connections hangs up on all; that is waited out.
func TestDoorOfABusySSHD(t *testing.T) {
	noLeaks(t)
	s := testkit.SSHD(t, testkit.SSHDOptions{Config: "MaxStartups 1:100:1\nLoginGraceTime 0"})
	config := let(t, s, "root")
	if err := s.Authorize("root"); err != nil {
		t.Fatal(err)
	}
	hog := holdConnection(t, s.Addr())
	log, unanswered := attempts()
	config.Log = log
	done := make(chan []Try)
	go func() { done <- TryDoor(soon(t), config, nil) }()
	until(t, unanswered, "the door gives no answer")
	hog.Close()
	tries := <-done
	if err := CheckShut(tries); err != nil {
		t.Error(err)
	}
	if n := outcomes(tries); n[Refused] < 10 {
		t.Errorf("only %d ways were refused: %v", n[Refused], tries)
	}
}

// holdConnection opens a connection that sshd has begun to serve. One that it
// hangs up on, as the one before isn't over yet, is told why instead.
func holdConnection(t *testing.T, address string) net.Conn {
	t.Helper()
	var held net.Conn
	testkit.Await(t, time.Minute, func(ctx context.Context) error {
		connection, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
		if err != nil {
			return err
		}
		said := make([]byte, len(protocolMark))
		_, err = io.ReadFull(connection, said)
		if err != nil || !bytes.Equal(said, protocolMark) {
			connection.Close()
			return errors.Join(fmt.Errorf("sshd says %q", said), err)
		}
		held = connection
		return nil
	})
	t.Cleanup(func() { held.Close() })
	return held
}

func TestCheckShut(t *testing.T) {
	try := func(outcomes ...Outcome) []Try {
		var tries []Try
		for _, o := range outcomes {
			tries = append(tries, Try{Way: "the key", User: "root", Outcome: o})
		}
		return tries
	}
	for _, c := range []struct {
		tries      []Try
		shut, open bool
	}{
		{tries: try(Refused, NotTried, Refused), shut: true},
		{tries: try(Refused, Failed)},
		{tries: try(Refused, GotIn, Failed), open: true},
		{tries: try(NotTried)},
		{},
	} {
		err := CheckShut(c.tries)
		if (err == nil) != c.shut || errors.Is(err, ErrDoorOpen) != c.open {
			t.Errorf("%v: %v", c.tries, err)
		}
	}
}
