package front

import "time"

// word is what a cell owes: an answer, a report, anything at all. A cell that hangs
// looks well otherwise. Its last report says that it has room, it fails nobody, and
// when its clients have lost their patience it has fewer in flight than those who
// serve them; so it would get the next ones too.
type word struct {
	// asked is when the first request was sent there since anything came; zero where
	// nothing is owed.
	asked time.Time
	// mute says that even those who waited long had none of it.
	mute bool
	// probed is when its sidecar was last asked because of that.
	probed time.Time
}

// ask notes that a request is sent, where so many are under way already.
func (w *word) ask(now time.Time, own int) {
	if own == 0 || w.asked.IsZero() {
		w.asked = now
	}
}

// hear notes that something came.
func (w *word) hear() { *w = word{} }

// gone notes that a request has ended and so many are left.
func (w *word) gone(now time.Time, own int, after time.Duration) {
	w.mute = w.mute || w.owes(now, after)
	if own == 0 && !w.mute {
		w.asked = time.Time{} // nobody waited long enough to say
	}
}

// owes reports whether nothing has come since for so long.
func (w *word) owes(now time.Time, after time.Duration) bool {
	return !w.asked.IsZero() && now.Sub(w.asked) >= after
}

// silent reports whether a cell owes an answer for longer than the rule allows. One
// that was left to itself gets a single request each eject_time.
func (c *Chooser) silent(one *cell, now time.Time) bool {
	switch {
	case !one.mute:
		return one.own > 0 && one.owes(now, c.rule.SilentAfter)
	case one.own > 0:
		return true
	}
	return now.Sub(one.asked) < c.rule.EjectTime
}

// Heard notes that anything came from a cell: be it a refusal, it isn't mute.
func (c *Chooser) Heard(id string) {
	if one := c.cells[id]; one != nil {
		one.hear()
	}
}

// doubted reports whether a cell should be asked before others, since it is silent,
// and busy whether that was done just now.
func (c *Chooser) doubted(one *cell, now time.Time) (doubted, busy bool) {
	if !c.silent(one, now) {
		return false, false
	}
	return true, !one.probed.IsZero() && now.Sub(one.probed) < c.rule.ProbeTimeout
}
