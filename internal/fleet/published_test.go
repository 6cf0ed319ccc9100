package fleet

import "testing"

// The way back leads to what cells lived by, and never to itself.
func TestWayBack(t *testing.T) {
	one, two := &Published{Bundle: "1", Genome: "a"}, &Published{Bundle: "2", Genome: "b", Before: "1"}
	failed := func(genome string) *Record { return &Record{Genome: genome, Halt: &Halt{Genome: genome}} }
	tests := map[string]struct {
		was    *Published
		record *Record
		bundle string
		want   string
	}{
		"the first":                         {nil, nil, "1", ""},
		"before there is a record":          {one, nil, "2", "1"},
		"the one before":                    {one, &Record{Genome: "a"}, "2", "1"},
		"the same again":                    {two, &Record{Genome: "b"}, "2", "1"},
		"after one that failed":             {two, failed("b"), "3", "1"},
		"after one that failed before that": {two, failed("x"), "3", "2"},
		"back from one that failed":         {two, failed("b"), "1", ""},
		"back from one that lives":          {two, &Record{Genome: "b"}, "1", "2"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := wayBack(tt.was, tt.record, tt.bundle); got != tt.want {
				t.Errorf("back to %q, want %q", got, tt.want)
			}
		})
	}
}
