package front

import (
	"sync"
	"time"
)

// budget limits retries to a share of the requests, and a few a second in any
// case, so that retrying doesn't multiply the load when many fail: Finagle's
// RetryBudget, whose deposits also last ten seconds
// (https://finagle.github.io/blog/2016/02/08/retry-budgets).
type budget struct {
	share, least float64 // of the requests, and a second
	mu           sync.Mutex
	slots        [budgetSeconds]struct {
		second int64
		kept   float64 // deposits less withdrawals
	}
}

const budgetSeconds = 10

// deposit counts a request, which pays for a share of a retry.
func (b *budget) deposit(now time.Time) { b.put(now, b.share) }

// withdraw takes a retry out, if there is one.
func (b *budget) withdraw(now time.Time) bool {
	b.mu.Lock()
	balance := b.least * budgetSeconds
	for _, s := range b.slots {
		if now.Unix()-s.second < budgetSeconds {
			balance += s.kept
		}
	}
	b.mu.Unlock()
	if balance < 1-1e-9 { // shares add up to a little less
		return false
	}
	b.put(now, -1)
	return true
}

func (b *budget) put(now time.Time, amount float64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := &b.slots[now.Unix()%budgetSeconds]
	if s.second != now.Unix() {
		s.second, s.kept = now.Unix(), 0
	}
	s.kept += amount
}
