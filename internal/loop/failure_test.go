package loop

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/act"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/guard"
)

// told is the error of an apply in which the provider told of these details.
func told(details ...string) error {
	failed := &act.CommandError{Command: "apply"}
	for _, d := range details {
		failed.Diagnostics = append(failed.Diagnostics, guard.Diagnostic{Summary: "Cell not born", Detail: d})
	}
	return fmt.Errorf("wrapped: %w", failed)
}

func TestWhyFailed(t *testing.T) {
	const output = "Object:   cell pod/pod-3\nCause:    exit status 1; the end of its output:\n" +
		"          step: run sh\n          \n\n          Next: run sh: exit status 3\n            it holds ***\n" +
		"Next:     apply again\n\nLast lines of its machine's console:\n  Cause: none"
	for name, tt := range map[string]struct {
		err  error
		want string
	}{
		"no run of Terraform": {errors.New("broken"), "unknown"},
		"another's words":     {told("no such key"), "Cell not born"},
		"one line":            {told("Object:   x\nCause:    it ended\nNext:     apply again"), "Cell not born: it ended"},
		"a command's output":  {told(output), "Cell not born: exit status 1; the end of its output: step: run sh Next: run sh: exit status 3 it holds ***"},
		"the cause is last":   {told("Cause:    one\n          two"), "Cell not born: one two"},
		"two":                 {told("Cause:    b", "Cause:    a", "Cause:    b"), "Cell not born: a; Cell not born: b"},
	} {
		if got := whyFailed(tt.err); got != tt.want {
			t.Errorf("%s: %q, want %q", name, got, tt.want)
		}
	}
}

// However much failed and was told, what failed and what was said last fit into
// the record.
func TestWhyFailedIsShort(t *testing.T) {
	var details []string
	for i := range 100 {
		details = append(details, fmt.Sprintf("Cause:    birth %02d\n%s          the end of %02d\n", i, strings.Repeat("          ü and more\n", 5000), i))
	}
	for _, n := range []int{1, 100} {
		got := whyFailed(told(details[:n]...))
		if len(got) > whysLimit+10 || !strings.HasPrefix(got, "Cell not born: birth 00 ü") || !strings.HasSuffix(got, fmt.Sprintf("more the end of %02d", n-1)) || strings.ToValidUTF8(got, "") != got {
			t.Errorf("of %d: %d bytes, %.60q to %q", n, len(got), got, got[len(got)-60:])
		}
	}
}

// As long as births wait after others that failed, it is told why those did.
func TestBirthsWaitTellsWhy(t *testing.T) {
	now := time.Date(2026, 11, 26, 5, 0, 0, 0, time.UTC)
	l := &Leader{LeaderConfig: LeaderConfig{Now: func() time.Time { return now }}}
	three := []string{"api-1", "api-2", "api-3"}
	if got := l.birthsWait(2); got != "" {
		t.Errorf("none has failed: %q", got)
	}
	l.memory.Book.Failed(guard.Key("api-4"), "Cell not born", now, act.Backoff{Min: time.Minute, Max: time.Minute}, 0)
	l.memory.Unborn = "Cell not born: the pool is used up"
	for name, tt := range map[string]struct {
		wish wish
		want bool
	}{
		"enough":                  {wish{Desired: 3}, false},
		"fewer are wanted":        {wish{Desired: 2}, false},
		"more are wanted":         {wish{Desired: 4}, true},
		"one leaves":              {wish{Desired: 3, Leaving: three[:1]}, true},
		"one is dead":             {wish{Desired: 3, Dead: three[:1]}, true},
		"a renewal needs another": {wish{Desired: 3, Surge: 1}, true},
	} {
		want := ""
		if tt.want {
			want = "births wait until 05:01:00, 1 failed in a row: Cell not born: the pool is used up"
		}
		if got := l.birthsWait(tt.wish.unborn(three)); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	now = now.Add(time.Minute)
	if got := l.birthsWait(1); got != "" {
		t.Errorf("they wait no more: %q", got)
	}
}
