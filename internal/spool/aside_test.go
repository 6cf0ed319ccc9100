package spool

import (
	"os"
	"testing"
)

// A disk that spoils one file after another doesn't fill itself with them: what is kept
// for a look is bounded, and what isn't kept is told all the same.
func TestDamagedFilesAreBounded(t *testing.T) {
	leaks(t)
	dir := t.TempDir()
	config := logConfig{dir: dir, disk: realDisk{}, segmentBytes: 2000, maxBytes: 100_000}
	most, told, kept := config.maxBytes/asideShare, 0, 0
	for range 12 {
		l, _, err := openLog(config)
		if err != nil {
			t.Fatal(err)
		}
		fill(t, l, 0, 20)
		shut(t, l)
		files, err := listSegments(dir)
		if err != nil {
			t.Fatal(err)
		}
		flip(t, files[0].path, 700)
		l, report, err := openLog(config)
		if err != nil || len(report.Damages) == 0 {
			t.Fatalf("nothing is told of a damaged file (%v)", err)
		}
		for _, d := range report.Damages {
			told++
			if d.Path == "" {
				continue
			}
			kept++
			if _, err := os.Stat(d.Path); err != nil {
				t.Error(err)
			}
		}
		_, again := readAll(t, l)
		if len(again) > 0 {
			t.Errorf("told again of %v", again)
		}
		if bytes := l.aside(); bytes > most || bytes == 0 {
			t.Errorf("damaged files take %d bytes, and may %d", bytes, most)
		}
		l.confirmed(l.stats().depth)
		if err := l.release(l.next); err != nil {
			t.Fatal(err)
		}
		shut(t, l)
	}
	if told != 12 || kept == 0 || kept == told {
		t.Errorf("%d damages were told of, %d files kept", told, kept)
	}
}

// One is kept however small the bounds are.
func TestOneDamagedFileIsKept(t *testing.T) {
	leaks(t)
	dir := t.TempDir()
	l, _ := open(t, dir, realDisk{})
	fill(t, l, 0, 50)
	l.maxBytes = 10
	flip(t, l.segments[0].path, 700)
	flip(t, l.segments[1].path, 700)
	if _, damages := readAll(t, l); len(damages) != 2 || damages[0].Path == "" || damages[1].Path != "" {
		t.Errorf("told of %v", damages)
	}
	shut(t, l)
}
