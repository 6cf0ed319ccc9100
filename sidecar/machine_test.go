package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/bundle"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/door"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/install"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/testkit"
)

// newborn is a machine with the program and blobs on it, as birth brings them.
type newborn struct {
	*testing.T
	sshd    *testkit.SSHDServer
	request install.Request
}

func newNewborn(t *testing.T) *newborn {
	t.Helper()
	if testing.Short() {
		t.Skip("starts an sshd")
	}
	t.Parallel()
	n := &newborn{T: t, sshd: testkit.SSHD(t, testkit.SSHDOptions{Users: []string{"birth"}})}
	program, err := os.ReadFile(testkit.Sidecar(t))
	if err != nil {
		t.Fatal(err)
	}
	n.exec("mount", "-t", "tmpfs", "bin", "/usr/local/bin") // it may be the real one
	n.file(install.Starter, program)
	sidecar := n.blob(program)
	genome := bundle.Genome{
		Format: bundle.Format, Service: "api", Command: []string{"sleep", "1000"}, User: "daemon:adm",
		Files:       []bundle.File{{Path: install.Program, Mode: "0755", SHA256: sidecar, Size: int64(len(program))}},
		Run:         []bundle.Command{{Command: []string{install.Program, "as", "daemon:adm", "--", "sh", "-c", "id -un; id -gn; id -Gn; echo $HOME $CELL >&2; wc -c </etc/homeostat/secrets/token; exit 9"}, Unless: []string{"test", "-e", "/etc/ready"}, Timeout: "1m"}},
		Environment: map[string]string{"CELL": "of " + t.Name()},
	}
	manifest := bundle.Manifest{Format: bundle.Format, Service: "api", Policy: "homeostat.hcl", Module: "root", Genome: n.blob(n.json(genome))}
	manifest.Tree = []bundle.TreeFile{{Path: "homeostat.hcl", SHA256: n.blob([]byte("x")), Size: 1}}
	n.request = install.Request{
		Service: "api", Name: "api-1", Incarnation: "first", Bundle: n.blob(n.json(manifest)), Address: "127.0.0.1",
		Secrets: map[string]string{"token": "secret-of-" + t.Name()},
		Door:    &door.Access{User: "birth", Temporary: true},
	}
	return n
}

func (n *newborn) json(v any) []byte {
	n.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		n.Fatal(err)
	}
	return text
}

func (n *newborn) blob(content []byte) string {
	n.Helper()
	sum := sha256.Sum256(content)
	digest := hex.EncodeToString(sum[:])
	n.file(install.Home+"/blobs/"+digest, content)
	return digest
}

func (n *newborn) file(path string, content []byte) {
	n.Helper()
	at, err := n.sshd.Path(path)
	if err == nil {
		err = errors.Join(os.MkdirAll(filepath.Dir(at), 0o755), os.WriteFile(at, content, 0o755))
	}
	if err != nil {
		n.Fatal(err)
	}
}

func (n *newborn) exec(command ...string) string {
	n.Helper()
	out, err := n.sshd.Exec(n.Context(), command...)
	if err != nil {
		n.Fatal(err)
	}
	return out
}

// machine calls the hidden command as a birth does.
func (n *newborn) machine(args string) (string, error) {
	return n.sshd.Exec(n.Context(), "sh", "-c", "exec "+install.Starter+" machine "+args)
}

// TestMachineCommands goes the way of a cell on a machine by the commands that
// birth and leaving call.
func TestMachineCommands(t *testing.T) {
	n := newNewborn(t)
	if got, err := n.machine("claim"); err != nil || got != "null\n" {
		t.Errorf("a blank machine's claim is %q, %v", got, err)
	}
	n.file("/run/request", n.json(n.request))
	out, err := n.machine("install </run/request")
	said := fmt.Sprintf("exit status 9\ndaemon\nadm\nadm\n/usr/sbin of %s\n%d\n", t.Name(), len(n.request.Secrets["token"]))
	if err == nil || !strings.Contains(out, "step: verify bundle") || !strings.Contains(out, said) {
		t.Errorf("an installation with a command that fails: %v\n%s", err, out)
	}
	n.file("/etc/ready", nil)
	if out, err := n.machine("install </run/request"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var claim install.Claim
	if out, err := n.machine("claim"); err != nil || json.Unmarshal([]byte(out), &claim) != nil || claim.Phase != install.Installed || claim.ID() != "api-1.first" {
		t.Errorf("the claim is %s, %v", out, err)
	}
	// Its policy is none: what counts is that it was started.
	testkit.Await(t, 20*time.Second, func(context.Context) error {
		if log := n.exec("cat", install.Home+"/cell.log"); !strings.Contains(log, "homeostat run:") {
			return errors.New("its log has " + log)
		}
		return nil
	})
	if all := n.exec("grep", "-rl", n.request.Secrets["token"], "/etc", install.Home); all != "/etc/homeostat/secrets/token\n" {
		t.Errorf("the secret is in %q", all)
	}
	if out, err := n.machine("remove api/api-1.second"); err == nil || !strings.Contains(out, "another cell: api/api-1, incarnation first") {
		t.Errorf("the removal of another life: %q, %v", out, err)
	}
	for _, args := range []string{"remove api/api-1.first", "release api/api-1.first"} {
		if out, err := n.machine(args); err != nil {
			t.Errorf("%s: %v\n%s", args, err, out)
		}
	}
	if left := n.exec("sh", "-c", "ls -d /etc/homeostat /var/lib/homeostat/* "+install.Program+" 2>/dev/null || :"); left != "" {
		t.Errorf("there is left %q", left)
	}
}

// TestMachineShut shuts the door that the claim names.
func TestMachineShut(t *testing.T) {
	n := newNewborn(t)
	if out, err := n.machine("shut"); err == nil || !strings.Contains(out, "the machine is nobody's") {
		t.Errorf("the door of a blank machine: %q, %v", out, err)
	}
	n.request.Door.Temporary = false
	n.request.Door.SudoRule = "/etc/sudoers.d/birth"
	n.file("/etc/sudoers.d/birth", []byte("birth ALL=(ALL) NOPASSWD: ALL\n"))
	n.file("/etc/ready", nil)
	n.file("/run/request", n.json(n.request))
	if out, err := n.machine("install </run/request"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	n.exec("sh", "-c", `p=$(readlink /proc/1/exe); p=${p%/sbin/sshd}; export LD_LIBRARY_PATH=$(echo "$p"/lib/*-linux-gnu* "$p"/../lib/*-linux-gnu* | tr " " :); `+install.Starter+" machine shut")
	if left := n.exec("ls", "/etc/sudoers.d"); left != "" {
		t.Errorf("there is left %q", left)
	}
	if out, err := n.machine("remove"); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestHiddenCommands(t *testing.T) {
	var out strings.Builder
	if code := Main(t.Context(), []string{"help"}, stdio{Out: &out, Err: &out}); code != exitOK {
		t.Fatalf("help ends with %d", code)
	}
	for _, c := range commands() {
		if strings.Contains(out.String(), "\n  "+c.name+" ") == c.hidden {
			t.Errorf("help lists %s wrongly", c.name)
		}
	}
}
