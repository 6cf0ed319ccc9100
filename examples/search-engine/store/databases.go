package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/homeostat-io/terraform-provider-homeostat/examples/discover"
)

// Place is one database as Consul has it.
type Place struct {
	Name    string
	Address string // host:port
	// Writable says that it is well and isn't about to leave, Leaving that it is.
	Writable, Leaving bool
}

// ErrAway says that what was asked needs a database that can't be used now.
var ErrAway = errors.New("a database is away")

const (
	// forgetAfter is how long a database counts as away, rather than gone for good,
	// after it was last registered. One that was about to leave is gone at once.
	forgetAfter = time.Minute
	// knownLimit bounds asking the other databases what they know. One that doesn't
	// answer costs a URL that is crawled twice, and nothing else.
	knownLimit = time.Second
)

// Databases are all databases of the search engine. A page is written to one of
// them, the cell's own where that takes it, and read from all.
//
// What is known in one is not put into another: the others are asked before. That
// is no lock, so two that find the same URL in the same instant both keep it, and it
// is crawled twice. Readers therefore count by address. Its methods may be called
// concurrently.
type Databases struct {
	list        func(context.Context) ([]Place, error)
	own         func() string // name of the database to write to, "" for any
	connections int

	mu    sync.Mutex
	known map[string]*database
}

type database struct {
	*Store
	place Place
	seen  time.Time
}

// Places makes a list of databases of what is registered in Consul.
func Places(registered func(context.Context) ([]discover.Cell, error)) func(context.Context) ([]Place, error) {
	return func(ctx context.Context) ([]Place, error) {
		cells, err := registered(ctx)
		var places []Place
		for _, c := range cells {
			places = append(places, Place{Name: c.Name, Address: c.Address, Writable: c.Health == "passing", Leaving: c.Health == "warning"})
		}
		return places, err
	}
}

// NewDatabases returns the databases that list tells of, each with up to so many
// connections.
func NewDatabases(list func(context.Context) ([]Place, error), own func() string, connections int) *Databases {
	return &Databases{list: list, own: own, connections: connections, known: map[string]*database{}}
}

// Close ends all connections.
func (d *Databases) Close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for name, one := range d.known {
		one.Close()
		delete(d.known, name)
	}
}

// all returns the databases by name, those that are away included.
func (d *Databases) all(ctx context.Context) ([]*database, error) {
	places, err := d.list(ctx)
	if err != nil {
		return nil, fmt.Errorf("find the databases: %w", err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	now := time.Now()
	for _, place := range places {
		one := d.known[place.Name]
		if one == nil {
			one = &database{}
			// The pool outlives this request.
			one.Store, err = Open(context.WithoutCancel(ctx), d.locate(place.Name), d.connections)
			if err != nil {
				return nil, err
			}
			d.known[place.Name] = one
		}
		one.place, one.seen = place, now
	}
	var all []*database
	for name, one := range d.known {
		switch age := now.Sub(one.seen); {
		case age > forgetAfter, age > 0 && one.place.Leaving:
			go one.Close() // waits for what is in hand
			delete(d.known, name)
		default:
			copied := *one
			copied.place.Writable = one.place.Writable && age == 0
			all = append(all, &copied)
		}
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%w: none is registered", ErrAway)
	}
	slices.SortFunc(all, func(a, b *database) int { return strings.Compare(a.place.Name, b.place.Name) })
	return all, nil
}

// locate finds a database by its name: it comes back elsewhere.
func (d *Databases) locate(name string) Locate {
	return func(ctx context.Context) (string, error) {
		places, err := d.list(ctx)
		if err != nil {
			return "", err
		}
		for _, place := range places {
			if place.Name == name {
				return place.Address, nil
			}
		}
		return "", fmt.Errorf("%w: %s isn't registered", ErrAway, name)
	}
}

// writers are the databases in the order in which a write is tried: the own one,
// then the others that are well. A write that fails because its database is away
// goes to the next, since any may hold any page.
func (d *Databases) writers(all []*database) []*database {
	own := d.own()
	var order []*database
	for _, one := range all {
		switch {
		case !one.place.Writable:
		case one.place.Name == own:
			order = slices.Insert(order, 0, one)
		default:
			order = append(order, one)
		}
	}
	if len(order) == 0 {
		return all[:1]
	}
	return order
}

// write does something in the first database that takes it, and tells it which URLs
// the others know.
func (d *Databases) write(ctx context.Context, page string, urls []string, do func(into *database, elsewhere map[string]bool, stored bool) error) error {
	all, err := d.all(ctx)
	if err != nil {
		return err
	}
	for _, into := range d.writers(all) {
		elsewhere, stored := d.elsewhere(ctx, all, into, page, urls)
		if err = do(into, elsewhere, stored); !Away(err) || ctx.Err() != nil {
			return err
		}
	}
	return err
}

// Put stores a page, unless a database has it, and the URLs found that none knows.
func (d *Databases) Put(ctx context.Context, page Page) (stored bool, found int64, err error) {
	err = d.write(ctx, page.URL, page.Links, func(into *database, elsewhere map[string]bool, has bool) (err error) {
		if has {
			return nil
		}
		stored, found, err = into.Put(ctx, page, elsewhere)
		return err
	})
	return stored, found, err
}

// Seed makes URLs known that no database knows. It returns how many those are.
func (d *Databases) Seed(ctx context.Context, urls []string) (found int64, err error) {
	err = d.write(ctx, "", urls, func(into *database, elsewhere map[string]bool, _ bool) (err error) {
		found, err = into.Seed(ctx, urls, elsewhere)
		return err
	})
	return found, err
}

// elsewhere asks all but one which URLs they know, and whether one of them has the
// page.
func (d *Databases) elsewhere(ctx context.Context, all []*database, but *database, page string, urls []string) (map[string]bool, bool) {
	ctx, cancel := context.WithTimeout(ctx, knownLimit)
	defer cancel()
	var (
		asking sync.WaitGroup
		mu     sync.Mutex
		known  = map[string]bool{}
		stored bool
	)
	for _, one := range all {
		if one.place.Name == but.place.Name {
			continue
		}
		asking.Go(func() {
			urls, has, err := one.Known(ctx, page, urls)
			if err != nil {
				slog.Debug("a database doesn't say what it knows", "database", one.place.Name, "error", err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			stored = stored || has
			for _, url := range urls {
				known[url] = true
			}
		})
	}
	asking.Wait()
	return known, stored
}

// Queue puts URLs of all databases on the queue, see Store.Queue: those of one whose
// APIs have died wait for nobody in particular. One that takes no more writes, since
// it is about to leave, has its URLs sent from where they are moved. It returns the
// most that one had.
func (d *Databases) Queue(ctx context.Context, limit int, send func(context.Context, []string) error) (int, error) {
	all, err := d.all(ctx)
	if err != nil {
		return 0, err
	}
	var (
		most int
		errs []error
	)
	for _, one := range all {
		sent, err := one.Queue(ctx, limit, send)
		if err != nil && !readOnly(err) {
			errs = append(errs, fmt.Errorf("%s: %w", one.place.Name, err))
		}
		most = max(most, sent)
	}
	return most, errors.Join(errs...)
}

// Clear forgets everything, so that a crawl can begin anew.
func (d *Databases) Clear(ctx context.Context) error {
	return d.each(ctx, func(ctx context.Context, one *Store) error { return one.Clear(ctx) })
}

// each does something in all databases side by side, and fails if one does.
func (d *Databases) each(ctx context.Context, do func(ctx context.Context, one *Store) error) error {
	all, err := d.all(ctx)
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	for _, one := range all {
		group.Go(func() error {
			if err := do(ctx, one.Store); err != nil {
				return fmt.Errorf("%s: %w", one.place.Name, err)
			}
			return nil
		})
	}
	return group.Wait()
}
