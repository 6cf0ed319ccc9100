package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/term"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/loop"
)

// screen shows the system: a table that is drawn over and over on a terminal,
// and elsewhere a line now and then.
type screen struct {
	out      io.Writer
	width    func() int // nil if it is no terminal
	pages    int        // that there are to be
	began    time.Time
	drawn    int // lines of the table on the terminal
	last     time.Time
	lastText string
}

// plainEvery is how often a line is written where there is no terminal, if no
// decision has changed.
const plainEvery = 5 * time.Second

func newScreen(out *os.File, pages int) *screen {
	s := &screen{out: out, pages: pages, began: time.Now()}
	if fd := int(out.Fd()); term.IsTerminal(fd) {
		s.width = func() int {
			width, _, err := term.GetSize(fd)
			if err != nil || width < 20 {
				return 80
			}
			return width
		}
	}
	return s
}

// draw shows what the system looks like, under a heading of what goes on.
func (s *screen) draw(what string, now sight) {
	if s.width == nil {
		s.line(what, now)
		return
	}
	lines := []string{
		fmt.Sprintf("%s  %s", time.Since(s.began).Round(time.Second), what),
		s.progress(now),
		fmt.Sprintf("%-8s %5s %7s  %s", "service", "ready", "ordered", "last decision"),
	}
	for _, service := range services {
		status := now.services[service]
		lines = append(lines, fmt.Sprintf("%-8s %5d %7s  %s", service, status.Ready, ordered(status), word(status)))
	}
	if s.drawn > 0 {
		_, _ = fmt.Fprintf(s.out, "\x1b[%dA\r\x1b[J", s.drawn)
	}
	width := s.width()
	for _, line := range lines {
		_, _ = fmt.Fprintln(s.out, cut(line, width-1))
	}
	s.drawn = len(lines)
}

// line writes one line, when a decision has changed or some time has passed.
func (s *screen) line(what string, now sight) {
	crawler := now.services["crawler"]
	api := now.services["api"]
	text := fmt.Sprintf("APIs %d ready, %s ordered; crawlers %d ready, %s ordered: %s",
		api.Ready, ordered(api), crawler.Ready, ordered(crawler), word(crawler))
	code := fmt.Sprint(crawler.Ready, ordered(crawler), api.Ready, ordered(api))
	if code == s.lastText && time.Since(s.last) < plainEvery {
		return
	}
	s.last, s.lastText = time.Now(), code
	_, _ = fmt.Fprintf(s.out, "%4.0fs  %s; %s; %s\n", time.Since(s.began).Seconds(), what, s.progress(now), text)
}

// say writes something that stays above the table.
func (s *screen) say(format string, values ...any) {
	_, _ = fmt.Fprintf(s.out, format+"\n", values...)
	s.drawn = 0
}

func (s *screen) progress(now sight) string {
	searches := ""
	if now.searches != nil && now.searches.Queries > 0 {
		searches = ", searches: " + now.searches.String()
	}
	if now.stats == nil {
		return "database away" + searches
	}
	// What the queue holds that isn't stored: fresher than the leader's last word.
	lag := now.stats.Queued - now.stats.Stored
	return fmt.Sprintf("pages %d of %d, links %d, lag %d%s", now.stats.Pages, s.pages, now.stats.Links, lag, searches)
}

func ordered(status loop.Status) string {
	if status.Count == nil {
		return "?"
	}
	return fmt.Sprint(*status.Count)
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

// cut keeps a line from wrapping, which would break the table.
func cut(line string, width int) string {
	runes := []rune(strings.ReplaceAll(line, "\n", " "))
	if len(runes) <= width {
		return string(runes)
	}
	return string(runes[:width-1]) + "…"
}
