package birth

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestValidate(t *testing.T) {
	cases := map[string]struct {
		change func(*Spec)
		want   string
	}{
		"fine":               {func(*Spec) {}, ""},
		"no service":         {func(s *Spec) { s.Service = "" }, `service ""`},
		"a path as name":     {func(s *Spec) { s.Name = "../etc" }, `name "../etc"`},
		"a dot in the name":  {func(s *Spec) { s.Name = "a.b" }, `name "a.b"`},
		"no incarnation":     {func(s *Spec) { s.Incarnation = "" }, "incarnation"},
		"no command":         {func(s *Spec) { s.Command = nil }, "the command is empty"},
		"relative directory": {func(s *Spec) { s.Directory = "x" }, `directory "x"`},
		"relative data":      {func(s *Spec) { s.DataDirectory = "x" }, `data directory "x"`},
		"identity set":       {func(s *Spec) { s.Environment = map[string]string{"HOMEOSTAT_CELL": "x"} }, "set by Homeostat itself"},
		"zero byte":          {func(s *Spec) { s.Environment = map[string]string{"A": "\x00"} }, "zero byte"},
		"equals in a name":   {func(s *Spec) { s.Environment = map[string]string{"A=B": ""} }, `"A=B"`},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			s := testSpec("wait")
			c.change(&s)
			err := s.Validate()
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func TestEnviron(t *testing.T) {
	s := Spec{
		Service: "api", Name: "api-2", Incarnation: "01b", DataDirectory: "/srv/api", BornAt: time.Unix(0, 0),
		Environment: map[string]string{"LANG": "C"}, Lineage: Lineage{Parent: "api-1", Generation: 3, Reason: "p99 is 3 s"},
	}
	got := s.environ([]string{
		"PATH=/bin", "LANG=en", "CONSUL_HTTP_TOKEN=t", "TF_VAR_x=1", "TF_PLUGIN_MAGIC_COOKIE=c", "PLUGIN_MIN_PORT=1",
		"HOMEOSTAT_CELL=api-1", "HOMEOSTAT_PORT=80", "HOMEOSTAT_POLICY=/etc/p.hcl", "INVOCATION_ID=i", "NOTIFY_SOCKET=n", "broken", "=x",
	})
	want := []string{
		"CONSUL_HTTP_TOKEN=t", "HOMEOSTAT_BORN_AT=1970-01-01T00:00:00Z", "HOMEOSTAT_CELL=api-2", "HOMEOSTAT_CELL_ID=api-2.01b",
		"HOMEOSTAT_DATA_DIRECTORY=/srv/api", "HOMEOSTAT_GENERATION=3", "HOMEOSTAT_INCARNATION=01b", "HOMEOSTAT_PARENT=api-1",
		"HOMEOSTAT_POLICY=/etc/p.hcl", "HOMEOSTAT_REASON=p99 is 3 s", "HOMEOSTAT_SERVICE=api", "LANG=C", "PATH=/bin",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestIncarnationsSortByTime(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ms := rapid.Int64Range(0, 1<<47)
		a, b := ms.Draw(t, "a"), ms.Draw(t, "b")
		random := rapid.SliceOfN(rapid.Byte(), 4, 4)
		first, err1 := NewIncarnation(time.UnixMilli(a), bytes.NewReader(random.Draw(t, "ra")))
		second, err2 := NewIncarnation(time.UnixMilli(b), bytes.NewReader(random.Draw(t, "rb")))
		if err1 != nil || err2 != nil || !incarnationPattern.MatchString(first) {
			t.Fatal(first, err1, err2)
		}
		if a != b && (a < b) != (first < second) {
			t.Errorf("%d gives %s, %d gives %s", a, first, b, second)
		}
	})
	if _, err := NewIncarnation(time.Now(), strings.NewReader("")); err == nil {
		t.Error("no error without randomness")
	}
}

func TestParseStat(t *testing.T) {
	line := "4711 (a) b (c)) S 12 4711 4700 0 -1 4194560 1 0 0 0 1 2 3 4 20 0 1 0 987654 1000 100 18446744073709551615"
	got, err := parseStat([]byte(line))
	want := process{identity: identity{4711, 987654}, Parent: 12, Session: 4700, State: 'S'}
	if err != nil || got != want {
		t.Errorf("got %+v, %v", got, err)
	}
	for _, bad := range []string{"", "1 (x", "x (a) S 1 1 1", "1 (a) S 1 1 1", "1 )(", strings.Replace(line, "987654", "-1", 1)} {
		if got, err := parseStat([]byte(bad)); err == nil {
			t.Errorf("%q gave %+v", bad, got)
		}
	}
}

func FuzzParseStat(f *testing.F) {
	f.Add([]byte("1 (init) S 0 1 1 0 -1 4194560 1 0 0 0 1 2 3 4 20 0 1 0 5 1000 100"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if p, err := parseStat(b); err != nil && p != (process{}) {
			t.Errorf("error and process: %+v, %v", p, err)
		}
	})
}

func TestParseMark(t *testing.T) {
	for environ, want := range map[string]mark{
		"":                                       {},
		"PATH=/bin\x00":                          {Intact: true},
		"PATH=/bin\x00HOMEOSTAT_CELL_ID=a.1\x00": {ID: "a.1", Intact: true},
		"postgres: checkpointer":                 {},
		"xxxHOMEOSTAT_CELL_ID=a.1":               {},
	} {
		if got := parseMark([]byte(environ)); got != want {
			t.Errorf("%q gave %+v, want %+v", environ, got, want)
		}
	}
}

func TestScope(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	// A stand-in, since a machine can't be given another first process for a
	// test: like the real one it becomes the command.
	script := "#!/bin/sh\nwhile [ \"$1\" != -- ]; do shift; done\nshift\nexec \"$@\"\n"
	if err := os.WriteFile(filepath.Join(dir, "systemd-run"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	p := store(t)
	p.scopes.booted = dir
	p.scopes.user = false
	argv, err := p.scopes.wrap(testSpec("wait"), dir)
	want := []string{
		filepath.Join(dir, "systemd-run"), "--scope", "--quiet", "--collect", "--unit=homeostat-crawler-crawler-1-01a",
		"--description=Homeostat cell crawler/crawler-1", "--", os.Args[0],
	}
	if err != nil || !slices.Equal(argv, want) {
		t.Errorf("got %q, %v", argv, err)
	}
	h := hold(t, p)
	newborn := begin(t, h, "wait", 1)
	if got := pids(t, p); got[0] != newborn.PID {
		t.Errorf("the process is %d, noted was %d", got[0], newborn.PID)
	}
	if err := h.End(t.Context(), time.Second); err != nil {
		t.Fatal(err)
	}
	spec := testSpec("wait")
	spec.Command = []string{"no-such-program"}
	if _, err := h.Start(spec); err == nil || !strings.Contains(err.Error(), "no-such-program") {
		t.Errorf("got %v", err)
	}

	broken := newScopes(p.log)
	broken.booted = dir
	if err := os.WriteFile(filepath.Join(dir, "systemd-run"), []byte("#!/bin/sh\nexit 1\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	if argv, err := broken.wrap(testSpec("wait"), dir); err != nil || !slices.Equal(argv, []string{os.Args[0]}) {
		t.Errorf("where systemd-run fails: %q, %v", argv, err)
	}
}
