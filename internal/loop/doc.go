// Package loop goes the way round: it gathers what is seen of a service, has
// package balance decide, and carries the decision out through packages act,
// guard and fleet. It also holds the rule who leads.
//
// What it leaves out: the law (balance), what a plan may do (guard), how
// Terraform is run (act), how a cell comes to be (birth), what a sidecar does
// for its own cell (cell), flags and signals (the sidecar's main package).
//
// The record in Consul is the truth. It is written before anything is done, so
// that whoever leads next finds there what was begun and carries it out.
package loop
