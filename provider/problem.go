package main

import (
	"strings"

	"github.com/hashicorp/terraform-plugin-framework/diag"
)

// problem is what a diagnostic tells: the object it is about, where it was
// met, why, and what to do next. The summary beside it is short and fixed.
type problem struct {
	Object   string
	Endpoint string
	Cause    string
	Next     string
	// LogPath and Log are the end of the cell's log, where there is one.
	LogPath string
	Log     []string
	// Console is the end of its machine's console, where that was read.
	Console []string
}

// String is the detail of the diagnostic.
func (p problem) String() string {
	var b strings.Builder
	for _, line := range []struct{ label, text string }{
		{"Object:   ", p.Object}, {"Endpoint: ", p.Endpoint}, {"Cause:    ", p.Cause}, {"Next:     ", p.Next},
	} {
		if line.text != "" {
			b.WriteString(line.label + strings.ReplaceAll(line.text, "\n", "\n          ") + "\n")
		}
	}
	if p.LogPath != "" && len(p.Log) == 0 {
		b.WriteString("\nIts log " + p.LogPath + " was empty.\n")
	}
	if len(p.Log) > 0 {
		b.WriteString("\nLast lines of its log " + p.LogPath + ":\n")
	}
	for _, line := range p.Log {
		b.WriteString("  " + line + "\n")
	}
	if len(p.Console) > 0 {
		b.WriteString("\nLast lines of its machine's console:\n")
	}
	for _, line := range p.Console {
		b.WriteString("  " + line + "\n")
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// addError adds a problem to the diagnostics, with its fixed summary.
func addError(diags *diag.Diagnostics, summary string, p problem) {
	diags.AddError(summary, p.String())
}
