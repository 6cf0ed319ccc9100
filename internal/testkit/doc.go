// Package testkit starts the real servers that tests and the demo need: Consul,
// Apache Kafka, PostgreSQL, Terraform with the provider built from this tree,
// and the homeostat program; and blank machines, real Debian ones in namespaces,
// for what has to be installed, booted or shut out.
//
// Each server listens on loopback only, machines in a network of their own, on
// ports of its own, is ready when its constructor returns, and can be stopped,
// killed as by a crash, paused, wiped and started again over the same data. The
// functions that take a testing.TB end what they start with the test and skip
// with NotRun where a machine lacks something; the Start functions beside them
// return errors instead and are what the demo uses. SharedX functions give one
// server to a whole test process: tests that share one use names of their own
// and never stop it.
//
// Nothing is left behind however the process ends: see guardian.
//
// Programs that a machine lacks are downloaded or built once into the cache,
// ${XDG_CACHE_HOME:-~/.cache}/homeostat. The package leaves out anything a
// production installation would need: it configures servers to start fast and
// to fail fast, not to last.
package testkit
