package fleet

import (
	"time"

	"github.com/cenkalti/backoff/v5"
)

// patience is the pace of attempts that fail: from one second to a quarter of a
// minute, with jitter.
func patience() *backoff.ExponentialBackOff {
	b := backoff.NewExponentialBackOff()
	b.InitialInterval, b.MaxInterval, b.RandomizationFactor = 1500*time.Millisecond, 15*time.Second, 0.3
	b.Reset()
	return b
}

// advance is the index to wait from next. Consul's index goes backwards when its
// data is wiped or restored, and begins anew then.
func advance(from, to uint64) uint64 {
	if to < from {
		return 0
	}
	return max(to, 1)
}
