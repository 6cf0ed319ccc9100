package balance

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"
)

// stateFormat is the version of what a State is written as. It rises with
// every change that an older reader would misread.
const stateFormat = 2

// State is what the law remembers from one beat to the next. The zero State is
// a service never seen before. It is written to and read from JSON without
// loss, so that a new leader goes on where the last one stopped; it takes some
// 10 kB at the usual beat, and less than 200 kB at any.
type State struct{ mem memory }

// memory is the content of a State. Slices are never shared between two
// states: a decision works on a clone.
type memory struct {
	// Beat is what one value of every window lasted.
	Beat time.Duration `json:"beat"`
	// At is the instant of the last beat, in milliseconds since 1970; Count
	// numbers the beats with a known load, and Run those since the windows
	// began.
	At      int64 `json:"at"`
	Started bool  `json:"started"`
	Count   int64 `json:"count"`
	Run     int64 `json:"run"`

	// Offered is the load a[k], Felt the need e[k] of the last beats, Needs what was
	// believed of it, Mean the long mean of the load, and Looks what each look-back has learned; Best is the one in use.
	Offered series        `json:"offered"`
	Needs   peaks         `json:"needs"`
	Felt    series        `json:"felt"`
	Mean    float64       `json:"mean"`
	Looks   []look        `json:"looks"`
	Best    time.Duration `json:"best"`
	Relearn int64         `json:"relearn"` // the beat of the last relearning

	// Climbed counts the beats for which a rise has waited since it still climbs.
	Climbed int `json:"climbed,omitempty"`
	// Wanted is the count that was enough, n*, of the last WantedBeats beats that had all readings.
	Wanted      peaks `json:"wanted"`
	WantedBeats int64 `json:"wanted_beats"`
	// Blind is for how many beats with all readings a release waits, after others.
	// BlindFor counts the beats since it last waited for none, and Missed says what was
	// missing last: both are for the reason alone.
	Blind    int    `json:"blind,omitempty"`
	BlindFor int    `json:"blind_for,omitempty"`
	Missed   string `json:"missed,omitempty"`

	// Rates are the rates of a cell by version of the application, the newest
	// first, and Samples what the next one is made from.
	Version string        `json:"version"`
	Rates   []versionRate `json:"rates"`
	Samples []rateSample  `json:"samples"`

	// Lag and Partitions are the last known ones.
	Lag        float64 `json:"lag"`
	Partitions float64 `json:"partitions"`

	// Trust is the busy share the latency guard allows, 0 while it has never
	// spoken, and Hot the beats for which latency has been out of bound.
	Trust float64 `json:"trust"`
	Hot   int     `json:"hot"`
	// Idle counts the beats with a busy share below the lower bound.
	Idle int `json:"idle"`
	// Effect is the test whether more cells help, Asked what is asked of services
	// behind, and Unpaired counts the beats for which a rise has waited for one of
	// them to have room.
	Effect   effect  `json:"effect"`
	Asked    []asked `json:"asked,omitempty"`
	Unpaired int     `json:"unpaired,omitempty"`
	// Ceilings are asked of those in front. Matching and Yielding count the beats for
	// which a rise has waited for those behind, and for load to be held back.
	Ceilings []ceiling `json:"ceilings,omitempty"`
	Matching int       `json:"matching,omitempty"`
	Yielding int       `json:"yielding,omitempty"`
	// Pause is for how long consumers read nothing when partitions move, as last known.
	Pause float64 `json:"pause,omitempty"`
	// LagAway and LatencyAway count the beats without the reading.
	LagAway     int `json:"lag_away"`
	LatencyAway int `json:"latency_away"`

	// afresh says why what was stored could not be used, for one decision.
	afresh string
}

// clone returns a memory that shares nothing with m.
func (m memory) clone() *memory {
	m.Offered = append(make(series, 0, len(m.Offered)+1), m.Offered...)
	m.Needs = m.Needs.clone()
	m.Felt = append(make(series, 0, len(m.Felt)+1), m.Felt...)
	looks := make([]look, len(m.Looks))
	for i, l := range m.Looks {
		looks[i] = l.clone()
	}
	m.Looks = looks
	m.Wanted = m.Wanted.clone()
	m.Rates = slices.Clone(m.Rates)
	m.Samples = slices.Clone(m.Samples)
	m.Effect.Counts = slices.Clone(m.Effect.Counts)
	m.Asked = slices.Clone(m.Asked)
	m.Ceilings = slices.Clone(m.Ceilings)
	return &m
}

// MarshalJSON implements json.Marshaler.
func (s State) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Format int `json:"format"`
		memory
	}{stateFormat, s.mem})
}

// UnmarshalJSON implements json.Unmarshaler. A state of a format that this
// version doesn't know, or with impossible content, is no error: the law
// starts afresh from it, and the next decision says so. Text that isn't JSON
// is an error.
func (s *State) UnmarshalJSON(src []byte) error {
	var head struct {
		Format int `json:"format"`
	}
	if err := json.Unmarshal(src, &head); err != nil {
		return fmt.Errorf("read the state of the control law: %w", err)
	}
	if bytes.Equal(bytes.TrimSpace(src), []byte("null")) {
		*s = State{}
		return nil
	}
	var m memory
	var err error
	switch head.Format {
	case stateFormat:
		err = json.Unmarshal(src, &m)
	case 1:
		m, err = fromFormat1(src)
	default:
		*s = afresh("the stored state has format %d, this version knows 1 to %d", head.Format, stateFormat)
		return nil
	}
	if err == nil {
		err = m.check()
	}
	if err != nil {
		*s = afresh("the stored state is damaged (%v)", err)
		return nil
	}
	*s = State{mem: m}
	return nil
}

func afresh(format string, args ...any) State {
	return State{mem: memory{afresh: fmt.Sprintf(format, args...)}}
}

var errImpossible = errors.New("a value is out of its range")

// check refuses what no run of the law can have written.
func (m *memory) check() error {
	counts := []int64{m.Count, m.Run, m.Relearn, int64(m.Hot), int64(m.Idle), int64(m.LagAway), int64(m.LatencyAway), int64(m.Unpaired), int64(m.Climbed),
		int64(m.Matching), int64(m.Yielding), int64(m.Beat), m.WantedBeats, int64(m.Blind), int64(m.BlindFor)}
	if slices.Min(counts) < 0 || m.Count < int64(len(m.Offered)) || m.Relearn > m.Count {
		return errImpossible
	}
	if n := len(m.Needs.beats); n > 0 && m.Needs.beats[n-1] > m.Count {
		return errImpossible
	}
	if n := len(m.Wanted.beats); n > 0 && m.Wanted.beats[n-1] > m.WantedBeats {
		return errImpossible
	}
	for _, v := range []float64{m.Mean, m.Lag, m.Partitions, m.Trust, m.Pause} {
		if !(v >= 0 && v <= mostRate) {
			return errImpossible
		}
	}
	if len(m.Looks) > mostLooks || len(m.Rates) > mostVersions || len(m.Samples) > MostBeats {
		return errImpossible
	}
	if err := m.Effect.check(); err != nil {
		return err
	}
	return m.checkParts()
}

func (m *memory) checkParts() error {
	for i := range m.Looks {
		if err := m.Looks[i].check(); err != nil {
			return err
		}
	}
	for _, n := range m.Wanted.values {
		if n > mostCells {
			return errImpossible
		}
	}
	for _, a := range m.Asked {
		if a.Service == "" || a.Floor < 1 || a.Floor > mostCells || a.Met < 0 || a.Idle < 0 {
			return errImpossible
		}
	}
	for _, c := range m.Ceilings {
		if c.Service == "" || c.Ceiling < 1 || c.Ceiling > mostCells || c.Tight < 0 || c.Calm < 0 || c.Patience < 1 || c.Patience > mostPatience {
			return errImpossible
		}
	}
	for _, r := range m.Rates {
		if !(r.PerCell >= leastRate && r.PerCell <= mostRate) || !(r.Best >= 0 && r.Best <= mostRate) || !(r.Cells >= 0 && r.Cells <= mostCells) {
			return errImpossible
		}
	}
	for _, s := range m.Samples {
		if s.Ready < 0 || s.Ready > mostCells {
			return errImpossible
		}
	}
	return nil
}
