package loop

import (
	"cmp"
	"context"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/balance"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
)

// mail is what a leader has written to others, so that it writes only news and
// what would expire. What isn't in it is not known to be written or removed.
type mail struct {
	asked    map[string]sent         // by the service asked
	answered map[string]fleet.Answer // by the service that asked; nil: not read yet
	unread   bool                    // that some can't be read was told
}

// sent is a request as it was written; one of 0 was withdrawn.
type sent struct {
	floor, ceiling int
	at             time.Time
}

// exchange writes what the decision asks of others and answers to them. trouble
// is what keeps the leader from acting, if anything does: those who asked are
// told.
func (l *Leader) exchange(ctx context.Context, v view, trouble string) {
	if v.consulErr != nil || !v.proven {
		return
	}
	if (v.unread != nil) != l.mail.unread && v.unread != nil {
		l.Log.Error("a request of another service can't be read and counts as none; remove it if nothing writes it again", "error", v.unread)
	}
	l.mail.unread = v.unread != nil
	if v.paused == "" {
		l.askOthers(ctx, v)
	}
	l.answerOthers(ctx, v, trouble)
}

func (l *Leader) askOthers(ctx context.Context, v view) {
	for _, name := range l.neighbours() {
		var ask balance.Ask
		for _, a := range l.last.Asks {
			if a.Service == name {
				ask = a
			}
		}
		was, known := l.mail.asked[name]
		// Renewed once a beat at most, it must outlive some of them.
		ttl := max(l.Service.RequestTTL, 3*l.Service.Beat)
		nothing := ask.Floor == 0 && ask.Ceiling == 0
		if known && was.floor == ask.Floor && was.ceiling == ask.Ceiling && (nothing || v.at.Sub(was.at) < ttl/3) {
			continue
		}
		var err error
		if nothing {
			err = l.lease.Withdraw(ctx, name)
		} else {
			err = l.lease.Ask(ctx, name, fleet.Request{Floor: ask.Floor, Ceiling: ask.Ceiling, Reason: ask.Reason}, ttl)
		}
		if err != nil {
			l.Log.Warn("could not tell another service's leader what is asked of it", "of", name, "error", err)
			continue
		}
		if was.floor != ask.Floor || was.ceiling != ask.Ceiling {
			l.Log.Info("asked another service for cells", "of", name, "floor", ask.Floor, "ceiling", ask.Ceiling, "reason", ask.Reason)
		}
		l.mail.asked[name] = sent{floor: ask.Floor, ceiling: ask.Ceiling, at: v.at}
	}
}

func (l *Leader) answerOthers(ctx context.Context, v view, trouble string) {
	if l.mail.answered == nil {
		answered, err := l.Fleet.Answers(ctx, l.Service.Name)
		if err != nil {
			return // the next beat reads them
		}
		l.mail.answered = answered
	}
	asking := map[string]bool{}
	for _, a := range l.last.Answers {
		asking[a.To] = true
		answer := fleet.Answer{To: a.To, Floor: a.Floor, Granted: a.Granted, Reason: a.Reason}
		if trouble != "" {
			answer.Reason += "; nothing is done now: " + trouble
		}
		was := l.mail.answered[a.To]
		if was.Floor == answer.Floor && was.Granted == answer.Granted && was.Reason == answer.Reason {
			continue
		}
		if err := l.lease.Answer(ctx, answer); err != nil {
			l.Log.Warn("could not answer a request", "from", a.To, "error", err)
			continue
		}
		l.mail.answered[a.To] = answer
	}
	l.forgetRequests(ctx, v, asking)
}

// forgetRequests removes requests that have expired, and answers to nobody.
func (l *Leader) forgetRequests(ctx context.Context, v view, asking map[string]bool) {
	over := map[string]fleet.Request{}
	for from := range l.mail.answered {
		over[from] = fleet.Request{From: from}
	}
	for _, r := range v.requests {
		over[r.From] = r
	}
	for from, r := range over {
		if asking[from] {
			continue
		}
		if err := l.lease.Forget(ctx, r); err != nil {
			l.Log.Warn("could not remove a request that is over", "from", from, "error", err)
			continue
		}
		delete(l.mail.answered, from)
	}
}

// requestsOf are the requests as the law takes them.
func requestsOf(all []fleet.Request) []balance.Request {
	var requests []balance.Request
	for _, r := range all {
		requests = append(requests, balance.Request{
			From: r.From, Floor: r.Floor, Ceiling: r.Ceiling, Expires: r.Expires, Reason: cmp.Or(r.Reason, "it says nothing more"),
		})
	}
	return requests
}
