package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"maps"
	"net"
	"slices"
	"sync"
	"testing"
	"time"
)

// away is longer than a session lives and than a silent cell is waited for.
var away = flag.Duration("away", 25*time.Second, "how long TestConsulFails keeps Consul away")

// TestConsulFails pauses Consul, kills it and starts it over its data, and at
// last over none. Whoever leads and whoever doesn't says so and goes on trying;
// no cell is lost to it, and no name is used again.
func TestConsulFails(t *testing.T) {
	h := faulty(t, houseOptions{Policy: `drain { timeout = "0s" }`})
	h.apply()
	h.settled(1, patience)
	h.succeed("pin", "pod", "4")
	h.settled(4, patience)
	h.succeed("pin", "pod", "3")
	h.settled(3, patience)
	before := h.lives()

	h.must(h.consul.Pause())
	time.Sleep(*away)
	h.must(h.consul.Continue())
	h.hears("the lock was lost", "running=")
	h.hears("could not push the cell's health; going on trying")
	h.hears("the cell's health is pushed again")
	h.settled(3, patience)
	h.sameLives(before)

	h.must(h.consul.Kill())
	h.must(h.consul.Start(t.Context()))
	h.settled(3, patience)
	h.sameLives(before)

	h.must(h.consul.Wipe())
	h.must(h.consul.Start(t.Context()))
	h.hears("no record in Consul: made from Terraform's state", "count=3")
	h.settled(3, patience)
	h.sameLives(before)

	// The pin was lost with the data, the names are not.
	h.succeed("pin", "pod", "4")
	h.settled(4, patience)
	born := slices.DeleteFunc(h.processes(), func(name string) bool { return before[name] != "" })
	if len(born) != 1 || born[0] != "pod-5" {
		t.Errorf("%v was born beside %v: want pod-5, as pod-4 was there before", born, slices.Sorted(maps.Keys(before)))
	}
}

// TestSiblingsCutOff cuts half of the cells off from Consul. They answer the
// leader at their own address, so nothing is replaced, and the reason is told.
func TestSiblingsCutOff(t *testing.T) {
	h := faulty(t, houseOptions{Policy: `
  replace { after = "1s" }
  health { ttl = "6s" }
`})
	line := newLine(t, h.consul.Addr())
	for _, cell := range []string{"pod-3", "pod-4"} {
		h.write("policy-of-"+cell, h.policyText(h.consul.Addr(), line.addr()))
	}
	h.apply()
	h.settled(1, patience)
	h.succeed("pin", "pod", "4")
	h.settled(4, patience)
	before := h.lives()

	line.cut()
	for _, cell := range []string{"pod-3", "pod-4"} {
		h.hears("a silent cell is left alone", "cell="+cell, "its own address answers: Consul is what is sick")
	}
	// Many beats, each of which could have taken them for dead.
	h.await("20 beats more", func(context.Context) error {
		if n := len(h.logLines("a silent cell is left alone", "cell=pod-4")); n < 20 {
			return fmt.Errorf("%d", n)
		}
		return nil
	})
	if replaced := h.logLines("cell is dead"); len(replaced) > 0 {
		t.Errorf("a cell that answers was taken for dead: %v", replaced)
	}
	line.mend()
	h.settled(4, patience)
	h.sameLives(before)
}

// line is a way to a server that can be cut.
type line struct {
	to       string
	listener net.Listener

	mu    sync.Mutex
	isCut bool
	open  map[net.Conn]bool
}

func newLine(t *testing.T, to string) *line {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := &line{to: to, listener: listener, open: map[net.Conn]bool{}}
	go l.accept()
	t.Cleanup(func() {
		_ = listener.Close() // accept ends with it
		l.cut()
	})
	return l
}

func (l *line) addr() string { return l.listener.Addr().String() }

func (l *line) accept() {
	for {
		conn, err := l.listener.Accept()
		if err != nil {
			return
		}
		go l.carry(conn)
	}
}

// carry copies both ways until either end is closed, or the line is cut. It
// leaves no end open: a server counts connections that nobody uses, too.
func (l *line) carry(conn net.Conn) {
	defer func() { _ = conn.Close() }() // an end that is closed is no error
	far, err := net.Dial("tcp", l.to)
	if err != nil {
		return
	}
	defer func() { _ = far.Close() }()
	if !l.keep(conn, far) {
		return
	}
	defer l.forget(conn, far)
	go func() {
		_, _ = io.Copy(far, conn)
		_ = far.Close()
	}()
	_, _ = io.Copy(conn, far)
}

// keep says false where the line is cut.
func (l *line) keep(conns ...net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.isCut {
		return false
	}
	for _, c := range conns {
		l.open[c] = true
	}
	return true
}

func (l *line) forget(conns ...net.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range conns {
		delete(l.open, c)
	}
}

func (l *line) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.isCut = true
	for c := range l.open {
		_ = c.Close() // it may be closed already
	}
	clear(l.open)
}

func (l *line) mend() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.isCut = false
}
