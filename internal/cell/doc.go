// Package cell is what a sidecar does for its own cell: it keeps it registered,
// pushes its health, measures its vitals, has the application finish when the
// cell is to leave, and carries out the order to leave.
//
// What it leaves out: who leads and what is decided (loop), how the application is
// run (supervise), how a cell comes to be (birth), what stands before it (proxy).
package cell
