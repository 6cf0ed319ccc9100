// Package proxy stands before the application of a cell. It passes HTTP/1.1 and h2c,
// streams and WebSockets through to it, lets clients in before crawlers, bounds how
// much the application works on at once, and sends clients to a sibling while this
// cell is over its bound. What it measures on the way are the vitals of the cell.
//
// It doesn't choose among cells: that is the front's, behind Siblings. It keeps no
// message: that is the spool's. It doesn't look after the application: that is the
// sidecar's.
//
// # Where its rules come from
//
// The limit of what is in flight follows the gradient of the latency, as Gradient
// and Gradient2 of Netflix's concurrency-limits do (Gradient2Limit.java) and the
// adaptive concurrency filter of Envoy: see Limit.
//
// Clients wait by the controlled delay and adaptive LIFO of Maurer, "Fail at scale"
// (ACM Queue 13(8), 2015), after Nichols and Jacobson, "Controlling queue delay" (ACM
// Queue 10(5), 2012): see gate.
//
// What crawlers leave free is square-root staffing of what clients need (Halfin and
// Whitt, "Heavy-traffic limits for queues with many exponential servers", Operations
// Research 29(3), 1981).
//
// How many clients are in flight for a rate and a latency is Little's law (Little, "A
// proof for the queuing formula L = λW", Operations Research 9(3), 1961).
package proxy
