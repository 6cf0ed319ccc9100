package spool

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// badDisk is a disk of which some operations fail while an error is set.
type badDisk struct {
	realDisk
	mu                        sync.Mutex
	onCreate, onWrite, onSync error
	onTruncate                error
	created                   int
}

func (d *badDisk) fail(change func(d *badDisk)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	change(d)
}

func (d *badDisk) ask(get func(d *badDisk) error) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return get(d)
}

func (d *badDisk) create(path string) (file, error) {
	if err := d.ask(func(d *badDisk) error { d.created++; return d.onCreate }); err != nil {
		return nil, err
	}
	f, err := d.realDisk.create(path)
	return badFile{f, d}, err
}

type badFile struct {
	file
	disk *badDisk
}

func (f badFile) Write(b []byte) (int, error) {
	if err := f.disk.ask(func(d *badDisk) error { return d.onWrite }); err != nil {
		n, _ := f.file.Write(b[:len(b)/2]) // as a full disk does
		return n, err
	}
	return f.file.Write(b)
}

func (f badFile) Sync() error {
	if err := f.disk.ask(func(d *badDisk) error { return d.onSync }); err != nil {
		return err
	}
	return f.file.Sync()
}

func (f badFile) Truncate(size int64) error {
	if err := f.disk.ask(func(d *badDisk) error { return d.onTruncate }); err != nil {
		return err
	}
	return f.file.Truncate(size)
}

// open opens a log of small files, which the test closes.
func open(t *testing.T, dir string, d disk) (*messageLog, Recovery) {
	t.Helper()
	l, report, err := openLog(logConfig{dir: dir, disk: d, segmentBytes: 2000, maxBytes: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.close() }) // again, where the test has
	return l, report
}

func shut(t *testing.T, l *messageLog) {
	t.Helper()
	if err := l.close(); err != nil {
		t.Fatal(err)
	}
}

// fill appends messages by number, each in a commit of its own.
func fill(t *testing.T, l *messageLog, from, to int) {
	t.Helper()
	for i := from; i < to; i++ {
		if err := l.append(t.Context(), [][]byte{numbered(i)}); err != nil {
			t.Fatal(err)
		}
	}
}

func numbered(i int) []byte { return []byte(fmt.Sprintf("message %d %s", i, strings.Repeat("x", 100))) }

// readAll reads what a log holds, as numbers.
func readAll(t *testing.T, l *messageLog) (numbers []int, damages []Damage) {
	t.Helper()
	r := l.reader(func(d Damage) { damages = append(damages, d) })
	defer r.close()
	for {
		entries, err := r.read()
		if err != nil {
			t.Fatal(err)
		}
		if len(entries) == 0 {
			return numbers, damages
		}
		for _, e := range entries {
			var n int
			if _, err := fmt.Sscanf(string(e.payload), "message %d", &n); err != nil {
				t.Fatalf("%q: %v", e.payload, err)
			}
			numbers = append(numbers, n)
		}
	}
}

func count(from, to int) (all []int) {
	for i := from; i < to; i++ {
		all = append(all, i)
	}
	return all
}

func TestLogIsReadAgain(t *testing.T) {
	leaks(t)
	dir := t.TempDir()
	l, _ := open(t, dir, realDisk{})
	fill(t, l, 0, 50)
	if _, _, err := openLog(logConfig{dir: dir, disk: realDisk{}}); !errors.Is(err, ErrInUse) {
		t.Errorf("a second one opens: %v", err)
	}
	if err := l.release(30); err != nil {
		t.Fatal(err)
	}
	shut(t, l)
	if err := l.append(t.Context(), [][]byte{numbered(0)}); !errors.Is(err, ErrClosed) {
		t.Errorf("a closed log answers %v", err)
	}
	l, report := open(t, dir, realDisk{})
	if report.Messages != 20 || len(report.Damages) > 0 || report.Cut > 0 {
		t.Errorf("found %+v", report)
	}
	fill(t, l, 50, 60)
	if got, _ := readAll(t, l); !slices.Equal(got, count(30, 60)) {
		t.Errorf("read %v", got)
	}
	if s := l.stats(); s.depth != 30 {
		t.Errorf("the depth is %d", s.depth)
	}
	shut(t, l)
}

// TestManyWriters has writers come at any instant of others' commits, by ones and by
// twos: each message is there once, and each writer's are in the order in which they
// were given. Few writers leave the log idle at times, many never.
func TestManyWriters(t *testing.T) {
	leaks(t)
	for _, writers := range []int{1, 2, 16} {
		t.Run(fmt.Sprint(writers), func(t *testing.T) {
			const each = 200
			l, _ := open(t, t.TempDir(), realDisk{})
			var group sync.WaitGroup
			for w := range writers {
				group.Go(func() { appendEach(t, l, w*each, (w+1)*each, 1+w%2) })
			}
			group.Wait()
			got, damages := readAll(t, l)
			if len(got) != each*writers || len(damages) > 0 {
				t.Errorf("%d messages are there, want %d; damaged: %v", len(got), each*writers, damages)
			}
			last := make([]int, writers)
			for _, n := range got {
				if w := n / each; n != w*each+last[w] {
					t.Fatalf("message %d comes after %d of writer %d's", n, last[w], w)
				} else {
					last[w]++
				}
			}
			shut(t, l)
		})
	}
}

// appendEach appends messages by number, a few at a time.
func appendEach(t *testing.T, l *messageLog, from, to, few int) {
	for i := from; i < to; i += few {
		var payloads [][]byte
		for n := range few {
			payloads = append(payloads, numbered(i+n))
		}
		if err := l.append(t.Context(), payloads); err != nil {
			t.Error(err)
			return
		}
	}
}

// TestNothingIsLeftOfWhatWasSent looks for files that hold no message any more.
func TestNothingIsLeftOfWhatWasSent(t *testing.T) {
	leaks(t)
	dir := t.TempDir()
	l, _ := open(t, dir, realDisk{})
	fill(t, l, 0, 50)
	l.confirmed(50)
	if err := l.release(50); err != nil {
		t.Fatal(err)
	}
	shut(t, l)
	if left, err := listSegments(dir); err != nil || len(left) > 0 {
		t.Errorf("left: %d files, %v", len(left), err)
	}
	l, report := open(t, dir, realDisk{})
	if report.Messages != 0 || l.next != 50 {
		t.Errorf("found %+v, and goes on at %d", report, l.next)
	}
	shut(t, l)
}

func TestFullLog(t *testing.T) {
	leaks(t)
	l, _ := open(t, t.TempDir(), realDisk{})
	for {
		if err := l.append(t.Context(), [][]byte{make([]byte, 10_000)}); errors.Is(err, ErrFull) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	s := l.stats()
	if s.bytes > 1<<20 || s.bytes < 1<<20-11_000 {
		t.Errorf("full at %d bytes", s.bytes)
	}
	if err := l.release(uint64(s.depth / 2)); err != nil {
		t.Fatal(err)
	}
	if err := l.append(t.Context(), [][]byte{make([]byte, 10_000)}); err != nil {
		t.Errorf("there is room again, and it answers %v", err)
	}
	shut(t, l)
}

// TestDamage puts what an ill disk does into a log's files.
func TestDamage(t *testing.T) {
	for _, c := range []struct {
		name string
		harm func(t *testing.T, files []*segment)
		lost uint64 // 0 for any
	}{
		{"a bit in the middle of a file", func(t *testing.T, files []*segment) { flip(t, files[1].path, 700) }, 1},
		{"a length in the middle of a file", func(t *testing.T, files []*segment) { flip(t, files[1].path, 5) }, 1},
		{"a sector", func(t *testing.T, files []*segment) { zero(t, files[0].path, 512, 512) }, 0},
		{"the end of a file that isn't the last", func(t *testing.T, files []*segment) {
			if err := os.Truncate(files[0].path, 1000); err != nil {
				t.Fatal(err)
			}
		}, 0},
		{"a file in the middle", func(t *testing.T, files []*segment) {
			if err := os.Remove(files[1].path); err != nil {
				t.Fatal(err)
			}
		}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			leaks(t)
			dir := t.TempDir()
			l, _ := open(t, dir, realDisk{})
			fill(t, l, 0, 50)
			shut(t, l)
			files, err := listSegments(dir)
			if err != nil || len(files) < 3 {
				t.Fatalf("%d files, %v", len(files), err)
			}
			c.harm(t, files)
			l, report := open(t, dir, realDisk{})
			got, again := readAll(t, l)
			var lost uint64
			for _, d := range report.Damages {
				lost += d.Lost
				if _, err := os.Stat(d.Path); err != nil {
					t.Errorf("%v: %v", d, err)
				}
			}
			if lost == 0 || lost != uint64(50-len(got)) || c.lost > 0 && lost != c.lost {
				t.Errorf("lost %d of 50, and %d are there: %v", lost, len(got), report.Damages)
			}
			if !slices.IsSorted(got) || got[0] != 0 || got[len(got)-1] != 49 {
				t.Errorf("read %v", got)
			}
			if len(again) > 0 || report.Messages != len(got) || l.stats().depth != len(got) {
				t.Errorf("told again of %v; reported %d, depth %d, read %d", again, report.Messages, l.stats().depth, len(got))
			}
			shut(t, l)
		})
	}
}

// TestDamageWhileRunning harms a file that was good when the log was opened.
func TestDamageWhileRunning(t *testing.T) {
	leaks(t)
	dir := t.TempDir()
	l, _ := open(t, dir, realDisk{})
	fill(t, l, 0, 50)
	flip(t, l.segments[0].path, 700)
	got, damages := readAll(t, l)
	if len(got) != 49 || len(damages) != 1 || damages[0].Lost != 1 {
		t.Errorf("read %v, told of %v", got, damages)
	}
	if err := l.release(50); err != nil || l.stats().depth != 0 {
		t.Errorf("the depth is %d after all was sent (%v)", l.stats().depth, err)
	}
	shut(t, l)
}

// TestTornTail cuts the last file at every byte of its last messages.
func TestTornTail(t *testing.T) {
	dir := t.TempDir()
	l, _ := open(t, dir, realDisk{})
	fill(t, l, 0, 5)
	shut(t, l)
	files, err := listSegments(dir)
	if err != nil || len(files) != 1 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	whole, err := os.ReadFile(files[0].path)
	if err != nil {
		t.Fatal(err)
	}
	for cut := len(whole) - 300; cut <= len(whole); cut++ {
		copied := t.TempDir()
		if err := os.WriteFile(filepath.Join(copied, filepath.Base(files[0].path)), whole[:cut], 0o600); err != nil {
			t.Fatal(err)
		}
		l, report := open(t, copied, realDisk{})
		got, _ := readAll(t, l)
		whole := cut / (len(whole) / 5)
		if len(report.Damages) > 0 || !slices.Equal(got, count(0, whole)) || report.Cut != int64(cut-whole*len(numbered(0))-whole*frameHead) {
			t.Errorf("cut at %d: found %+v, read %v", cut, report, got)
		}
		shut(t, l)
	}
}

func flip(t *testing.T, path string, at int) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b[at] ^= 0x10
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

func zero(t *testing.T, path string, at, n int) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	clear(b[at : at+n])
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestFailedFsync holds that a file is left alone once an fsync of it has failed,
// that what was refused doesn't come back, and that the log goes on in another file.
func TestFailedFsync(t *testing.T) {
	for _, truncates := range []bool{true, false} {
		t.Run(fmt.Sprintf("truncates=%v", truncates), func(t *testing.T) {
			leaks(t)
			dir, d := t.TempDir(), &badDisk{}
			l, _ := open(t, dir, d)
			fill(t, l, 0, 3)
			d.fail(func(d *badDisk) {
				d.onSync = errors.New("input/output error")
				if !truncates {
					d.onTruncate = errors.New("input/output error")
				}
			})
			for range 3 {
				if err := l.append(t.Context(), [][]byte{numbered(99)}); !errors.Is(err, ErrDisk) {
					t.Fatalf("a failed fsync is answered %v", err)
				}
			}
			d.fail(func(d *badDisk) { d.onSync, d.onTruncate = nil, nil })
			fill(t, l, 3, 6)
			if got, damages := readAll(t, l); !slices.Equal(got, count(0, 6)) || len(damages) > 0 {
				t.Errorf("read %v, %v", got, damages)
			}
			if d.created != 4 {
				t.Errorf("%d files were begun: one, and one after each failure", d.created)
			}
			shut(t, l)
			l, report := open(t, dir, realDisk{})
			if got, _ := readAll(t, l); !slices.Equal(got, count(0, 6)) || len(report.Damages) > 0 {
				t.Errorf("read %v, found %+v", got, report)
			}
			shut(t, l)
		})
	}
}

// TestFailedWrite plays a disk that is full for a while.
func TestFailedWrite(t *testing.T) {
	leaks(t)
	dir, d := t.TempDir(), &badDisk{}
	l, _ := open(t, dir, d)
	fill(t, l, 0, 3)
	full := errors.New("no space left on device")
	for _, set := range []func(d *badDisk){
		func(d *badDisk) { d.onWrite = full },
		func(d *badDisk) { d.onWrite, d.onTruncate = full, full },
		func(d *badDisk) { d.onWrite, d.onTruncate, d.onCreate = nil, nil, full },
	} {
		d.fail(set)
		if err := l.append(t.Context(), [][]byte{numbered(99)}); !errors.Is(err, ErrDisk) || !errors.Is(err, full) {
			t.Fatalf("a full disk is answered %v", err)
		}
	}
	d.fail(func(d *badDisk) { d.onCreate = nil })
	fill(t, l, 3, 6)
	if got, damages := readAll(t, l); !slices.Equal(got, count(0, 6)) || len(damages) > 0 {
		t.Errorf("read %v, %v", got, damages)
	}
	shut(t, l)
	l, report := open(t, dir, realDisk{})
	if got, _ := readAll(t, l); !slices.Equal(got, count(0, 6)) || len(report.Damages) > 0 {
		t.Errorf("read %v, found %+v", got, report)
	}
	shut(t, l)
}

// TestFramesInMessages has a message that holds frames of its own, as one that was
// read from another spool would.
func TestFramesInMessages(t *testing.T) {
	leaks(t)
	dir := t.TempDir()
	l, _ := open(t, dir, realDisk{})
	var foreign []byte
	for i := range 5 {
		foreign = appendFrame(foreign, 4711, frame{sequence: uint64(i), payload: numbered(i)})
	}
	if err := l.append(t.Context(), [][]byte{append(numbered(0), foreign...)}); err != nil {
		t.Fatal(err)
	}
	fill(t, l, 1, 3)
	path := l.segments[0].path
	shut(t, l)
	flip(t, path, 30)
	l, report := open(t, dir, realDisk{})
	if got, _ := readAll(t, l); !slices.Equal(got, []int{1, 2}) || len(report.Damages) != 1 {
		t.Errorf("read %v, found %+v", got, report)
	}
	shut(t, l)
}

func FuzzParseFrame(f *testing.F) {
	f.Add(appendFrame(nil, 7, frame{sequence: 3, place: 1, payload: []byte("body")}), uint64(7))
	f.Add([]byte("\xf5sp1\xff\xff\xff\xff"), uint64(0))
	f.Fuzz(func(t *testing.T, b []byte, salt uint64) {
		fr, size, err := parseFrame(b, salt)
		if err == nil && !bytes.Equal(appendFrame(nil, salt, fr), b[:size]) {
			t.Errorf("%x is taken for %+v", b[:size], fr)
		}
		scan(b, &segment{salt: salt})
		if m, err := decode(b); err == nil {
			if again, err := decode(m.encode()); err != nil || again.ID != m.ID || !bytes.Equal(again.Body, m.Body) || !bytes.Equal(again.Key, m.Key) {
				t.Errorf("%+v is read again as %+v, %v", m, again, err)
			}
		}
	})
}
