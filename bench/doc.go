// Package bench measures Homeostat's programs beside those of others, on the same
// machine and in the same run. There is nothing in it but benchmarks: see
// docs/benchmarks.md, and make help for their names.
package bench
