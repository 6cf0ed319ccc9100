package main

import (
	"bytes"
	"io"
	"os/exec"
	"sync"
)

// person is somebody at a terminal, before a Terraform that asks.
type person struct {
	house *house
	cmd   *exec.Cmd
	in    io.WriteCloser
	ended chan struct{}

	mu  sync.Mutex
	out bytes.Buffer
}

// prompt has a person run Terraform in the root module.
func (h *house) prompt(args ...string) *person {
	h.t.Helper()
	p := &person{house: h, cmd: exec.Command(h.terraform, args...), ended: make(chan struct{})}
	p.cmd.Dir, p.cmd.Env, p.cmd.Stdout, p.cmd.Stderr = h.module(), h.env, p, p
	var err error
	p.in, err = p.cmd.StdinPipe()
	h.must(err)
	h.must(p.cmd.Start())
	go func() {
		_ = p.cmd.Wait() // what it printed says more
		close(p.ended)
	}()
	h.t.Cleanup(func() {
		_ = p.cmd.Process.Kill() // it may have ended
		<-p.ended
	})
	return p
}

// Write implements io.Writer for what Terraform prints.
func (p *person) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.out.Write(b)
}

func (p *person) said() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.out.String()
}

func (p *person) answer(text string) {
	p.house.t.Helper()
	_, err := io.WriteString(p.in, text+"\n")
	p.house.must(err)
}
