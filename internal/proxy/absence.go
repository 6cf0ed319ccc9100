package proxy

import (
	"context"
	"net"
	"time"
)

const (
	// lookEvery is how often an application that was not there is looked for.
	lookEvery = 100 * time.Millisecond
	// lookLimit is how long it may take to accept a connection.
	lookLimit = 2 * time.Second
)

// absent notes that the application is not there. Until it is, clients go to siblings
// with room and the cell says that it is hot: with nothing in flight it would look like
// the one with the most room, and draw everybody to it.
func (p *Proxy) absent(err error) {
	if p.away.Swap(true) {
		return
	}
	p.gate.down()
	p.cfg.Log.Warn("the application isn't there", "address", p.cfg.Application, "error", err)
	time.AfterFunc(lookEvery, p.look)
}

// look tries to connect to the application, and comes again until that works or the
// proxy ends. Requests alone wouldn't notice its return: fewer are sent here.
func (p *Proxy) look() {
	ctx, cancel := context.WithTimeout(p.ending, lookLimit)
	defer cancel()
	c, err := (&net.Dialer{}).DialContext(ctx, "tcp", p.cfg.Application)
	switch {
	case err == nil:
		_ = c.Close() // nothing was said
		p.away.Store(false)
		p.cfg.Log.Info("the application is there again", "address", p.cfg.Application)
	case p.ending.Err() == nil:
		time.AfterFunc(lookEvery, p.look)
	}
}
