package cell

import (
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/load"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/sense"
)

// DrainPath is where a sidecar is asked to drain its cell: PUT begins, DELETE
// takes it back. The query names the cell, as in ?cell=api-1.06h0n9nxb430ewgg:
// a port that was given to another cell since must not drain that one.
const DrainPath = "/v1/drain"

// Handler serves the sidecar's own HTTP interface: its vitals and the drain
// behind the guard, and whatever metrics handler it is given. Cell is nil for a
// leader without one.
func Handler(cell *Cell, metrics http.Handler, guard func(http.Handler) http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", metrics)
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	if cell == nil {
		return mux
	}
	mux.Handle("GET "+sense.VitalsPath, guard(http.HandlerFunc(cell.showVitals)))
	if cell.Proxy != nil {
		mux.Handle("GET "+load.Path, guard(http.HandlerFunc(cell.showLoad)))
	}
	mux.Handle("PUT "+DrainPath, guard(cell.askedTo("asked for over HTTP")))
	mux.Handle("DELETE "+DrainPath, guard(cell.askedTo("")))
	return mux
}

func (c *Cell) showVitals(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	// A reader that has gone away is no concern of the cell's.
	_ = json.NewEncoder(w).Encode(c.Vitals())
}

// showLoad answers a front's probe.
func (c *Cell) showLoad(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = fmt.Fprintln(w, c.Proxy.Report()) // as above
}

// askedTo begins a drain for a reason, or takes it back without one.
func (c *Cell) askedTo(why string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if asked := r.URL.Query().Get("cell"); asked != c.Identity.ID() {
			http.Error(w, fmt.Sprintf("this is the sidecar of %s, and the query asks for %q", c.Identity.ID(), asked), http.StatusConflict)
			return
		}
		c.Ask(why)
		w.WriteHeader(http.StatusNoContent)
	}
}
