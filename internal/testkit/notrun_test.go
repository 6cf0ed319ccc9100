package testkit

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"
)

// recorder is a testing.TB that notes how a test ended instead of ending it.
type recorder struct {
	testing.TB
	skipped, failed bool
}

func (r *recorder) Helper() {}

func (r *recorder) Skip(...any) {
	r.skipped = true
	runtime.Goexit()
}

func (r *recorder) Fatal(...any) {
	r.failed = true
	runtime.Goexit()
}

func TestNotRunSkipsHereAndFailsUnderCI(t *testing.T) {
	for _, c := range []struct {
		ci              string
		skipped, failed bool
	}{
		{ci: "", skipped: true},
		{ci: "true", failed: true},
	} {
		t.Run("CI="+c.ci, func(t *testing.T) {
			notes := filepath.Join(t.TempDir(), "notes")
			t.Setenv("CI", c.ci)
			t.Setenv(NotRunFile, notes)
			r := &recorder{TB: t}
			done := make(chan struct{})
			go func() {
				defer close(done)
				NotRun(r, "the broker", "java is\nnot on PATH")
			}()
			<-done
			if r.skipped != c.skipped || r.failed != c.failed {
				t.Errorf("skipped %t, failed %t; want %t, %t", r.skipped, r.failed, c.skipped, c.failed)
			}
			text, err := os.ReadFile(notes)
			if err != nil {
				t.Fatal(err)
			}
			if want := "not run: the broker, because java is not on PATH\n"; string(text) != want {
				t.Errorf("noted %q, want %q", text, want)
			}
		})
	}
}
