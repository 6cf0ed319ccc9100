package balance

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"math"
)

// series is one value a beat, the newest last. It is kept in single precision,
// in memory too, so that a state is the same after it was stored, and small.
type series []float32

// push appends v and forgets all but the newest limit values.
func (s series) push(v float64, limit int) series {
	s = append(s, float32(v))
	if len(s) > limit {
		s = s[:copy(s, s[len(s)-limit:])]
	}
	return s
}

// ago returns the value n beats before the newest, and whether there is one.
func (s series) ago(n int) (float64, bool) {
	if i := len(s) - 1 - n; n >= 0 && i >= 0 {
		return float64(s[i]), true
	}
	return 0, false
}

var errNoSeries = errors.New("not a series of numbers")

// MarshalJSON writes the values as base64 of little-endian words: a third of
// the size of decimal digits.
func (s series) MarshalJSON() ([]byte, error) {
	b := make([]byte, 0, 4*len(s))
	for _, v := range s {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(v))
	}
	return json.Marshal(base64.StdEncoding.EncodeToString(b))
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (s *series) UnmarshalJSON(src []byte) error {
	words, err := unpack(src)
	if err != nil {
		return err
	}
	*s = make(series, len(words))
	for i, w := range words {
		v := math.Float32frombits(w)
		if !(math.Abs(float64(v)) <= math.MaxFloat32) {
			return errNoSeries
		}
		(*s)[i] = v
	}
	return nil
}

func unpack(src []byte) ([]uint32, error) {
	var text string
	if err := json.Unmarshal(src, &text); err != nil {
		return nil, err
	}
	b, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil, err
	}
	if len(b)%4 != 0 || len(b)/4 > 2*MostBeats {
		return nil, errNoSeries
	}
	words := make([]uint32, len(b)/4)
	for i := range words {
		words[i] = binary.LittleEndian.Uint32(b[4*i:])
	}
	return words, nil
}
