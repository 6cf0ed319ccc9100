package remote

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	_ "embed" // the scripts
	"fmt"
	"regexp"
	"slices"
	"strings"
)

var (
	//go:embed digest.sh
	digestScript string
	//go:embed missing.sh
	missingScript string
)

// Blob is content named by its digest.
type Blob struct {
	SHA256 string // hexadecimal, lower case
	Size   int64
}

var digestPattern = regexp.MustCompile(`^[0-9a-f]{64}$`)

// smallBlob is the size below which many are handled as one: starting a program
// for each would take longer than bringing it over.
const smallBlob = 64 << 10

// Missing returns those blobs that the machine doesn't have. What it has is read
// there and must have the digest it is named by, unless it was read since the
// machine has booted and not been touched after it. It takes one round trip.
func (m *Machine) Missing(ctx context.Context, blobs []Blob) ([]Blob, error) {
	if err := checkBlobs(blobs); err != nil || len(blobs) == 0 {
		return nil, err
	}
	limit := int64(1<<16 + 256*len(blobs))
	output, err := m.script(ctx, strings.NewReader(batches(blobs)), limit, digestScript+missingScript, blobsDirectory)
	if err != nil {
		return nil, m.failed(ctx, "look for blobs", err)
	}
	there := make(map[string]bool)
	for lines := bufio.NewScanner(bytes.NewReader(output)); lines.Scan(); {
		sum, name, _ := strings.Cut(lines.Text(), " ")
		if strings.TrimLeft(name, " *") == sum {
			there[sum] = true
		}
	}
	return slices.DeleteFunc(unique(blobs), func(b Blob) bool { return there[b.SHA256] }), nil
}

// Doubt has everything on the machine be read again when the next one asks what is
// missing, as after an installation that failed.
func (m *Machine) Doubt(ctx context.Context) error {
	_, err := m.script(ctx, strings.NewReader(""), 0, `rm -f "$1/.read"`, blobsDirectory)
	return m.failed(ctx, "doubt what is there", err)
}

// batches is a list of digests, a line each: large ones, a dot, small ones. The
// largest comes first, so that the processor which reads it begins with it. Of the
// small ones thirty are one process's work: its answer, of 132 bytes for each, is
// below what a pipe takes in one piece from several at a time (PIPE_BUF, 4096 bytes
// on Linux).
func batches(blobs []Blob) string {
	var large, small strings.Builder
	for _, b := range largestFirst(blobs) {
		to := &small
		if b.Size >= smallBlob {
			to = &large
		}
		to.WriteString(b.SHA256 + "\n")
	}
	return large.String() + ".\n" + small.String()
}

// checkBlobs refuses what is no digest, since it would become a file's name.
func checkBlobs(blobs []Blob) error {
	for _, b := range blobs {
		if !digestPattern.MatchString(b.SHA256) || b.Size < 0 {
			return fmt.Errorf("%q of %d bytes is no blob: it takes 64 hexadecimal digits and a size", b.SHA256, b.Size)
		}
	}
	return nil
}

// unique returns each blob once, in the order they first come in.
func unique(blobs []Blob) []Blob {
	seen := make(map[string]bool)
	return slices.DeleteFunc(slices.Clone(blobs), func(b Blob) bool {
		again := seen[b.SHA256]
		seen[b.SHA256] = true
		return again
	})
}

// largestFirst returns each blob once.
func largestFirst(blobs []Blob) []Blob {
	sorted := unique(blobs)
	slices.SortStableFunc(sorted, func(a, b Blob) int { return cmp.Compare(b.Size, a.Size) })
	return sorted
}
