package front

import (
	"context"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/policy"
)

// visit is one client's request on its way.
type visit struct {
	// home is the cell the client came from or belongs to; empty for a new one.
	home string
	// went is the cell that has it now, tried those that failed, and failed why
	// the last of them did.
	went   string
	tried  []string
	failed error
	// sent is the client's body; nil for none.
	sent *sent
}

// broken reports whether the client's body couldn't be read.
func (v *visit) broken() bool { return v != nil && v.sent.broken() }

type visitKey struct{}

func withVisit(ctx context.Context, v *visit) context.Context {
	return context.WithValue(ctx, visitKey{}, v)
}

func visitOf(r *http.Request) *visit {
	v, _ := r.Context().Value(visitKey{}).(*visit)
	return v
}

// target is a cell and where it is reached.
type target struct{ id, address string }

// pick chooses the cell for a visit: the client's own while it has room, else one
// by load.
func (f *Front) pick(v *visit) (target, bool) {
	c := f.cells
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.cfg.Now()
	c.want(now)
	id, ok := v.home, len(v.tried) == 0 && v.home != "" && c.chooser.Keeps(now, v.home)
	if !ok {
		if id, ok = c.chooser.Choose(now, c.rng, v.tried...); !ok {
			return target{}, false
		}
	}
	v.went = id
	return target{id, hostPort(c.members[id])}, true
}

// hasOther reports whether there is a cell that wasn't tried.
func (f *Front) hasOther(v *visit) (ok bool) {
	f.cells.with(func(now time.Time, c *Chooser) { _, ok = c.Choose(now, f.cells.rng, v.tried...) })
	return ok
}

// home is the cell that a request's client belongs to, by what the policy says.
func (f *Front) home(r *http.Request) string {
	var client string
	switch f.cfg.Rule.Sticky {
	case policy.StickyCookie:
		cookie, err := r.Cookie(f.cookie)
		if err != nil {
			return ""
		}
		return f.cells.byToken(cookie.Value)
	case policy.StickyAddress:
		client, _, _ = net.SplitHostPort(r.RemoteAddr) // net/http writes it so
	case policy.StickyHeader:
		client = r.Header.Get(f.cfg.Rule.StickyHeader)
	}
	if client == "" {
		return ""
	}
	var id string
	f.cells.with(func(_ time.Time, c *Chooser) { id, _ = c.Home(hashOf(client)) })
	return id
}

// byToken is the member that a cookie names; empty for none.
func (c *Cells) byToken(token string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.named[token]
}

// tokenOf is what a cookie calls a member; empty for one that is gone.
func (c *Cells) tokenOf(id string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.tokens[id]
}

// remember sets the cookie on an answer of another cell than the client came
// from. One that caches may share stays without.
func (f *Front) remember(answer *http.Response) {
	v := visitOf(answer.Request)
	if f.cfg.Rule.Sticky != policy.StickyCookie || v.went == v.home || shared(answer) {
		return
	}
	token := f.cells.tokenOf(v.went)
	if token == "" {
		return
	}
	cookie := &http.Cookie{
		Name: f.cookie, Value: token, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode,
		Secure: answer.Request.Header.Get("X-Forwarded-Proto") == "https",
	}
	answer.Header.Add("Set-Cookie", cookie.String())
}

func shared(answer *http.Response) bool {
	control := strings.ToLower(answer.Header.Get("Cache-Control"))
	return strings.Contains(control, "public") || strings.Contains(control, "s-maxage")
}

// blanks are what may stand around a cookie.
const blanks = " \t\r\n"

// withoutCookie takes the front's own cookie out of a request, which is no
// concern of the cell's. The others stay byte by byte.
func withoutCookie(h http.Header, name string) {
	lines := h["Cookie"]
	if len(lines) == 0 {
		return
	}
	delete(h, "Cookie")
	for _, line := range lines {
		var kept []string
		for part := range strings.SplitSeq(line, ";") {
			if own, _, _ := strings.Cut(strings.Trim(part, blanks), "="); own != name {
				kept = append(kept, part)
			}
		}
		if len(kept) > 0 {
			h["Cookie"] = append(h["Cookie"], strings.Trim(strings.Join(kept, ";"), blanks))
		}
	}
}
