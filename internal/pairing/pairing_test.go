package pairing

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/reading"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/sense"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// house is a Consul with databases whose sidecars tell of their room.
type house struct {
	t        *testing.T
	fleet    *fleet.Client
	siblings *sense.Siblings
}

func newHouse(t *testing.T) *house {
	t.Helper()
	if testing.Short() {
		t.Skip("needs Consul")
	}
	c, err := fleet.New(fleet.Config{Addresses: []string{testkit.Consul(t).Addr()}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	siblings := sense.NewSiblings(sense.SiblingsConfig{Timeout: 10 * time.Second})
	t.Cleanup(siblings.Close)
	return &house{t: t, fleet: c, siblings: siblings}
}

// database registers a database with some room.
func (h *house) database(name string, port int, room float64) fleet.Cell {
	h.t.Helper()
	d := sense.UnknownDatabase(reading.Unknown("not looked at"))
	d.Room = reading.Of(room, time.Now())
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(sense.Vitals{Service: "db", Cell: name, Incarnation: "x", Database: d})
	}))
	h.t.Cleanup(server.Close)
	cell := fleet.Cell{Service: "db", Name: name, Incarnation: "x", Address: "127.0.0.1", Port: port, Vitals: server.URL, TTL: time.Minute}
	h.push(cell, fleet.Passing)
	return cell
}

func (h *house) push(cell fleet.Cell, health fleet.Health) {
	h.t.Helper()
	if err := h.fleet.Push(h.t.Context(), cell, health, "told by the test"); err != nil {
		h.t.Fatal(err)
	}
	testkit.Await(h.t, time.Minute, func(ctx context.Context) error {
		members, err := h.fleet.Members(ctx, "db")
		for _, m := range members {
			if m.Name == cell.Name && m.Health == health {
				return nil
			}
		}
		return errors.Join(err, fmt.Errorf("%s isn't %s yet", cell.Name, health))
	})
}

func (h *house) partner(name string) *Partner {
	return New(Config{
		Cell: fleet.Cell{Service: "api", Name: name, Incarnation: "y"}, With: "db", Fleet: h.fleet, Vitals: h.siblings.Gather,
		Limit: time.Minute, Log: slog.New(slog.NewTextHandler(h.t.Output(), nil)), Now: time.Now,
	})
}

// Nine APIs that are born at once take the databases by their room, and one that
// is full, slow or unwell gets none.
func TestBornAtOnce(t *testing.T) {
	h := newHouse(t)
	h.database("db-1", 5001, 0.9)
	h.database("db-2", 5002, 0.45)
	h.database("db-3", 5003, 0)
	h.push(h.database("db-4", 5004, 1), fleet.Critical)
	h.push(h.database("db-5", 5005, 1), fleet.Warning)
	var wg sync.WaitGroup
	for i := range 9 {
		wg.Go(func() {
			if _, err := h.partner(fmt.Sprintf("api-%d", i)).Find(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	pairs, err := h.fleet.Pairs(t.Context(), "db")
	if err != nil {
		t.Fatal(err)
	}
	count := map[string]int{}
	for _, p := range pairs {
		count[p.Partner]++
	}
	if count["db-1"] != 6 || count["db-2"] != 3 {
		t.Errorf("pairs %v, want 6 with db-1 and 3 with db-2", count)
	}
}

// A pair that can't be read keeps nobody from being paired. With whom it is isn't
// known, so it is counted with each, and told once.
func TestPairThatCantBeRead(t *testing.T) {
	h := newHouse(t)
	db := h.database("db-1", 5001, 0.5)
	broken := fleet.Pair{Service: "api", Cell: "api-1", Unread: errors.New("it holds something else")}
	var said strings.Builder
	p := h.partner("api-2")
	p.Log = slog.New(slog.NewTextHandler(&said, nil))
	for range 2 {
		all, err := p.candidates(t.Context(), []fleet.Pair{broken, {Service: "api", Cell: "api-3", Partner: db.Name}})
		if err != nil || len(all) != 1 || all[0].Pairs != 2 || all[0].Young != 1 {
			t.Errorf("%+v, %v", all, err)
		}
	}
	if n := strings.Count(said.String(), "it holds something else"); n != 1 {
		t.Errorf("told %d times: %s", n, &said)
	}
}

// A partner that goes away stays the partner, and the application is told.
func TestPartnerIsToldOf(t *testing.T) {
	h := newHouse(t)
	p := h.partner("api-1")
	if answer := ask(t, p); answer.Code != http.StatusServiceUnavailable {
		t.Errorf("before the choice: %d %s", answer.Code, answer.Body)
	}
	found := make(chan error, 1)
	go func() {
		_, err := p.Find(context.WithoutCancel(t.Context()))
		found <- err
	}()
	db := h.database("db-1", 5001, 0.5)
	if err := <-found; err != nil {
		t.Fatal(err)
	}
	go func() { _ = p.Watch(t.Context()) }()
	awaitTold := func(want Told) {
		t.Helper()
		testkit.Await(t, time.Minute, func(context.Context) error {
			var told Told
			if err := json.Unmarshal(ask(t, p).Body.Bytes(), &told); err != nil {
				return err
			}
			if told.Since.IsZero() {
				return errors.New("not since when")
			}
			if told.Since = (time.Time{}); told != want {
				return fmt.Errorf("told %+v", told)
			}
			return nil
		})
	}
	awaitTold(Told{Service: "db", Cell: "db-1", Address: "127.0.0.1:5001", Health: "passing"})
	h.database("db-2", 5002, 1)
	if err := h.fleet.Deregister(t.Context(), db.ID()); err != nil {
		t.Fatal(err)
	}
	awaitTold(Told{Service: "db", Cell: "db-1", Address: "127.0.0.1:5001", Health: "gone"})
	// Its sidecar begins again: the partner is still the one with the data.
	if pair, err := h.partner("api-1").Find(t.Context()); err != nil || pair.Partner != "db-1" {
		t.Errorf("%+v, %v", pair, err)
	}
	// It comes back elsewhere.
	h.database("db-1", 6001, 0.1)
	awaitTold(Told{Service: "db", Cell: "db-1", Address: "127.0.0.1:6001", Health: "passing"})
	if pair, err := h.partner("api-1").Find(t.Context()); err != nil || pair.Address != "127.0.0.1:6001" {
		t.Errorf("a sidecar that begins again is told of %+v, %v", pair, err)
	}

	// Removed on purpose: its rows are elsewhere, and so is the next partner.
	lease, err := h.fleet.TryStand(t.Context(), "db", fleet.Holder{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = lease.Release(context.WithoutCancel(t.Context())) })
	if _, err := lease.PutRecord(t.Context(), fleet.Record{Count: 1, Names: []string{"db-2"}}, 0); err != nil {
		t.Fatal(err)
	}
	if pair, err := h.partner("api-1").Find(t.Context()); err != nil || pair.Partner != "db-2" {
		t.Errorf("%+v, %v", pair, err)
	}
}

func TestNoPartnerInTime(t *testing.T) {
	h := newHouse(t)
	p := h.partner("api-1")
	p.Limit = 5 * time.Second // one look takes long on a busy machine
	if _, err := p.Find(t.Context()); !errors.Is(err, ErrNobody) {
		t.Errorf("got %v", err)
	}
}

func ask(t *testing.T, p *Partner) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	p.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, Path, nil))
	return w
}

func TestVariable(t *testing.T) {
	if got := Variable("search-db"); got != "HOMEOSTAT_PARTNER_SEARCH_DB" {
		t.Error(got)
	}
}
