package balance

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"math"
	"sort"
)

// peaks answers "the largest value of the last n beats" for every n up to its
// limit at once. It keeps only the values that no later one exceeds, so the
// largest of a window is the first that lies in it: a monotonic queue.
type peaks struct {
	// beats and values run alike: beats rise, values fall.
	beats  []int64
	values []float32
}

// push adds the value of a beat and forgets what is limit beats old or more.
func (p *peaks) push(beat int64, v float64, limit int) {
	value := float32(v)
	n := len(p.values)
	for n > 0 && p.values[n-1] <= value {
		n--
	}
	p.beats = append(p.beats[:n], beat)
	p.values = append(p.values[:n], value)
	if old := p.first(beat, limit); old > 0 {
		p.beats = p.beats[:copy(p.beats, p.beats[old:])]
		p.values = p.values[:copy(p.values, p.values[old:])]
	}
}

// max returns the largest value of the n beats that end with beat, 0 if none.
func (p *peaks) max(beat int64, n int) float64 {
	if i := p.first(beat, n); i < len(p.values) {
		return float64(p.values[i])
	}
	return 0
}

// first returns the index of the oldest value of the n beats ending with beat.
func (p *peaks) first(beat int64, n int) int {
	return sort.Search(len(p.beats), func(i int) bool { return p.beats[i] > beat-int64(n) })
}

func (p peaks) clone() peaks {
	return peaks{
		beats:  append(make([]int64, 0, len(p.beats)+1), p.beats...),
		values: append(make([]float32, 0, len(p.values)+1), p.values...),
	}
}

// storedPeaks is how peaks are written: the newest beat, and pairs of age and
// value.
type storedPeaks struct {
	Newest int64  `json:"newest"`
	Pairs  string `json:"pairs"`
}

// MarshalJSON implements json.Marshaler.
func (p peaks) MarshalJSON() ([]byte, error) {
	var s storedPeaks
	b := make([]byte, 0, 8*len(p.beats))
	for i, beat := range p.beats {
		s.Newest = p.beats[len(p.beats)-1]
		b = binary.LittleEndian.AppendUint32(b, uint32(s.Newest-beat))
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(p.values[i]))
	}
	s.Pairs = base64.StdEncoding.EncodeToString(b)
	return json.Marshal(s)
}

var errNoPeaks = errors.New("not a falling row of peaks")

// UnmarshalJSON implements json.Unmarshaler. What is out of order is refused.
func (p *peaks) UnmarshalJSON(src []byte) error {
	var s struct {
		Newest int64           `json:"newest"`
		Pairs  json.RawMessage `json:"pairs"`
	}
	if err := json.Unmarshal(src, &s); err != nil {
		return err
	}
	words, err := unpack(s.Pairs)
	if err != nil {
		return err
	}
	if len(words)%2 != 0 {
		return errNoPeaks
	}
	*p = peaks{}
	for i := 0; i < len(words); i += 2 {
		beat, v := s.Newest-int64(words[i]), math.Float32frombits(words[i+1])
		n := len(p.beats)
		if !(v >= 0 && v <= math.MaxFloat32) || n > 0 && (beat <= p.beats[n-1] || v >= p.values[n-1]) {
			return errNoPeaks
		}
		p.beats, p.values = append(p.beats, beat), append(p.values, v)
	}
	return nil
}
