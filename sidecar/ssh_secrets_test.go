package main

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"
)

// TestSecretsOverSSH has cells born with secrets that carry a mark, by hand with
// all of Terraform's logs, by a leader, and with a command that fails and prints
// them. Then it looks for the mark wherever something was written. Secrets belong
// into the operator's files and the cells' folder of secrets alone; the keys that
// births get in with belong on no machine at all.
func TestSecretsOverSSH(t *testing.T) {
	t.Parallel()
	for _, o := range []poolOptions{{User: "root", WriteOnly: true}, {User: "birth", Authority: true}} {
		t.Run(fmt.Sprintf("authority %t", o.Authority), func(t *testing.T) {
			s := newSecretHouse(t, o)
			watched := s.watchProcesses()
			s.bornByHand()
			s.bornByLeader()
			s.failsByHand()
			s.failsByLeader()
			watched()
			s.cellsHaveThem()
			s.found("what was written", s.everywhere())
			s.plant()
			s.destroy()
			s.found("what is left on the machines", s.onMachines(true))
		})
	}
}

// secretHouse is a pool whose secrets carry a mark.
type secretHouse struct {
	*pool
	mark  string
	begun time.Time
	// forms are the mark as it may be written, and pieces of the key that births
	// get in with, by what they are called.
	forms, keys map[string][]byte
}

// inSecrets is where cells have their secrets.
const inSecrets = "/etc/homeostat/secrets"

func newSecretHouse(t *testing.T, o poolOptions) *secretHouse {
	t.Helper()
	begun := time.Now()
	random := make([]byte, 6)
	_, _ = rand.Read(random) // never fails, as crypto/rand says
	mark := hex.EncodeToString(random)
	token := "aaaaaaaa-bbbb-4ccc-8ddd-" + mark
	o.Machines, o.Reuse = 3, true
	o.Secrets = map[string]string{
		"consul-token":      token + "\n",
		"kafka-password":    mark + `'s "pass\word" $HOME & <b>`,
		"database-password": mark + "/database",
		"tls-key": fmt.Sprintf("-----BEGIN PRIVATE KEY-----\n%[1]sMIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIB\n%[1]sAQQgevZzL1gdAFr88hb2OF/2NxApJCzGCEDdfSp6VQO3\n-----END PRIVATE KEY-----\n",
			mark),
	}
	o.Environment = fmt.Sprintf(", CONSUL_HTTP_TOKEN_FILE = %q", inSecrets+"/consul-token")
	o.Consul.Config = "acl {\n enabled = true\n default_policy = \"allow\"\n}"
	s := &secretHouse{pool: newPool(t, o), mark: mark, begun: begun, forms: formsOf(mark)}
	s.write("peers.key", mark+strings.Repeat("-peers", 8)+"\n")
	home, temporary := filepath.Join(s.dir, "home"), filepath.Join(s.dir, "temporary")
	s.must(os.Mkdir(home, 0o700))
	s.must(os.Mkdir(temporary, 0o700))
	s.env = append(s.env, "HOME="+home, "TMPDIR="+temporary, "HOMEOSTAT_LOG_LEVEL=debug",
		"CONSUL_HTTP_TOKEN_FILE="+filepath.Join(s.dir, "secrets", "consul-token"))
	s.keys = s.keyForms()
	client, err := s.consul.Client()
	s.must(err)
	_, _, err = client.ACL().BootstrapWithToken(token)
	s.must(err)
	return s
}

// formsOf are the ways in which a text may be written.
func formsOf(text string) map[string][]byte {
	forms := map[string][]byte{
		"plain": []byte(text), "hexadecimal": []byte(hex.EncodeToString([]byte(text))), "in an URL": []byte(url.QueryEscape(text)),
	}
	// In base64 it looks in three ways, as it begins at any of three bytes.
	for before := range 3 {
		written := base64.StdEncoding.EncodeToString(append(make([]byte, before), text...))
		first, last := (before*8+5)/6, (before+len(text))*8/6
		forms[fmt.Sprintf("base64 %d", before)] = []byte(written[first:last])
	}
	return forms
}

// keyForms are pieces of the private key that births use: the lines of its file that
// hold the secret half, and that itself.
func (s *secretHouse) keyForms() map[string][]byte {
	text, err := os.ReadFile(s.key)
	s.must(err)
	lines := strings.Split(string(text), "\n")
	body, err := base64.StdEncoding.DecodeString(strings.Join(lines[1:len(lines)-2], ""))
	s.must(err)
	// PROTOCOL.key: what comes before the secret half is public, and as long for
	// each Ed25519 key.
	const at, size = 161, 32
	seed := body[at : at+size]
	return map[string][]byte{
		"a line of the key": []byte(lines[1+at*8/6/64]), "the next line of the key": []byte(lines[2+at*8/6/64]), "the key": seed,
		"the key in hexadecimal": []byte(hex.EncodeToString(seed)), "the key in base64": []byte(base64.StdEncoding.EncodeToString(seed)[:42]),
	}
}

// in returns which of the secrets a text holds, with what stands before the mark.
func (s *secretHouse) in(text []byte, forms ...map[string][]byte) (hits []string) {
	for _, f := range forms {
		for name, form := range f {
			if i := bytes.Index(text, form); i >= 0 {
				hits = append(hits, fmt.Sprintf("%s at byte %d, %q", name, i, text[max(0, i-60):min(len(text), i+60)]))
			}
		}
	}
	return hits
}

// bornByHand makes the first cell as a person does, with all that Terraform logs,
// and keeps the plan.
func (s *secretHouse) bornByHand() {
	s.t.Helper()
	for _, command := range [][]string{{"init"}, {"plan", "-out=../first.plan"}, {"apply", "../first.plan"}} {
		out, err := s.traced(command[0], command[1:]...)
		if err != nil {
			s.t.Fatalf("terraform %v: %v\n%s", command, err, out)
		}
	}
	out, code := s.run(s.terraform, "show", "-json", "../first.plan")
	if code != 0 {
		s.t.Fatal(out)
	}
	s.write("first.plan.json", out)
}

// traced runs Terraform with its fullest log; what it prints is kept too.
func (s *secretHouse) traced(verb string, args ...string) (string, error) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), 4*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, s.terraform, append([]string{verb, "-no-color"}, args...)...)
	cmd.Dir = s.module()
	cmd.Env = append(s.env, "TF_LOG=trace", "TF_LOG_PATH="+filepath.Join(s.dir, "trace.txt"))
	out, err := cmd.CombinedOutput()
	f, openErr := os.OpenFile(filepath.Join(s.dir, "printed.txt"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	s.must(openErr)
	_, writeErr := f.Write(out)
	s.must(writeErr)
	s.must(f.Close())
	return string(out), err
}

// bornByLeader has a leader order the second cell.
func (s *secretHouse) bornByLeader() {
	s.t.Helper()
	s.aloneWith(s.policy())
	s.succeed("pin", "pod", "2")
	s.livesOn(2)
	s.succeed("pause", "pod")
}

// printSecrets is a command of a genome that fails and prints what it shouldn't.
const printSecrets = `
run { command = ["sh", "-c", "cd /etc/homeostat/secrets; cat consul-token kafka-password; echo; cat tls-key; echo \"it holds $(cat database-password)\" >&2; base64 -w0 database-password; exit 3"] }
`

// failsByHand has a person's apply of a third cell fail.
func (s *secretHouse) failsByHand() {
	s.t.Helper()
	s.options.Genome = printSecrets
	s.publishGenome("two")
	out, err := s.traced("apply", "-auto-approve", "-var=desired_count=3", `-var=cell_names=["pod-1", "pod-2", "pod-9"]`)
	if err == nil || !strings.Contains(out, "exit status 3") || strings.Count(out, "***") < 5 {
		s.t.Errorf("the birth should fail and say how, with stars for secrets: %v\n%s", err, out)
	}
}

// failsByLeader has the leader try the same.
func (s *secretHouse) failsByLeader() {
	s.t.Helper()
	s.succeed("resume", "pod")
	s.reads("***")
	s.succeed("pause", "pod")
	s.hears("***")
	s.write("status.txt", s.succeed("status"))
	s.write("lineage.txt", s.succeed("status", "-lineage"))
}

// cellsHaveThem makes sure that what is looked for was really there.
func (s *secretHouse) cellsHaveThem() {
	s.t.Helper()
	cells := 0
	for _, m := range s.held() {
		cells++
		out, err := m.Exec(s.t.Context(), "sh", "-c", "cd "+inSecrets+" && stat -c '%n %a %U' . * && cat *")
		s.must(err)
		for name := range s.options.Secrets {
			if !strings.Contains(out, name+" 600 root\n") {
				s.t.Errorf("machine %s: no secret %s that root alone reads:\n%s", m.Name(), name, out)
			}
		}
		if n := strings.Count(out, s.mark); n < 6 {
			s.t.Errorf("machine %s: the mark is there %d times", m.Name(), n)
		}
	}
	if cells != 2 {
		s.t.Errorf("%d machines hold cells", cells)
	}
}

// everywhere looks for secrets where none belongs.
func (s *secretHouse) everywhere() []string {
	s.t.Helper()
	return append(append(s.onMachines(false), s.withOperator()...), s.inConsul()...)
}

// found fails the test for what was found.
func (s *secretHouse) found(where string, hits []string) {
	s.t.Helper()
	for _, hit := range hits {
		s.t.Errorf("a secret in %s: %s", where, hit)
	}
}

// withOperator looks at genome, store, state, backups, plans, logs, and what is left
// in the home and the temporary folder of whoever ran Terraform.
func (s *secretHouse) withOperator() []string {
	s.t.Helper()
	own := map[string]bool{filepath.Join(s.dir, "secrets"): true, s.key: true, filepath.Join(s.dir, "peers.key"): true}
	return s.walk(s.dir, func(path string) bool { return own[path] }, time.Time{}, s.forms, s.keys)
}

// inConsul looks at keys, registrations, sessions and what the server has on disk,
// where its own token belongs.
func (s *secretHouse) inConsul() []string {
	s.t.Helper()
	client, err := s.consul.Client()
	s.must(err)
	pairs, _, err := client.KV().List("", nil)
	s.must(err)
	if len(pairs) < 3 {
		s.t.Errorf("Consul has %d keys", len(pairs))
	}
	var hits []string
	look := func(what string, text []byte) {
		for _, hit := range s.in(text, s.forms, s.keys) {
			hits = append(hits, what+": "+hit)
		}
	}
	for _, pair := range pairs {
		look("key "+pair.Key, append(pair.Value, pair.Key...))
	}
	for _, path := range []string{"/v1/agent/services", "/v1/agent/checks", "/v1/session/list", "/v1/event/list"} {
		var answer any
		_, err := client.Raw().Query(path, &answer, &api.QueryOptions{})
		s.must(err)
		text, err := json.Marshal(answer)
		s.must(err)
		look(path, text)
	}
	for _, hit := range s.walk(s.consul.Directory(), func(string) bool { return false }, time.Time{}, s.forms, s.keys) {
		if !strings.Contains(hit, "aaaaaaaa-bbbb-4ccc-8ddd-"+s.mark) {
			hits = append(hits, hit)
		}
	}
	return hits
}

// onMachines looks at what was written to the machines since they booted, the
// journal, and what is in memory as files.
func (s *secretHouse) onMachines(left bool) []string {
	s.t.Helper()
	var hits []string
	for _, m := range s.machines {
		root, err := m.Path("/")
		s.must(err)
		root += "/" // it is a link, which is to be followed
		skip := func(path string) bool {
			at := "/" + strings.TrimPrefix(path, root)
			return at == "/proc" || at == "/sys" || at == "/dev/pts" || at == inSecrets && !left
		}
		for _, hit := range s.walk(root, skip, s.begun, s.forms, s.keys) {
			hits = append(hits, "machine "+m.Name()+": "+hit)
		}
		hits = append(hits, s.keysIn(root+inSecrets)...)
		journal, err := m.Exec(s.t.Context(), "journalctl", "--no-pager", "-o", "export")
		s.must(err)
		if !left && !strings.Contains(journal, "sshd") {
			s.t.Errorf("machine %s: the journal of %d bytes says nothing of sshd", m.Name(), len(journal))
		}
		for _, hit := range s.in([]byte(journal), s.forms, s.keys) {
			hits = append(hits, "journal of machine "+m.Name()+": "+hit)
		}
	}
	return hits
}

// keysIn looks for births' own keys among the cells' secrets.
func (s *secretHouse) keysIn(folder string) []string {
	s.t.Helper()
	return s.walk(folder, func(string) bool { return false }, time.Time{}, s.keys)
}

// walk looks into all files below a folder that were changed since an instant, and
// into what is packed in them.
func (s *secretHouse) walk(root string, skip func(string) bool, since time.Time, forms ...map[string][]byte) (hits []string) {
	s.t.Helper()
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil && (os.IsNotExist(err) || os.IsPermission(err)):
			return nil // it went meanwhile
		case err != nil:
			return err
		case skip(path) && entry.IsDir():
			return fs.SkipDir
		case skip(path) || !entry.Type().IsRegular() || before(entry, since):
			return nil
		}
		text, _ := os.ReadFile(path) // it may have gone meanwhile
		for _, hit := range s.in(append(text, path...), forms...) {
			hits = append(hits, path+": "+hit)
		}
		hits = append(hits, s.unpacked(path, text, forms...)...)
		return nil
	})
	s.must(err)
	return hits
}

// before reports whether a file hasn't been changed since an instant.
func before(entry fs.DirEntry, since time.Time) bool {
	info, err := entry.Info()
	if err != nil {
		return true
	}
	status, ok := info.Sys().(*syscall.Stat_t)
	return ok && time.Unix(status.Ctim.Unix()).Before(since)
}

// unpacked looks into a file of plans, which is packed.
func (s *secretHouse) unpacked(path string, text []byte, forms ...map[string][]byte) (hits []string) {
	archive, err := zip.NewReader(bytes.NewReader(text), int64(len(text)))
	if err != nil {
		return nil // it is no such file
	}
	for _, f := range archive.File {
		r, err := f.Open()
		s.must(err)
		content, err := io.ReadAll(r)
		s.must(err)
		for _, hit := range s.in(content, forms...) {
			hits = append(hits, fmt.Sprintf("%s in %s: %s", f.Name, path, hit))
		}
	}
	return hits
}

// lookPause leaves others some of the processors between two looks.
const lookPause = 20 * time.Millisecond

// watchProcesses looks at arguments and environment of all processes of this host,
// which those of its machines are among, again and again. The function returned ends
// that.
func (s *secretHouse) watchProcesses() (stop func()) {
	ctx, cancel := context.WithCancel(s.t.Context())
	seen := map[string]bool{}
	looks := 0
	var wg sync.WaitGroup
	wg.Go(func() {
		for ; ctx.Err() == nil; time.Sleep(lookPause) {
			looks++
			for _, hit := range s.inProcesses() {
				seen[hit] = true
			}
		}
	})
	return func() {
		s.t.Helper()
		cancel()
		wg.Wait()
		s.t.Logf("%d looks at all processes", looks)
		for hit := range seen {
			s.t.Errorf("a secret of a process: %s", hit)
		}
	}
}

func (s *secretHouse) inProcesses() (hits []string) {
	for _, what := range []string{"cmdline", "environ"} {
		paths, _ := filepath.Glob("/proc/[0-9]*/" + what) // the pattern is right
		for _, path := range paths {
			text, err := os.ReadFile(path)
			if err != nil {
				continue // it has ended
			}
			for _, hit := range s.in(text, s.forms, s.keys) {
				hits = append(hits, path+": "+hit)
			}
		}
	}
	return hits
}

// plant leaves the secrets in each kind of place, to see that they would have been
// found there, and takes them away.
func (s *secretHouse) plant() {
	s.t.Helper()
	client, err := s.consul.Client()
	s.must(err)
	m := s.held()[0]
	onMachine := func(script string, args ...string) {
		s.t.Helper()
		_, err := m.Exec(s.t.Context(), append([]string{"sh", "-c", script, "sh"}, args...)...)
		s.must(err)
	}
	packed := func(name string) {
		f, err := os.Create(filepath.Join(s.dir, name))
		s.must(err)
		archive := zip.NewWriter(f)
		w, err := archive.Create("tfplan")
		s.must(err)
		_, err = w.Write([]byte(strings.Repeat("x", 500) + s.mark))
		s.must(err)
		s.must(archive.Close())
		s.must(f.Close())
	}
	var child *exec.Cmd
	for _, place := range []struct {
		name      string
		put, take func()
		look      func() []string
	}{
		{"a file", func() { s.write("home/.bash_history", "psql "+s.mark) }, func() { s.remove("home/.bash_history") }, s.withOperator},
		{"a packed file", func() { packed("left.plan") }, func() { s.remove("left.plan") }, s.withOperator},
		{"the key in a file", func() {
			text, err := os.ReadFile(s.key)
			s.must(err)
			s.write("temporary/key", string(text))
		}, func() { s.remove("temporary/key") }, s.withOperator},
		{"base64 in a file", func() { s.write("note", base64.StdEncoding.EncodeToString([]byte("a"+s.mark))) }, func() { s.remove("note") }, s.withOperator},
		{"a key of Consul's", func() {
			_, err := client.KV().Put(&api.KVPair{Key: "left", Value: []byte(`{"a":"` + s.mark + `"}`)}, nil)
			s.must(err)
		}, func() {
			_, err := client.KV().Delete("left", nil)
			s.must(err)
		}, s.inConsul},
		{"a file of a machine", func() { onMachine(`printf %s "$1" >/var/tmp/left`, s.mark) }, func() { onMachine("rm /var/tmp/left") }, func() []string { return s.onMachines(false) }},
		{"a file in a machine's memory", func() { onMachine(`printf %s "$1" >/dev/shm/left`, s.mark) }, func() { onMachine("rm /dev/shm/left") }, func() []string { return s.onMachines(false) }},
		{"a machine's journal", func() { onMachine(`printf '%s %01000d\n' "$1" 0 | systemd-cat && journalctl --sync`, s.mark) },
			func() { onMachine("journalctl --rotate && journalctl --vacuum-time=1ms") }, func() []string { return s.onMachines(false) }},
		{"a process of a machine", func() {
			onMachine(`LEFT=$1 setsid sleep 1000 </dev/null >/dev/null 2>&1 & echo $! >/run/left`, s.mark)
		}, func() { onMachine("kill $(cat /run/left) && rm /run/left") }, s.inProcesses},
		{"an argument", func() {
			child = exec.Command("sleep", "1000")
			child.Args[0] = "sleep " + s.mark
			s.must(child.Start())
		}, func() { s.must(child.Process.Kill()); _ = child.Wait() }, s.inProcesses},
	} {
		place.put()
		if hits := place.look(); len(hits) == 0 {
			s.t.Errorf("a secret in %s isn't found", place.name)
		}
		place.take()
		if place.name == "a machine's journal" {
			continue // what is in use of it stays for a while
		}
		s.await(place.name+", taken away", func(context.Context) error {
			if hits := place.look(); len(hits) > 0 {
				return fmt.Errorf("a secret is still there: %s", hits[0])
			}
			return nil
		})
	}
}
