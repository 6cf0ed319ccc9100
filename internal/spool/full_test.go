package spool

import (
	"net/http"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/testkit"
)

// TestFullDisk fills a small disk in memory below a spool. What was acknowledged
// stays, what isn't is refused, and all goes on once there is room.
func TestFullDisk(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("spool", dir, "tmpfs", 0, "size=512k"); err != nil {
		testkit.NotRun(t, t.Name(), "a file system can't be mounted: "+err.Error())
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	leaks(t)
	f := newFakeQueue(1, isAway)
	s := start(t, config(filepath.Join(dir, "cell"), f))
	taken, refused := 0, ""
	for range 1000 {
		answer := post(t, s, "pages", "", strings.Repeat("x", 5000))
		if answer.Code == http.StatusAccepted {
			taken++
			continue
		}
		if answer.Code != http.StatusServiceUnavailable {
			t.Fatalf("answered %d: %s", answer.Code, answer.Body)
		}
		refused = answer.Body.String()
		break
	}
	if taken == 0 || !strings.Contains(refused, "no space left on device") {
		t.Fatalf("%d messages are taken, then: %s", taken, refused)
	}
	if n := s.topics["pages"].counts.refusedFor(RefusedDisk); n != 1 || s.Depth() != taken {
		t.Errorf("%d refusals are counted, %d messages are there of %d", n, s.Depth(), taken)
	}
	f.set(func() { f.failure = nil })
	testkit.Await(t, 30*time.Second, sentAll(s))
	if n := len(f.all()); n != taken {
		t.Errorf("%d messages were sent of %d", n, taken)
	}
	if answer := post(t, s, "pages", "", "again"); answer.Code != http.StatusAccepted {
		t.Errorf("there is room again, and it answers %s", answer.Body)
	}
}
