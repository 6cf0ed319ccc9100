package loop

import (
	"encoding/json"
	"net/http"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/sense"
)

// DrainPath is where a sidecar is asked to drain its cell: PUT begins, DELETE
// takes it back.
const DrainPath = "/v1/drain"

// Handler serves the sidecar's own HTTP interface: its vitals, the drain, and
// whatever metrics handler it is given. Cell is nil for a leader without one.
func Handler(cell *Cell, metrics http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", metrics)
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	if cell == nil {
		return mux
	}
	mux.HandleFunc("GET "+sense.VitalsPath, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		// A reader that has gone away is no concern of the cell's.
		_ = json.NewEncoder(w).Encode(cell.Vitals())
	})
	mux.HandleFunc("PUT "+DrainPath, func(w http.ResponseWriter, r *http.Request) {
		cell.Ask(r.Context(), "asked for by "+r.RemoteAddr)
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("DELETE "+DrainPath, func(w http.ResponseWriter, r *http.Request) {
		cell.Ask(r.Context(), "")
		w.WriteHeader(http.StatusNoContent)
	})
	return mux
}
