package policy

import (
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/hashicorp/hcl/v2/hclwrite"
)

// FuzzParse feeds anything: it must not panic, must say why when it refuses,
// and what it accepts must mean the same after it was formatted.
func FuzzParse(f *testing.F) {
	for _, pattern := range []string{"testdata/good/*.hcl", "testdata/bad/*.hcl"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			f.Fatalf("no seeds at %s: %v", pattern, err)
		}
		for _, file := range files {
			src, err := os.ReadFile(file)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(src)
		}
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		p, diags := Parse("fuzz.hcl", src)
		if (p == nil) != diags.HasErrors() {
			t.Fatalf("policy %v with %v", p, diags)
		}
		if err := FormatDiagnostics(io.Discard, "fuzz.hcl", src, diags); err != nil {
			t.Fatal(err)
		}
		for _, diag := range diags {
			if diag.Subject == nil || diag.Subject.Filename != "fuzz.hcl" || diag.Detail == "" {
				t.Errorf("a diagnostic without place or detail: %#v", diag)
			}
		}
		if p == nil {
			return
		}
		again, diags := Parse("fuzz.hcl", hclwrite.Format(src))
		if diags.HasErrors() {
			t.Fatalf("formatted, it is refused: %v", diags)
		}
		if diff := cmp.Diff(p, again, cmpopts.IgnoreFields(Policy{}, "Digest"), cmpopts.IgnoreUnexported(Schedule{})); diff != "" {
			t.Errorf("formatted, it means something else:\n%s", diff)
		}
	})
}
