package remote

import (
	"io"
	"strings"
)

// complaint is the begin of what a script writes on its standard error.
type complaint struct {
	done chan struct{}
	text string // read it after done
}

// listen reads a process's standard error to its end, which comes with that of
// the channel at the latest.
func listen(p *process) *complaint {
	c := &complaint{done: make(chan struct{})}
	go func() {
		defer close(c.done)
		text, _ := io.ReadAll(io.LimitReader(p.Stderr(), 4<<10)) // ends with the connection
		_, _ = io.Copy(io.Discard, p.Stderr())
		c.text = strings.TrimSpace(string(text))
	}()
	return c
}

// said waits for the end and returns the text.
func (c *complaint) said() string {
	<-c.done
	return c.text
}
