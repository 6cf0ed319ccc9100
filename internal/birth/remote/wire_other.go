//go:build !linux

package remote

// unsent is not known here: only what the other side sends shows that it lives.
func (w *wire) unsent() int64 { return w.written.Load() }
