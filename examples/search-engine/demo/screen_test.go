package main

import (
	"strings"
	"testing"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/examples/search-engine/store"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/balance"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/loop"
)

func crawling(count, ready int, trouble string) sight {
	return sight{
		stats: &store.Stats{Pages: 3, Links: 7, Known: 10, Queued: 9, Stored: 3},
		services: map[string]loop.Status{"crawler": {
			Count: &count, Ready: ready,
			Last: &loop.Word{Decision: balance.Decision{Reason: "lag of 6 messages"}, Trouble: trouble},
		}},
	}
}

func TestTableIsDrawnOverItself(t *testing.T) {
	var out strings.Builder
	s := &screen{out: &out, pages: 12, began: time.Now(), width: func() int { return 60 }}
	s.draw("crawling", crawling(2, 1, ""))
	first := out.String()
	for _, want := range []string{"crawling\n", "pages 3 of 12, links 7, lag 6\n", "crawler      1       2  lag of 6 messages\n", "api          0       ?  none yet\n"} {
		if !strings.Contains(first, want) {
			t.Errorf("no %q in the table:\n%s", want, first)
		}
	}
	out.Reset()
	s.draw("crawling", crawling(2, 2, strings.Repeat("trouble ", 20)))
	second := out.String()
	if !strings.HasPrefix(second, "\x1b[7A\r\x1b[J") {
		t.Errorf("the second table does not begin over the first: %q", second[:20])
	}
	for line := range strings.Lines(strings.TrimPrefix(second, "\x1b[7A\r\x1b[J")) {
		if n := len([]rune(strings.TrimSuffix(line, "\n"))); n > 59 {
			t.Errorf("a line of %d characters would wrap: %q", n, line)
		}
	}
	out.Reset()
	s.say("done")
	s.draw("idle", crawling(1, 1, ""))
	if strings.Contains(out.String(), "\x1b[7A") {
		t.Error("what was said is drawn over")
	}
}

func TestPlainLinesComeWithChanges(t *testing.T) {
	var out strings.Builder
	s := &screen{out: &out, pages: 12, began: time.Now()}
	for range 3 {
		s.draw("crawling", crawling(2, 1, ""))
	}
	s.draw("crawling", crawling(2, 2, ""))
	s.draw("crawling", sight{})
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != 3 || !strings.Contains(lines[1], "2 ready, 2 ordered") || !strings.Contains(lines[2], "database away") {
		t.Errorf("lines:\n%s", out.String())
	}
	if strings.Contains(out.String(), "\x1b") {
		t.Error("terminal codes where there is no terminal")
	}
}

func TestComplete(t *testing.T) {
	cases := map[string]struct {
		stats *store.Stats
		want  bool
	}{
		"database away": {nil, false},
		"not begun":     {&store.Stats{}, false},
		"not stored":    {&store.Stats{Known: 2, Queued: 2, Stored: 1}, false},
		"not queued":    {&store.Stats{Known: 2, Queued: 1, Stored: 2}, false},
		"done":          {&store.Stats{Known: 2, Queued: 2, Stored: 2}, true},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			if got := (sight{stats: c.stats}).complete(); got != c.want {
				t.Errorf("complete = %v", got)
			}
		})
	}
}
