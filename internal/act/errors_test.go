package act

import (
	"errors"
	"testing"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/guard"
)

// TestProviderDied tells a provider's death from what a living one reports, in
// the words of Terraform 1.11.
func TestProviderDied(t *testing.T) {
	tests := map[string]struct {
		d    guard.Diagnostic
		died bool
	}{
		"before the call": {guard.Diagnostic{Summary: "Plugin did not respond", Detail: "The plugin encountered an error, and failed to respond"}, true},
		"during the call": {guard.Diagnostic{Summary: "Request cancelled", Detail: "The plugin6.(*GRPCProvider).ApplyResourceChange request was cancelled."}, true},
		"on the wire":     {guard.Diagnostic{Summary: "Plugin error", Detail: "The plugin returned an unexpected error from plugin6: rpc error: code = Internal desc = unexpected EOF"}, true},
		"too much to say": {guard.Diagnostic{Summary: "Plugin error", Detail: "rpc error: code = ResourceExhausted desc = received message larger than max"}, false},
		"an application that says so": {
			guard.Diagnostic{Summary: "Cell not born", Detail: "Request cancelled\nPlugin did not respond", Address: "homeostat_cell.cell[0]"}, false,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := errors.Is(classify(tt.d.Summary, []guard.Diagnostic{tt.d}), ErrProvider); got != tt.died {
				t.Errorf("died: %t, want %t", got, tt.died)
			}
		})
	}
}

// TestPlainWords has Terraform tell of a lock in colours and in a frame.
func TestPlainWords(t *testing.T) {
	const red, off = "\x1b[31m", "\x1b[0m"
	said := errors.New("exit status 1\n\n" + red + "╷" + off + off + "\n" + red + "│" + off + " " + off + "\x1b[1m" + red + "Error: " + off + off +
		"Error acquiring the state lock" + off + "\n" + red + "│" + off + " " + off + off + "  Who:       anna@desk\n" + red + "╵" + off + off)
	e := &CommandError{Command: "state push", Dir: "pod", Err: said}
	if want := "run terraform state push in pod: exit status 1 Error: Error acquiring the state lock Who: anna@desk"; e.Error() != want {
		t.Errorf("got %q", e.Error())
	}
	if lock := parseLock(plain(said)); lock == nil || lock.Who != "anna@desk" {
		t.Errorf("the lock is %+v", lock)
	}
}
