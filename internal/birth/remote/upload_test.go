package remote

import (
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/testkit"
)

// several is blobs as a cell has them: a few large ones, many small ones, none.
func several(c content) []Blob {
	blobs := []Blob{c.add(5<<20 + 17), c.add(0), c.add(smallBlob), c.add(smallBlob - 1), c.add(1)}
	for i := range 60 {
		blobs = append(blobs, c.add(1000*i+3))
	}
	return blobs
}

func TestUpload(t *testing.T) {
	noLeaks(t)
	s := testkit.SSHD(t, testkit.SSHDOptions{Users: []string{"birth"}})
	for _, c := range []struct {
		name, user string
		setup      []string
	}{
		{name: "as root", user: "root"},
		{name: "by sudo", user: "birth"},
		{name: "without openssl", user: "root", setup: []string{"mount", "--bind", "/dev/null", "/usr/bin/openssl"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.setup != nil {
				if out, err := s.Exec(t.Context(), c.setup...); err != nil {
					t.Fatal(err, out)
				}
			}
			if out, err := s.Exec(t.Context(), "find", blobsDirectory, "-mindepth", "1", "-delete"); err != nil && !strings.Contains(out, "No such file") {
				t.Fatal(err, out)
			}
			m, there := dial(t, let(t, s, c.user)), content{}
			blobs := several(there)
			missing, err := m.Missing(t.Context(), blobs)
			if err != nil || !slices.Equal(missing, blobs) {
				t.Fatalf("%d of %d are missing before, %v", len(missing), len(blobs), err)
			}
			var sent, total int64
			if err := m.Upload(t.Context(), blobs, there.open, func(a, b int64) { sent, total = a, b }); err != nil {
				t.Fatal(err)
			}
			if sent != total || total < 5<<20 {
				t.Errorf("the progress ended at %d of %d", sent, total)
			}
			for _, b := range blobs {
				if got, err := os.ReadFile(onMachine(t, s, b.SHA256)); err != nil || string(got) != string(there[b.SHA256]) {
					t.Errorf("blob of %d bytes on the machine: %d bytes, %v", b.Size, len(got), err)
				}
			}
			if missing, err = m.Missing(t.Context(), blobs); err != nil || len(missing) != 0 {
				t.Errorf("%d are missing after, %v", len(missing), err)
			}
		})
	}
	if info, err := os.Stat(onMachine(t, s, "")); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the directory of blobs: %v, %v", info.Mode(), err)
	}
}

func TestMissingReadsWhatIsThere(t *testing.T) {
	noLeaks(t)
	s := testkit.SSHD(t, testkit.SSHDOptions{})
	m, c := dial(t, let(t, s, "root")), content{}
	blobs := []Blob{c.add(1 << 20), c.add(10), c.add(2 << 20), c.add(20)}
	if err := m.Upload(t.Context(), blobs, c.open, nil); err != nil {
		t.Fatal(err)
	}
	for _, b := range blobs[:2] {
		if err := os.WriteFile(onMachine(t, s, b.SHA256), c[b.SHA256][1:], 0o600); err != nil {
			t.Fatal(err)
		}
	}
	missing, err := m.Missing(t.Context(), blobs)
	if err != nil || !slices.Equal(missing, blobs[:2]) {
		t.Fatalf("missing: %v, %v", missing, err)
	}
	if err := m.Upload(t.Context(), missing, c.open, nil); err != nil {
		t.Fatal(err)
	}
	hasAll(t, s, c, blobs)
}

// TestMissingReadsOnce has what was read not be read again, until somebody has
// touched it, or it is doubted.
func TestMissingReadsOnce(t *testing.T) {
	noLeaks(t)
	s := testkit.SSHD(t, testkit.SSHDOptions{Users: []string{"birth"}})
	m, c := dial(t, let(t, s, "birth")), content{}
	blobs := []Blob{c.add(1 << 20), c.add(10), c.add(2 << 20), c.add(20)}
	if err := m.Upload(t.Context(), blobs, c.open, nil); err != nil {
		t.Fatal(err)
	}
	read := onMachine(t, s, ".read")
	brought, err := os.ReadFile(read)
	if err != nil || strings.Count(string(brought), "\n") != len(blobs) {
		t.Fatalf("noted when they came: %v\n%s", err, brought)
	}
	missing := func(what string, want ...Blob) {
		t.Helper()
		got, err := m.Missing(t.Context(), blobs)
		if err != nil || !slices.Equal(got, want) {
			t.Fatalf("%s: missing %v, not %v; %v", what, got, want, err)
		}
	}
	missing("all is there")
	if again, err := os.ReadFile(read); err != nil || string(again) != string(brought) {
		t.Errorf("they were read again: %v\n%s\nbefore\n%s", err, again, brought)
	}
	// The same size and the same time: whoever changes a file can set both.
	for _, b := range blobs[:2] {
		out, err := s.Exec(t.Context(), "sh", "-c", `cd "$0" && touch -r "$1" t && printf x | dd of="$1" conv=notrunc status=none && touch -r t "$1" && rm t`, blobsDirectory, b.SHA256)
		if err != nil {
			t.Fatal(out)
		}
	}
	missing("two were touched", blobs[:2]...)
	// Marks that say they were read right are what is gone by, until all is doubted.
	forge := `cd "$0" && for f in "$@"; do find "$f" -printf "$(cat /proc/sys/kernel/random/boot_id) %f %s %T@ %C@ %i\n"; done >>.read`
	if out, err := s.Exec(t.Context(), "sh", "-c", forge, blobsDirectory, blobs[0].SHA256, blobs[1].SHA256); err != nil {
		t.Fatal(out)
	}
	missing("two were forged")
	if err := m.Doubt(t.Context()); err != nil {
		t.Fatal(err)
	}
	missing("all is doubted", blobs[:2]...)
}

func TestUploadRefusesNames(t *testing.T) {
	m := &Machine{}
	for _, name := range []string{"", "../../etc/passwd", strings.Repeat("A", 64), "$(reboot)"} {
		blobs := []Blob{{SHA256: name}}
		if _, err := m.Missing(t.Context(), blobs); err == nil {
			t.Errorf("Missing takes %q", name)
		}
		if err := m.Upload(t.Context(), blobs, nil, nil); err == nil {
			t.Errorf("Upload takes %q", name)
		}
	}
}

func TestUploadGoesOnWhereItWasCut(t *testing.T) {
	noLeaks(t)
	s := testkit.SSHD(t, testkit.SSHDOptions{Users: []string{"birth"}})
	p := newProxy(t, s.Addr())
	config := let(t, s, "birth")
	config.Port = p.port(t)
	c := content{}
	blobs := []Blob{c.add(6 << 20), c.add(5 << 20), c.add(100), c.add(2000)}
	bring := func() error {
		m := dial(t, config)
		missing, err := m.Missing(soon(t), blobs)
		if err != nil {
			t.Fatal(err)
		}
		return m.Upload(soon(t), missing, c.open, nil)
	}
	var there int64
	for range 3 {
		p.cutAfter.Store(3 << 20)
		if err := bring(); err == nil {
			t.Fatal("an upload came through though the network broke")
		}
		// What was sent by then arrives in its own time.
		nothingLeft(t, s)
		before := there
		if there = stored(t, s); there <= before {
			t.Fatalf("the machine has %d bytes, and had %d before", there, before)
		}
	}
	p.cutAfter.Store(0)
	p.sent.Store(0)
	if err := bring(); err != nil {
		t.Fatal(err)
	}
	const whole = 11 << 20
	if sent, limit := p.sent.Load(), whole-there+(256<<10); sent > limit {
		t.Errorf("%d bytes were sent, though the machine had %d of %d", sent, there, whole)
	}
	hasAll(t, s, c, blobs)
	nothingLeft(t, s)
}

func TestUploadThrowsAwayWhatIsWrong(t *testing.T) {
	noLeaks(t)
	s := testkit.SSHD(t, testkit.SSHDOptions{})
	m, c := dial(t, let(t, s, "root")), content{}
	blobs := []Blob{c.add(1 << 20), c.add(1 << 20), c.add(1 << 20)}
	if _, err := m.Missing(t.Context(), blobs); err != nil {
		t.Fatal(err)
	}
	for i, size := range []int{500_000, 2 << 20, 1 << 20} {
		if err := os.WriteFile(onMachine(t, s, blobs[i].SHA256+".part"), make([]byte, size), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := m.Upload(t.Context(), blobs, c.open, nil); err != nil {
		t.Fatal(err)
	}
	hasAll(t, s, c, blobs)
}

func TestUploadOfABadSource(t *testing.T) {
	noLeaks(t)
	s := testkit.SSHD(t, testkit.SSHDOptions{})
	config := let(t, s, "root")
	for _, size := range []int{300, 300_000} {
		c := content{}
		good, bad := c.add(size), c.add(size)
		for _, test := range []struct {
			name  string
			spoil func()
			want  error
		}{
			{"other content", func() { c[bad.SHA256] = make([]byte, size) }, ErrDigest},
			{"too short", func() { c[bad.SHA256] = c[bad.SHA256][:size/2] }, nil},
			{"not there", func() { delete(c, bad.SHA256) }, os.ErrNotExist},
		} {
			test.spoil()
			err := dial(t, config).Upload(t.Context(), []Blob{good, bad}, c.open, nil)
			if err == nil || (test.want != nil && !errors.Is(err, test.want)) || !strings.Contains(err.Error(), bad.SHA256) {
				t.Errorf("%d bytes, %s: %v", size, test.name, err)
			}
			if _, err := os.Stat(onMachine(t, s, bad.SHA256)); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("%d bytes, %s: the bad one has its name on the machine: %v", size, test.name, err)
			}
		}
	}
}

func TestUploadToAFullDisk(t *testing.T) {
	noLeaks(t)
	s := testkit.SSHD(t, testkit.SSHDOptions{Disk: 4 << 20})
	config := let(t, s, "root")
	c := content{}
	var many []Blob
	for range 200 {
		many = append(many, c.add(smallBlob-1))
	}
	for _, blobs := range [][]Blob{{c.add(40 << 20)}, many} {
		m := dial(t, config)
		err := m.Upload(t.Context(), blobs, c.open, nil)
		if !errors.Is(err, ErrDiskFull) || !strings.Contains(err.Error(), "/var/lib/homeostat") || !strings.Contains(err.Error(), "100%") {
			t.Errorf("got %v", err)
		}
		if out, err := s.Exec(t.Context(), "find", blobsDirectory, "-type", "f", "-delete"); err != nil {
			t.Fatal(err, out)
		}
		small := []Blob{c.add(1000)}
		if err := m.Upload(t.Context(), small, c.open, nil); err != nil {
			t.Errorf("the same connection afterwards: %v", err)
		}
		hasAll(t, s, c, small)
		nothingLeft(t, s)
	}
}

// A slow network isn't a dead one, however long an answer takes through it.
func TestUploadOverASlowNetwork(t *testing.T) {
	noLeaks(t)
	s := testkit.SSHD(t, testkit.SSHDOptions{})
	p := newProxy(t, s.Addr())
	config := let(t, s, "root")
	config.Port = p.port(t)
	c := content{}
	blobs := []Blob{c.add(4 << 20)}
	m := dial(t, config)
	p.rate.Store(200 << 10)
	begin := time.Now()
	if err := m.Upload(t.Context(), blobs, c.open, nil); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(begin); took < deadAfter {
		t.Errorf("it took only %s, which shows nothing", took)
	}
	hasAll(t, s, c, blobs)
}

// Two births that meet on one machine don't spoil each other's uploads.
func TestUploadsOfTheSame(t *testing.T) {
	noLeaks(t)
	s := testkit.SSHD(t, testkit.SSHDOptions{})
	config := let(t, s, "root")
	c := content{}
	blobs := append(several(c), c.add(20<<20))
	done := make(chan error, 3)
	for range cap(done) {
		m := dial(t, config)
		go func() { done <- m.Upload(t.Context(), blobs, c.open, nil) }()
	}
	for range cap(done) {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	hasAll(t, s, c, blobs)
}

// stored is how many bytes of blobs the machine has, the half-done ones' too.
func stored(t *testing.T, s *testkit.SSHDServer) (size int64) {
	t.Helper()
	entries, err := os.ReadDir(onMachine(t, s, ""))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			t.Fatal(err)
		}
		size += info.Size()
	}
	return size
}
