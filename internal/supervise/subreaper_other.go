//go:build !linux

package supervise

// becomeSubreaper does nothing: only Linux knows subreapers.
func becomeSubreaper() error { return nil }
