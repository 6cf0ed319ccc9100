package spool

import (
	"errors"
	"math/rand/v2"
	"os"
	"sync"
)

var errPower = errors.New("the power is gone")

// cutDisk is a disk whose power fails once a number of bytes was written to it. It
// keeps what was synced apart from what was only written; of that, a cut leaves
// sectors in any combination, torn ones among them.
type cutDisk struct {
	mu     sync.Mutex
	random *rand.Rand
	left   int // bytes until the power fails
	dead   bool
	files  map[string]*cutFile
}

// cutFile is one file of it. All that is written goes into a real file too, since
// the log reads there.
type cutFile struct {
	disk          *cutDisk
	twin          *os.File
	data, durable []byte
	// named says that the folder was synced since it was made, removed that it has
	// been removed.
	named, removed bool
}

func newCutDisk(random *rand.Rand, left int) *cutDisk {
	return &cutDisk{random: random, left: left, files: map[string]*cutFile{}}
}

func (d *cutDisk) create(path string) (file, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.dead {
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

func (d *cutDisk) remove(path string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.dead {
		return errPower
	}
	if f := d.files[path]; f != nil {
		f.removed = true
	}
	return os.Remove(path)
}

func (d *cutDisk) syncFolder(string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.dead {
		return errPower
	}
	for path, f := range d.files {
		if f.named = true; f.removed {
			delete(d.files, path)
		}
	}
	return nil
}

func (f *cutFile) Write(b []byte) (int, error) {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if f.disk.dead {
		return 0, errPower
	}
	if f.disk.left -= len(b); f.disk.left < 0 {
		// The power fails while this is written: any part of it may be on disk.
		f.disk.dead = true
		f.data = append(f.data, b...)
		return 0, errPower
	}
	f.data = append(f.data, b...)
	return f.twin.Write(b)
}

func (f *cutFile) Sync() error {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if f.disk.random.IntN(200) == 0 {
		f.disk.dead = true
	}
	if f.disk.dead {
		return errPower
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
	f.data = f.data[:size]
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

// image is what is left of a file: what was synced, and of the rest any sectors.
func (f *cutFile) image(random *rand.Rand) []byte {
	const sector = 512
	synced := len(f.durable)
	size := synced + random.IntN(len(f.data)-synced+1)
	if random.IntN(3) == 0 {
		size = len(f.data)
	}
	image := make([]byte, size)
	copy(image, f.durable)
	for at := synced / sector * sector; at < size; at += sector {
		from, to := max(at, synced), min(at+sector, size)
		switch random.IntN(4) {
		case 0: // it was not written
		case 1: // it was torn
			to = from + random.IntN(to-from+1)
			fallthrough
		default:
			copy(image[from:to], f.data[from:to])
		}
	}
	if random.IntN(8) == 0 { // what the file's blocks held before
		for i := synced; i < size; i++ {
			if image[i] == 0 {
				image[i] = byte(random.Uint32())
			}
		}
	}
	return image
}
