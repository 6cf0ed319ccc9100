package remote

import (
	"bufio"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// receiver reads what the machine says of an upload.
type receiver struct {
	process   *process
	lines     *bufio.Scanner
	complaint *complaint
	done      chan struct{} // closed when the answers were read to their end
	ok, bad   map[string]bool
	err       error
}

func newReceiver(p *process) *receiver {
	return &receiver{process: p, lines: bufio.NewScanner(p), complaint: listen(p), ok: make(map[string]bool), bad: make(map[string]bool)}
}

// listing reads the sizes of what is there half-done, by digest, and begins to
// read the answers that come after it.
func (r *receiver) listing() (map[string]int64, error) {
	there := make(map[string]int64)
	for r.lines.Scan() {
		line := r.lines.Text()
		if line == "." {
			r.done = make(chan struct{})
			go r.answers()
			return there, nil
		}
		name, size, _ := strings.Cut(line, " ")
		n, err := strconv.ParseInt(size, 10, 64)
		if sha, is := strings.CutSuffix(strings.TrimPrefix(name, "./"), ".part"); is && err == nil {
			there[sha] = n
		}
	}
	return nil, r.ending()
}

// answers reads to the end.
func (r *receiver) answers() {
	defer close(r.done)
	for r.lines.Scan() {
		verb, rest, _ := strings.Cut(r.lines.Text(), " ")
		switch verb {
		case "ok":
			r.ok[rest] = true
		case "bad":
			r.bad[rest] = true
		case "fail":
			r.err = reason(rest)
		}
	}
}

// fullDisk is a line of df, which the machine adds.
var fullDisk = regexp.MustCompile(`\[.* 100% .*\]$`)

// reason makes an error of why the machine couldn't take a blob.
func reason(text string) error {
	if fullDisk.MatchString(text) || strings.Contains(text, "No space left on device") || strings.Contains(text, "Disk quota exceeded") {
		return fmt.Errorf("%w: %s", ErrDiskFull, text)
	}
	return fmt.Errorf("the machine can't take a blob: %s", text)
}

// wait reads what is left of the answers and how the script ended.
func (r *receiver) wait() error {
	<-r.done
	if r.err != nil {
		return r.err
	}
	return r.ending()
}

// ending is how the script ended, with what it complained of.
func (r *receiver) ending() error {
	<-r.process.ended
	err := r.process.err
	if err == nil {
		return nil
	}
	r.process.close()
	if said := r.complaint.said(); said != "" {
		return fmt.Errorf("%w: %s", err, said)
	}
	return err
}

// stop ends the channel and waits for what reads from it.
func (r *receiver) stop() {
	r.process.close()
	if r.done != nil {
		<-r.done
	}
	r.complaint.said()
}

// judge returns the blobs that were found wrong. One that was not judged at all
// is an error.
func (r *receiver) judge(blobs []Blob) ([]Blob, error) {
	var bad []Blob
	for _, b := range blobs {
		switch {
		case r.bad[b.SHA256]:
			bad = append(bad, b)
		case !r.ok[b.SHA256]:
			return nil, errors.New("the machine did not say whether blob " + b.SHA256 + " arrived")
		}
	}
	return bad, nil
}
