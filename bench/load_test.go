package bench

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/testkit/traffic"
)

// measured is what one load on one program showed.
type measured struct {
	outcomes []traffic.Outcome
	// busy is the share of their processor that generator and application had, and
	// spent what the program under test had of its own for each request that was due.
	busy  float64
	spent time.Duration
}

// busyLimit is the share of their processor above which generator and application
// may have been what was measured: such a run is void.
const busyLimit = 0.7

// underWay are clients that are sending.
type underWay struct {
	cmd *exec.Cmd
	out bytes.Buffer
}

// sent is what they have come to.
type sent struct {
	Outcomes    []traffic.Outcome
	CPU, Lasted time.Duration
}

// send has clients begin, on the processor of the application.
func send(b *testing.B, clients traffic.Clients) *underWay {
	b.Helper()
	in, err := json.Marshal(clients)
	must(b, err)
	u := &underWay{cmd: exec.CommandContext(b.Context(), "taskset", "-c", theirs, generator(b), "send")}
	u.cmd.Stdin, u.cmd.Stdout, u.cmd.Stderr = bytes.NewReader(in), &u.out, os.Stderr
	must(b, u.cmd.Start())
	return u
}

// wait waits for the last answer.
func (u *underWay) wait(b *testing.B) (s sent) {
	b.Helper()
	must(b, u.cmd.Wait())
	must(b, json.Unmarshal(u.out.Bytes(), &s))
	return s
}

// load sends clients at a stand.
func load(b *testing.B, s *stand, clients traffic.Clients) measured {
	b.Helper()
	clients.Address = s.address
	application := cpu(b, s.application)
	var program time.Duration
	if s.program != 0 {
		program = cpu(b, s.program, s.application)
	}
	sent := send(b, clients).wait(b)
	m := measured{outcomes: sent.Outcomes}
	m.busy = float64(cpu(b, s.application)-application+sent.CPU) / float64(sent.Lasted)
	if s.program != 0 {
		had := cpu(b, s.program, s.application) - program
		due := 0
		for _, o := range sent.Outcomes {
			due += o.Due
		}
		// The warm-up is in what it had, and not in what was due.
		share := float64(clients.For-clients.WarmUp) / float64(clients.For)
		m.spent = time.Duration(float64(had) * share / float64(max(due, 1)))
	}
	return m
}
