package front

import (
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/load"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/policy"
)

// Member is a cell as its registration shows it.
type Member struct {
	// ID is the cell and its incarnation.
	ID     string
	Health fleet.Health
	// Silent says that it is critical because nothing is heard from it.
	Silent bool
	// Born is when its birth began.
	Born time.Time
}

// Chooser knows the members of a service and their load, and chooses among them.
// Time and chance come in with each call. It isn't safe for several goroutines.
type Chooser struct {
	rule  policy.Front
	cells map[string]*cell
	// good take anything, spare no new clients, lost are those that nothing is
	// heard from. Those which say that they are unwell are in none of them.
	good, spare, lost []*cell
	ejected           []*cell
	// What was seen lately over all cells: in flight, not from here, and latency.
	flight, elsewhere, latencies window
	// errors are their shares of errors.
	errors window
	// Those that had room of late.
	roomForClients, roomForCrawlers roomy
}

// cell is what is known of one member.
type cell struct {
	Member
	word
	hash uint64 // of the id
	// since is from when it grows into its share.
	since time.Time
	// own is what was sent from here and hasn't come back.
	own int
	// last is the newest result; handed is how often the cell was named to others
	// since, who then go there without this chooser seeing it.
	last   result
	handed int
	// listed is how often it was the first of a list since.
	listed int
	// part is how many clients may be sent there by WithRoom, as it was then.
	part   float64
	partAt time.Time
	// others is what the cell has in flight that didn't come from here, the mean of
	// so many reports, older ones counting less.
	others, reports float64
	// latency is measured here, over the answers to what was sent, in seconds.
	latency  float64
	measured time.Time
	// erred is the share of errors in its answers, as it was when the last came.
	erred  float64
	judged time.Time
	// failures are in a row; ejections count for how long to leave it alone.
	failures, ejections int
	until               time.Time
}

// result is a report, when it came, and for how many choices it has served.
type result struct {
	load.Report
	at   time.Time
	uses int
}

// NewChooser makes one without members.
func NewChooser(rule policy.Front) *Chooser {
	return &Chooser{rule: rule, cells: map[string]*cell{}, flight: newWindow(), elsewhere: newWindow(), latencies: newWindow(), errors: newWindow()}
}

// SetMembers takes the members as they are now. What is known of those that stay
// is kept.
func (c *Chooser) SetMembers(now time.Time, members []Member) {
	first := len(c.cells) == 0
	old := c.cells
	c.cells = make(map[string]*cell, len(members))
	c.good, c.spare, c.lost = nil, nil, nil
	for _, m := range members {
		one := old[m.ID]
		if one == nil {
			one = &cell{since: now, hash: hashOf(m.ID)}
			if first { // Who was there before this chooser is no newcomer for that.
				one.since = m.Born
			}
		}
		if one.Health == fleet.Critical && m.Health != fleet.Critical && !one.Silent {
			one.since = now // It was being born, or unwell, until now.
		}
		one.Member = m
		c.cells[m.ID] = one
		c.sort(one)
	}
	c.roomForClients.walked, c.roomForCrawlers.walked = time.Time{}, time.Time{}
	c.ejected = slices.DeleteFunc(c.ejected, func(e *cell) bool { return c.cells[e.ID] != e })
}

func (c *Chooser) sort(one *cell) {
	switch {
	case one.Health == fleet.Passing:
		c.good = append(c.good, one)
	case one.Health == fleet.Warning:
		c.spare = append(c.spare, one)
	case one.Silent:
		c.lost = append(c.lost, one)
	}
}

// Learn takes a cell's report. One of a cell that is no member is passed over.
func (c *Chooser) Learn(now time.Time, id string, r load.Report) {
	one := c.cells[id]
	if one == nil {
		return
	}
	one.hear()
	if !one.last.at.IsZero() {
		one.reports *= math.Exp(-now.Sub(one.last.at).Seconds() / c.rule.LoadMemory.Seconds())
	}
	one.reports++
	one.others += (float64(r.InFlight-one.own) - one.others) / one.reports
	c.elsewhere.add(max(one.others, 0))
	one.last, one.handed, one.listed = result{Report: r, at: now}, 0, 0
	c.tellsOfRoom(one, now)
}

// Began counts a request that is sent to a cell.
func (c *Chooser) Began(now time.Time, id string) {
	if one := c.cells[id]; one != nil {
		one.ask(now, one.own)
		one.own++
		one.last.uses++
	}
}

// Ended counts it as come back.
func (c *Chooser) Ended(now time.Time, id string) {
	if one := c.cells[id]; one != nil && one.own > 0 {
		one.own--
		one.gone(now, one.own, c.rule.SilentAfter)
	}
}

// Handed counts that a cell was named to someone who will go there directly.
func (c *Chooser) Handed(id string) {
	if one := c.cells[id]; one != nil {
		one.handed++
		one.last.uses++
	}
}

// Answered notes how long a cell's good answer took to begin. An application's own
// errors aren't told here, but by Erred: they are often quick.
func (c *Chooser) Answered(now time.Time, id string, took time.Duration) {
	one := c.cells[id]
	if one == nil {
		return
	}
	one.hear()
	one.failures = 0
	c.judge(one, now, 0)
	// The least weight keeps one odd answer among many from counting alone.
	weight := 1.0
	if !one.measured.IsZero() {
		weight = max(1-math.Exp(-now.Sub(one.measured).Seconds()/c.rule.LoadMemory.Seconds()), 0.05)
	}
	one.latency += weight * (took.Seconds() - one.latency)
	one.measured = now
}

// Failed notes that a cell couldn't be reached or broke off, and reports whether
// it is left alone from now on, for a time that doubles each time.
func (c *Chooser) Failed(now time.Time, id string) bool {
	one := c.cells[id]
	if one == nil {
		return false
	}
	one.failures++
	if one.failures < c.rule.EjectAfter || now.Before(one.until) {
		return false
	}
	if now.Sub(one.until) > c.rule.EjectMax {
		one.ejections = 0
	}
	pause := c.rule.EjectTime << min(one.ejections, 30)
	if pause <= 0 || pause > c.rule.EjectMax {
		pause = c.rule.EjectMax
	}
	one.ejections++
	one.until = now.Add(pause)
	if !slices.Contains(c.ejected, one) {
		c.ejected = append(c.ejected, one)
	}
	return true
}

// NextProbe is a cell whose load should be asked for: of a few drawn at random one
// that is silent, else the one that was heard from the longest ago; empty when there
// is none.
func (c *Chooser) NextProbe(now time.Time, rng *rand.Rand) string {
	const among = 4
	var oldest *cell
	for range among {
		one := c.draw(rng)
		if one == nil {
			break
		}
		doubted, busy := c.doubted(one, now)
		if busy {
			continue // or those that hang would have all the probes
		}
		if doubted {
			one.probed = now
			return one.ID
		}
		if oldest == nil || one.last.at.Before(oldest.last.at) {
			oldest = one
		}
	}
	if oldest == nil {
		return ""
	}
	return oldest.ID
}

func (c *Chooser) draw(rng *rand.Rand) *cell {
	if len(c.good)+len(c.spare) == 0 {
		return nil
	}
	i := rng.IntN(len(c.good) + len(c.spare))
	if i < len(c.good) {
		return c.good[i]
	}
	return c.spare[i-len(c.good)]
}

// InFlight is what was sent from here and hasn't come back, by cell.
func (c *Chooser) InFlight() map[string]int {
	all := make(map[string]int, len(c.cells))
	for id := range maps.Keys(c.cells) {
		all[id] = c.cells[id].own
	}
	return all
}
