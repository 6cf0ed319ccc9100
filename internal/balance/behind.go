package balance

import (
	"fmt"
	"strings"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/reading"
)

// Behind is what is known of a service that this one needs.
type Behind struct {
	Service string
	// Count is how many cells are ordered there, Ready how many take work.
	Count reading.Reading
	Ready int
	// Max is how many cells its policy allows; 0 where that isn't known.
	Max int
	// Room is the most that one of its cells has left by its own bounds, 0 to 1;
	// 0 says that each is at a bound. It is unknown where cells don't measure it.
	Room reading.Reading
	// Need is how many of its cells its load takes now, in parts of a cell: what its
	// law adds up, or the used part of its bounds. Unknown where it has neither.
	Need reading.Reading
	// Load is the rate that it is asked for, per second.
	Load reading.Reading
	// Cause says which bound that is.
	Cause string
	// Answer is what its leader said to the last request, if anything.
	Answer string
}

// full says that the service is known to have no room.
func (b *Behind) full() bool { return b.Room.Known && b.Room.Value <= 0 }

// Ask is what this service wants of one that it needs.
type Ask struct {
	Service string
	// Floor is how many cells there should be at least.
	Floor int
	// Ceiling is how many there should be at most, 0 for no such bound. An Ask has
	// one of the two: those behind are asked for a floor, those in front for this.
	Ceiling int
	Reason  string
}

// asked is a request as it stands from beat to beat.
type asked struct {
	Service string `json:"service"`
	Floor   int    `json:"floor"`
	Reason  string `json:"reason"`
	// Met counts the beats for which there have been so many ready cells and the
	// reason stood nevertheless, Idle those since the reason is gone.
	Met  int `json:"met"`
	Idle int `json:"idle"`
}

// firstFull is the first of the services behind that has no room.
func (o *Observation) firstFull() *Behind {
	for i := range o.Behind {
		if o.Behind[i].full() {
			return &o.Behind[i]
		}
	}
	return nil
}

// paired is what is known of the service that new cells are paired with.
func (c *Config) paired(o *Observation) *Behind {
	for i := range o.Behind {
		if c.Pair != "" && o.Behind[i].Service == c.Pair {
			return &o.Behind[i]
		}
	}
	return nil
}

// ask takes one beat of the requests to services behind: reasons is why each of
// them is needed larger now. One cell more is asked for at a time, and the next
// only once that one has served for Law.EffectTime without helping: a service
// behind that grows by leaps would take the load off nobody any sooner. A
// request outlives its reason by Law.ReleaseAfter, so that a bound which is
// touched now and then doesn't make it come and go.
func (m *memory) ask(c *Config, o *Observation, reasons map[string]string) {
	kept := m.Asked[:0]
	for _, a := range m.Asked {
		b := o.behind(a.Service)
		why, needed := reasons[a.Service]
		switch {
		case b == nil:
			continue // the policy no longer names it
		case !needed:
			a.Idle++
			a.Met = 0
		default:
			a.Idle, a.Reason = 0, why
			a.grow(c, b)
		}
		if a.Idle < c.beats(c.Law.ReleaseAfter) {
			kept = append(kept, a)
		}
		delete(reasons, a.Service)
	}
	m.Asked = kept
	for i := range o.Behind {
		b := &o.Behind[i]
		if why, needed := reasons[b.Service]; needed && b.Count.Known {
			m.Asked = append(m.Asked, asked{Service: b.Service, Floor: b.floor(), Reason: why})
		}
	}
}

// grow asks for one cell more than asked once that is there and didn't help.
func (a *asked) grow(c *Config, b *Behind) {
	if b.Ready < a.Floor || !b.Count.Known {
		a.Met = 0
		return
	}
	if a.Met++; a.Met >= c.beats(c.Law.EffectTime) {
		a.Floor, a.Met = max(a.Floor+1, b.floor()), 0
	}
}

// floor is one cell more than there are.
func (b *Behind) floor() int { return int(clamp(b.Count.Value, 0, mostCells-1)) + 1 }

func (o *Observation) behind(service string) *Behind {
	for i := range o.Behind {
		if o.Behind[i].Service == service {
			return &o.Behind[i]
		}
	}
	return nil
}

// asks are the requests as a decision names them.
func (m *memory) asks() []Ask {
	var all []Ask
	for _, a := range m.Asked {
		all = append(all, Ask{Service: a.Service, Floor: a.Floor, Reason: a.Reason})
	}
	for _, c := range m.Ceilings {
		all = append(all, Ask{Service: c.Service, Ceiling: c.Ceiling, Reason: c.Reason})
	}
	return all
}

// behindNames lists the services behind, for a sentence.
func (o *Observation) behindNames() string {
	var names []string
	for _, b := range o.Behind {
		names = append(names, b.Service)
	}
	if len(names) == 0 {
		return "what it needs (the policy names no service)"
	}
	return strings.Join(names, " or ")
}

// atMax says that the service is known to have as many cells as it may.
func (b *Behind) atMax() bool { return b.Max > 0 && b.Count.Known && b.Count.Value >= float64(b.Max) }

// say names a service behind that is full, with its cause and its answer, or what a
// person can do where it can't grow by itself.
func (b *Behind) say() string {
	text := b.Service + " has no room"
	if b.Cause != "" {
		text += " (" + b.Cause + ")"
	}
	switch {
	case b.atMax():
		text += fmt.Sprintf(" and is at its max of %d: raise its max, or its cells' bounds if they can bear more", b.Max)
	case b.Answer != "":
		text += fmt.Sprintf("; its leader says: %s", b.Answer)
	}
	return text
}
