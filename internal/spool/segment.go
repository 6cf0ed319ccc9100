package spool

import (
	"cmp"
	"os"
	"path/filepath"
	"slices"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/spool/unsent"
)

// segment is one file of a log. Its name tells where it stands and its salt:
//
//	00000000000000001042-000007-9f86d081884c7d65.log
//	 first sequence       generation  salt
//
// The generation rises with each file. Where two files claim the same sequences the
// one of the higher generation is right: it was begun since the other was given up.
type segment struct {
	path       string
	first      uint64
	generation uint64
	salt       uint64
	// next is the sequence after its last one, and end the bytes up to there: what
	// is on disk for sure. What lies behind was never acknowledged.
	next uint64
	end  int64
	// damaged says that its file was given back other than it was written, and that
	// this was told.
	damaged bool
}

// damagedSuffix is added to the name of a file that is kept aside.
const damagedSuffix = ".damaged"

func parseSegmentName(name string) (s segment, ok bool) {
	s.first, s.generation, s.salt, ok = unsent.Parse(name)
	return s, ok
}

// listSegments finds a folder's segments, in the order of what is in them.
func listSegments(dir string) ([]*segment, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var all []*segment
	for _, e := range entries {
		if s, ok := parseSegmentName(e.Name()); ok {
			s.path = filepath.Join(dir, e.Name())
			all = append(all, &s)
		}
	}
	slices.SortFunc(all, func(a, b *segment) int {
		return cmp.Or(cmp.Compare(a.first, b.first), cmp.Compare(a.generation, b.generation))
	})
	return all, nil
}
