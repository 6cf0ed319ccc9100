package simulate

import "time"

// static keeps one count.
type static int

// Static makes an entry that keeps n cells: what is done without an autoscaler,
// sized for the peak.
func Static(name string, n int) Entry {
	return Entry{Name: name, New: func(World) Law { return static(n) }}
}

func (s static) Every() time.Duration { return time.Minute }
func (s static) Decide(Seen) int      { return int(s) }
