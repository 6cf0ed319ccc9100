package spool

import (
	"errors"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
)

var errPower = errors.New("the power is gone")

// cutDisk is a disk whose power fails once a number of bytes was written to it, or of
// operations done. It keeps what was synced apart from what was only written; of that, a
// cut leaves sectors in any combination, torn ones among them.
type cutDisk struct {
	mu     sync.Mutex
	random *rand.Rand
	left   int // bytes until the power fails
	ops    int // operations until then, of any kind or of the one named
	of     string
	dead   bool
	during string // what was being done when it failed
	files  map[string]*cutFile
}

// cutFile is one file of it. All that is done to it is done to a real file too, since
// the log reads there.
type cutFile struct {
	disk          *cutDisk
	twin          *os.File
	data, durable []byte
	// changed says that data isn't only longer than durable.
	changed bool
	// named says that the folder was synced since it was made, removed that it has
	// been removed.
	named, removed bool
}

func newCutDisk(random *rand.Rand, left int) *cutDisk {
	d := &cutDisk{random: random, left: left, files: map[string]*cutFile{}}
	switch random.IntN(4) {
	case 0: // while it is opened, or soon after
		d.ops = random.IntN(12)
	case 1:
		d.of, d.ops = cutKinds[random.IntN(len(cutKinds))], random.IntN(3)
	default:
		d.ops = int(400 * random.ExpFloat64())
	}
	return d
}

// cutKinds are what is done to a disk.
var cutKinds = []string{"write", "sync", "create", "folder", "position", "remove", "truncate"}

// does reports whether an operation is done, or the power is gone. It is for who holds mu.
func (d *cutDisk) does(what string) bool {
	if d.dead {
		return false
	}
	if d.of == "" || d.of == what {
		d.ops--
	}
	if d.ops < 0 {
		d.dead, d.during = true, what
	}
	return !d.dead
}

func (d *cutDisk) create(path string) (file, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.does("create") {
		return nil, errPower
	}
	twin, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	f := &cutFile{disk: d, twin: twin}
	d.files[path] = f
	return f, nil
}

// known is a file of an earlier life, as the last cut left it. It is for who holds mu.
func (d *cutDisk) known(path string) (*cutFile, error) {
	if f := d.files[path]; f != nil {
		return f, nil
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	f := &cutFile{disk: d, data: b, durable: slices.Clone(b), named: true}
	d.files[path] = f
	return f, nil
}

func (d *cutDisk) reopen(path string) (file, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.dead {
		return nil, errPower
	}
	f, err := d.known(path)
	if err != nil {
		return nil, err
	}
	f.twin, err = os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	return f, err
}

func (d *cutDisk) open(path string) (readable, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.dead {
		return nil, errPower
	}
	return os.Open(path)
}

func (d *cutDisk) place(path string) (placed, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.dead {
		return nil, errPower
	}
	f, err := d.known(path)
	if errors.Is(err, os.ErrNotExist) {
		f, err = &cutFile{disk: d}, nil
		d.files[path] = f
	}
	if err != nil {
		return nil, err
	}
	f.twin, err = os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	return f, err
}

func (d *cutDisk) link(path, as string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.does("link") {
		return errPower
	}
	return os.Link(path, as)
}

func (d *cutDisk) remove(path string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.dead {
		return errPower
	}
	f, err := d.known(path)
	if err != nil {
		return err
	}
	f.removed = true
	if !d.does("remove") {
		return errPower
	}
	return os.Remove(path)
}

func (d *cutDisk) syncFolder(string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.does("folder") {
		return errPower
	}
	for path, f := range d.files {
		if f.named = true; f.removed {
			delete(d.files, path)
		}
	}
	return nil
}

// costs reports whether so many bytes can be written. It is for who holds mu.
func (d *cutDisk) costs(bytes int, what string) bool {
	if !d.does(what) {
		return false
	}
	if d.left -= bytes; d.left < 0 {
		d.dead, d.during = true, what
	}
	return !d.dead
}

// Write implements file. While the power fails any part of it may come onto disk.
func (f *cutFile) Write(b []byte) (int, error) {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if f.disk.dead {
		return 0, errPower
	}
	f.data = append(f.data, b...)
	if !f.disk.costs(len(b), "write") {
		return 0, errPower
	}
	return f.twin.Write(b)
}

// WriteAt implements placed.
func (f *cutFile) WriteAt(b []byte, at int64) (int, error) {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if f.disk.dead {
		return 0, errPower
	}
	if grown := int(at) + len(b); grown > len(f.data) {
		f.data = append(f.data, make([]byte, grown-len(f.data))...)
	}
	copy(f.data[at:], b)
	f.changed = true
	if !f.disk.costs(len(b), "position") {
		return 0, errPower
	}
	return f.twin.WriteAt(b, at)
}

// ReadAt implements placed.
func (f *cutFile) ReadAt(b []byte, at int64) (int, error) { return f.twin.ReadAt(b, at) }

func (f *cutFile) Sync() error {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if !f.disk.does("sync") {
		return errPower
	}
	if f.changed {
		f.durable, f.changed = f.durable[:0], false
	}
	f.durable = append(f.durable, f.data[len(f.durable):]...)
	return nil
}

func (f *cutFile) Truncate(size int64) error {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if f.disk.dead {
		return errPower
	}
	f.data, f.changed = f.data[:size:size], true
	if !f.disk.does("truncate") {
		return errPower
	}
	return f.twin.Truncate(size)
}

func (f *cutFile) Close() error { return f.twin.Close() }

// cut makes the real files what is found when the power is back.
func (d *cutDisk) cut() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.dead = true
	for path, f := range d.files {
		if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		if (!f.named || f.removed) && d.random.IntN(2) == 0 {
			continue
		}
		if err := os.WriteFile(path, f.image(d.random), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// image is what is left of a file: what was synced, and of what was done since any
// sectors, be they behind it or in its midst.
func (f *cutFile) image(random *rand.Rand) []byte {
	const sector = 512
	synced := len(f.durable)
	image := make([]byte, f.length(random))
	copy(image, f.durable)
	at := 0
	if !f.changed {
		at = synced / sector * sector
	}
	for ; at < min(len(image), len(f.data)); at += sector {
		to := min(at+sector, len(image), len(f.data))
		switch random.IntN(4) {
		case 0: // it was not written
		case 1: // it was torn
			to = at + random.IntN(to-at+1)
			fallthrough
		default:
			copy(image[at:to], f.data[at:to])
		}
	}
	if random.IntN(8) == 0 { // what the file's blocks held before
		for i := synced; i < len(image); i++ {
			if image[i] == 0 {
				image[i] = byte(random.Uint32())
			}
		}
	}
	return image
}

// length is how long it is found: as it was synced, as it was made since, or, where it
// has grown, between the two.
func (f *cutFile) length(random *rand.Rand) int {
	synced, made := len(f.durable), len(f.data)
	switch {
	case made < synced && random.IntN(2) == 0:
		return synced
	case made <= synced || random.IntN(3) == 0:
		return made
	}
	return synced + random.IntN(made-synced+1)
}
