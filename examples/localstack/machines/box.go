package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/google/renameio/v2"

	"github.com/homeostat-io/terraform-provider-homeostat/examples/localstack/ec2"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/testkit"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/testkit/machine"
)

// box is the machine of one instance, on or off. It has no state in this process:
// what it is lies in its folder, and whether it is on, the kernel knows.
type box struct {
	place   *place
	id      string     // the instance's
	address netip.Addr // not valid before its first boot
}

// box opens the machine of an instance, which needn't be there yet.
func (p *place) box(id string) (*box, error) {
	if id != filepath.Base(id) || !strings.HasPrefix(id, "i-") {
		return nil, fmt.Errorf("%q is no id of an instance", id)
	}
	b := &box{place: p, id: id}
	text, err := os.ReadFile(b.in("address"))
	if errors.Is(err, os.ErrNotExist) {
		return b, nil
	}
	if err == nil {
		b.address, err = netip.ParseAddr(strings.TrimSpace(string(text)))
	}
	if err != nil {
		return nil, fmt.Errorf("open machine %s: %w", id, err)
	}
	return b, nil
}

func (b *box) in(name string) string { return b.place.in(b.id, name) }

// console is the file with what the machine says. It outlives the machine.
func (b *box) console() string { return b.place.in("consoles", b.id+".log") }

// there says whether there is anything of the machine.
func (b *box) there() bool {
	_, err := os.Stat(b.in("."))
	return err == nil
}

// on says whether the machine has power.
func (b *box) on() (bool, error) {
	pids, err := machine.CgroupProcesses(b.place.group(b.id))
	return len(pids) > 0, err
}

// first is the machine's own first process.
func (b *box) first() (int, error) {
	pids, err := machine.CgroupProcesses(b.place.group(b.id))
	if err != nil {
		return 0, err
	}
	return machine.First(pids)
}

// ended is how the machine was switched off last: 0 when it shut down in order, by
// itself or by an order from here. One that lost its power didn't end.
func (b *box) ended() (code int, ended bool, err error) {
	text, err := os.ReadFile(b.in("ended"))
	if errors.Is(err, os.ErrNotExist) {
		return 0, false, nil
	}
	if err == nil {
		code, err = strconv.Atoi(strings.TrimSpace(string(text)))
	}
	if err != nil {
		return 0, false, fmt.Errorf("read how machine %s ended: %w", b.id, err)
	}
	return code, true, nil
}

// failedPause is how long a machine stays off that couldn't be booted.
const failedPause = 10 * time.Second

// failed says that the machine couldn't be booted a moment ago.
func (b *box) failed() error {
	code, ended, err := b.ended()
	if err != nil || !ended || code == 0 {
		return err
	}
	info, err := os.Stat(b.in("ended"))
	if err != nil || time.Since(info.ModTime()) > failedPause {
		return err
	}
	return fmt.Errorf("it ended with exit code %d (see %s); it is tried again after %s", code, b.console(), failedPause)
}

// forgetEnd has the next boot be the first thing that is known again.
func (b *box) forgetEnd() error {
	if err := os.Remove(b.in("ended")); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("forget how machine %s ended: %w", b.id, err)
	}
	return nil
}

// asSaid runs a machine and writes down how it ended, also when nobody is there
// any more who would wait for it.
const asSaid = `status=0; "$@" || status=$?; echo $status >"$0.part" && mv -- "$0.part" "$0"`

// boot switches the machine on, over the disk it has or a new one.
func (b *box) boot(ctx context.Context, root string, i ec2.Instance, userData []byte) error {
	address, err := netip.ParseAddr(i.Address)
	if err != nil {
		return fmt.Errorf("boot machine %s: %w", b.id, err)
	}
	name, _, _ := strings.Cut(i.Name, ".")
	if name == "" {
		name = "ip-" + strings.ReplaceAll(i.Address, ".", "-")
	}
	if len(userData) == 0 {
		userData = []byte("#cloud-config\n{}\n") // cloud-init has the rest of a first boot to do
	}
	if err := os.MkdirAll(b.in("disk"), 0o755); err != nil {
		return fmt.Errorf("boot machine %s: %w", b.id, err)
	}
	err = errors.Join(
		renameio.WriteFile(b.in("address"), []byte(address.String()+"\n"), 0o644),
		renameio.WriteFile(b.in("name"), []byte(name+"\n"), 0o644),
		machine.WriteSeed(b.in("."), b.id, name, userData),
		os.MkdirAll(b.place.group(b.id), 0o755),
		b.forgetEnd(),
	)
	if err != nil {
		return fmt.Errorf("boot machine %s: %w", b.id, err)
	}
	b.address = address
	spec, err := b.spec(root)
	if err != nil {
		return err
	}
	if err := machine.MountDisk(ctx, spec.Switch, b.in("disk"), 0); err != nil {
		return err
	}
	command := append([]string{"sh", "-c", asSaid, b.in("ended")}, spec.Command()...)
	return machine.Launch(command, b.place.group(b.id), b.console())
}

// spec is how it is booted.
func (b *box) spec(root string) (machine.Boot, error) {
	theSwitch, err := b.place.theSwitch()
	if err == nil && theSwitch == 0 {
		err = errors.New("there is no switch")
	}
	if err != nil {
		return machine.Boot{}, fmt.Errorf("find the network of machine %s: %w", b.id, err)
	}
	name, err := os.ReadFile(b.in("name"))
	if err != nil {
		return machine.Boot{}, fmt.Errorf("find the name of machine %s: %w", b.id, err)
	}
	a := b.address.As4()
	return machine.Boot{
		Switch: theSwitch, Address: b.place.withLength(b.address),
		Port: fmt.Sprintf("m%02x%02x", a[2], a[3]),
		MAC:  fmt.Sprintf("02:00:%02x:%02x:%02x:%02x", a[0], a[1], a[2], a[3]),
		Name: strings.TrimSpace(string(name)), Root: root, Directory: b.in("."),
		Cgroups: b.place.Cgroups, Cgroup: filepath.Join(b.place.Cgroup, b.id, "machine"),
		User: "root",
	}, nil
}

// powerOff has the machine shut down, and takes its power away when it hasn't
// after grace.
func (b *box) powerOff(ctx context.Context, grace time.Duration) error {
	first, err := b.first()
	if err == nil {
		err = syscall.Kill(first, machine.PowerOff)
	}
	if err == nil {
		err = testkit.Poll(ctx, grace, func(context.Context) error {
			if on, err := b.on(); on || err != nil {
				return errors.Join(errors.New("it is still on"), err)
			}
			return nil
		})
	}
	if ctx.Err() != nil {
		return fmt.Errorf("switch machine %s off: %w", b.id, context.Cause(ctx))
	}
	if err != nil { // or it hadn't begun to boot
		return machine.KillCgroup(b.place.group(b.id))
	}
	return nil
}

// remove removes all there is of a machine that is off. The folder gets another
// name first, so that half of it is never taken for a machine.
func (b *box) remove() error {
	going := b.place.in(".gone-" + b.id)
	err := errors.Join(machine.RemoveCgroup(b.place.group(b.id)), os.RemoveAll(going))
	if err == nil && b.there() {
		err = errors.Join(os.Rename(b.in("."), going), os.RemoveAll(going))
	}
	if err != nil {
		return fmt.Errorf("remove machine %s: %w", b.id, err)
	}
	return nil
}
