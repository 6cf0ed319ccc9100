package policy

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"slices"

	"github.com/hashicorp/hcl/v2"
)

// hidden marks a diagnostic whose line holds something that must not be shown,
// from this byte of the file to the end of the line.
type hidden struct{ from int }

// FormatDiagnostics writes diagnostics for a person, each with the line it is
// about. It writes no colours and folds no lines. A secret that was written
// into the policy by mistake is not repeated.
func FormatDiagnostics(w io.Writer, filename string, src []byte, diags hcl.Diagnostics) error {
	// The parsed file is what knows that a line is `in service "crawler"`; its
	// own diagnostics are among those given already.
	file, _ := readFile(filename, src)
	file.Bytes = mask(src, diags)
	files := map[string]*hcl.File{filename: file}
	if err := hcl.NewDiagnosticTextWriter(w, files, 0, false).WriteDiagnostics(diags); err != nil {
		return fmt.Errorf("write diagnostics of %s: %w", filename, err)
	}
	return nil
}

// mask returns a copy of the file without what is hidden.
func mask(src []byte, diags hcl.Diagnostics) []byte {
	src = bytes.Clone(src)
	for _, diag := range diags {
		h, ok := diag.Extra.(hidden)
		if !ok || diag.Subject == nil {
			continue
		}
		for i := h.from; i < len(src) && (i < diag.Subject.End.Byte || src[i] != '\n'); i++ {
			if src[i] != '\n' {
				src[i] = '*'
			}
		}
	}
	return src
}

// hide keeps what stands at a field out of all diagnostics about it.
func (d *decoder) hide(ptr any) {
	at, ok := d.ranges[ptr]
	for _, diag := range d.diags {
		if ok && diag.Subject != nil && diag.Subject.Start == at.Start {
			diag.Extra = hidden{from: at.Start.Byte}
		}
	}
}

// sortByLine brings diagnostics into the order of the file.
func sortByLine(diags hcl.Diagnostics) {
	slices.SortStableFunc(diags, func(a, b *hcl.Diagnostic) int {
		return cmp.Compare(offset(a), offset(b))
	})
}

func offset(d *hcl.Diagnostic) int {
	if d.Subject == nil {
		return 0
	}
	return d.Subject.Start.Byte
}

// problem is an error with a short fixed summary, and a detail that says what
// is wrong with what, and what to do.
func problem(summary string, at hcl.Range, format string, args ...any) *hcl.Diagnostic {
	return &hcl.Diagnostic{
		Severity: hcl.DiagError,
		Summary:  summary,
		Detail:   fmt.Sprintf(format, args...),
		Subject:  at.Ptr(),
	}
}
