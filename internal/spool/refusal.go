package spool

import (
	"fmt"
	"time"
)

// The reasons for which messages are refused.
const (
	RefusedBytes  = "bytes"  // the bound in bytes is reached
	RefusedAge    = "age"    // the bound in age is reached
	RefusedDisk   = "disk"   // they couldn't be brought onto disk
	RefusedTopic  = "topic"  // the topic is none of the spool's
	RefusedSize   = "size"   // a message is too large
	RefusedClosed = "closed" // the cell ends
)

// refusals are all of them but RefusedTopic, which belongs to no topic.
var refusals = []string{RefusedBytes, RefusedAge, RefusedDisk, RefusedSize, RefusedClosed}

// Refusal says that messages were not taken, and why.
type Refusal struct {
	Reason string
	// RetryAfter is when to try again; 0 where that is for nobody to say.
	RetryAfter time.Duration
	Err        error
}

func (r *Refusal) Error() string { return fmt.Sprintf("the spool refuses: %v", r.Err) }
func (r *Refusal) Unwrap() error { return r.Err }

// refuse counts a refusal.
func (t *topic) refuse(reason string, after time.Duration, err error) error {
	t.counts.refused(reason)
	return &Refusal{Reason: reason, RetryAfter: after, Err: err}
}
