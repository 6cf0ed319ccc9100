package main

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/examples/localstack/ec2"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/testkit"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/testkit/machine"
)

// asProgram has this test binary be the program itself.
const asProgram = "MACHINES_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
		return
	}
	testkit.Main(m)
}

// rig is an EC2 API that starts no machine, and the program that does.
type rig struct {
	t       *testing.T
	api     *ec2.Client
	place   *testkit.MachinePlace
	dir     string
	subnet  string
	program *exec.Cmd
	log     lockedText
}

type lockedText struct {
	sync.Mutex
	strings.Builder
}

func (l *lockedText) Write(b []byte) (int, error) {
	l.Lock()
	defer l.Unlock()
	return l.Builder.Write(b)
}

func (l *lockedText) text() string {
	l.Lock()
	defer l.Unlock()
	return l.String()
}

var _ io.Writer = (*lockedText)(nil)

// needMachines is what each test here begins with.
func needMachines(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("boots machines")
	}
	t.Parallel()
}

func newRig(t *testing.T, most int, api string) *rig {
	t.Helper()
	r := &rig{t: t, place: testkit.MachinePlaceFor(t, most), dir: filepath.Join(t.TempDir(), "machines")}
	r.api = &ec2.Client{Endpoint: api, Region: "us-east-1"}
	r.makeSubnet()
	t.Cleanup(r.end)
	return r
}

// end shows what a failed test's machines said, and leaves nothing.
func (r *rig) end() {
	if r.t.Failed() {
		r.t.Logf("the program:\n%s", r.log.text())
		consoles, err := filepath.Glob(filepath.Join(r.dir, "consoles", "*"))
		for _, console := range consoles {
			text, readErr := os.ReadFile(console)
			err = errors.Join(err, readErr)
			r.t.Logf("the end of %s: %v\n%s", console, err, text[max(0, len(text)-3000):])
		}
	}
	r.kill()
}

func (r *rig) must(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

// command is the program with arguments.
func (r *rig) command(arguments ...string) *exec.Cmd {
	flags := []string{
		"-dir", r.dir, "-network", r.place.Network.String(), "-cgroup", r.place.Cgroup,
		"-endpoint", r.api.Endpoint, "-beat", "200ms",
	}
	cmd := exec.Command(os.Args[0], append(flags, arguments...)...)
	cmd.Env = append(os.Environ(), asProgram+"=1")
	cmd.Stdout, cmd.Stderr = &r.log, &r.log
	cmd.WaitDelay = 10 * time.Second
	return cmd
}

func (r *rig) start() {
	r.t.Helper()
	r.program = r.command()
	r.must(r.program.Start())
}

func (r *rig) kill() {
	if r.program == nil {
		return
	}
	_ = r.program.Process.Kill() // it may have ended
	_ = r.program.Wait()         // killed, as was wanted
	r.program = nil
}

func (r *rig) makeSubnet() {
	r.t.Helper()
	var vpc struct {
		ID string `xml:"vpc>vpcId"`
	}
	r.must(r.api.Call(r.t.Context(), "CreateVpc", url.Values{"CidrBlock": {r.place.Network.String()}}, &vpc))
	var subnet struct {
		ID string `xml:"subnet>subnetId"`
	}
	r.must(r.api.Call(r.t.Context(), "CreateSubnet", url.Values{"CidrBlock": {r.place.Network.String()}, "VpcId": {vpc.ID}}, &subnet))
	r.subnet = subnet.ID
}

// order orders an instance with user data.
func (r *rig) order(userData string, more ...string) ec2.Instance {
	r.t.Helper()
	form := url.Values{
		"ImageId": {"ami-12c6146b"}, "MinCount": {"1"}, "MaxCount": {"1"}, "SubnetId": {r.subnet},
		"UserData": {base64.StdEncoding.EncodeToString([]byte(userData))},
	}
	for k := 0; k < len(more); k += 2 {
		form.Set(more[k], more[k+1])
	}
	var made struct {
		Instances []ec2.Instance `xml:"instancesSet>item"`
	}
	r.must(r.api.Call(r.t.Context(), "RunInstances", form, &made))
	return made.Instances[0]
}

// ask has the API do something with an instance.
func (r *rig) ask(action string, i ec2.Instance) {
	r.t.Helper()
	r.must(r.api.Call(r.t.Context(), action, url.Values{"InstanceId.1": {i.ID}}, nil))
}

// becomes waits until the API has an instance in a state.
func (r *rig) becomes(i ec2.Instance, state string) {
	r.t.Helper()
	testkit.Await(r.t, 2*time.Minute, func(ctx context.Context) error {
		all, err := r.api.Instances(ctx)
		for _, other := range all {
			if other.ID == i.ID && other.State == state {
				return nil
			}
		}
		return errors.Join(fmt.Errorf("instance %s isn't %s: %v", i.ID, state, all), err)
	})
}

// console waits until a machine has said something.
func (r *rig) console(i ec2.Instance, what string) {
	r.t.Helper()
	testkit.Await(r.t, 4*time.Minute, func(context.Context) error {
		text, err := os.ReadFile(filepath.Join(r.dir, "consoles", i.ID+".log"))
		if err == nil && !strings.Contains(string(text), what) {
			err = fmt.Errorf("machine %s hasn't said %q", i.ID, what)
		}
		return err
	})
}

// says waits until the program says something.
func (r *rig) says(parts ...string) {
	r.t.Helper()
	testkit.Await(r.t, time.Minute, func(context.Context) error {
		for line := range strings.Lines(r.log.text()) {
			all := true
			for _, part := range parts {
				all = all && strings.Contains(line, part)
			}
			if all {
				return nil
			}
		}
		return fmt.Errorf("no line says %q", parts)
	})
}

// answers waits until sshd answers at the instance's address.
func (r *rig) answers(i ec2.Instance) {
	r.t.Helper()
	testkit.Await(r.t, 4*time.Minute, func(ctx context.Context) error {
		conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "tcp", net.JoinHostPort(i.Address, "22"))
		if err != nil {
			return err
		}
		defer conn.Close()
		banner := make([]byte, 4)
		if err := conn.SetReadDeadline(time.Now().Add(2 * time.Second)); err != nil {
			return err
		}
		if _, err := io.ReadFull(conn, banner); err != nil || string(banner) != "SSH-" {
			return fmt.Errorf("port 22 of %s says %q: %w", i.Address, banner, err)
		}
		return nil
	})
}

func (r *rig) box(i ec2.Instance) *box {
	r.t.Helper()
	p, err := findPlace(r.dir)
	r.must(err)
	b, err := p.box(i.ID)
	r.must(err)
	return b
}

// first waits for a machine's first process.
func (r *rig) first(i ec2.Instance) int {
	r.t.Helper()
	var first int
	testkit.Await(r.t, time.Minute, func(context.Context) (err error) {
		first, err = r.box(i).first()
		return err
	})
	return first
}

// gone waits until nothing is left of a machine.
func (r *rig) gone(i ec2.Instance) {
	r.t.Helper()
	testkit.Await(r.t, 2*time.Minute, func(context.Context) error {
		if b := r.box(i); b.there() {
			return fmt.Errorf("machine %s is there", i.ID)
		} else if on, err := b.on(); on || err != nil {
			return fmt.Errorf("machine %s is on: %w", i.ID, err)
		}
		return nil
	})
}

// inside runs a command in a machine.
func (r *rig) inside(i ec2.Instance, command ...string) string {
	r.t.Helper()
	arguments := append([]string{"--target", strconv.Itoa(r.first(i)), "--all", "--", "env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin"}, command...)
	out, err := exec.CommandContext(r.t.Context(), "nsenter", arguments...).CombinedOutput()
	if err != nil {
		r.t.Fatalf("run %q on %s: %v\n%s", command, i.ID, err, out)
	}
	return string(out)
}

// nothingLeft looks for what there could be of the machines after clear.
func (r *rig) nothingLeft(p *place) {
	r.t.Helper()
	if err := p.awaitUnplugged(r.t.Context()); err != nil {
		r.t.Error(err)
	}
	for _, path := range []string{p.root, filepath.Join(p.Cgroups, p.Cgroup)} {
		if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
			r.t.Errorf("%s is there: %v", path, err)
		}
	}
	pids, err := machine.CgroupProcesses(filepath.Join(p.Cgroups, p.Cgroup))
	if err != nil || len(pids) > 0 {
		r.t.Errorf("processes %v, %v", pids, err)
	}
	mounts, err := filepath.Glob("/proc/[0-9]*/mountinfo")
	r.must(err)
	for _, path := range mounts {
		if text, err := os.ReadFile(path); err == nil && strings.Contains(string(text), p.root) {
			r.t.Errorf("%s has a mount of %s", path, p.root)
		}
	}
}
