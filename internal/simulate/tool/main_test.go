package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The parts on one hour, as make simulate runs them.
func TestParts(t *testing.T) {
	for _, c := range []struct {
		parts string
		more  []string
		want  []string
		files []string
	}{
		{"rows", nil, []string{"Means: slow % / cost, 6 rows, 1 seed", "ours", "HPA 0.7 *", "Of the 6 rows (hours)", "Means of the other measures: 6 rows (hours), 1 seed", "upsilon %", "Orders serial, as a leader's are", "where the peers' orders overlap.", "With the plain copies: Rows on which a peer is as good"}, []string{"rows.csv"}},
		{"truer", []string{"-ours"}, []string{"single requests queue", "all of these"}, []string{"truer.csv"}},
		{"sensitivity", nil, []string{"Price", "Without effect here"}, []string{"sensitivity.csv"}},
		{"reproduced", nil, []string{"Peers beside published figures", "0 are not what they were"}, []string{"reproduced.csv"}},
		{"shapes", []string{"-ours"}, []string{"step x10, D 60 serial"}, []string{"shapes.csv", "shape-step-x2.svg"}},
	} {
		t.Run(c.parts, func(t *testing.T) {
			out := t.TempDir()
			var stdout bytes.Buffer
			args := []string{"-parts", c.parts, "-seeds", "1", "-only", "conv", "-births", "60s", "-traces", "../../../bench/traces", "-out", out}
			err := run(t.Context(), append(args, c.more...), &stdout)
			// A cliff is a failure, and conv alone has some.
			if cliffs := c.parts == "sensitivity"; (err != nil) != cliffs || cliffs && !strings.Contains(err.Error(), "is a cliff") {
				t.Fatal(err)
			}
			for _, want := range c.want {
				if !strings.Contains(stdout.String(), want) {
					t.Errorf("%q is not in\n%s", want, stdout.String())
				}
			}
			for _, file := range c.files {
				if info, err := os.Stat(filepath.Join(out, file)); err != nil || info.Size() == 0 {
					t.Errorf("%s was not written: %v", file, err)
				}
			}
		})
	}
}

// What a machine lacks is a line, and not an error.
func TestMissingTraces(t *testing.T) {
	var stdout bytes.Buffer
	if err := run(t.Context(), []string{"-parts", "rows", "-ours", "-only", "wc", "-seeds", "1", "-traces", t.TempDir()}, &stdout); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(stdout.String(), "not run: the rows of wc, because ") {
		t.Errorf("printed %q", stdout.String())
	}
}

func TestMistakes(t *testing.T) {
	for want, args := range map[string][]string{
		"there is no part \"row\": use rows, truer": {"-parts", "row"},
		"fewer than 1 seed":                         {"-seeds", "0"},
		"\"soon\" is not a birth of the rows":       {"-births", "soon", "-only", "conv", "-traces", "../../../bench/traces"},
		"write a table as \"pdf\"":                  {"-format", "pdf", "-ours", "-only", "conv", "-births", "60s", "-seeds", "1", "-traces", "../../../bench/traces"},
	} {
		var stdout bytes.Buffer
		if err := run(t.Context(), args, &stdout); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", args, err, want)
		}
	}
}
