package install

import (
	"context"
	"errors"
	"flag"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
)

// cutEvery is how many points lie between two cuts; -cut-every 1 cuts at each.
var cutEvery = flag.Int("cut-every", 5, "cut installations and removals at every n-th point")

// cuts are the points at which to cut. Those of one run are not those of the
// next, so that all are tried in the end.
func cuts(t *testing.T, yield func(h *house, n int) bool) {
	t.Helper()
	first := 1 + os.Getpid()%*cutEvery
	for n := first; ; n += *cutEvery {
		h := newHouse(t)
		if !yield(h, n) {
			t.Logf("%d points, cut at %d and every %d after it", n, first, *cutEvery)
			return
		}
		h.do(h.m.stopDetached(t.Context(), h.request.ID()))
	}
}

// normal is the snapshot, in which the incarnation is called the same each time.
func (h *house) normal() map[string]string {
	h.Helper()
	all := h.snapshot()
	for p, text := range all {
		text = strings.ReplaceAll(text, h.request.Incarnation, "INCARNATION")
		all[p] = strings.ReplaceAll(text, h.m.Root, "ROOT")
	}
	return all
}

// uncut is what an installation that nobody cuts comes to.
func uncut(t *testing.T) map[string]string {
	t.Helper()
	h := newHouse(t)
	h.do(h.install())
	h.runsOnce()
	return h.normal()
}

// An installation killed at any point and repeated comes to the same state as
// one that wasn't, with the cell running once.
func TestInstallKilled(t *testing.T) {
	want := uncut(t)
	cuts(t, func(h *house, n int) bool {
		killed := h.killedAt("install", n)
		h.do(h.install())
		h.runsOnce()
		h.same("killed at "+strconv.Itoa(n), h.normal(), want)
		return killed && !t.Failed()
	})
}

// An installation cancelled before any of its steps likewise.
func TestInstallCancelled(t *testing.T) {
	want := uncut(t)
	for n := 1; ; n++ {
		h := newHouse(t)
		ctx, cancel := context.WithCancelCause(t.Context())
		left := n
		err := h.m.Install(ctx, h.request, func(string) {
			if left--; left == 0 {
				cancel(errors.New("cut here"))
			}
		})
		cancel(nil)
		if err != nil && !strings.Contains(err.Error(), "cut here") && !errors.Is(err, context.Canceled) {
			t.Fatalf("cancelled at %d: %v", n, err)
		}
		h.do(h.install())
		h.runsOnce()
		h.same("cancelled at "+strconv.Itoa(n), h.normal(), want)
		h.do(h.m.stopDetached(t.Context(), h.request.ID()))
		if left > 0 || t.Failed() {
			return
		}
	}
}

// What an installation that was killed at any point has made is undone, and
// nothing that was there before it.
func TestRemoveAfterKill(t *testing.T) {
	cuts(t, func(h *house, n int) bool {
		killed := h.killedAt("install", n)
		h.do(h.m.Remove(t.Context()))
		h.do(h.m.Release(t.Context()))
		h.leftAsBefore("killed at " + strconv.Itoa(n))
		if running := h.processes(); len(running) > 0 {
			t.Errorf("killed at %d there run %v", n, running)
		}
		return killed && !t.Failed()
	})
}

// A removal killed at any point and repeated undoes the same.
func TestRemoveKilled(t *testing.T) {
	cuts(t, func(h *house, n int) bool {
		h.do(h.install())
		killed := h.killedAt("remove", n)
		h.do(h.m.Remove(t.Context()))
		h.do(h.m.Release(t.Context()))
		h.leftAsBefore("killed at " + strconv.Itoa(n))
		if h.read("opened") != "birth" {
			t.Errorf("killed at %d the door wasn't opened again", n)
		}
		return killed && !t.Failed()
	})
}

// The next incarnation of the name clears what one that was killed has left, which
// was made of something else.
func TestNextIncarnationAfterKill(t *testing.T) {
	want := uncut(t)
	cuts(t, func(h *house, n int) bool {
		h.genome.Files, h.genome.Environment = h.genome.Files[:4], map[string]string{"OLD": "1"}
		_, content := genomeOf()
		content["/opt/old/only"] = "old"
		h.genome.Files = append(h.genome.Files, fileOf("/opt/old/only", "old"), fileOf(Program, sidecarScript))
		h.bring(h.genome, content)
		killed := h.killedAt("install", n)
		h.do(h.m.stopDetached(t.Context(), h.request.ID()))
		g, content := genomeOf()
		h.bring(g, content)
		h.do(os.RemoveAll(h.m.path("out")))
		h.do(h.install())
		h.runsOnce()
		h.same("killed at "+strconv.Itoa(n), h.normal(), want)
		return killed && !t.Failed()
	})
}

// On a full disk the error says what to do, and then it goes on.
func TestFullDisk(t *testing.T) {
	h := newHouse(t)
	self, err := os.Executable()
	h.do(err)
	// A mount namespace of its own: nothing of it is seen or left outside.
	script := `mount -t tmpfs -o size=8k full "$1/opt" && head -c 8192 /dev/zero >"$1/opt/filler"
		"$0" install 0 "$1" "$2"; first=$?
		rm "$1/opt/filler"; "$0" install 0 "$1" "$2" && echo "then $first"`
	h.do(os.Mkdir(h.m.path("/opt"), 0o755))
	cmd := exec.CommandContext(t.Context(), "unshare", "--mount", "sh", "-c", script, self, h.m.Root, mustJSON(h, h.request))
	cmd.Env = append(os.Environ(), cutProcess+"=1")
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "no space left on device: make room on the machine's disk and repeat it") || !strings.HasSuffix(string(out), "then 1\n") {
		t.Errorf("%v\n%s", err, out)
	}
}
