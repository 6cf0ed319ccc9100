package balance

import (
	"encoding/json"
	"time"
)

// Format 1 had one correction for every level of load, and kept what was wanted
// as a plain list.

// oldLook is a look-back of format 1.
type oldLook struct {
	Back       time.Duration `json:"back"`
	Ratios     histogram     `json:"ratios"`
	Correction float64       `json:"correction"`
	Loss       float64       `json:"loss"`
	Plain      series        `json:"plain"`
	Corrected  series        `json:"corrected"`
}

// fromFormat1 carries a memory over: what was learned for all levels of load is
// where each of them begins, and what was wanted is gathered anew.
func fromFormat1(src []byte) (memory, error) {
	var old struct {
		memory
		Looks  []oldLook       `json:"looks"`
		Wanted json.RawMessage `json:"wanted"`
	}
	if err := json.Unmarshal(src, &old); err != nil {
		return memory{}, err
	}
	m := old.memory
	for _, l := range old.Looks {
		now := look{Back: l.Back, Loss: l.Loss, Plain: l.Plain, Corrected: l.Corrected}
		for k := range levels {
			now.Ratios[k], now.Corrections[k] = l.Ratios, l.Correction
		}
		m.Looks = append(m.Looks, now)
	}
	return m, nil
}
