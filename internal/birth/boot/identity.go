package boot

import (
	"slices"
	"strings"
)

// identityFiles are where a machine finds the id by which its infrastructure
// knows it.
var identityFiles = []string{
	"/var/lib/cloud/data/instance-id",   // cloud-init's, on all clouds
	"/sys/class/dmi/id/board_asset_tag", // EC2's on Nitro
	"/sys/class/dmi/id/product_uuid",    // of OpenStack, libvirt and others
}

// ids are all that the machine knows of its own id.
func (n *Newborn) ids() (all []string) {
	for _, path := range identityFiles {
		if id := n.line(path); id != "" && !slices.Contains(all, id) {
			all = append(all, id)
		}
	}
	return all
}

// is reports whether the machine is the one of that id; where none is named any is.
// Some firmwares write an id in capitals.
func (h hello) is(machine string) bool {
	return machine == "" || slices.ContainsFunc(h.IDs, func(id string) bool { return strings.EqualFold(id, machine) })
}

// name is how an operator finds the machine.
func (h hello) name() string {
	if len(h.IDs) == 0 {
		return h.Host + ", which knows no id of its own"
	}
	return h.Host + " (" + strings.Join(h.IDs, ", ") + ")"
}
