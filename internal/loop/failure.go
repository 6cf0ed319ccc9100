package loop

import (
	"errors"
	"slices"
	"strings"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/act"
)

const (
	// whyLimit is how many bytes are told of one failure, and whyHead how many of
	// these are from its begin: what failed. The others are from its end, which is
	// what a command said last.
	whyLimit = 4 << 10
	whyHead  = 1 << 10
	// whysLimit bounds all that failed together, as the record holds it.
	whysLimit = 16 << 10
)

// cause is what failures are compared by: Terraform's own summaries, which name
// no cell.
func cause(err error) string {
	var command *act.CommandError
	if !errors.As(err, &command) || len(command.Diagnostics) == 0 {
		return "unknown"
	}
	var all []string
	for _, d := range command.Diagnostics {
		all = append(all, d.Summary)
	}
	slices.Sort(all)
	return strings.Join(slices.Compact(all), "; ")
}

// whyFailed is cause for people, in one line: what the provider of our cells names as
// the cause stands behind the summary, with the output of a command that failed.
// The rest of its detail is in the log.
func whyFailed(err error) string {
	var command *act.CommandError
	if !errors.As(err, &command) || len(command.Diagnostics) == 0 {
		return cause(err)
	}
	var all []string
	for _, d := range command.Diagnostics {
		text := d.Summary
		if named := namedCause(d.Detail); named != "" {
			text += ": " + named
		}
		all = append(all, shortened(text, whyLimit))
	}
	slices.Sort(all)
	return shortened(strings.Join(slices.Compact(all), "; "), whysLimit)
}

// namedCause is what a detail of our provider's says as the cause: its line of that
// name, and those below that are indented.
func namedCause(detail string) string {
	var words []string
	within := false
	for line := range strings.Lines(detail) {
		named, begins := strings.CutPrefix(line, "Cause:")
		within = begins || within && strings.TrimLeft(line, " \n") != line
		if within {
			words = append(words, strings.Fields(named)...)
		}
	}
	return strings.Join(words, " ")
}

// shortened leaves out the middle of a text of more than about limit bytes. Its secrets
// have been masked before, so that none is cut in two.
func shortened(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	return strings.ToValidUTF8(text[:whyHead], "") + " ... " + strings.ToValidUTF8(text[len(text)-limit+whyHead:], "")
}
