package machine

import "testing"

func TestControlGroups(t *testing.T) {
	t.Parallel()
	const v1 = "tmpfs /sys/fs/cgroup tmpfs rw 0 0\ncgroup /sys/fs/cgroup/pids cgroup rw,pids 0 0\n"
	for _, c := range []struct {
		name, mounts, own string
		mount, place      string
	}{
		{"version 2", "cgroup2 /sys/fs/cgroup cgroup2 rw,nsdelegate 0 0\n", "0::/user.slice/a.scope\n", "/sys/fs/cgroup", "/user.slice/a.scope"},
		{"both", v1 + "cgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\n", "8:pids:/a\n0::/\n", "/sys/fs/cgroup/unified", "/"},
		{"version 1", v1, "8:pids:/a\n", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			mount, place, err := cgroupIn(c.mounts, c.own)
			if mount != c.mount || place != c.place || (err == nil) != (c.mount != "") {
				t.Errorf("%q, %q, %v", mount, place, err)
			}
		})
	}
}
