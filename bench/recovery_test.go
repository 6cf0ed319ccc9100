package bench

import (
	"encoding/binary"
	"flag"
	"fmt"
	"hash/fnv"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/testkit"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/testkit/traffic"
)

var (
	outage = flag.Duration("outage", time.Minute, "for how long half the cells are away")
	loads  = flag.String("loads", "0.7,0.75,0.8,0.85,0.9,0.95,1", "loads to try, as shares of what all cells can do")
)

// smallAPI is an application of eight workers, as many are needed; clients want their
// answer within 500 ms.
var smallAPI = task{Workers: 8, Work: 100 * time.Millisecond, SLO: 500 * time.Millisecond}

const recoveryCells = 6

// retries is how clients try again: three times, each try for two seconds at most.
var retries = traffic.Retries{Most: 3, Timeout: 2 * time.Second, Wait: 200 * time.Millisecond}

// BenchmarkRecovery freezes half the cells for a while, under clients who try again,
// and then wakes them: does the goodput come back by itself, with the load as it was,
// and up to which load? An overload that feeds itself by retries and stale requests
// would stay (Bronson et al., Metastable Failures in Distributed Systems, HotOS 2021).
// HAProxy stands before the same applications, in turn in the same run.
func BenchmarkRecovery(b *testing.B) {
	n := roundsOf(b)
	beside(b)
	first(b)
	sides := []string{homeostat, haproxy}
	var seconds, before, low, sent figures
	for round := range n {
		for i, load := range strings.Split(*loads, ",") {
			share, err := strconv.ParseFloat(load, 64)
			must(b, err)
			for side := range sides {
				name := sides[(side+round+i)%len(sides)]
				r := recovery(b, name, share, seedOf(round, load))
				b.Logf("round %d, load %g, %s, machine's load %s\n%s", round+1, share, name, machineLoad(), r.table())
				seconds.add(name, load, r.recovered.Seconds())
				before.add(name, load, 100*r.before.Share(smallAPI.SLO))
				low.add(name, load, 100*r.during.Share(smallAPI.SLO))
				sent.add(name, load, float64(r.during.Sent)/float64(max(r.during.Due, 1)))
			}
		}
	}
	b.Logf("half of %d cells away for %s\nseconds until goodput is back at 99 %% (-1: never)\n%s\nin time before, %%\n%s\nin time meanwhile, %%\n%s\nrequests sent meanwhile for each that was due\n%s",
		recoveryCells, *outage, seconds.table(), before.table(), low.table(), sent.table())
	for _, name := range sides {
		b.ReportMetric(highest(&seconds, name), name+"-recovers-up-to")
	}
}

// seedOf is of one load in one round, so that both sides meet the same arrivals.
func seedOf(round int, load string) uint64 {
	h := fnv.New64()
	_, _ = h.Write([]byte(load)) // a hash takes everything
	_, _ = h.Write(binary.BigEndian.AppendUint64(nil, uint64(round)))
	return h.Sum64()
}

// highest is the highest load up to which goodput came back in all rounds, at this
// load and all that are lower.
func highest(seconds *figures, name string) (load float64) {
	for _, column := range seconds.columns {
		if at(seconds.values[[2]string{name, column}], 0) < 0 {
			break
		}
		load, _ = strconv.ParseFloat(column, 64) // it was read before
	}
	return load
}

// recovering is what one run showed.
type recovering struct {
	clients        traffic.Outcome
	before, during traffic.Outcome
	gone, back     time.Duration // since counts began
	recovered      time.Duration // from when the cells were given back; negative: never
}

// second is by how much outcomes are told apart here, window over how much goodput is
// taken together, and steady how long before the cells go.
const (
	second = time.Second
	window = 5
	steady = 20 * time.Second
)

// recovery measures one program at one load.
func recovery(b *testing.B, name string, share float64, seed uint64) (r recovering) {
	b.Helper()
	h := newHouse(b, smallAPI, nil, "")
	defer h.stop()
	if name == homeostat {
		for range recoveryCells {
			h.begin(b)
		}
		for _, c := range h.cells {
			c.ready(b)
		}
		h.beginFront(b)
	} else {
		h.beginPeer(b)
	}
	after := max(*outage, 30*time.Second)
	r.gone, r.back = steady, steady+*outage
	applications := h.cpu(b)
	u := send(b, traffic.Clients{
		Address: h.Listen, For: warmUp + r.back + after, WarmUp: warmUp, Every: second, Connections: 5000, Seed: seed,
		Streams: []traffic.Stream{{
			Name: "clients", Rate: share * recoveryCells * smallAPI.capacity(), Path: "/", Patience: 10 * time.Second, Retries: retries, Follow: true,
		}},
	})
	began := time.Now().Add(warmUp)
	time.Sleep(time.Until(began.Add(r.gone)))
	away := h.cells[recoveryCells/2:]
	for _, c := range away {
		c.signal(b, syscall.SIGSTOP)
		defer c.signal(b, syscall.SIGCONT) // should the run end early
	}
	time.Sleep(time.Until(began.Add(r.back)))
	for _, c := range away {
		c.signal(b, syscall.SIGCONT)
	}
	sent := u.wait(b)
	if busy := float64(h.cpu(b)-applications+sent.CPU) / float64(sent.Lasted); busy > busyLimit {
		b.Fatalf("void: before %s at %g generator and applications had %.0f %% of their processor", name, share, 100*busy)
	}
	r.clients = sent.Outcomes[0]
	r.judge()
	return r
}

// beginPeer has HAProxy before applications that have no sidecar.
func (h *house) beginPeer(b *testing.B) {
	b.Helper()
	for i := range recoveryCells {
		c := &cell{address: loopback(b)}
		c.program = run(b, fmt.Sprintf("application-%d", i+1), theirs, h.Dir, nil, append(h.application(b), "-listen", c.address)...)
		c.answers(b, c.address)
		c.application = c.cmd.Process.Pid
		h.cells, h.Cells = append(h.cells, c), append(h.Cells, c.address)
	}
	p := testkit.DebianProgram(b, haproxy, packages[haproxy]...)
	h.front = run(b, haproxy, ours, h.Dir, p.Environment, p.Path, "-db", "-f", write(b, "haproxy-cells.cfg", h.Dir, h.houseSettings))
	h.front.answers(b, h.Listen)
}

// judge finds when the goodput came back: from when on, over five seconds, the share
// of the clients that were answered in time was 99 % of what it was before, if it was
// that at the end too.
func (r *recovering) judge() {
	parts := r.clients.Parts
	r.before = traffic.Together(parts[:r.gone/second])
	r.during = traffic.Together(parts[r.gone/second : r.back/second])
	enough := 0.99 * r.before.Share(smallAPI.SLO)
	r.recovered = -second
	rest := parts[r.back/second:]
	if traffic.Together(rest[len(rest)-2*window:]).Share(smallAPI.SLO) < enough {
		return
	}
	for i := range len(rest) - window {
		if traffic.Together(rest[i:i+window]).Share(smallAPI.SLO) >= enough {
			r.recovered = time.Duration(i) * second
			return
		}
	}
}

// table is the run, in spans of five seconds.
func (r *recovering) table() string {
	var t strings.Builder
	w := tabwriter.NewWriter(&t, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "s after they went\tdue/s\tin time %\tp50 ms\tp99 ms\tsent for each\tgiven up\tfailed\tanswered\t")
	for i := 0; i+window <= len(r.clients.Parts); i += window {
		o := traffic.Together(r.clients.Parts[i : i+window])
		fmt.Fprintf(w, "%.0f\t%.0f\t%.1f\t%.0f\t%.0f\t%.2f\t%d\t%d\t%v\t\n", (time.Duration(i)*second - r.gone).Seconds(), float64(o.Due)/o.Over.Seconds(),
			100*o.Share(smallAPI.SLO), ms(o.Quantile(0.5)), ms(o.Quantile(0.99)), float64(o.Sent)/float64(max(o.Due, 1)), o.GivenUp, o.Failed, o.Answered)
	}
	_ = w.Flush() // a strings.Builder takes everything
	fmt.Fprintf(&t, "back %s after they were given back", r.recovered)
	return t.String()
}
