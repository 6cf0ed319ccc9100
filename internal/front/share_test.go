package front

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/policy"
)

func TestSlowCellIsSpared(t *testing.T) {
	h := newHouse(t, sharedConsul(t), func(f *policy.Front) { f.Sticky = policy.StickyOff })
	h.add("api-1")
	h.add("api-2")
	slow := h.add("api-3")
	slow.does(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-r.Context().Done():
		case <-time.After(time.Second): // what makes it slow
		}
	})
	for range 100 {
		h.get("/")
	}
	if n := slow.hits.Load(); n > 15 {
		t.Errorf("the slow one of three cells got %d of 100 requests", n)
	}
}

func TestNewbornGrowsIntoItsShare(t *testing.T) {
	h := newHouse(t, sharedConsul(t), func(f *policy.Front) {
		f.Sticky, f.Choices, f.SlowStart, f.SlowStartMin = policy.StickyOff, 1, 2*time.Hour, 0.02
	})
	h.add("api-1") // born an hour ago
	h.await("the first list", func() bool { members, _ := h.cells.size(); return members == 1 })
	newborn := h.add("api-2")
	for range 100 {
		h.get("/")
	}
	if n := newborn.hits.Load(); n > 20 {
		t.Errorf("the newborn got %d of 100 requests", n)
	}
	h.ahead.Add(int64(2 * time.Hour))
	for range 50 {
		h.get("/")
	}
	if n := newborn.hits.Load(); n < 10 {
		t.Errorf("grown up it got %d of 50 requests", n)
	}
}

func FuzzWithoutCookie(f *testing.F) {
	f.Add("a=1; homeostat_api=x; b=2")
	f.Add("homeostat_api=x;homeostat_apis=y")
	f.Add(";;=; homeostat_api")
	f.Fuzz(func(t *testing.T, line string) {
		const own = "homeostat_api"
		h := http.Header{"Cookie": {line}}
		before := (&http.Request{Header: h.Clone()}).Cookies()
		withoutCookie(h, own)
		after := (&http.Request{Header: h}).Cookies()
		for _, c := range after {
			if c.Name == own {
				t.Errorf("%q still has it: %q", line, h["Cookie"])
			}
		}
		kept := 0
		for _, c := range before {
			if c.Name != own {
				kept++
			}
		}
		if kept != len(after) {
			t.Errorf("%q had %d others, and %q has %d", line, kept, strings.Join(h["Cookie"], "|"), len(after))
		}
	})
}
