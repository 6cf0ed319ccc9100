package testkit

import (
	"bufio"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	_ "embed" // the machine's script
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/crypto/ssh"
)

//go:embed sshd.sh
var sshdScript string

// SSHDOptions says what a machine behind an sshd is like. The zero value has
// only root, whom no key lets in.
type SSHDOptions struct {
	Users  []string // accounts besides root; each may use sudo without a password
	Disk   int64    // bytes on the disk of /var/lib/homeostat; 0: as many as this machine has
	Config string   // more lines of sshd_config, which come first and so win
}

// SSHDServer is Debian's sshd on loopback. It runs in mount and process id
// namespaces of its own, so that whoever gets in meets what looks like a small
// machine, with accounts, sudo, /etc and /var/lib of its own, and nothing he
// does there is seen on this one, or outlives the server.
type SSHDServer struct {
	server
	port    int
	hostKey string
	options SSHDOptions
}

// SSHD starts an sshd that ends with the test. It needs root.
func SSHD(tb testing.TB, options SSHDOptions) *SSHDServer {
	tb.Helper()
	if os.Geteuid() != 0 {
		NotRun(tb, tb.Name(), "only root may give an sshd a machine of its own")
	}
	packages, err := sshdRoot(tb.Context())
	if err != nil {
		NotRun(tb, tb.Name(), err.Error())
	}
	s, err := startSSHD(tb.Context(), packages, options)
	if err != nil {
		tb.Fatal(err)
	}
	s.endWith(tb)
	return s
}

func startSSHD(ctx context.Context, packages string, options SSHDOptions) (*SSHDServer, error) {
	ports, err := freePorts(1)
	if err != nil {
		return nil, err
	}
	s := &SSHDServer{port: ports[0], options: options}
	// A machine that is stopped takes all that runs on it with it.
	s.server = server{name: "sshd", stopWith: syscall.SIGKILL, ports: ports, ready: s.isReady}
	if err := s.place(""); err != nil {
		return nil, err
	}
	s.data = filepath.Join(s.directory, "homeostat")
	libraries, err := packageLibraries(packages)
	if err != nil {
		return nil, err
	}
	s.program = func() program { return s.machine(packages, libraries) }
	if err := errors.Join(os.Mkdir(filepath.Join(s.directory, "keys"), 0o755), s.Trust(), s.NewHostKey(), s.configure()); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	if err := s.Start(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func (s *SSHDServer) machine(packages, libraries string) program {
	command := []string{
		"unshare", "--mount", "--pid", "--fork", "--mount-proc", "--kill-child",
		"sh", "-c", sshdScript, "sh", s.directory, packages, strconv.FormatInt(s.options.Disk, 10),
	}
	return program{
		command:     append(command, s.options.Users...),
		directory:   s.directory,
		environment: append(os.Environ(), "SSHD_LIBRARIES="+libraries),
	}
}

func (s *SSHDServer) configure() error {
	lines := []string{
		s.options.Config,
		"ListenAddress " + s.Addr(),
		"HostKey " + filepath.Join(s.directory, "host_key"),
		"AuthorizedKeysFile " + filepath.Join(s.directory, "keys", "%u"),
		"TrustedUserCAKeys " + filepath.Join(s.directory, "authorities"),
		"PermitRootLogin yes",
		"PasswordAuthentication yes",
		"KbdInteractiveAuthentication yes",
		"StrictModes no", // its directory lies below one that all may write to
		"UsePAM no",
		"PidFile none",
		"LogLevel VERBOSE",
		"Subsystem sftp internal-sftp",
	}
	return os.WriteFile(filepath.Join(s.directory, "sshd_config"), []byte(strings.Join(lines, "\n")+"\n"), 0o644)
}

// Addr is where sshd listens, host:port.
func (s *SSHDServer) Addr() string { return loopback(s.port) }

// Port is the port of Addr.
func (s *SSHDServer) Port() int { return s.port }

// HostKey is the public key line of the machine.
func (s *SSHDServer) HostKey() string { return s.hostKey }

// NewHostKey gives the machine another host key, which counts from the next Start.
func (s *SSHDServer) NewHostKey() error {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	block, err := ssh.MarshalPrivateKey(private, "")
	if err != nil {
		return err
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		return err
	}
	s.hostKey = strings.TrimSpace(string(ssh.MarshalAuthorizedKey(signer.PublicKey())))
	return os.WriteFile(filepath.Join(s.directory, "host_key"), pem.EncodeToMemory(block), 0o600)
}

// Authorize makes lines the authorized keys of a user, in place of those there
// were. sshd reads them anew with each connection.
func (s *SSHDServer) Authorize(user string, lines ...string) error {
	return s.put(filepath.Join("keys", user), lines)
}

// Trust makes lines the public keys of the authorities whose certificates let
// users in, in place of those there were.
func (s *SSHDServer) Trust(lines ...string) error { return s.put("authorities", lines) }

func (s *SSHDServer) put(name string, lines []string) error {
	content := strings.Join(append(lines, ""), "\n")
	return os.WriteFile(filepath.Join(s.directory, name), []byte(content), 0o644)
}

// Path is where a file of the machine is found from outside while it runs.
func (s *SSHDServer) Path(path string) (string, error) {
	init, err := s.init()
	if err != nil {
		return "", err
	}
	return filepath.Join("/proc", strconv.Itoa(init), "root", path), nil
}

// Exec runs a command on the machine as root without sshd, for judging from
// outside, and returns what it printed.
func (s *SSHDServer) Exec(ctx context.Context, command ...string) (string, error) {
	init, err := s.init()
	if err != nil {
		return "", err
	}
	arguments := append([]string{"--target", strconv.Itoa(init), "--mount", "--pid"}, command...)
	output, err := exec.CommandContext(ctx, "nsenter", arguments...).CombinedOutput()
	if err != nil {
		return string(output), fmt.Errorf("run %s on the machine: %w\n%s", strings.Join(command, " "), err, output)
	}
	return string(output), nil
}

// init is the process id, as seen from here, of the machine's first process.
func (s *SSHDServer) init() (int, error) {
	pid := s.PID()
	if pid == 0 {
		return 0, errors.New("find the machine's first process: sshd doesn't run")
	}
	content, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if err != nil {
		return 0, fmt.Errorf("find the machine's first process: %w", err)
	}
	return strconv.Atoi(strings.TrimSpace(string(content)))
}

func (s *SSHDServer) isReady(ctx context.Context) error {
	connection, err := (&net.Dialer{}).DialContext(ctx, "tcp", s.Addr())
	if err != nil {
		return err
	}
	defer connection.Close()
	stop := context.AfterFunc(ctx, func() { connection.Close() })
	defer stop()
	line, err := bufio.NewReader(connection).ReadString('\n')
	if err == nil && !strings.HasPrefix(line, "SSH-") {
		err = fmt.Errorf("sshd answers with %q", line)
	}
	return err
}
