package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestConsole(t *testing.T) {
	long := `i=0; while [ $i -lt 3000 ]; do echo "line $i, and more of it"; i=$((i+1)); done`
	got := readConsole(t.Context(), []string{"sh", "-c", long}, nil)
	if len(got) != consoleLines || got[consoleLines-1] != "line 2999, and more of it" {
		t.Errorf("the end of much is %q", got)
	}
	for name, c := range map[string]struct {
		command []string
		want    []string
	}{
		"none":        {nil, nil},
		"a secret":    {[]string{"echo", "a s3cret thing"}, []string{"a *** thing"}},
		"no program":  {[]string{"/no/such"}, []string{"(/no/such: fork/exec /no/such: no such file or directory)"}},
		"it fails":    {[]string{"sh", "-c", "echo said; exit 3"}, []string{"said", "(sh: exit status 3)"}},
		"a terminal":  {[]string{"printf", `a\033[1mb\r\nc\007`}, []string{"a[1mb", "c"}},
		"not a text":  {[]string{"printf", `a\377b`}, []string{"a?b"}},
		"empty lines": {[]string{"printf", `a\n\n\n`}, []string{"a"}},
	} {
		t.Run(name, func(t *testing.T) {
			if got := readConsole(t.Context(), c.command, []string{"s3cret"}); !slices.Equal(got, c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

// What was cut begins with a whole line: the rest of one may be that of a secret.
func TestTail(t *testing.T) {
	for _, n := range []int{1, 9, 10, 11, 25, 100} {
		out := &tail{limit: 10}
		for i := range n {
			_, _ = fmt.Fprintf(out, "%d\n", i%10)
		}
		got := out.String()
		if all := 2 * n; all <= 10 && len(got) != all || len(got) > 10 || !strings.HasSuffix(got, fmt.Sprintf("%d\n", (n-1)%10)) || strings.HasPrefix(got, "\n") {
			t.Errorf("of %d lines %q is kept", n, got)
		}
	}
}
