package fleet

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/consul/api"
)

// tag marks Homeostat's registrations among others of the same service.
const tag = "homeostat"

// forgetAfter is when an agent drops a cell that has been critical without a
// break. A sidecar that still runs registers again at its next push, so only
// what is dead stays away.
const forgetAfter = 30 * time.Minute

// Cell is one running instance as it registers itself.
type Cell struct {
	Service     string `json:"service"`
	Name        string `json:"name"`
	Incarnation string `json:"incarnation"`
	// Address and Port are the application's.
	Address string `json:"address"`
	Port    int    `json:"port"`
	// Vitals is the base URL of the cell's sidecar.
	Vitals string `json:"vitals"`
	// Parent is the cell whose leader ordered this one, Generation how many
	// orders lie between it and a person, Reason why it was ordered.
	Parent     string    `json:"parent,omitempty"`
	Generation int       `json:"generation"`
	Reason     string    `json:"reason,omitempty"`
	BornAt     time.Time `json:"born_at"`
	// Bundle is the digest of policy, root module and genome it runs by.
	Bundle string `json:"bundle,omitempty"`
	// Genome is the digest of the genome it was born of.
	Genome string `json:"genome,omitempty"`
	// Machine is the machine id, PID and Started (clock ticks after boot) the
	// sidecar's process.
	Machine string `json:"machine,omitempty"`
	PID     int    `json:"pid,omitempty"`
	Started uint64 `json:"started,omitempty"`
	// Door is what the sidecar knows of the access by which the birth got into the
	// machine: DoorOpen, DoorShut, or empty where nobody got in.
	Door string `json:"door,omitempty"`
	// TTL is how long the cell may go without pushing its health before Consul
	// calls it critical.
	TTL time.Duration `json:"-"`
}

// What a sidecar says of the door by which its cell's birth got in. Shut means that
// all of it was taken away, not that it was tried from outside.
const (
	DoorOpen = "open"
	DoorShut = "shut"
)

// ID is the id of the cell's registration in Consul.
func (c Cell) ID() string {
	if c.Incarnation == "" {
		return c.Name
	}
	return c.Name + "." + c.Incarnation
}

// CheckID is the id of the cell's one check in Consul.
func (c Cell) CheckID() string { return "service:" + c.ID() }

// Health is what a cell says of itself.
type Health string

// Passing takes anything; Warning is to be spared new clients; Critical gets no
// traffic.
const (
	Passing  Health = api.HealthPassing
	Warning  Health = api.HealthWarning
	Critical Health = api.HealthCritical
)

// Member is a cell as Consul knows it.
type Member struct {
	Cell
	Health Health `json:"health"`
	// Silent is true where Health is critical because nothing is heard from the
	// sidecar: its TTL ran out, its agent failed, or its check is missing. A
	// critical that the sidecar pushed itself is not silent, though a cell that
	// comes back from silence as critical may be called so for some minutes:
	// Consul spreads a check's output late while its status stays the same.
	Silent bool `json:"silent,omitempty"`
	// Output is the last word of the check that decides Health.
	Output string `json:"output,omitempty"`
	// Node is the Consul node that holds the registration, Agent its address.
	Node  string `json:"node"`
	Agent string `json:"agent"`
	// Older are the ids of earlier incarnations of the same cell that are still
	// registered. They are of no further use and may be deregistered.
	Older []string `json:"older,omitempty"`

	id       string // as registered
	modified uint64 // index of the registration
}

// Keys of a registration's meta data.
const (
	metaCell        = "homeostat_cell"
	metaIncarnation = "homeostat_incarnation"
	metaParent      = "homeostat_parent"
	metaGeneration  = "homeostat_generation"
	metaReason      = "homeostat_reason"
	metaBornAt      = "homeostat_born_at"
	metaVitals      = "homeostat_vitals"
	metaBundle      = "homeostat_bundle"
	metaGenome      = "homeostat_genome"
	metaMachine     = "homeostat_machine"
	metaPID         = "homeostat_pid"
	metaStarted     = "homeostat_started"
	metaDoor        = "homeostat_door"
)

// metaLimit is the longest value Consul takes in meta data, in bytes.
const metaLimit = 512

// registration is what the agent is told of the cell.
func (c Cell) registration(health Health) *api.AgentServiceRegistration {
	return &api.AgentServiceRegistration{
		ID: c.ID(), Name: c.Service, Tags: []string{tag}, Address: c.Address, Port: c.Port,
		Meta: c.meta(),
		Check: &api.AgentServiceCheck{
			CheckID: c.CheckID(), Name: "health pushed by the sidecar", Status: string(health),
			TTL: c.TTL.String(), DeregisterCriticalServiceAfter: forgetAfter.String(),
		},
	}
}

func (c Cell) meta() map[string]string {
	meta := map[string]string{
		metaCell: c.Name, metaIncarnation: c.Incarnation, metaParent: c.Parent,
		metaGeneration: strconv.Itoa(c.Generation), metaReason: shorten(c.Reason, metaLimit),
		metaVitals: c.Vitals, metaBundle: c.Bundle, metaGenome: c.Genome, metaMachine: c.Machine,
		metaPID: strconv.Itoa(c.PID), metaStarted: strconv.FormatUint(c.Started, 10),
	}
	if c.Door != "" {
		meta[metaDoor] = c.Door
	}
	if !c.BornAt.IsZero() {
		meta[metaBornAt] = c.BornAt.UTC().Format(time.RFC3339Nano)
	}
	return meta
}

// cellOf reads a registration back. What can't be read stays zero and is
// returned as the error, so that one odd registration hides no other.
func cellOf(s *api.AgentService) (Cell, error) {
	name, incarnation := s.Meta[metaCell], s.Meta[metaIncarnation]
	if name == "" {
		name, incarnation = splitID(s.ID)
	}
	c := Cell{
		Service: s.Service, Name: name, Incarnation: incarnation, Address: s.Address, Port: s.Port,
		Vitals: s.Meta[metaVitals], Parent: s.Meta[metaParent], Reason: s.Meta[metaReason],
		Bundle: s.Meta[metaBundle], Genome: s.Meta[metaGenome], Machine: s.Meta[metaMachine],
		Door: s.Meta[metaDoor],
	}
	var errs [4]error
	c.Generation, errs[0] = parse(s.Meta, metaGeneration, strconv.Atoi)
	c.PID, errs[1] = parse(s.Meta, metaPID, strconv.Atoi)
	c.Started, errs[2] = parse(s.Meta, metaStarted, func(v string) (uint64, error) { return strconv.ParseUint(v, 10, 64) })
	c.BornAt, errs[3] = parse(s.Meta, metaBornAt, func(v string) (time.Time, error) { return time.Parse(time.RFC3339Nano, v) })
	return c, cmp.Or(errs[0], errs[1], errs[2], errs[3])
}

// splitID is the cell and the incarnation in the id of a registration.
func splitID(id string) (name, incarnation string) {
	if i := strings.LastIndexByte(id, '.'); i >= 0 {
		return id[:i], id[i+1:]
	}
	return id, ""
}

// parse reads one value of the meta data; an absent one is zero.
func parse[T any](meta map[string]string, key string, read func(string) (T, error)) (T, error) {
	var zero T
	text, ok := meta[key]
	if !ok || text == "" {
		return zero, nil
	}
	v, err := read(text)
	if err != nil {
		return zero, fmt.Errorf("read %s: %w", key, err)
	}
	return v, nil
}

// check finds at once what Consul or a reader would stumble over later.
func (c Cell) check() error {
	if err := checkName("service", c.Service); err != nil {
		return err
	}
	if err := checkName("cell", c.Name); err != nil {
		return err
	}
	if c.Incarnation != "" {
		if err := checkName("incarnation", c.Incarnation); err != nil {
			return err
		}
	}
	if c.TTL <= 0 {
		return fmt.Errorf("cell %s: its health needs a TTL above zero", c.Name)
	}
	return nil
}

// shorten cuts a text to at most limit bytes without breaking a character.
func shorten(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	return strings.ToValidUTF8(s[:limit-len("…")], "") + "…"
}
