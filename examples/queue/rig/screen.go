package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/term"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/loop"
)

// show plays the example before a person's eyes and returns a line of figures. With
// check it fails unless the workers followed the load and all was done.
func show(ctx context.Context, r *rig, p plan, check bool) (string, error) {
	fmt.Printf("Playing %s of the trace: %.0f to %.0f jobs a second; one worker does %.0f.\n\n", p.lasts(), p.least(), p.most(), workerRate)
	s := newScreen(os.Stdout)
	run, err := play(ctx, r, p, func(ctx context.Context, run *played) { s.draw(run, loop.ReadStatus(ctx, r.fleet, service)) })
	if err != nil {
		return "", err
	}
	sum := run.sum()
	if check {
		err = sum.judge()
	}
	return sum.String(), err
}

// screen writes a line now and then: each second to a terminal, where it is written
// over, and elsewhere when a count changes or some seconds have passed.
type screen struct {
	out   io.Writer
	width int // 0 if it is no terminal
	began time.Time
	last  time.Time
	told  string
}

// lineEvery is how often a line is written that stays, if nothing changes.
const lineEvery = 10 * time.Second

func newScreen(out io.Writer) *screen {
	s := &screen{out: out, began: time.Now()}
	if file, ok := out.(*os.File); ok {
		if width, _, err := term.GetSize(int(file.Fd())); err == nil {
			s.width = max(width, 20)
		}
	}
	_, _ = fmt.Fprintf(out, "%5s %7s %-24s %8s %8s  %s\n", "time", "jobs/s", "ready/ordered workers", "waiting", "p99", "the leader's last word")
	return s
}

func (s *screen) draw(run *played, status loop.Status) {
	now := run.watch.last()
	line := fmt.Sprintf("%4.0fs %7.0f %2d/%-2d %-18s %8d %7.1fs  %s", time.Since(s.began).Seconds(), run.producer.rate(3*time.Second),
		now.ready, now.ordered, bar(now.ready, now.ordered), run.waiting(),
		quantile(run.results.since(time.Now().Add(-5*time.Second)), 0.99).Seconds(), word(status))
	counts := fmt.Sprint(now.ready, now.ordered)
	stays := counts != s.told || time.Since(s.last) >= lineEvery
	if s.width > 0 {
		_, _ = fmt.Fprintf(s.out, "\r\x1b[K%s", cut(line, s.width-1))
	}
	if !stays {
		return
	}
	s.last, s.told = time.Now(), counts
	if s.width > 0 {
		line = ""
	}
	_, _ = fmt.Fprintln(s.out, line)
}

// bar draws ready workers whole and those that are on the way as dots.
func bar(ready, ordered int) string {
	return strings.Repeat("#", min(ready, 18)) + strings.Repeat(".", max(0, min(ordered, 18)-min(ready, 18)))
}

// word is the leader's last: its decision, or what keeps it from acting.
func word(status loop.Status) string {
	switch {
	case status.Last == nil:
		return "none yet"
	case status.Last.Trouble != "":
		return status.Last.Trouble
	}
	return status.Last.Decision.Reason
}

// cut keeps a line from wrapping.
func cut(line string, width int) string {
	runes := []rune(strings.ReplaceAll(line, "\n", " "))
	if len(runes) <= width {
		return string(runes)
	}
	return string(runes[:width-1]) + "…"
}
