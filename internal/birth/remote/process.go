package remote

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
)

// process is a command that runs on the machine.
type process struct {
	ssh.Channel
	machine *Machine
	ended   chan struct{} // closed once outcome is known
	closed  chan struct{} // closed with the channel
	err     error         // how it ended; read it after ended
}

// errNoStatus says that the channel was closed before the command's exit status came.
var errNoStatus = errors.New("the connection broke before the command ended")

// ExitError says that a command ended with another status than 0.
type ExitError struct {
	Status int    // -1 where a signal ended it
	Signal string // without SIG
}

func (e *ExitError) Error() string {
	if e.Signal != "" {
		return "ended by signal " + e.Signal
	}
	return fmt.Sprintf("exit status %d", e.Status)
}

// start runs a command line. The caller has bound the connection to ctx.
func (m *Machine) start(ctx context.Context, line string) (*process, error) {
	channel, requests, err := m.link.client.OpenChannel("session", nil)
	if err != nil {
		return nil, fmt.Errorf("open a session: %w", err)
	}
	p := &process{Channel: channel, machine: m, ended: make(chan struct{}), closed: make(chan struct{})}
	go p.follow(requests)
	accepted, err := channel.SendRequest("exec", true, ssh.Marshal(struct{ Command string }{line}))
	if err == nil && !accepted {
		err = errors.New("sshd doesn't let commands be run")
	}
	if err != nil {
		p.close()
		return nil, fmt.Errorf("run a command: %w", m.explain(ctx, err))
	}
	return p, nil
}

// follow takes the exit status from the channel's requests.
func (p *process) follow(requests <-chan *ssh.Request) {
	defer close(p.closed)
	known := false
	set := func(err error) {
		if !known {
			known, p.err = true, err
			close(p.ended)
		}
	}
	for request := range requests {
		var status struct{ Status uint32 }
		var signal struct {
			Name   string
			Core   bool
			Text   string
			Locale string
		}
		switch {
		case request.Type == "exit-status" && ssh.Unmarshal(request.Payload, &status) == nil:
			set(exitError(int(status.Status)))
		case request.Type == "exit-signal" && ssh.Unmarshal(request.Payload, &signal) == nil:
			set(&ExitError{Status: -1, Signal: signal.Name})
		}
		if request.WantReply {
			_ = request.Reply(false, nil) // the connection may have ended
		}
	}
	set(errNoStatus)
}

func exitError(status int) error {
	if status == 0 {
		return nil
	}
	return &ExitError{Status: status}
}

// closeLimit is how long an sshd may take to confirm that a channel is closed.
const closeLimit = 30 * time.Second

// close ends the channel and waits until nothing of it runs here. An sshd that
// doesn't confirm it, as when the command doesn't read what it was sent, costs
// the connection.
func (p *process) close() {
	_ = p.Channel.Close() // the other side may have been first
	select {
	case <-p.closed:
	case <-time.After(closeLimit):
		p.machine.fail(fmt.Errorf("sshd has not closed a channel for %s", closeLimit))
		<-p.closed
	}
}

// asRoot is the command line that runs a script as root. The script's arguments
// are its positional parameters, so that none of them is ever taken for code.
func (m *Machine) asRoot(script string, arguments ...string) string {
	words := append([]string{"/bin/sh", "-c", script, "homeostat"}, arguments...)
	if m.config.User != "root" {
		words = append([]string{"sudo", "-n", "--"}, words...)
	}
	for i, word := range words {
		words[i] = quote(word)
	}
	return "exec " + strings.Join(words, " ")
}

// quote makes one word of a string for a shell.
func quote(word string) string { return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'" }

// script runs a short script as root to its end: input in, output out.
func (m *Machine) script(ctx context.Context, input io.Reader, limit int64, script string, arguments ...string) ([]byte, error) {
	defer m.bound(ctx)()
	p, err := m.start(ctx, m.asRoot(script, arguments...))
	if err != nil {
		return nil, err
	}
	defer p.close()
	complaint := listen(p)
	fed := make(chan struct{})
	go func() {
		defer close(fed)
		_, _ = io.Copy(p, input) // what the command didn't want to read is no failure
		_ = p.CloseWrite()
	}()
	output, err := io.ReadAll(io.LimitReader(p, limit))
	if err == nil {
		<-p.ended
		err = p.err
	}
	p.close()
	<-fed
	if said := complaint.said(); err != nil && said != "" {
		err = fmt.Errorf("%w: %s", err, said)
	}
	return output, m.explain(ctx, err)
}
