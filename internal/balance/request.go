package balance

import (
	"fmt"
	"time"
)

// Request is what another service asks of this one.
type Request struct {
	From string
	// Floor is how many cells it asks for at least; it counts until Expires.
	Floor int
	// Ceiling is how many it asks for at most, 0 for no such bound. It counts only
	// where Config.Yields.
	Ceiling int
	Reason  string
	Expires time.Time
}

// Answer is what becomes of a request.
type Answer struct {
	To string
	// Floor repeats what was asked for, Granted is how many cells there are to be.
	Floor, Granted int
	Reason         string
}

// floor is the largest request that still counts; nil if there is none.
func (o *Observation) floor() *Request {
	var most *Request
	for i := range o.Requests {
		r := &o.Requests[i]
		if r.Expires.After(o.At) && (most == nil || r.Floor > most.Floor) {
			most = r
		}
	}
	return most
}

// answers says of each request that counts what becomes of it, and why.
func (v *verdict) answers() []Answer {
	var all []Answer
	for _, r := range v.obs.Requests {
		if !r.Expires.After(v.obs.At) {
			continue
		}
		a := Answer{To: r.From, Floor: r.Floor, Granted: min(r.Floor, v.desired)}
		switch {
		case r.Floor < 1:
			a.Granted, a.Reason = v.desired, v.ceilingAnswer(&r)
		case v.desired >= r.Floor && v.obs.Ready >= r.Floor:
			a.Reason = areCells(v.obs.Ready) + " ready"
		case v.desired >= r.Floor && v.desired > v.obs.Ordered:
			a.Reason = fmt.Sprintf("%d are to be, %s ready", v.desired, are(v.obs.Ready))
		case v.desired >= r.Floor:
			a.Reason = fmt.Sprintf("%s ordered, %s ready", are(v.obs.Ordered), are(v.obs.Ready))
		case v.obs.Pin != nil:
			a.Reason = fmt.Sprintf("a person has pinned it to %d", v.desired)
		case v.capped == "max" || v.desired >= v.cfg.Max:
			a.Reason = fmt.Sprintf("no more than %s, %d, may be", v.cfg.bound("max"), v.cfg.Max)
		default:
			a.Reason = "not now: " + v.reason()
		}
		all = append(all, a)
	}
	return all
}

// ceilingAnswer says what becomes of a ceiling.
func (v *verdict) ceilingAnswer(r *Request) string {
	switch {
	case !v.cfg.Yields:
		return "not followed: the policy doesn't say that this service yields"
	case v.obs.Pin != nil:
		return fmt.Sprintf("a person has pinned it to %d", v.desired)
	case v.desired > r.Ceiling && v.cfg.Min > r.Ceiling:
		return fmt.Sprintf("no fewer than %s, %d, may be", v.cfg.bound("min"), v.cfg.Min)
	case v.desired > r.Ceiling && v.desired == v.obs.Ordered:
		return "not now: " + v.reason()
	case v.desired > r.Ceiling:
		return fmt.Sprintf("%d are to be for now, fewer in steps", v.desired)
	default:
		return fmt.Sprintf("no more than %d are to be", r.Ceiling)
	}
}
