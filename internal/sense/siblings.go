package sense

// Sibling is where the sidecar of a cell serves its vitals.
type Sibling struct {
	Cell, Incarnation string
	// URL is the base address of the sidecar, as registered.
	URL string
}

// Result is the answer of one sibling: its vitals, or why there are none.
type Result struct {
	Sibling
	Vitals Vitals
	Err    error
}
